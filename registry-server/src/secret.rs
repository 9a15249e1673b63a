//! Secrets we hand out: 256 random bits behind a recognisable prefix, kept only as a hash.
//! Refuses to know what a secret allows.

use skep_artifact::digest::Digest;

/// What a secret is for; decides its prefix, so that a leaked one can be recognised by scanners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An API token of a person or a program.
    Api,
    /// Lets nodes enrol.
    NodeToken,
    /// Identifies one node.
    NodeCredential,
}

impl Kind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Api => "skep_",
            Self::NodeToken => "skepn_",
            Self::NodeCredential => "skepc_",
        }
    }
}

/// Longest text that is looked at as a secret: the longest prefix and 64 digits.
const SECRET_CHARS_MAX: usize = 70;

/// A secret in the clear. Has no Debug and no Display on purpose.
pub struct Secret(String);

/// sha256 of a secret: what the database holds.
#[derive(Clone, Copy)]
pub struct SecretHash([u8; 32]);

/// The operating system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct NoRandomness(#[from] getrandom::Error);

impl Secret {
    /// Draws a fresh secret.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn draw(kind: Kind) -> Result<Self, NoRandomness> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(format!("{}{}", kind.prefix(), hex::encode(bytes))))
    }

    /// The text to show once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What to store.
    #[must_use]
    pub fn hash(&self) -> SecretHash {
        SecretHash(*Digest::of(self.0.as_bytes()).as_bytes())
    }
}

impl SecretHash {
    /// The hash of a text that claims to be a secret of this kind; `None` when it cannot be one.
    #[must_use]
    pub fn of_text(kind: Kind, text: &str) -> Option<Self> {
        let fits = text.starts_with(kind.prefix()) && text.len() <= SECRET_CHARS_MAX;
        fits.then(|| Self(*Digest::of(text.as_bytes()).as_bytes()))
    }

    /// The hash of the number by which a host tells itself from another of the same name.
    #[must_use]
    pub fn of_instance(text: &str) -> Self {
        Self(*Digest::of(text.as_bytes()).as_bytes())
    }

    /// A hash read from the database.
    #[must_use]
    pub fn from_stored(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The 32 bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The public name of the secret: the first eight bytes of its hash in hexadecimal digits.
    /// Looking a secret up by it tells nothing about the other 24 bytes.
    #[must_use]
    pub fn id(&self) -> String {
        hex::encode(&self.0[..8])
    }

    /// Compares in a time that does not depend on where the two differ.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        openssl::memcmp::eq(&self.0, &other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_again_by_its_text_only_under_its_own_kind() {
        let secret = Secret::draw(Kind::Api).unwrap();
        let hash = SecretHash::of_text(Kind::Api, secret.reveal()).unwrap();
        assert!(hash.same_as(&secret.hash()));
        assert!(SecretHash::of_text(Kind::NodeToken, secret.reveal()).is_none());
        assert!(SecretHash::of_text(Kind::Api, &format!("skep_{}", "0".repeat(500))).is_none());
        assert!(!hash.same_as(&Secret::draw(Kind::Api).unwrap().hash()));
    }
}
