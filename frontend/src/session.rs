//! Who is looking: an API token kept in this tab. It refuses to judge tokens; the registry does.

use crate::browser;
use leptos::prelude::*;

/// Under which name the tab remembers the token.
const STORED_AS: &str = "skep.token";
/// Longest token that is accepted, in characters; ours have fewer than a hundred.
const TOKEN_CHARS_MAX: usize = 512;

/// The reader's token, shared by all pages.
#[derive(Clone, Copy)]
pub(crate) struct Session {
    token: RwSignal<Option<String>>,
}

/// Why a text is not taken as a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenFault {
    Empty,
    Shape,
}

impl Session {
    /// Makes the session known to every component below.
    pub(crate) fn provide() {
        provide_context(Self { token: RwSignal::new(browser::remembered(STORED_AS)) });
    }

    /// The session of this app.
    pub(crate) fn of_app() -> Self {
        expect_context()
    }

    /// The token, tracked.
    pub(crate) fn token(self) -> Option<String> {
        self.token.get()
    }

    /// Takes a token as typed.
    pub(crate) fn sign_in(self, text: &str) -> Result<(), TokenFault> {
        let token = parsed(text)?;
        browser::remember(STORED_AS, Some(&token));
        self.token.set(Some(token));
        Ok(())
    }

    /// Forgets the token.
    pub(crate) fn sign_out(self) {
        browser::remember(STORED_AS, None);
        self.token.set(None);
    }
}

/// A text that can stand in an HTTP header.
fn parsed(text: &str) -> Result<String, TokenFault> {
    let text = text.trim();
    if text.is_empty() {
        return Err(TokenFault::Empty);
    }
    if text.len() > TOKEN_CHARS_MAX || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(TokenFault::Shape);
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_trimmed_and_must_fit_a_header() {
        assert_eq!(parsed(" skep_abc \n"), Ok("skep_abc".to_owned()));
        assert_eq!(parsed("  "), Err(TokenFault::Empty));
        assert_eq!(parsed("a b"), Err(TokenFault::Shape));
        assert_eq!(parsed("a\nb"), Err(TokenFault::Shape));
        assert_eq!(parsed(&"a".repeat(513)), Err(TokenFault::Shape));
    }
}
