//! Who is looking: an account that logged in (the browser keeps its cookie, which no script can read), or an API token
//! kept in this tab. It refuses to judge either; the registry does.

use crate::browser;
use crate::client::{self, Method};
use crate::view::load::Failure;
use leptos::prelude::*;
use leptos::task::spawn_local;
use serde::Serialize;
use serde::de::DeserializeOwned;
use skep_api::v1::accounts::{AccountInfo, LogIn, LoggedIn, WhoAmI};

/// Under which name the tab remembers the token.
const STORED_AS: &str = "skep.token";
/// Under which name the browser remembers that somebody may be logged in, so that others are not asked for.
const MAYBE_AS: &str = "skep.session";
/// Longest token that is accepted, in characters; ours have fewer than a hundred.
const TOKEN_CHARS_MAX: usize = 512;

/// Who is looking.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Access {
    /// The registry is asked whether the browser's cookie still counts.
    Asking,
    /// Nobody it knows; `ended` when there was a session and it ended by itself.
    Nobody { ended: bool },
    /// An account, by its cookie.
    Account(AccountInfo),
    /// Whoever holds this token.
    Token(String),
}

/// The reader, shared by all pages.
#[derive(Clone, Copy)]
pub(crate) struct Session {
    access: RwSignal<Access>,
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
        let access = match (browser::remembered(STORED_AS), browser::kept(MAYBE_AS)) {
            (Some(token), _) => Access::Token(token),
            (None, Some(_)) => Access::Asking,
            (None, None) => Access::Nobody { ended: false },
        };
        let session = Self { access: RwSignal::new(access) };
        if session.access.get_untracked() == Access::Asking {
            spawn_local(session.look());
        }
        provide_context(session);
    }

    /// The session of this app.
    pub(crate) fn of_app() -> Self {
        expect_context()
    }

    /// Who is looking, tracked.
    pub(crate) fn access(self) -> Access {
        self.access.get()
    }

    /// Whether there is somebody to ask as, tracked; `None` while that is being found out.
    pub(crate) fn is_somebody(self) -> Option<bool> {
        self.access.with(|access| match access {
            Access::Asking => None,
            Access::Nobody { .. } => Some(false),
            Access::Account(_) | Access::Token(_) => Some(true),
        })
    }

    /// Asks whose the browser's cookie is.
    async fn look(self) {
        let (access, maybe) = match client::json::<WhoAmI>("/v1/whoami", None).await {
            Ok(WhoAmI { account: Some(account), .. }) => (Access::Account(account), true),
            Err(Failure::Refused { status: 401, .. }) => (Access::Nobody { ended: true }, false),
            // What cannot be found out now is found out the next time.
            Ok(_) | Err(_) => (Access::Nobody { ended: false }, true),
        };
        if !maybe {
            browser::keep(MAYBE_AS, None);
        }
        self.access.set(access);
    }

    /// Asks for JSON as whoever is looking.
    pub(crate) async fn get<T: DeserializeOwned>(self, path: &str) -> Result<T, Failure> {
        let answer = client::json(path, self.token().as_deref()).await;
        self.noticed(answer)
    }

    /// Sends JSON as whoever is looking, and reads JSON.
    pub(crate) async fn send<T: DeserializeOwned>(
        self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let answer = client::send(method, path, self.token().as_deref(), body).await;
        self.noticed(answer)
    }

    /// Does something that is answered by nothing.
    pub(crate) async fn done(
        self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<(), Failure> {
        let answer = client::done(method, path, self.token().as_deref(), body).await;
        self.noticed(answer)
    }

    /// A session that ended shows by a refusal: everything that needs somebody asks to log in again.
    fn noticed<T>(self, answer: Result<T, Failure>) -> Result<T, Failure> {
        let refused = matches!(answer, Err(Failure::Refused { status: 401, .. }));
        if refused && matches!(self.access.get_untracked(), Access::Account(_)) {
            browser::keep(MAYBE_AS, None);
            self.access.set(Access::Nobody { ended: true });
        }
        answer
    }

    fn token(self) -> Option<String> {
        self.access.with_untracked(|access| match access {
            Access::Token(token) => Some(token.clone()),
            Access::Asking | Access::Nobody { .. } | Access::Account(_) => None,
        })
    }

    /// Logs an account in by its password.
    pub(crate) async fn log_in(self, wish: &LogIn) -> Result<(), Failure> {
        let answer: LoggedIn = client::send(Method::Post, "/v1/sessions", None, wish).await?;
        browser::remember(STORED_AS, None);
        self.expect_account();
        self.access.set(Access::Account(answer.account));
        Ok(())
    }

    /// Notes that the browser may come back logged in.
    pub(crate) fn expect_account(self) {
        browser::keep(MAYBE_AS, Some("1"));
    }

    /// Asks again who the account is: its namespaces changed.
    pub(crate) fn look_again(self) {
        spawn_local(async move {
            if let Ok(WhoAmI { account: Some(account), .. }) = self.get("/v1/whoami").await
                && matches!(self.access.get_untracked(), Access::Account(_))
            {
                self.access.set(Access::Account(account));
            }
        });
    }

    /// Takes a token as typed.
    pub(crate) fn take_token(self, text: &str) -> Result<(), TokenFault> {
        let token = parsed(text)?;
        browser::remember(STORED_AS, Some(&token));
        self.access.set(Access::Token(token));
        Ok(())
    }

    /// Ends the session, or forgets the token.
    pub(crate) fn log_out(self) {
        if matches!(self.access.get_untracked(), Access::Account(_)) {
            spawn_local(async move {
                // A session that is gone already is what was wanted; one that cannot be ended now ends by its time.
                let _ = client::done(Method::Delete, "/v1/sessions", None, None::<&()>).await;
            });
        }
        browser::remember(STORED_AS, None);
        browser::keep(MAYBE_AS, None);
        self.access.set(Access::Nobody { ended: false });
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
