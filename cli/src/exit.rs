//! Exit codes, and which of them an error means. Refuses to know how errors come about.

use crate::archive::ArchiveError;
use crate::download::DownloadError;
use crate::render::fault;
use crate::settings::SettingsError;
use skep_api::client::ClientError;
use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// How the program ended, as scripts see it. 0 is success; 2 is also what the argument parser gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Failed = 1,
    /// The command line or the settings ask for something that cannot be done as written.
    Usage = 2,
    /// A verification, a policy or the registry said no; trying again changes nothing.
    Refused = 3,
    NotFound = 4,
    Unreachable = 5,
}

/// Attached to an error of any module that ends the program with another code than 1.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Ends {
    pub exit: Exit,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Ends {
    /// Something the registry, the node or the package does not have.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self { exit: Exit::NotFound, message: message.into(), source: None }
    }

    /// What was verified does not hold; `source` names the check that refused.
    pub(crate) fn refused(
        message: impl Into<String>,
        source: impl Error + Send + Sync + 'static,
    ) -> Self {
        Self { exit: Exit::Refused, message: message.into(), source: Some(Box::new(source)) }
    }

    /// A refusal without a deeper cause.
    pub(crate) fn refusal(message: impl Into<String>) -> Self {
        Self { exit: Exit::Refused, message: message.into(), source: None }
    }

    /// What the command line asks for cannot be done as written.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into(), source: None }
    }
}

/// The exit code of an error: the first cause that knows one decides.
pub(crate) fn exit_of(error: &anyhow::Error) -> Exit {
    error.chain().find_map(known).unwrap_or(Exit::Failed)
}

fn known(cause: &(dyn Error + 'static)) -> Option<Exit> {
    if let Some(ends) = cause.downcast_ref::<Ends>() {
        return Some(ends.exit);
    }
    if let Some(error) = cause.downcast_ref::<ArchiveError>() {
        return Some(of_archive(error));
    }
    if cause.is::<skep_trust::Refusal>() || cause.is::<DownloadError>() {
        return Some(Exit::Refused);
    }
    #[cfg(feature = "local")]
    if let Some(exit) = of_kernel(cause) {
        return Some(exit);
    }
    if let Some(settings) = cause.downcast_ref::<SettingsError>() {
        return Some(settings.exit());
    }
    cause.downcast_ref::<ClientError>().map(of_client)
}

/// What the chain engine says.
#[cfg(feature = "local")]
fn of_kernel(cause: &(dyn Error + 'static)) -> Option<Exit> {
    use skep_chain_dispatcher::{ApplyError, ObserveError};
    if let Some(ObserveError::InterfaceGone { .. }) = cause.downcast_ref() {
        return Some(Exit::NotFound);
    }
    match cause.downcast_ref()? {
        ApplyError::InterfaceGone { .. } => Some(Exit::NotFound),
        ApplyError::Foreign { .. }
        | ApplyError::GapRefused { .. }
        | ApplyError::StateLost { .. }
        | ApplyError::HookNotPermitted { .. } => Some(Exit::Refused),
        ApplyError::TooManyMembers { .. } | ApplyError::UnusableName { .. } => Some(Exit::Usage),
        _ => None,
    }
}

/// A bundle that is not what it should be is refused; a file that cannot be reached is another matter.
fn of_archive(error: &ArchiveError) -> Exit {
    match error {
        ArchiveError::Read { .. } | ArchiveError::Write { .. } | ArchiveError::Unpack { .. } => {
            Exit::Failed
        }
        _ => Exit::Refused,
    }
}

fn of_client(error: &ClientError) -> Exit {
    match error {
        ClientError::Unreachable { .. } => Exit::Unreachable,
        ClientError::Refused { status: 404 | 410, .. } => Exit::NotFound,
        ClientError::Refused { status: 401 | 403 | 409 | 413 | 422, .. } => Exit::Refused,
        ClientError::Address { .. } | ClientError::Ca { .. } => Exit::Usage,
        _ => Exit::Failed,
    }
}

/// Prints the error once, with its causes, and says which code it ends with.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if closed_pipe(error) {
        return ExitCode::SUCCESS;
    }
    // Standard error may be closed as well; then there is nobody to tell.
    let _ = write!(anstream::stderr(), "{}", fault::render(error));
    ExitCode::from(exit_of(error) as u8)
}

/// `skep … | head` closes our output early; that is no failure.
fn closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_api::reason::ErrorBody;

    fn refused(status: u16) -> anyhow::Error {
        let body = ErrorBody {
            code: "x".into(),
            message: "No.".into(),
            hint: None,
            request_id: String::new(),
        };
        anyhow::Error::new(ClientError::Refused { status, body }).context("Publishing failed.")
    }

    #[test]
    fn the_status_of_a_refusal_decides_the_exit_code() {
        assert_eq!(exit_of(&refused(404)), Exit::NotFound);
        assert_eq!(exit_of(&refused(409)), Exit::Refused);
        assert_eq!(exit_of(&refused(401)), Exit::Refused);
        assert_eq!(exit_of(&refused(500)), Exit::Failed);
        assert_eq!(exit_of(&anyhow::anyhow!("plain")), Exit::Failed);
    }

    #[test]
    fn the_outermost_cause_that_knows_a_code_wins() {
        let inner = io::Error::other("inner");
        let error = anyhow::Error::new(Ends::refused("Refused.", inner)).context("outer");
        assert_eq!(exit_of(&error), Exit::Refused);
        assert!(!closed_pipe(&error));
    }
}
