//! `skep run` and `skep top` on a host of their own: no agent, no registry, real packets. What the
//! stories in `run_*.rs` and `top.rs` share.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use skep_e2e::node::Node;
use skep_e2e::process::{Background, Finished};
use skep_e2e::{packages, process, programs, wait};

/// A node without an agent, and a person with keys and packages on it.
pub(crate) struct Host {
    // Runs end before the namespace does.
    pub(crate) node: Node,
    folder: tempfile::TempDir,
    /// The publisher's public key.
    pub(crate) public: String,
}

impl Host {
    /// A host with the first-party packages built, and a publisher's key.
    pub(crate) fn new(story: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let prefix = format!("skep-e2e-{}-{story}", std::process::id());
        let node = Node::create("host", &prefix, folder.path()).unwrap();
        packages::copy_all(folder.path()).unwrap();
        let mut host = Self { node, folder, public: String::new() };
        let made = host.json(&["key", "new", "--out", "publisher.key"]);
        host.public = made["public_key"].as_str().unwrap().to_owned();
        host
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A first-party package, built and signed; its folder as `skep` is given it.
    pub(crate) fn signed(&self, name: &str) -> String {
        let folder = format!("./programs/{name}");
        self.ok(&["build", &folder]);
        self.ok(&["sign", &folder, "--key", "publisher.key"]);
        folder
    }

    /// `skep` with these words on this host.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = self.node.namespace.command(&programs::find("skep").unwrap());
        command.args(words);
        self.dress(&mut command);
        command
    }

    /// Gives a command the person's home and the host's places.
    pub(crate) fn dress(&self, command: &mut Command) {
        command.current_dir(self.folder.path()).env("HOME", self.folder.path());
        for name in ["SERVER", "TOKEN", "KEY", "CONFIG", "CONTEXT"] {
            command.env_remove(format!("SKEP_{name}"));
        }
        command.env_remove("XDG_CONFIG_HOME").env_remove("NO_COLOR");
        command.env("SKEP_RUN_PIN_ROOT", self.file("run-pins"));
        command.env("SKEP_RUN_STATE", self.file("run-state"));
        command.env("SKEP_AGENT_PIN_ROOT", self.node.pin_root());
        command.env("LIBXDP_BPFFS", self.node.libxdp_bpffs());
    }

    pub(crate) fn skep(&self, words: &[&str]) -> Finished {
        process::run(&mut self.command(words)).unwrap()
    }

    #[track_caller]
    pub(crate) fn ok(&self, words: &[&str]) -> String {
        self.skep(words).expect_success().unwrap()
    }

    #[track_caller]
    pub(crate) fn json(&self, words: &[&str]) -> Value {
        let words: Vec<&str> = ["--json"].iter().chain(words).copied().collect();
        serde_json::from_str(&self.ok(&words)).unwrap()
    }

    /// It ended with this code and said these things.
    #[track_caller]
    pub(crate) fn fails(&self, words: &[&str], code: i32, said: &[&str]) {
        let err = self.skep(words).expect_code(code).unwrap();
        for what in said {
            assert!(err.contains(what), "'{what}' is not in: {err}");
        }
    }

    /// What `skep run --list` shows.
    pub(crate) fn list(&self) -> Vec<Value> {
        self.json(&["run", "--list"])["runs"].as_array().unwrap().clone()
    }

    /// A run in the foreground, once it says that it started.
    pub(crate) fn start(&self, name: &str, words: &[&str]) -> Run {
        let words: Vec<&str> = ["--json", "run"].iter().chain(words).copied().collect();
        let log = self.file(&format!("{name}.log"));
        let process = Background::start(name, &mut self.command(&words), &log).unwrap();
        let mut run = Run { process, log };
        run.event("started", |_| true);
        run
    }

    /// Whether nothing of `skep run` is left: no pins, no seats.
    pub(crate) fn is_clean(&self) -> bool {
        let folders = |path: &Path| {
            let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
            entries.filter(|entry| entry.path().is_dir()).count()
        };
        folders(&self.file("run-pins")) == 0 && folders(&self.file("run-state")) == 0
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The BPF file system that `skep run` mounted in the folder that goes.
        let _ = rustix::mount::unmount(self.file("run-pins"), rustix::mount::UnmountFlags::DETACH);
    }
}

/// `skep run --json` in the foreground.
pub(crate) struct Run {
    pub(crate) process: Background,
    log: PathBuf,
}

impl Run {
    /// Everything it said, data and remarks.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// The first event of a kind that fits, waited for.
    pub(crate) fn event(&mut self, kind: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let (log, process) = (&self.log, &mut self.process);
        wait::until(&format!("the event {kind}"), wait::PATIENCE, || {
            let found = find(&std::fs::read_to_string(log)?, kind, &fits);
            if found.is_none() {
                process.check()?;
            }
            Ok(found)
        })
        .unwrap()
    }

    /// Sends a signal, waits for the end, and gives the exit code with all it said.
    pub(crate) fn end(self, signal: rustix::process::Signal) -> (Option<i32>, String) {
        let status = self.process.end_with(signal).unwrap();
        (status.code(), std::fs::read_to_string(&self.log).unwrap())
    }

    /// Waits for an end that comes by itself.
    pub(crate) fn ended(self) -> (Option<i32>, String) {
        let status = self.process.ended().unwrap();
        (status.code(), std::fs::read_to_string(&self.log).unwrap())
    }
}

/// The first event of a kind that fits, in what a run said.
pub(crate) fn find(said: &str, kind: &str, fits: &impl Fn(&Value) -> bool) -> Option<Value> {
    said.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|event| event["event"] == kind && fits(event))
}

/// How often a member of a sample gave a verdict.
pub(crate) fn verdicts(sample: &Value, member: &str, verdict: &str) -> u64 {
    let members = sample["chain"]["members"].as_array().cloned().unwrap_or_default();
    let member = members.into_iter().find(|m| m["name"] == member).unwrap_or_default();
    let verdicts = member["verdicts"].as_array().cloned().unwrap_or_default();
    let found = verdicts.into_iter().find(|v| v["verdict"] == verdict);
    found.and_then(|v| v["total"].as_u64()).unwrap_or(0)
}
