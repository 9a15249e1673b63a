//! A world of namespaces: one hub where the registry and the operator sit, and nodes around it. Everything in it is
//! gone when it is dropped, and what a killed run left behind is gone when the next one starts.
//!
//! ```text
//!   hub ── registry, operator                  10.x.y.1      (x and y are this world's own)
//!    │ bridge
//!    ├── node 1   mgmt0 10.x.y.11    eth0 10.7.0.1 ══ veth ══ 10.7.0.2 … eth0   peer 1
//!    └── node 2   mgmt0 10.x.y.12    eth0 10.7.0.1 ══ veth ══ 10.7.0.2 … eth0   peer 2
//! ```
//!
//! Agents reach the registry over the bridge; the chains sit on `eth0`, where only the peer's traffic arrives.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;

use crate::namespace::{self, Namespace};
use crate::node::Node;
use crate::operator::Operator;
use crate::registry::Registry;

/// Begins the name of everything we make, so that leftovers are found.
const PREFIX: &str = "skep-e2e-";
/// How many worlds have a network of their own: 32 second octets from 96 on, each with 256 third ones.
const NETWORKS: u32 = 32 * 256;
/// Where the registry listens, in its world's network.
const HUB: u8 = 1;
/// The host's end of the door into the hub.
const DOOR: u8 = 254;
/// The first node's management interface.
const FIRST_NODE: u8 = 11;

/// The network of one world. Worlds with an open door share this machine's routes, so no two that live at the same
/// time may have the same one.
#[derive(Debug, Clone, Copy)]
struct Network(u32);

impl Network {
    /// Process ids of worlds that live at the same time differ, and so do the numbers of worlds within a process,
    /// which makes at most 4.
    fn of(world: u32) -> Self {
        Self((std::process::id().wrapping_mul(4).wrapping_add(world)) % NETWORKS)
    }

    fn address(self, host: u8) -> String {
        format!("10.{}.{}.{host}", 96 + self.0 / 256, self.0 % 256)
    }
}

/// Everything one scenario needs.
pub struct World {
    // Fields are dropped in this order: first who uses the network, then the network, then the files.
    pub nodes: Vec<Node>,
    pub registry: Registry,
    pub operator: Operator,
    pub hub: Namespace,
    door: Option<String>,
    network: Network,
    bpffs: BpfFolder,
    name: String,
    folder: TempDir,
}

/// A BPF file system of the scenario's own, for what it pins itself.
struct BpfFolder(PathBuf);

impl BpfFolder {
    fn mount(at: PathBuf) -> Result<Self> {
        std::fs::create_dir(&at).context("a folder for pins could not be made")?;
        mount("bpf", &at, "bpf", MountFlags::empty(), None)
            .context("a BPF file system could not be mounted")?;
        Ok(Self(at))
    }
}

impl Drop for BpfFolder {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

impl World {
    /// Makes the hub and starts the registry in it.
    ///
    /// # Errors
    /// Without root, without the programs, or when the registry does not start.
    pub fn create() -> Result<Self> {
        sweep();
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        let network = Network::of(number);
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        let folder = tempfile::Builder::new()
            .prefix(&format!("{name}-"))
            .tempdir()
            .context("no folder could be made")?;
        let bpffs = BpfFolder::mount(folder.path().join("bpffs"))?;
        let hub = Namespace::create(&format!("{name}-hub"))?;
        hub.ip(&["link", "add", "br0", "type", "bridge"])?;
        hub.ip(&["address", "add", &format!("{}/24", network.address(HUB)), "dev", "br0"])?;
        hub.ip(&["link", "set", "br0", "up"])?;
        let registry = Registry::start(&hub, &network.address(HUB), folder.path())?;
        let operator = Operator::administrator(&hub, &registry, folder.path())?;
        Ok(Self {
            nodes: Vec::new(),
            registry,
            operator,
            hub,
            door: None,
            network,
            bpffs,
            name,
            folder,
        })
    }

    /// A folder that lives as long as the world.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A mounted BPF file system for pins of the scenario itself.
    #[must_use]
    pub fn bpffs(&self) -> &Path {
        &self.bpffs.0
    }

    /// Lets this machine reach the hub, so that a browser can open the registry.
    ///
    /// # Errors
    /// When the interface cannot be made.
    pub fn open_door(&mut self) -> Result<()> {
        // Interface names hold at most 15 bytes: 7 and the longest process id.
        let outside = format!("skepdr{}", std::process::id());
        namespace::ip(&[
            "link",
            "add",
            &outside,
            "type",
            "veth",
            "peer",
            "name",
            "door",
            "netns",
            self.hub.name(),
        ])?;
        self.door = Some(outside.clone());
        self.hub.ip(&["link", "set", "door", "master", "br0", "up"])?;
        let address = format!("{}/24", self.network.address(DOOR));
        namespace::ip(&["address", "add", &address, "dev", &outside])?;
        namespace::ip(&["link", "set", &outside, "up"]).map(drop)
    }

    /// Adds a node with its peer, connected and empty: no agent yet. Returns its index in [`World::nodes`].
    ///
    /// # Errors
    /// When a namespace or an interface cannot be made.
    pub fn add_node(&mut self, name: &str) -> Result<usize> {
        let number = self.nodes.len() + 1;
        let host = u8::try_from(number - 1).ok().and_then(|n| FIRST_NODE.checked_add(n));
        let host = host.filter(|host| *host < DOOR).context("a world holds at most 243 nodes")?;
        let prefix = format!("{}-{number}", self.name);
        let folder = self.folder.path().join(name);
        let node = Node::create(name, &prefix, &folder)?;
        let port = format!("port{number}");
        let namespace = node.namespace.name();
        self.hub.ip(&[
            "link", "add", &port, "type", "veth", "peer", "name", "mgmt0", "netns", namespace,
        ])?;
        self.hub.ip(&["link", "set", &port, "master", "br0", "up"])?;
        node.namespace.ip(&[
            "address",
            "add",
            &format!("{}/24", self.network.address(host)),
            "dev",
            "mgmt0",
        ])?;
        node.namespace.ip(&["link", "set", "mgmt0", "up"])?;
        self.nodes.push(node);
        Ok(number - 1)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(door) = &self.door {
            // It also goes with the hub's namespace; nothing can be done when this fails.
            let _ = namespace::ip(&["link", "delete", door]);
        }
    }
}

/// Removes what runs that were killed left behind: namespaces, BPF file systems, folders of processes that are gone.
fn sweep() {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    for target in mounts.lines().filter_map(|line| line.split(' ').nth(1)) {
        if target.split('/').any(is_left_over) {
            let _ = unmount(target, UnmountFlags::DETACH);
        }
    }
    for name in namespace::names_with_prefix(PREFIX).iter().filter(|name| is_left_over(name)) {
        let _ = namespace::ip(&["netns", "delete", name]);
    }
    for folder in std::fs::read_dir(temporary_folder()).into_iter().flatten().flatten() {
        if folder.file_name().to_str().is_some_and(is_left_over) {
            let _ = std::fs::remove_dir_all(folder.path());
        }
    }
}

/// Whether a name is one of ours and the process in it is gone.
fn is_left_over(name: &str) -> bool {
    let pid = name
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.split('-').next())
        .and_then(|pid| pid.parse::<u32>().ok());
    pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
}

/// Where `tempfile` makes its folders.
fn temporary_folder() -> PathBuf {
    tempfile::env::temp_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_process_that_is_gone_left_behind_is_swept() {
        assert!(!is_left_over(&format!("{PREFIX}{}-1-hub", std::process::id())));
        // The kernel's largest process id is below 2^22.
        assert!(is_left_over(&format!("{PREFIX}{}-1-hub", 1 << 22)));
        assert!(!is_left_over("skep-e2e-"));
        assert!(!is_left_over("somebody-else"));
    }
}
