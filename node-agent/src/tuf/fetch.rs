//! Fetching what the pure client asks for, until it has a verdict. Refuses to know what the files say.

use crate::explain::explain;
use skep_api::client::{Client, ClientError};
use skep_trust::tuf::{Answer, Answers, Outcome, Request, Stored, TufError};

/// Files one session may ask for: every rotation of the root, the four roles, and every role that is visited.
const REQUESTS_MAX: usize = 128;

/// Where a repository's metadata lies.
pub struct Mirror {
    pub client: Client,
    /// What comes before a file's name, from the client's address: `/tuf`.
    pub folder: String,
}

/// Why a repository could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("The trust metadata {file} could not be read. {}", explain(.source.as_ref()))]
    Fetch { file: String, source: Box<ClientError> },
    #[error("The trust metadata asks for more than {REQUESTS_MAX} files.")]
    Endless,
}

impl SourceError {
    /// The stable reason code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Fetch { .. } => "tuf.unreachable",
            Self::Endless => "tuf.endless",
        }
    }
}

impl Mirror {
    async fn fetch(&self, request: &Request) -> Result<Answer, SourceError> {
        let path = format!("{}/{}", self.folder, request.file);
        let limit = usize::try_from(request.bytes_max).unwrap_or(usize::MAX);
        match self.client.file(&path, limit).await {
            Ok(Some(bytes)) => Ok(Answer::Bytes(bytes.to_vec())),
            Ok(None) => Ok(Answer::Missing),
            Err(ClientError::TooLarge { .. }) => Ok(Answer::TooLarge),
            Err(source) => {
                Err(SourceError::Fetch { file: request.file.clone(), source: Box::new(source) })
            }
        }
    }
}

/// Runs a session to its end. `answers` are kept, so that the next session asks for nothing twice.
///
/// # Errors
/// [`SourceError`] when the repository cannot be read; what it says is judged in the result.
pub async fn drive<T>(
    mirror: &Mirror,
    answers: &mut Answers,
    session: impl Fn(&Answers) -> (Outcome<T>, Stored),
) -> Result<(Result<T, TufError>, Stored), SourceError> {
    for _ in 0..REQUESTS_MAX {
        match session(answers) {
            (Outcome::Done(done), stored) => return Ok((Ok(done), stored)),
            (Outcome::Refused(error), stored) => return Ok((Err(error), stored)),
            (Outcome::Fetch(request), _) => {
                let answer = mirror.fetch(&request).await?;
                answers.insert(request.file, answer);
            }
        }
    }
    Err(SourceError::Endless)
}
