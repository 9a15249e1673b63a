//! The local socket: one line of JSON asked, one line answered, for the owner of the file only; drops
//! are answered with lines until the caller leaves. Refuses to know how answers are found.

use crate::drops::{self, Asked};
use crate::files::FileError;
use crate::ledger::Place;
use serde::{Deserialize, Serialize};
use skep_api::v1::chains::ChainStatus;
use skep_api::v1::nodes::Refused;
use skep_api::v1::sync::Have;
use skep_artifact::hook::Hook;
use std::fs::{self, Permissions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};

/// Longest question: an interface name, a hook and some room.
const QUESTION_BYTES_MAX: u64 = 4 << 10;
/// Longest answer a caller reads: 1,000 chains of 32 members.
const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// Pause after the kernel refused a new caller, which it does when descriptors have run out. Nothing tells when one is
/// free again; a second is short for a person and keeps a full process from spinning.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// Callers served at once; more wait to be accepted.
const CALLERS_MAX: usize = 16;
/// Callers that are told drops at once: more hooks than a person looks at.
const LISTENERS_MAX: usize = 8;
/// How long a caller may take to ask, and to take the answer.
const CALLER_PATIENCE: Duration = Duration::from_secs(10);
/// How long a command waits for the agent's answer: longer than loading the largest chain takes.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);
/// Questions waiting for the agent's loop.
const QUESTIONS_WAITING: usize = 16;

/// What may be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// How is the node doing?
    Status,
    /// What runs, with counters?
    Chains,
    /// What would the next pass do?
    Plan,
    /// Look at the marker of hooks detached by hand, and take off what it names.
    DetachAll,
    /// Mark one hook as detached by hand, and take its chain off.
    Detach { interface: String, hook: Hook },
    /// Lift the marker and attach again.
    Resume,
    /// Tell what is dropped on a hook: answered with lines, each a [`skep_api::v1::drops::DropLine`],
    /// until the caller leaves.
    Drops(Asked),
    /// Time one packet in `one_in` on an interface for `secs` seconds; 0 ends it at once.
    Time {
        interface: String,
        /// Every hook of the interface when left out.
        hook: Option<Hook>,
        one_in: u32,
        secs: u32,
    },
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    Status(Box<Status>),
    Chains {
        chains: Vec<ChainStatus>,
        /// Until when the registry's trust metadata is fresh; absent when the policy trusts no root.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trust_fresh_until: Option<i64>,
    },
    /// Steps, one sentence each; none when everything runs that should.
    Plan {
        steps: Vec<String>,
        notes: Vec<String>,
    },
    /// The places that were taken off.
    Detached {
        places: Vec<Place>,
    },
    Resumed,
    /// Drops may be told; where the pins are. Never sent: the lines follow instead.
    Drops {
        pin_root: PathBuf,
    },
    /// The places whose packets are timed.
    Timed {
        places: Vec<Place>,
    },
    Refused {
        code: String,
        message: String,
    },
}

/// How a node is doing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub name: String,
    pub server: String,
    /// One sentence about the last call to the server.
    pub contact: String,
    pub version: String,
    pub pid: u32,
    pub seen: Option<Have>,
    pub applied: Option<Have>,
    pub refusal: Option<Refused>,
    pub notes: Vec<String>,
    pub chains: usize,
}

/// A question and where its answer goes.
pub struct Question {
    pub request: Request,
    pub reply: oneshot::Sender<Answer>,
}

/// Why the socket could not be opened or asked.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error("The local socket {} could not be opened.", path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("No agent answers on {}.", path.display())]
    Nobody { path: PathBuf, source: io::Error },
    #[error("The agent on {} did not give a whole answer.", path.display())]
    Answer { path: PathBuf, source: io::Error },
    #[error("The agent on {} gave an answer that cannot be read. Is it of another version?", path.display())]
    Unreadable { path: PathBuf, source: serde_json::Error },
    #[error("The local socket's folder could not be prepared.")]
    Folder { source: FileError },
}

/// Questions for the agent's loop: others may ask, too, and the loop takes them.
pub type Questions = (mpsc::Sender<Question>, mpsc::Receiver<Question>);

/// Opens the socket, in place of one a dead agent left, and serves it until the receiver is dropped. The caller
/// holds the state folder's lock, so no living agent loses its socket.
///
/// # Errors
/// [`SocketError::Open`].
pub fn serve(path: &Path) -> Result<Questions, SocketError> {
    let failed = |source| SocketError::Open { path: path.to_owned(), source };
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(e)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed)?;
    let (questions, receiver) = mpsc::channel(QUESTIONS_WAITING);
    tokio::spawn(accept(listener, questions.clone()));
    Ok((questions, receiver))
}

async fn accept(listener: UnixListener, questions: mpsc::Sender<Question>) {
    let places = Arc::new(Semaphore::new(CALLERS_MAX));
    let listeners = Arc::new(Semaphore::new(LISTENERS_MAX));
    while !questions.is_closed() {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (questions, listeners) = (questions.clone(), Arc::clone(&listeners));
        tokio::spawn(async move {
            // A caller that goes away loses its answer and nobody else's.
            let patience = ANSWER_PATIENCE + CALLER_PATIENCE;
            let answered = tokio::time::timeout(patience, converse(stream, questions)).await;
            drop(place);
            if let Ok(Ok(Some(listener))) = answered {
                let _ = listener.listen(&listeners).await;
            }
        });
    }
}

/// A caller that wants to be told drops for as long as it likes.
struct Listener {
    stream: UnixStream,
    pin_root: PathBuf,
    asked: Asked,
}

impl Listener {
    async fn listen(self, places: &Semaphore) -> io::Result<()> {
        let Self { mut stream, pin_root, asked } = self;
        let Ok(_place) = places.try_acquire() else {
            let refused = Answer::Refused {
                code: "drops.busy".to_owned(),
                message: format!(
                    "{LISTENERS_MAX} callers are told drops already; end one of them first."
                ),
            };
            return say(&mut stream, &refused).await;
        };
        let (caller, answer) = stream.split();
        drops::tell(pin_root, asked, caller, answer).await
    }
}

/// Answers one question; gives the caller back if its answer is a stream.
async fn converse(
    mut stream: UnixStream,
    questions: mpsc::Sender<Question>,
) -> io::Result<Option<Listener>> {
    let (read, _) = stream.split();
    let mut line = Vec::new();
    let mut limited = tokio::io::BufReader::new(read.take(QUESTION_BYTES_MAX));
    tokio::time::timeout(CALLER_PATIENCE, limited.read_until(b'\n', &mut line)).await??;
    let request = serde_json::from_slice::<Request>(&line);
    let answer = match &request {
        Ok(request) => ask_loop(request.clone(), &questions).await,
        Err(e) => Answer::Refused {
            code: "request.malformed".to_owned(),
            message: format!("The question is not one line of known JSON ({e})."),
        },
    };
    match (answer, request) {
        (Answer::Drops { pin_root }, Ok(Request::Drops(asked))) => {
            Ok(Some(Listener { stream, pin_root, asked }))
        }
        (answer, _) => say(&mut stream, &answer).await.map(|()| None),
    }
}

async fn say(stream: &mut UnixStream, answer: &Answer) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(answer)?;
    bytes.push(b'\n');
    tokio::time::timeout(CALLER_PATIENCE, stream.write_all(&bytes)).await?
}

async fn ask_loop(request: Request, questions: &mpsc::Sender<Question>) -> Answer {
    let (reply, answer) = oneshot::channel();
    let leaving = || Answer::Refused {
        code: "agent.stopping".to_owned(),
        message: "The agent is stopping. What runs stays attached.".to_owned(),
    };
    if questions.send(Question { request, reply }).await.is_err() {
        return leaving();
    }
    answer.await.unwrap_or_else(|_| leaving())
}

/// Asks a running agent, blocking.
///
/// # Errors
/// [`SocketError::Nobody`] when no agent runs there.
pub fn ask(path: &Path, request: &Request) -> Result<Answer, SocketError> {
    let nobody = |source| SocketError::Nobody { path: path.to_owned(), source };
    let broken = |source| SocketError::Answer { path: path.to_owned(), source };
    let unreadable = |source| SocketError::Unreadable { path: path.to_owned(), source };
    let mut stream = std::os::unix::net::UnixStream::connect(path).map_err(nobody)?;
    stream.set_read_timeout(Some(ANSWER_PATIENCE)).map_err(broken)?;
    stream.set_write_timeout(Some(CALLER_PATIENCE)).map_err(broken)?;
    let mut question = serde_json::to_vec(request).map_err(unreadable)?;
    question.push(b'\n');
    stream.write_all(&question).map_err(broken)?;
    let mut line = Vec::new();
    BufReader::new(stream.take(ANSWER_BYTES_MAX)).read_until(b'\n', &mut line).map_err(broken)?;
    serde_json::from_slice(&line).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn with_echo(path: &Path) {
        let (_, mut questions) = serve(path).unwrap();
        tokio::spawn(async move {
            while let Some(question) = questions.recv().await {
                let steps = vec![format!("{:?}", question.request)];
                let _ = question.reply.send(Answer::Plan { steps, notes: vec![] });
            }
        });
    }

    fn ask_apart(
        path: &Path,
        request: Request,
    ) -> tokio::task::JoinHandle<Result<Answer, SocketError>> {
        let path = path.to_owned();
        tokio::task::spawn_blocking(move || ask(&path, &request))
    }

    #[tokio::test]
    async fn a_question_gets_its_answer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        with_echo(&path).await;
        let asked = Request::Detach { interface: "eth0".to_owned(), hook: Hook::Xdp };
        let answer = ask_apart(&path, asked.clone()).await.unwrap().unwrap();
        assert_eq!(answer, Answer::Plan { steps: vec![format!("{asked:?}")], notes: vec![] });
    }

    #[tokio::test]
    async fn only_the_owner_may_ask() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        with_echo(&path).await;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn nonsense_is_refused_and_the_next_caller_served() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        with_echo(&path).await;
        for nonsense in ["{}\n", "\n", "{\"op\":\"reboot\"}\n", "[1,2", &"x".repeat(10_000)] {
            let (path, text) = (path.clone(), nonsense.to_owned());
            let answered = tokio::task::spawn_blocking(move || {
                let mut stream = std::os::unix::net::UnixStream::connect(path).unwrap();
                // The other side may close before all of an overlong question is written.
                let _ = stream.write_all(text.as_bytes());
                let _ = stream.shutdown(std::net::Shutdown::Write);
                let mut answer = String::new();
                let _ = stream.read_to_string(&mut answer);
                answer
            });
            let answered = answered.await.unwrap();
            assert!(answered.is_empty() || answered.contains("request.malformed"), "{answered}");
        }
        assert!(ask_apart(&path, Request::Status).await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn a_socket_left_by_a_dead_agent_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let nobody = ask_apart(&path, Request::Status).await.unwrap();
        assert!(matches!(nobody, Err(SocketError::Nobody { .. })));
        with_echo(&path).await;
        assert!(ask_apart(&path, Request::Status).await.unwrap().is_ok());
    }
}
