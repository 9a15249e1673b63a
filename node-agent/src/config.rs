//! What `skep-agent run` needs to know, read once at the start; every fault is named at once.
//! Refuses to know how it is used.

use crate::files;
use crate::identity::{self, Identity};
use crate::metrics_server::Address;
use skep_api::v1::sync::WAIT_SECS_MAX;
use skep_trust::NodePolicy;
use skep_trust::tuf::{Document, ROOT_BYTES_MAX};
use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Largest policy file of a node: hundreds of namespaces with their keys.
const POLICY_BYTES_MAX: u64 = 1 << 20;

/// The settings as given on the command line or in the environment.
#[derive(Debug, Clone)]
pub struct Given {
    /// Folder of everything the agent must remember. `--state`, `SKEP_AGENT_STATE`.
    pub state: PathBuf,
    /// The node's own policy file. `--policy`, `SKEP_AGENT_POLICY`.
    pub policy: PathBuf,
    /// Folder of the pins, on a bpffs or where one may be mounted. `--pin-root`, `SKEP_AGENT_PIN_ROOT`.
    pub pin_root: PathBuf,
    /// The BPF file system of libxdp's own tools. `--libxdp-bpffs`, `LIBXDP_BPFFS`.
    pub libxdp_bpffs: PathBuf,
    /// The local socket; `agent.sock` in the state folder when not given. `--socket`, `SKEP_AGENT_SOCKET`.
    pub socket: Option<PathBuf>,
    /// Longest wait of one long poll in seconds, 1 to 240. `--poll-secs`, `SKEP_AGENT_POLL_SECS`.
    pub poll_secs: u32,
    /// How closely chains are looked at all the time.
    pub seeing: Seeing,
}

/// How closely chains are looked at all the time. Both are off unless asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, clap::Args)]
pub struct Seeing {
    /// Time one packet in so many in every program, at random; 0 for none. A packet that is timed takes some 50 ns
    /// longer in every program, the others a few all together.
    #[arg(long, env = "SKEP_AGENT_TIME_ONE_IN", value_name = "N", default_value_t = 0)]
    pub time_one_in: u32,
    /// Where to answer Prometheus: an address and port of this host like 127.0.0.1:9464, or unix:/run/skep/metrics.sock.
    #[arg(long, env = "SKEP_AGENT_METRICS", value_name = "ADDRESS")]
    pub metrics: Option<Address>,
}

/// The settings, read and checked. No Debug: the identity holds secrets.
pub struct Settings {
    pub state: PathBuf,
    pub policy: NodePolicy,
    /// The root that the policy trusts, if it trusts one.
    pub root: Option<Vec<u8>>,
    pub pin_root: PathBuf,
    pub libxdp_bpffs: PathBuf,
    pub socket: PathBuf,
    pub poll_secs: u32,
    pub seeing: Seeing,
    pub identity: Identity,
}

/// Everything that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<String>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "The agent cannot start:")?;
        self.0.iter().try_for_each(|fault| write!(f, "\n  - {fault}"))
    }
}

impl std::error::Error for Faults {}

/// Reads and checks the settings.
///
/// # Errors
/// [`Faults`] lists all of them.
pub fn read(given: &Given) -> Result<Settings, Faults> {
    let mut faults = Vec::new();
    let identity = enrolled(given).map_err(|fault| faults.push(fault)).ok();
    let policy = policy(given).map_err(|fault| faults.push(fault)).ok();
    if !given.pin_root.is_absolute() {
        faults.push(format!(
            "The pin root {} is not an absolute path. Write it like /sys/fs/bpf/skep.",
            given.pin_root.display()
        ));
    }
    if !(1..=WAIT_SECS_MAX).contains(&given.poll_secs) {
        faults
            .push(format!("--poll-secs is {}; it must be 1 to {WAIT_SECS_MAX}.", given.poll_secs));
    }
    let root = policy.as_ref().and_then(|policy| trusted_root(given, policy));
    let root = root.transpose().map_err(|fault| faults.push(fault)).ok().flatten();
    match (identity, policy, faults.is_empty()) {
        (Some(identity), Some(policy), true) => Ok(Settings {
            state: given.state.clone(),
            policy,
            root,
            pin_root: given.pin_root.clone(),
            libxdp_bpffs: given.libxdp_bpffs.clone(),
            socket: given.socket.clone().unwrap_or_else(|| given.state.join("agent.sock")),
            poll_secs: given.poll_secs,
            seeing: given.seeing.clone(),
            identity,
        }),
        _ => Err(Faults(faults)),
    }
}

fn enrolled(given: &Given) -> Result<Identity, String> {
    let state = given.state.display();
    let advice =
        format!("Run `skep-agent enrol --server URL --token T --name NODE --state {state}` first.");
    match identity::load(&given.state) {
        Ok(Some(identity)) if identity.enrolled.is_some() => Ok(identity),
        Ok(Some(identity)) => {
            Err(format!("Node {} began to enrol and never finished. {advice}", identity.name))
        }
        Ok(None) => Err(format!("{state} holds no identity. {advice}")),
        Err(error) => Err(error.to_string()),
    }
}

fn policy(given: &Given) -> Result<NodePolicy, String> {
    let path = given.policy.display();
    let bytes = files::read(&given.policy, POLICY_BYTES_MAX).map_err(|e| e.to_string())?;
    let bytes = bytes.ok_or_else(|| {
        format!("The policy file {path} is not there. Without one nothing may be loaded; write one that names the namespaces and operators you trust.")
    })?;
    let text =
        String::from_utf8(bytes).map_err(|_| format!("The policy file {path} is not UTF-8."))?;
    NodePolicy::parse(&text).map_err(|e| format!("The policy file {path} cannot be used. {e}"))
}

/// Reads the root that the policy names, from the policy's folder. Whoever may write it decides what runs here.
fn trusted_root(given: &Given, policy: &NodePolicy) -> Option<Result<Vec<u8>, String>> {
    let folder = given.policy.parent().unwrap_or(Path::new("."));
    let path = folder.join(policy.trust_root()?);
    Some(read_root(&path))
}

fn read_root(path: &Path) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let bytes = files::read(path, ROOT_BYTES_MAX as u64).map_err(|e| e.to_string())?;
    let bytes = bytes.ok_or_else(|| {
        format!("The trusted root {shown} that the policy names is not there. Put the registry's first root there, as its keepers gave it to you.")
    })?;
    let about =
        std::fs::metadata(path).map_err(|e| format!("{shown} cannot be looked at: {e}."))?;
    let us = rustix::process::geteuid().as_raw();
    if (about.uid() != 0 && about.uid() != us) || about.mode() & 0o022 != 0 {
        return Err(format!(
            "The trusted root {shown} may be written by others than root. Run `chown root {shown}` and `chmod go-w {shown}`, after you have compared it with what its keepers gave you."
        ));
    }
    Document::parse(&bytes)
        .map_err(|e| format!("The trusted root {shown} cannot be used: {e}."))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_named_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let given = Given {
            state: folder.path().to_owned(),
            policy: folder.path().join("policy.toml"),
            pin_root: PathBuf::from("relative"),
            libxdp_bpffs: PathBuf::from("/sys/fs/bpf"),
            socket: None,
            poll_secs: 0,
            seeing: Seeing::default(),
        };
        let Err(Faults(faults)) = read(&given) else { panic!("must be refused") };
        assert_eq!(faults.len(), 4, "{faults:#?}");
    }
}
