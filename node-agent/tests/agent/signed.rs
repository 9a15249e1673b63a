//! A publisher and an operator with keys of their own, packages built on the spot, signed states.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use skep_api::v1::sync::DesiredState;
use skep_artifact::config::ConfigValues;
use skep_artifact::digest::Digest;
use skep_artifact::dsse::{self, POLICY_PAYLOAD_TYPE};
use skep_artifact::hook::{Failure, Hook, Mode, VerdictSet};
use skep_artifact::key::SecretKey;
use skep_artifact::layout;
use skep_artifact::manifest::Manifest;
use skep_artifact::name::Namespace;
use skep_artifact::role::{Role, Target};
use skep_fleet::plan::NeededPackage;
use skep_fleet::policy::{Attach, InterfaceMatch, PinnedProgram};
use skep_fleet::selector::Selector;
use skep_fleet::{Generation, PolicyRevision};
use skep_node_agent::cache::Cache;
use skep_node_agent::fetch::FetchedBeside;
use skep_node_agent::node::Node;
use std::process::Command;
use std::sync::OnceLock;

/// Answers what its config says; one program for each family.
const ANSWER: &str = r#"
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
const volatile __u32 answer = 2;
SEC("xdp") int on_xdp(struct xdp_md *ctx) { return answer; }
SEC("tc") int on_tc(struct __sk_buff *ctx) { return answer; }
char _license[] SEC("license") = "GPL";
"#;

/// Reads past the packet's end without asking: the verifier refuses it.
const RECKLESS: &str = r#"
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
const volatile __u32 answer = 2;
SEC("xdp") int on_xdp(struct xdp_md *ctx) { return *((char *)(long)ctx->data + 1000); }
SEC("tc") int on_tc(struct __sk_buff *ctx) { return answer; }
char _license[] SEC("license") = "GPL";
"#;

/// XDP verdicts by their codes in `linux/bpf.h`.
pub(crate) const DROP: i32 = 1;
pub(crate) const PASS: i32 = 2;

pub(crate) struct Publisher {
    key: SecretKey,
    role: Role,
    role_bytes: Vec<u8>,
}

/// A published version.
#[derive(Clone)]
pub(crate) struct Published {
    pub(crate) needed: NeededPackage,
    blobs: Vec<(Digest, Vec<u8>)>,
}

#[derive(Clone, Copy)]
pub(crate) enum Code {
    Answer,
    Reckless,
}

impl Publisher {
    pub(crate) fn new() -> Self {
        let namespace: Namespace = "acme".parse().unwrap();
        let role = Role::new(namespace, 1, "2099-01-01T00:00:00Z").unwrap();
        Self { key: SecretKey::from_seed([1; 32]), role, role_bytes: Vec::new() }
    }

    /// Builds a version and signs it into the namespace's next role file.
    pub(crate) fn publish(&mut self, version: &str, code: Code) -> Published {
        let manifest = Manifest::parse(&manifest(version)).unwrap();
        let object = compiled(code);
        let package = layout::build(&manifest, &[("answer.bpf.o", object)], None).unwrap();
        let name = manifest.package.name.clone();
        let target = Target {
            package: name.clone(),
            version: manifest.package.version.clone(),
            index: package.index.digest,
            length: package.index.bytes.len() as u64,
            release: self.role.next_release(&name),
            hooks: manifest.hooks(),
            arch: manifest.archs(),
        };
        self.role = self.role.clone().next("2099-01-01T00:00:00Z").unwrap();
        self.role.add(target).unwrap();
        self.role_bytes = self.role.sign(std::slice::from_ref(&self.key)).unwrap();
        let version = manifest.package.version.clone();
        let needed = NeededPackage { package: name, version, index: package.index.digest };
        let blobs = package.all().into_iter().map(|b| (b.digest, b.bytes.clone())).collect();
        Published { needed, blobs }
    }

    /// Does what the fetching task does: puts a version and the newest role file into the cache and says so.
    pub(crate) fn deliver(&self, published: &Published, cache: &Cache, node: &mut Node) {
        for (digest, bytes) in &published.blobs {
            cache.put(digest, bytes).unwrap();
        }
        let role = Digest::of(&self.role_bytes);
        cache.put(&role, &self.role_bytes).unwrap();
        let namespace = published.needed.package.namespace().clone();
        node.fetched(
            published.needed.clone(),
            Some((namespace, role)),
            FetchedBeside::default(),
            Ok(()),
        );
    }
}

impl Published {
    /// Every blob's digest, the index first.
    pub(crate) fn digests(&self) -> Vec<Digest> {
        self.blobs.iter().map(|(digest, _)| *digest).collect()
    }

    /// A member that answers `answer`.
    pub(crate) fn member(&self, name: &str, priority: u32, answer: i32) -> PinnedProgram {
        let config = serde_json::json!({ "answer": answer });
        PinnedProgram {
            name: name.parse().unwrap(),
            package: self.needed.package.clone(),
            version: self.needed.version.clone(),
            index: self.needed.index,
            program: "on_xdp".to_owned(),
            priority,
            proceed_on: VerdictSet::default_for(Hook::Xdp),
            mode: Mode::Enforce,
            failure: Failure::Closed,
            config: serde_json::from_value::<ConfigValues>(config).unwrap(),
        }
    }
}

/// The policy file of a host that trusts the publisher and the operator of these tests.
pub(crate) fn trusting() -> String {
    let key = |seed: u8| SecretKey::from_seed([seed; 32]).public();
    format!(
        "[operator]\nkeys = [\"{}\"]\n[[namespace]]\nname = \"acme\"\nkeys = [\"{}\"]\nhooks = [\"xdp\", \"tc-ingress\"]\n",
        key(2),
        key(1)
    )
}

pub(crate) fn policy(name: &str, interface: &str, programs: Vec<PinnedProgram>) -> PolicyRevision {
    PolicyRevision {
        name: name.parse().unwrap(),
        revision: 1,
        removed: false,
        nodes: Selector::label("role", "edge"),
        attach: Attach::on(InterfaceMatch { patterns: vec![interface.to_owned()] }, Hook::Xdp),
        programs,
        fallback: None,
        rollout: None,
        approval: None,
    }
}

pub(crate) fn revised(policy: &PolicyRevision, programs: Vec<PinnedProgram>) -> PolicyRevision {
    PolicyRevision { revision: policy.revision + 1, programs, ..policy.clone() }
}

/// A state as the server sends it, signed by the operator.
pub(crate) fn state(generation: u64, policies: &[&PolicyRevision]) -> DesiredState {
    signed_state(generation, policies, &SecretKey::from_seed([2; 32]))
}

pub(crate) fn signed_state(
    generation: u64,
    policies: &[&PolicyRevision],
    key: &SecretKey,
) -> DesiredState {
    let envelope = |policy: &&PolicyRevision| {
        let payload = policy.to_json().unwrap();
        let keys = std::slice::from_ref(key);
        STANDARD.encode(dsse::sign(POLICY_PAYLOAD_TYPE, &payload, keys).unwrap())
    };
    let policies: Vec<String> = policies.iter().map(envelope).collect();
    let digest = DesiredState::digest_of(&policies);
    let (assignment, notices) = (None, None);
    DesiredState { generation: Generation(generation), digest, policies, assignment, notices }
}

fn manifest(version: &str) -> String {
    format!(
        r#"
[package]
name = "acme/answer"
version = "{version}"
license = "GPL-2.0-only"
description = "Answers what its config says."

[[object]]
path = "answer.bpf.o"
arch = ["amd64", "arm64", "riscv64"]

[[program]]
name = "on_xdp"
type = "xdp"
attach = ["ingress"]

[[program]]
name = "on_tc"
type = "tc"
attach = ["ingress"]

[config.answer]
global = "answer"
type = "u32"
default = 2
about = "The verdict's code."
"#
    )
}

fn compiled(code: Code) -> &'static [u8] {
    static COMPILED: [OnceLock<Vec<u8>>; 2] = [OnceLock::new(), OnceLock::new()];
    match code {
        Code::Answer => COMPILED[0].get_or_init(|| compile(ANSWER)),
        Code::Reckless => COMPILED[1].get_or_init(|| compile(RECKLESS)),
    }
}

fn compile(source: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("t.bpf.c"), folder.path().join("t.bpf.o"));
    std::fs::write(&input, source).unwrap();
    let clang = Command::new("clang")
        .args(["-O2", "-g", "-target", "bpf", "-idirafter", "/usr/include/x86_64-linux-gnu"])
        .args(["-idirafter", "/usr/include/aarch64-linux-gnu", "-c"])
        .arg(&input)
        .arg("-o")
        .arg(&output)
        .output()
        .expect("clang is installed");
    assert!(clang.status.success(), "{}", String::from_utf8_lossy(&clang.stderr));
    std::fs::read(output).unwrap()
}
