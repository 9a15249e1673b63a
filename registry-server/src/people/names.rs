//! Which names accounts may have: the shape of a namespace, no word with a meaning of its own, and
//! none that a reader could take for another's. Refuses to know who has which.

use skep_artifact::name::{NameError, Namespace};
use unicode_security::confusable_detection::skeleton as unicode_skeleton;

/// Words that would lend an account an authority it does not have, besides those no namespace may be.
const RESERVED: &[&str] = &[
    "account",
    "accounts",
    "administrator",
    "anonymous",
    "everyone",
    "invite",
    "me",
    "moderator",
    "nobody",
    "null",
    "official",
    "operator",
    "owner",
    "registry",
    "security",
    "session",
    "skep",
    "staff",
    "support",
    "token",
    "undefined",
    "webmaster",
];
/// One letter is too little to tell people apart.
const CHARS_MIN: usize = 2;

/// Why an account cannot have a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountNameError {
    #[error(transparent)]
    Shape(#[from] NameError),
    #[error("`{name}` is shorter than {CHARS_MIN} characters")]
    Short { name: String },
    #[error("`{name}` is reserved; choose another name")]
    Reserved { name: String },
}

/// A name an account may have, if nobody has it or one that looks like it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountName(String);

impl AccountName {
    /// Reads a name.
    ///
    /// # Errors
    /// [`AccountNameError`].
    pub fn parse(text: &str) -> Result<Self, AccountNameError> {
        let name: Namespace = text.parse()?;
        let name = name.as_str().to_owned();
        if name.len() < CHARS_MIN {
            return Err(AccountNameError::Short { name });
        }
        let looks = skeleton(&name);
        if RESERVED.iter().any(|word| skeleton(word) == looks) {
            return Err(AccountNameError::Reserved { name });
        }
        Ok(Self(name))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a name looks like: equal for two names that a reader could confuse. By Unicode's table of
/// confusables (`rn` is `m`, `1` is `l`, `0` is `o`), without hyphens.
#[must_use]
pub fn skeleton(name: &str) -> String {
    unicode_skeleton(name).filter(|c| *c != '-').flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_alike_have_one_skeleton() {
        for (a, b) in [("acme", "acrne"), ("paypal", "paypa1"), ("g00gle", "google"), ("a-b", "ab")]
        {
            assert_eq!(skeleton(a), skeleton(b), "{a} {b}");
        }
        for (a, b) in [("acme", "acne"), ("anna", "hanna"), ("tim", "tom"), ("x1", "x2")] {
            assert_ne!(skeleton(a), skeleton(b), "{a} {b}");
        }
    }

    #[test]
    fn words_of_authority_and_their_likenesses_are_refused() {
        for text in [
            "support",
            "supp0rt",
            "sup-port",
            "adrninistrator",
            "admin",
            "a",
            "",
            "Anna",
            "аnna",
            "an--na",
        ] {
            assert!(AccountName::parse(text).is_err(), "{text}");
        }
        assert_eq!(AccountName::parse("anna").unwrap().as_str(), "anna");
    }
}
