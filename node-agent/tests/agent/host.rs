//! A host to test on: a namespace with an interface, a pin root with a BPF file system of its own, a
//! state folder. Removed when dropped.

use skep_artifact::hook::Hook;
use skep_artifact::key::SecretKey;
use skep_chain_dispatcher::{Engine, EngineConfig, HookPoint, ObservedChain, libxdp_root};
use skep_fleet::selector::Labels;
use skep_node_agent::cache::Cache;
use skep_node_agent::identity::{self, Enrolled};
use skep_node_agent::node::{Node, Parts, Pass};
use skep_node_agent::notices::Me;
use skep_trust::NodePolicy;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Seconds since 1970 at which tests happen; roles expire long after it.
pub(crate) const NOW: i64 = 1_800_000_000;
/// Where no server listens: the discard port of loopback.
const NO_SERVER: &str = "http://127.0.0.1:9";

pub(crate) struct Host {
    pub(crate) namespace: String,
    pub(crate) state: PathBuf,
    pub(crate) pins: PathBuf,
    policy: String,
    /// Removed after `drop` has unmounted what lies in it.
    _folder: tempfile::TempDir,
}

impl Host {
    /// Runs `test` on a thread of its own that lives in the host's namespace. The node's policy is `policy`.
    pub(crate) fn run(policy: &str, test: impl FnOnce(&Self) + Send) {
        let host = Self::new(policy);
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                host.enter();
                test(&host);
            });
            if let Err(panic) = inside.join() {
                std::panic::resume_unwind(panic);
            }
        });
    }

    fn new(policy: &str) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("skepn{}x{number}", std::process::id());
        let folder = tempfile::tempdir().unwrap();
        let (state, pins) = (folder.path().join("state"), folder.path().join("pins"));
        std::fs::create_dir(&state).unwrap();
        ip(&["netns", "add", &namespace]);
        let host = Self { namespace, state, pins, policy: policy.to_owned(), _folder: folder };
        host.add_interface("skep0");
        host
    }

    fn enter(&self) {
        let file = std::fs::File::open(Path::new("/run/netns").join(&self.namespace)).unwrap();
        rustix::thread::move_into_link_name_space(
            file.as_fd(),
            Some(rustix::thread::LinkNameSpaceType::Network),
        )
        .unwrap();
    }

    pub(crate) fn add_interface(&self, name: &str) {
        let peer = format!("{name}p");
        ip(&["-n", &self.namespace, "link", "add", name, "type", "veth", "peer", "name", &peer]);
        for end in [name, &peer] {
            // No IPv6 chatter: tests count packets.
            ip(&["-n", &self.namespace, "link", "set", end, "addrgenmode", "none"]);
            ip(&["-n", &self.namespace, "link", "set", end, "up"]);
        }
    }

    pub(crate) fn remove_interface(&self, name: &str) {
        ip(&["-n", &self.namespace, "link", "del", name]);
    }

    pub(crate) fn engine(&self) -> Engine {
        let libxdp_root = libxdp_root(&self.libxdp_bpffs());
        Engine::open(EngineConfig { libxdp_root, ..EngineConfig::new(&self.pins) }).unwrap()
    }

    /// The BPF file system that stands for the one that libxdp's tools share.
    pub(crate) fn libxdp_bpffs(&self) -> PathBuf {
        self.pins.with_file_name("bpffs")
    }

    pub(crate) fn cache(&self) -> Cache {
        Cache::open(&self.state).unwrap()
    }

    /// The node as an agent that starts now opens it.
    pub(crate) fn node(&self) -> Node {
        self.node_with(&self.policy)
    }

    /// The same with another policy file.
    pub(crate) fn node_with(&self, policy: &str) -> Node {
        Node::open(Parts {
            engine: self.engine(),
            policy: NodePolicy::parse(policy).unwrap(),
            me: self.me(),
            labels: labels(),
            state: self.state.clone(),
            cache: self.cache(),
        })
        .unwrap()
    }

    /// Who the node is to a server whose key it pinned.
    fn me(&self) -> Me {
        Me { name: "edge-1".to_owned(), server: Some(SecretKey::from_seed([5; 32]).public()) }
    }

    /// Everything a reboot takes: pins, links, programs. State stays.
    pub(crate) fn reboot(&self) {
        self.engine().detach_all().unwrap();
    }

    /// What runs on a hook of `skep0`.
    pub(crate) fn chain(&self, hook: Hook) -> ObservedChain {
        self.engine().observe_hook(&at("skep0", hook)).unwrap()
    }

    /// The kernel's numbers of the programs that run on `skep0` xdp: equal ones were not touched.
    pub(crate) fn program_ids(&self) -> Vec<u32> {
        self.chain(Hook::Xdp).members.iter().map(|m| m.prog_id.unwrap()).collect()
    }

    /// What the chain on a hook answers to a packet; `None` where none runs.
    pub(crate) fn answers(&self, interface: &str, hook: Hook) -> Option<i32> {
        let outcome = self.engine().test_run(&at(interface, hook), &packet(), 1).unwrap();
        outcome.map(|o| o.code)
    }

    /// Writes what `skep-agent enrol` and the host's owner would have, for a server that is gone.
    pub(crate) fn enrol_by_hand(&self) {
        let name = "edge-1".parse().unwrap();
        let mut identity = identity::prepare(&self.state, NO_SERVER, &name, None).unwrap();
        let credential = "credential-of-a-test".to_owned();
        identity.enrolled = Some(Enrolled { credential, labels: labels(), server_key: None });
        identity::store(&self.state, &identity).unwrap();
        std::fs::write(self.policy_file(), &self.policy).unwrap();
    }

    pub(crate) fn policy_file(&self) -> PathBuf {
        self.state.join("policy.toml")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.pins).output();
        let _ = Command::new("umount").arg(self.libxdp_bpffs()).output();
        let _ = Command::new("ip").args(["netns", "del", &self.namespace]).output();
    }
}

pub(crate) fn labels() -> Labels {
    Labels::from([("role".to_owned(), "edge".to_owned())])
}

pub(crate) fn at(interface: &str, hook: Hook) -> HookPoint {
    HookPoint { interface: interface.to_owned(), hook }
}

/// One pass, which must not fail.
#[track_caller]
pub(crate) fn pass(node: &mut Node) -> &Pass {
    node.reconcile(NOW).unwrap()
}

/// One pass after which everything wanted must run.
#[track_caller]
pub(crate) fn converge(node: &mut Node) {
    pass(node);
    let summary = node.summary();
    assert_eq!(summary.refusal, None);
    assert!(summary.applied.is_some() && summary.applied == node.ledger().newest, "{summary:#?}");
}

/// 60 bytes of Ethernet with an unknown protocol.
fn packet() -> Vec<u8> {
    let mut packet = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5];
    packet.resize(60, 7);
    packet
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().expect("iproute2 is installed");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "ip {}: {said}", arguments.join(" "));
}
