//! The agent of this host, through its unix socket: one line of JSON there, one line back.
//! Refuses to know registries.

use crate::limits::{AGENT_ANSWER_BYTES_MAX, AGENT_ANSWER_TIMEOUT};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use skep_api::v1::chains::ChainStatus;
use std::io;
use std::path::PathBuf;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

/// Where an agent with the usual state folder listens.
pub(crate) const SOCKET_DEFAULT: &str = "/var/lib/skep/agent.sock";

/// An agent that may be listening at a path.
pub(crate) struct LocalAgent {
    socket: PathBuf,
}

/// Why the agent gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LocalAgentError {
    #[error("No agent answers at {}. Start `skep-agent run`, or name its socket with --socket.", socket.display())]
    Connect { socket: PathBuf, source: io::Error },
    #[error("The agent at {} was lost in mid-sentence.", socket.display())]
    Talk { socket: PathBuf, source: io::Error },
    #[error("The agent at {} did not answer within {} s.", socket.display(), AGENT_ANSWER_TIMEOUT.as_secs())]
    Silent { socket: PathBuf },
    #[error("The answer of the agent at {} cannot be understood; it may be of another version.", socket.display())]
    Answer { socket: PathBuf, source: serde_json::Error },
    #[error("The agent answered: {message}")]
    Refused { message: String },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer<T> {
    Refused { error: Complaint },
    Done(T),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Complaint {
    Plain(String),
    Coded { message: String },
}

#[derive(Deserialize)]
struct Chains {
    chains: Vec<ChainStatus>,
}

#[derive(Deserialize)]
struct Detached {
    detached: Vec<String>,
}

impl LocalAgent {
    pub(crate) fn at(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// What runs on this host now.
    pub(crate) async fn chains(&self) -> Result<Vec<ChainStatus>, LocalAgentError> {
        self.ask::<Chains>("{\"op\":\"chains\"}\n").await.map(|answer| answer.chains)
    }

    /// Takes every chain off; answers with the places.
    pub(crate) async fn detach_all(&self) -> Result<Vec<String>, LocalAgentError> {
        self.ask::<Detached>("{\"op\":\"detach_all\"}\n").await.map(|answer| answer.detached)
    }

    async fn ask<T: DeserializeOwned>(&self, line: &str) -> Result<T, LocalAgentError> {
        let socket = || self.socket.clone();
        let talk = self.exchange(line);
        let answer = tokio::time::timeout(AGENT_ANSWER_TIMEOUT, talk)
            .await
            .map_err(|_| LocalAgentError::Silent { socket: socket() })??;
        match serde_json::from_str(&answer) {
            Ok(Answer::Done(done)) => Ok(done),
            Ok(Answer::Refused { error }) => {
                let (Complaint::Plain(message) | Complaint::Coded { message }) = error;
                Err(LocalAgentError::Refused { message })
            }
            Err(source) => Err(LocalAgentError::Answer { socket: socket(), source }),
        }
    }

    async fn exchange(&self, line: &str) -> Result<String, LocalAgentError> {
        let lost = |source| LocalAgentError::Talk { socket: self.socket.clone(), source };
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|source| LocalAgentError::Connect { socket: self.socket.clone(), source })?;
        let (reader, mut writer) = stream.into_split();
        writer.write_all(line.as_bytes()).await.map_err(lost)?;
        let mut answer = String::new();
        let mut reader = BufReader::new(reader.take(AGENT_ANSWER_BYTES_MAX));
        reader.read_line(&mut answer).await.map_err(lost)?;
        Ok(answer)
    }
}
