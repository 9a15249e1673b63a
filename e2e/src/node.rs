//! One node: a namespace with an interface for chains, a peer that sends traffic to it, an agent with a state folder, a
//! policy file and a BPF file system of its own. Refuses to decide what the agent should run.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::mount::{UnmountFlags, unmount};
use serde_json::Value;

use crate::namespace::Namespace;
use crate::operator::Operator;
use crate::process::{self, Background, Finished};
use crate::registry::Registry;
use crate::{programs, wait};

/// The interface that chains sit on.
pub const INTERFACE: &str = "eth0";
/// The node's address on it.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 1);
/// The peer's well-behaved address.
pub const GOOD: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 2);
/// The peer's address that tests put on block lists.
pub const BLOCKED: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 66);
/// The peer's address that sends more than it may.
pub const NOISY: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 77);
/// The port where the node listens for packets with numbers.
pub const LISTENS_AT: SocketAddrV4 = SocketAddrV4::new(ADDRESS, 9000);

const NODE_MAC: &str = "02:00:00:00:00:01";
const PEER_MAC: &str = "02:00:00:00:00:02";

/// A node and its peer.
pub struct Node {
    // The agent goes before the namespace it runs in.
    agent: Option<Background>,
    pub name: String,
    pub namespace: Namespace,
    pub peer: Namespace,
    folder: PathBuf,
}

impl Node {
    /// Makes both namespaces and the link between them. Nothing but the test's own packets arrives there: addresses of
    /// neighbours are fixed and IPv6 is off, so that every packet the driver counts is accounted for.
    ///
    /// # Errors
    /// When a namespace or an interface cannot be made.
    pub fn create(name: &str, prefix: &str, folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).context("a node's folder could not be made")?;
        let namespace = Namespace::create(&format!("{prefix}-node"))?;
        let peer = Namespace::create(&format!("{prefix}-peer"))?;
        for quiet in [&namespace, &peer] {
            quiet.within(|| {
                std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1")
                    .context("IPv6 could not be turned off")
            })?;
        }
        namespace.ip(&[
            "link",
            "add",
            INTERFACE,
            "type",
            "veth",
            "peer",
            "name",
            INTERFACE,
            "netns",
            peer.name(),
        ])?;
        namespace.ip(&["link", "set", INTERFACE, "address", NODE_MAC, "up"])?;
        namespace.ip(&["address", "add", &format!("{ADDRESS}/24"), "dev", INTERFACE])?;
        peer.ip(&["link", "set", INTERFACE, "address", PEER_MAC, "up"])?;
        for address in [GOOD, BLOCKED, NOISY] {
            peer.ip(&["address", "add", &format!("{address}/24"), "dev", INTERFACE])?;
            let neighbour = address.to_string();
            namespace.ip(&[
                "neighbour",
                "add",
                &neighbour,
                "lladdr",
                PEER_MAC,
                "nud",
                "permanent",
                "dev",
                INTERFACE,
            ])?;
        }
        peer.ip(&[
            "neighbour",
            "add",
            &ADDRESS.to_string(),
            "lladdr",
            NODE_MAC,
            "nud",
            "permanent",
            "dev",
            INTERFACE,
        ])?;
        Ok(Self {
            agent: None,
            name: name.to_owned(),
            namespace,
            peer,
            folder: folder.to_path_buf(),
        })
    }

    /// The agent's state folder.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// The file in which the node's owner says what may run.
    #[must_use]
    pub fn policy_file(&self) -> PathBuf {
        self.folder.join("policy.toml")
    }

    /// Where chains are pinned.
    #[must_use]
    pub fn pin_root(&self) -> PathBuf {
        self.folder.join("pins")
    }

    /// The BPF file system that stands for the one that libxdp's tools share.
    #[must_use]
    pub fn libxdp_bpffs(&self) -> PathBuf {
        self.folder.join("bpffs")
    }

    /// How many hooks have a chain pinned. (A new BPF file system holds two files of the kernel's own.)
    ///
    /// # Errors
    /// When the pins cannot be listed.
    pub fn pinned_hooks(&self) -> Result<usize> {
        let entries = std::fs::read_dir(self.pin_root()).context("the pins could not be listed")?;
        Ok(entries.flatten().filter(|entry| entry.path().is_dir()).count())
    }

    /// The agent's local socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.state().join("agent.sock")
    }

    /// Writes what the node's owner allows. Read by the agent when it starts.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn allow(&self, policy: &str) -> Result<()> {
        std::fs::write(self.policy_file(), policy).context("a node policy could not be written")
    }

    /// Introduces the node to the registry with a token.
    ///
    /// # Errors
    /// When the registry refuses.
    pub fn enrol(&self, registry: &Registry, token: &str, labels: &[&str]) -> Result<String> {
        let mut command = self.namespace.command(&programs::find("skep-agent")?);
        command.args(["enrol", "--server", registry.address(), "--name", &self.name]);
        // Not as an argument: everybody may read those.
        command.env("SKEP_AGENT_TOKEN", token);
        command.arg("--ca").arg(registry.ca()).arg("--state").arg(self.state());
        for label in labels {
            command.args(["--label", label]);
        }
        process::run(&mut command)?.expect_success()
    }

    /// Starts the agent and waits until it answers on its local socket.
    ///
    /// # Errors
    /// When it does not start, with the end of its log.
    pub fn start_agent(&mut self) -> Result<()> {
        self.start_agent_with(&[])
    }

    /// Starts the agent with further arguments and waits until it answers on its local socket.
    ///
    /// # Errors
    /// When it does not start, with the end of its log.
    pub fn start_agent_with(&mut self, arguments: &[&str]) -> Result<()> {
        if self.agent.is_some() {
            bail!("the agent of {} runs already", self.name);
        }
        let mut command = self.namespace.command(&programs::find("skep-agent")?);
        command.arg("run").args(arguments).arg("--state").arg(self.state());
        command.arg("--policy").arg(self.policy_file()).arg("--pin-root").arg(self.pin_root());
        command.env("LIBXDP_BPFFS", self.libxdp_bpffs());
        let agent = Background::start("skep-agent", &mut command, &self.folder.join("agent.log"))?;
        let agent = self.agent.insert(agent);
        let socket = self.folder.join("state").join("agent.sock");
        wait::until("the agent answers on its socket", wait::PATIENCE, || {
            agent.check()?;
            Ok(std::os::unix::net::UnixStream::connect(&socket).is_ok().then_some(()))
        })
    }

    /// The agent's process id, while it runs.
    #[must_use]
    pub fn agent_pid(&self) -> Option<u32> {
        self.agent.as_ref().map(Background::pid)
    }

    /// Ends the agent as a service manager does.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop_agent(&mut self) -> Result<()> {
        self.agent.take().map_or(Ok(()), |agent| agent.terminate().map(drop))
    }

    /// Ends the agent as the kernel's out-of-memory killer does.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill_agent(&mut self) -> Result<()> {
        self.agent.take().map_or(Ok(()), Background::kill)
    }

    /// Runs `skep-agent detach --all`, which needs neither a server nor a running agent.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn detach_all(&self) -> Result<Finished> {
        let mut command = self.namespace.command(&programs::find("skep-agent")?);
        command
            .args(["detach", "--all"])
            .arg("--state")
            .arg(self.state())
            .arg("--pin-root")
            .arg(self.pin_root())
            .env("LIBXDP_BPFFS", self.libxdp_bpffs());
        process::run(&mut command)
    }

    /// The last lines of the agent's log.
    ///
    /// # Errors
    /// When there is no log.
    pub fn agent_log(&self) -> Result<String> {
        std::fs::read_to_string(self.folder.join("agent.log")).context("the agent wrote no log")
    }

    /// The chains that the agent says run here, asked through its local socket: an array of chains.
    ///
    /// # Errors
    /// When the agent cannot be asked.
    pub fn chains(&self, operator: &Operator) -> Result<Vec<Value>> {
        let socket = self.socket();
        let socket = socket.to_str().context("a socket's path is text")?;
        let answer = operator.skep_json(&["node", "chain", "--once", "--socket", socket])?;
        answer
            .get("chains")
            .and_then(Value::as_array)
            .cloned()
            .context("`skep node chain --json` has no chains")
    }

    /// The chain on a hook of [`INTERFACE`], as the agent says.
    ///
    /// # Errors
    /// When the agent cannot be asked or no chain runs there.
    pub fn chain(&self, operator: &Operator, hook: &str) -> Result<Value> {
        let chains = self.chains(operator)?;
        let found = chains
            .into_iter()
            .find(|chain| chain["interface"] == INTERFACE && chain["hook"] == hook);
        found.with_context(|| format!("no chain runs on {INTERFACE} {hook} of {}", self.name))
    }

    /// What the registry shows of this node.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn as_seen_by(&self, operator: &Operator) -> Result<Value> {
        operator.skep_json(&["node", "show", &self.name])
    }

    /// Waits until the registry has heard that this node runs what it should.
    ///
    /// # Errors
    /// When it refuses, or does not get there in time; with the end of its log.
    pub fn wait_until_converged(&self, operator: &Operator) -> Result<Value> {
        self.wait_until(operator, "runs what it should", |summary| {
            if summary.get("state").and_then(Value::as_str) == Some("refused") {
                bail!(
                    "node {} refused: {}",
                    self.name,
                    summary.get("refusal").unwrap_or(&Value::Null)
                );
            }
            Ok(converged(summary))
        })
    }

    /// Waits until it runs what it should, whatever it said it refused before.
    ///
    /// # Errors
    /// When it does not come to that in time; with the end of its log.
    pub fn wait_until_it_takes_back(&self, operator: &Operator) -> Result<Value> {
        self.wait_until(operator, "takes back what it refused", |summary| Ok(converged(summary)))
    }

    /// Waits until the registry has heard that this node refused with a code that begins so; any code begins with nothing.
    /// Returns the code and the message.
    ///
    /// # Errors
    /// When it does not refuse in time; with the end of its log.
    pub fn wait_until_refused(&self, operator: &Operator, code: &str) -> Result<(String, String)> {
        let text = |summary: &Value, key: &str| {
            summary
                .pointer(&format!("/refusal/{key}"))
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let detail = self.wait_until(operator, &format!("refuses {code}"), |summary| {
            let found = text(summary, "code");
            Ok(!found.is_empty() && found.starts_with(code))
        })?;
        let summary = detail.get("summary").unwrap_or(&Value::Null);
        Ok((text(summary, "code"), text(summary, "message")))
    }

    fn wait_until(
        &self,
        operator: &Operator,
        what: &str,
        condition: impl Fn(&Value) -> Result<bool>,
    ) -> Result<Value> {
        let mut last = Value::Null;
        let waited =
            wait::until(&format!("node {} {what}", self.name), Duration::from_secs(60), || {
                last = self.as_seen_by(operator)?;
                let summary =
                    last.get("summary").context("`skep node show --json` has no summary")?;
                Ok(condition(summary)?.then(|| last.clone()))
            });
        waited.with_context(|| {
            let log = self.agent_log().unwrap_or_default();
            let words: Vec<&str> = log.lines().rev().take(15).collect();
            let words: Vec<&str> = words.into_iter().rev().collect();
            format!(
                "the registry's last word was {}; the agent's were:\n{}",
                last["summary"],
                words.join("\n")
            )
        })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.agent = None;
        // The agent mounted it; without this it would outlive the folder.
        let _ = unmount(self.pin_root(), UnmountFlags::DETACH);
        let _ = unmount(self.libxdp_bpffs(), UnmountFlags::DETACH);
    }
}

/// Whether a node's summary says that what is wanted of it runs.
fn converged(summary: &Value) -> bool {
    let generation = |key: &str| summary.get(key).and_then(Value::as_u64).unwrap_or(0);
    let healthy = summary.get("state").and_then(Value::as_str) == Some("healthy");
    let refused = summary.get("refusal").is_some_and(|refusal| !refusal.is_null());
    let wanted = generation("wanted_generation");
    healthy && !refused && wanted > 0 && wanted == generation("applied_generation")
}
