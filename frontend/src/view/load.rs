//! The states a page can be in besides showing its data, and what each says.
//! It refuses to know how data is fetched.

use crate::words;
use skep_api::reason::ErrorBody;

/// Why an answer did not come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// No answer at all: no connection, or it broke.
    Unreachable,
    /// The server answered with an error.
    Refused { status: u16, body: ErrorBody },
    /// The server answered with something this page cannot read.
    Unreadable { what: String },
    /// The answer was larger than it may be.
    TooLarge { limit: usize },
    /// What was typed cannot be sent.
    Typed { what: String },
}

/// What kind of message a notice is; decides its mark and its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// There is nothing to show yet; teaches what to do.
    Empty,
    /// Somebody or something said no.
    Refused,
    /// It did not work.
    Failed,
    /// What is shown is old.
    Stale,
}

/// A message that stands where data would: what is true, then why, then what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub tone: Tone,
    pub title: String,
    pub text: String,
    /// A command that helps, ready to copy.
    pub command: Option<String>,
    /// Reason code and request id, to find it in the server's log.
    pub detail: Option<String>,
}

impl Failure {
    /// Whether the caller has to show who they are, or show it again.
    #[must_use]
    pub fn wants_sign_in(&self) -> bool {
        matches!(self, Self::Refused { status: 401 | 403, .. })
    }

    /// Whether the thing asked for is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// The failure as a message.
    #[must_use]
    pub fn notice(&self) -> Notice {
        match self {
            Self::Unreachable => {
                Notice::new(Tone::Failed, words::UNREACHABLE_TITLE, words::UNREACHABLE_TEXT)
            }
            Self::Unreadable { what } => {
                Notice::new(Tone::Failed, words::UNREADABLE_TITLE, words::UNREADABLE_TEXT)
                    .with_detail(what)
            }
            Self::TooLarge { limit } => Notice::new(
                Tone::Failed,
                words::TOO_LARGE_TITLE,
                &words::too_large(&super::format::bytes(u64::try_from(*limit).unwrap_or(u64::MAX))),
            ),
            Self::Typed { what } => Notice::new(Tone::Refused, words::BAD_REQUEST_TITLE, what),
            Self::Refused { status, body } => refused(*status, body),
        }
    }
}

impl Notice {
    /// A message without command and detail.
    #[must_use]
    pub fn new(tone: Tone, title: &str, text: &str) -> Self {
        Self { tone, title: title.to_owned(), text: text.to_owned(), command: None, detail: None }
    }

    /// The same message with a command to copy.
    #[must_use]
    pub fn with_command(self, command: &str) -> Self {
        Self { command: Some(command.to_owned()), ..self }
    }

    fn with_detail(self, detail: &str) -> Self {
        Self { detail: Some(detail.to_owned()), ..self }
    }
}

fn refused(status: u16, body: &ErrorBody) -> Notice {
    let (tone, title) = match status {
        401 | 403 => (Tone::Refused, words::REFUSED_TITLE),
        404 => (Tone::Empty, words::NOT_THERE_TITLE),
        400..=499 => (Tone::Refused, words::BAD_REQUEST_TITLE),
        _ => (Tone::Failed, words::SERVER_FAILED_TITLE),
    };
    let text = match &body.hint {
        Some(hint) => format!("{} {hint}", body.message),
        None => body.message.clone(),
    };
    let detail = if body.request_id.is_empty() {
        body.code.clone()
    } else {
        words::code_and_request(&body.code, &body.request_id)
    };
    Notice::new(tone, title, &text).with_detail(&detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16) -> Failure {
        let body = ErrorBody {
            code: "auth.not_allowed".into(),
            message: "This token may publish, not read the fleet.".into(),
            hint: Some("Ask for a token with the scope read-fleet.".into()),
            request_id: "r-1".into(),
        };
        Failure::Refused { status, body }
    }

    #[test]
    fn a_refusal_says_what_and_what_to_do_and_how_to_find_it() {
        let notice = answer(403).notice();
        assert_eq!(notice.tone, Tone::Refused);
        assert_eq!(
            notice.text,
            "This token may publish, not read the fleet. Ask for a token with the scope read-fleet."
        );
        assert_eq!(notice.detail.as_deref(), Some("auth.not_allowed · request r-1"));
    }

    #[test]
    fn only_missing_or_wrong_tokens_ask_to_sign_in() {
        assert!(answer(401).wants_sign_in());
        assert!(answer(403).wants_sign_in());
        assert!(!answer(404).wants_sign_in());
        assert!(answer(404).is_not_found());
        assert!(!Failure::Unreachable.wants_sign_in());
    }

    #[test]
    fn failures_of_the_server_and_of_the_line_are_told_apart() {
        assert_eq!(answer(500).notice().title, words::SERVER_FAILED_TITLE);
        assert_eq!(answer(404).notice().tone, Tone::Empty);
        assert_eq!(answer(422).notice().tone, Tone::Refused);
        assert_eq!(Failure::Unreachable.notice().title, words::UNREACHABLE_TITLE);
        assert!(Failure::TooLarge { limit: 8 << 20 }.notice().text.contains("8.00 MiB"));
    }
}
