//! The agent of this host, through its unix socket: one line of JSON there, one line back, or many
//! for drops. Refuses to know registries.

use crate::limits::{AGENT_ANSWER_BYTES_MAX, AGENT_ANSWER_TIMEOUT};
use serde::{Deserialize, Serialize};
use skep_api::v1::chains::ChainStatus;
use skep_api::v1::drops::DropLine;
use skep_artifact::hook::Hook;
use std::io;
use std::path::PathBuf;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

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
    #[error("The agent at {} answered another question; it may be of another version.", socket.display())]
    Another { socket: PathBuf },
    #[error("The agent said no ({code}): {message}")]
    Refused { code: String, message: String },
}

/// Where a chain was taken off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub interface: String,
    pub hook: Hook,
}

/// The answers this program asks for; the agent has more.
#[derive(Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
enum Answer {
    Status {
        name: String,
    },
    Chains {
        chains: Vec<ChainStatus>,
    },
    Detached {
        places: Vec<Place>,
    },
    Timed {
        places: Vec<Place>,
    },
    Refused {
        code: String,
        message: String,
    },
    #[serde(other)]
    Another,
}

impl LocalAgent {
    pub(crate) fn at(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// The name this host is enrolled by.
    pub(crate) async fn node_name(&self) -> Result<String, LocalAgentError> {
        match self.ask("{\"op\":\"status\"}\n").await? {
            Answer::Status { name } => Ok(name),
            other => Err(self.unexpected(other)),
        }
    }

    /// What runs on this host now.
    pub(crate) async fn chains(&self) -> Result<Vec<ChainStatus>, LocalAgentError> {
        match self.ask("{\"op\":\"chains\"}\n").await? {
            Answer::Chains { chains } => Ok(chains),
            other => Err(self.unexpected(other)),
        }
    }

    /// Takes every chain off, and keeps it off until somebody says otherwise.
    pub(crate) async fn detach_all(&self) -> Result<Vec<Place>, LocalAgentError> {
        match self.ask("{\"op\":\"detach_all\"}\n").await? {
            Answer::Detached { places } => Ok(places),
            other => Err(self.unexpected(other)),
        }
    }

    /// Times one packet in `one_in` on an interface for so many seconds.
    pub(crate) async fn time(
        &self,
        interface: &str,
        one_in: u32,
        secs: u32,
    ) -> Result<Vec<Place>, LocalAgentError> {
        let question = serde_json::json!({
            "op": "time", "interface": interface, "hook": null, "one_in": one_in, "secs": secs,
        });
        match self.ask(&format!("{question}\n")).await? {
            Answer::Timed { places } => Ok(places),
            other => Err(self.unexpected(other)),
        }
    }

    /// The drops of a hook, from now on until the stream is dropped.
    pub(crate) async fn drops(
        &self,
        interface: &str,
        hook: Hook,
        one_in: u32,
    ) -> Result<DropLines, LocalAgentError> {
        let question = serde_json::json!({
            "op": "drops", "interface": interface, "hook": hook, "one_in": one_in,
        });
        let (reader, writer) = self.say(&format!("{question}\n")).await?;
        let reader = BufReader::new(reader);
        Ok(DropLines { socket: self.socket.clone(), reader, _writer: writer })
    }

    fn unexpected(&self, answer: Answer) -> LocalAgentError {
        match answer {
            Answer::Refused { code, message } => LocalAgentError::Refused { code, message },
            Answer::Status { .. }
            | Answer::Chains { .. }
            | Answer::Detached { .. }
            | Answer::Timed { .. }
            | Answer::Another => LocalAgentError::Another { socket: self.socket.clone() },
        }
    }

    async fn ask(&self, line: &str) -> Result<Answer, LocalAgentError> {
        let socket = || self.socket.clone();
        let answer = tokio::time::timeout(AGENT_ANSWER_TIMEOUT, self.exchange(line))
            .await
            .map_err(|_| LocalAgentError::Silent { socket: socket() })??;
        serde_json::from_str(&answer)
            .map_err(|source| LocalAgentError::Answer { socket: socket(), source })
    }

    async fn say(&self, line: &str) -> Result<(OwnedReadHalf, OwnedWriteHalf), LocalAgentError> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|source| LocalAgentError::Connect { socket: self.socket.clone(), source })?;
        let (reader, mut writer) = stream.into_split();
        writer
            .write_all(line.as_bytes())
            .await
            .map_err(|source| LocalAgentError::Talk { socket: self.socket.clone(), source })?;
        Ok((reader, writer))
    }

    async fn exchange(&self, line: &str) -> Result<String, LocalAgentError> {
        let lost = |source| LocalAgentError::Talk { socket: self.socket.clone(), source };
        let (reader, _writer) = self.say(line).await?;
        let mut answer = String::new();
        let mut reader = BufReader::new(reader.take(AGENT_ANSWER_BYTES_MAX));
        reader.read_line(&mut answer).await.map_err(lost)?;
        Ok(answer)
    }
}

/// Drops as the agent tells them.
pub(crate) struct DropLines {
    socket: PathBuf,
    reader: BufReader<OwnedReadHalf>,
    /// The agent stops telling when this is closed.
    _writer: OwnedWriteHalf,
}

/// A line of the stream, or the agent's refusal to open it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Told {
    Line(DropLine),
    Answer(Answer),
}

impl DropLines {
    /// The next line; `None` when the agent went away. Not to be given up halfway: what was read of a
    /// line is lost then.
    pub(crate) async fn next(&mut self) -> Result<Option<DropLine>, LocalAgentError> {
        let socket = || self.socket.clone();
        let mut bytes = String::new();
        let lost = |source| LocalAgentError::Talk { socket: socket(), source };
        let mut limited = (&mut self.reader).take(AGENT_ANSWER_BYTES_MAX);
        let read = limited.read_line(&mut bytes).await.map_err(lost)?;
        if read == 0 {
            return Ok(None);
        }
        match serde_json::from_str(&bytes) {
            Ok(Told::Line(DropLine::End { code, message })) => {
                Err(LocalAgentError::Refused { code, message })
            }
            Ok(Told::Line(line)) => Ok(Some(line)),
            Ok(Told::Answer(Answer::Refused { code, message })) => {
                Err(LocalAgentError::Refused { code, message })
            }
            Ok(Told::Answer(_)) => Err(LocalAgentError::Another { socket: socket() }),
            Err(source) => Err(LocalAgentError::Answer { socket: socket(), source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, Write as _};
    use std::os::unix::net::UnixListener;

    /// An agent that takes one question and gives `answer`; returns the question.
    async fn asked<T>(answer: &'static str, ask: impl AsyncFnOnce(LocalAgent) -> T) -> (String, T) {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("agent.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let agent = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            io::BufReader::new(&stream).read_line(&mut line).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            line
        });
        let told = ask(LocalAgent::at(socket)).await;
        (agent.join().unwrap(), told)
    }

    #[tokio::test]
    async fn detaching_is_one_line_there_and_one_line_back() {
        let answer =
            "{\"answer\":\"detached\",\"places\":[{\"interface\":\"eth0\",\"hook\":\"xdp\"}]}\n";
        let (line, places) = asked(answer, async |agent| agent.detach_all().await).await;
        assert_eq!(line, "{\"op\":\"detach_all\"}\n");
        assert_eq!(places.unwrap(), [Place { interface: "eth0".into(), hook: Hook::Xdp }]);
    }

    #[tokio::test]
    async fn a_refusal_a_broken_and_another_answer_are_told_apart() {
        let no = "{\"answer\":\"refused\",\"code\":\"node.busy\",\"message\":\"Later.\"}\n";
        let (_, told) = asked(no, async |agent| agent.chains().await).await;
        assert_eq!(told.unwrap_err().to_string(), "The agent said no (node.busy): Later.");
        let (_, told) = asked("{\"answer\":\n", async |agent| agent.chains().await).await;
        assert!(matches!(told, Err(LocalAgentError::Answer { .. })));
        let (_, told) =
            asked("{\"answer\":\"resumed\"}\n", async |agent| agent.chains().await).await;
        assert!(matches!(told, Err(LocalAgentError::Another { .. })));
    }

    #[tokio::test]
    async fn drops_come_line_by_line_until_the_agent_ends_them() {
        let answer = "{\"line\":\"open\",\"one_in\":8}\n{\"line\":\"tally\",\"told\":1,\"lost\":2}\n\
                      {\"line\":\"end\",\"code\":\"chain.none\",\"message\":\"Gone.\"}\n";
        let (line, ()) = asked(answer, async |agent| {
            let mut lines = agent.drops("eth0", Hook::TcEgress, 8).await.unwrap();
            assert_eq!(lines.next().await.unwrap(), Some(DropLine::Open { one_in: 8 }));
            assert_eq!(lines.next().await.unwrap(), Some(DropLine::Tally { told: 1, lost: 2 }));
            let ended = lines.next().await.unwrap_err();
            assert_eq!(ended.to_string(), "The agent said no (chain.none): Gone.");
            assert_eq!(lines.next().await.unwrap(), None);
        })
        .await;
        let asked: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            asked,
            serde_json::json!({"op": "drops", "interface": "eth0", "hook": "tc-egress", "one_in": 8})
        );
    }

    #[tokio::test]
    async fn an_agent_of_before_does_not_know_drops_and_says_so() {
        let answer =
            "{\"answer\":\"refused\",\"code\":\"request.malformed\",\"message\":\"What?\"}\n";
        let (_, told) = asked(answer, async |agent| {
            agent.drops("eth0", Hook::Xdp, 1).await.unwrap().next().await
        })
        .await;
        assert!(matches!(told, Err(LocalAgentError::Refused { .. })), "{told:?}");
    }

    #[tokio::test]
    async fn an_absent_agent_is_said_to_be_absent() {
        let told = LocalAgent::at("/nonexistent/agent.sock".into()).chains().await;
        assert!(matches!(told, Err(LocalAgentError::Connect { .. })));
    }
}
