//! Answers of the API as the tests of this folder need them. They are wire types, filled by hand.

use skep_api::v1::chains::{ChainStatus, MemberCounters, MemberStatus, VerdictCount};
use skep_api::v1::nodes::{Feature, NodeDetail, NodeFacts, NodeState, NodeSummary};
use skep_api::v1::packages::{PackageDetail, PackageSummary, VersionDetail, VersionSummary};
use skep_api::v1::policies::{PolicyInfo, PolicyList};
use skep_artifact::digest::Digest;
use skep_artifact::hook::{Failure, Hook, Mode, VerdictSet};
use skep_artifact::object::{
    Endian, KernelVersion, MapFacts, ObjectFacts, ProgramFacts, ProgramKind,
};
use skep_fleet::ids::Generation;
use skep_fleet::policy::PolicyRevision;

pub(crate) fn digest(of: &[u8]) -> Digest {
    Digest::of(of)
}

pub(crate) fn summary() -> PackageSummary {
    PackageSummary {
        name: "acme/ratelimit".parse().unwrap(),
        version: semver::Version::new(1, 4, 2),
        description: "Limits packets per second for every source address.".into(),
        hooks: vec![Hook::Xdp],
        license: "GPL-2.0-only".into(),
        lowest_kernel: Some("5.9".into()),
        signed_by: vec!["7c1f09aabb".into(), "01ab99ffee".into()],
        installs: 3,
        downloads: 0,
        published_at: 1_790_000_000,
        deprecated: None,
    }
}

fn version_summary() -> VersionSummary {
    VersionSummary {
        log_index: Some(41),
        version: semver::Version::new(1, 4, 2),
        release: 3,
        index: digest(b"index"),
        published_at: 1_790_000_000,
        yanked: false,
        yank_message: None,
        deprecated: None,
        size_bytes: 10_035,
    }
}

pub(crate) fn package() -> PackageDetail {
    PackageDetail {
        summary: summary(),
        repository: Some("https://example.org/acme/ratelimit".into()),
        keywords: vec!["ddos".into()],
        categories: vec!["network/ddos".into()],
        readme_html: "<h1>ratelimit</h1>".into(),
        versions: vec![version_summary()],
    }
}

pub(crate) fn version() -> VersionDetail {
    VersionDetail {
        name: "acme/ratelimit".parse().unwrap(),
        summary: version_summary(),
        manifest: manifest(),
        facts: vec![facts()],
        readme_html: "<h1>ratelimit</h1>".into(),
        signed_by: vec!["7c1f09aabb".into(), "01ab99ffee".into()],
        threshold: 2,
        role_version: 7,
        published_by: "ci".into(),
        tombstoned: None,
    }
}

/// The canonical JSON of a real `skep.toml`.
fn manifest() -> serde_json::Value {
    let toml = r#"
        [package]
        name = "acme/ratelimit"
        version = "1.4.2"
        license = "GPL-2.0-only"
        description = "Limits packets per second for every source address."
        [[object]]
        path = "ratelimit.bpf.o"
        arch = ["amd64"]
        [[program]]
        name = "xdp_ratelimit"
        type = "xdp"
        [config.rate]
        global = "rate_per_second"
        type = "u32"
        default = 1000
        min = 1
        max = 1000000
        unit = "packets/s"
        about = "Packets a source may send in a second."
        [config.blocklist]
        map = "blocklist"
        key = "cidr"
        value = "u8"
        about = "Prefixes that are always dropped."
    "#;
    let manifest = skep_artifact::manifest::Manifest::parse(toml).unwrap();
    serde_json::from_slice(&manifest.canonical_json()).unwrap()
}

pub(crate) fn facts() -> ObjectFacts {
    let map = |name: &str, kind: &str, key_size, value_size, max_entries| MapFacts {
        name: name.into(),
        kind: kind.into(),
        key_size,
        value_size,
        max_entries,
        flags: 0,
        legacy: false,
    };
    ObjectFacts {
        endian: Endian::Little,
        has_btf: true,
        license: Some("GPL".into()),
        programs: vec![ProgramFacts {
            name: "xdp_ratelimit".into(),
            section: "xdp".into(),
            kind: ProgramKind::Xdp,
            frags: false,
            insns: 412,
            helpers: vec!["bpf_ktime_get_boot_ns".into(), "bpf_map_lookup_elem".into()],
            kfuncs: vec![],
            writes_packets: false,
            redirects: false,
            core_relocations: 0,
            lowest_kernel: Some(KernelVersion::new(5, 9)),
            because: "helper bpf_ktime_get_boot_ns".into(),
        }],
        maps: vec![
            map("blocklist", "lpm_trie", 20, 1, 1024),
            map("buckets", "lru_hash", 16, 24, 65_536),
        ],
        globals: vec![],
        size: 10_035,
    }
}

pub(crate) fn verdicts(counts: &[(&str, u64)]) -> Vec<VerdictCount> {
    let one = |(verdict, packets): &(&str, u64)| VerdictCount {
        verdict: (*verdict).to_owned(),
        packets: *packets,
    };
    counts.iter().map(one).collect()
}

fn member(name: &str, package: &str, policy: &str, counts: &[(&str, u64)]) -> MemberStatus {
    let packets = counts.iter().map(|(_, n)| n).sum();
    MemberStatus {
        policy: policy.into(),
        name: name.into(),
        package: package.parse().unwrap(),
        version: semver::Version::new(1, 4, 2),
        index: digest(package.as_bytes()),
        program: format!("xdp_{name}"),
        program_id: 100,
        priority: 10,
        proceed_on: VerdictSet::default_for(Hook::Xdp),
        mode: Mode::Enforce,
        failure: Failure::Closed,
        counters: MemberCounters {
            packets,
            bytes: packets * 64,
            verdicts: verdicts(counts),
            ..MemberCounters::default()
        },
    }
}

pub(crate) fn chain() -> ChainStatus {
    let mut flows = member("flows", "skep/flowlog", "flows", &[("pass", 940)]);
    flows.mode = Mode::Observe;
    flows.priority = 50;
    let mut limiter = member("limiter", "acme/ratelimit", "edge", &[("pass", 940), ("drop", 20)]);
    limiter.priority = 20;
    ChainStatus {
        interface: "eth0".into(),
        hook: Hook::Xdp,
        backend: "slots".into(),
        backend_reason: "libxdp refused: the kernel denies EXT programs.".into(),
        attach_mode: "native".into(),
        generation: 41,
        applied_at: 1_790_000_000,
        members: vec![
            member("guard", "skep/firewall", "edge", &[("pass", 960), ("drop", 40)]),
            limiter,
            flows,
        ],
    }
}

pub(crate) fn node() -> NodeDetail {
    let feature = |name: &str, supported, reason: &str| Feature {
        name: name.into(),
        supported,
        reason: reason.into(),
    };
    NodeDetail {
        log: None,
        summary: NodeSummary {
            name: "edge-07".parse().unwrap(),
            state: NodeState::Healthy,
            labels: [("role".to_owned(), "edge".to_owned())].into(),
            kernel: "6.12.117".into(),
            arch: "amd64".into(),
            chains: 1,
            wanted_generation: Generation(41),
            applied_generation: Generation(41),
            last_seen_at: Some(1_790_000_050),
            refusal: None,
            interfaces: vec!["eth0".into(), "lo".into()],
        },
        facts: NodeFacts {
            hostname: "edge-07".into(),
            kernel: "6.12.117".into(),
            arch: "amd64".into(),
            agent_version: "0.0.0".into(),
            interfaces: vec!["eth0".into(), "lo".into()],
            features: vec![
                feature("xdp-native", true, ""),
                feature("freplace", false, "the kernel denies EXT programs"),
            ],
        },
        chains: vec![chain()],
        standing: None,
        notes: vec![],
        reported_at: Some(1_790_000_050),
        now: 1_790_000_052,
    }
}

/// One policy, `edge` r12, that wants the first two members of [`chain`] on `edge-07`.
pub(crate) fn policies() -> PolicyList {
    let program = |m: &MemberStatus| {
        serde_json::json!({
            "name": m.name, "package": m.package, "version": m.version, "index": m.index,
            "program": m.program, "priority": m.priority, "proceedOn": m.proceed_on,
            "mode": m.mode, "failure": m.failure, "config": {}
        })
    };
    let revision: PolicyRevision = serde_json::from_value(serde_json::json!({
        "name": "edge", "revision": 12,
        "nodes": { "matchLabels": { "role": "edge" } },
        "attach": { "hook": "xdp", "interfaces": { "match": ["eth*"] } },
        "programs": chain().members.iter().take(2).map(program).collect::<Vec<_>>(),
    }))
    .unwrap();
    PolicyList {
        policies: vec![PolicyInfo {
            revision,
            digest: digest(b"envelope"),
            envelope: String::new(),
            applied_at: 1_790_000_000,
            applied_by: "operator".into(),
            nodes: vec!["edge-07".into()],
            lowest: None,
            rolled_back: false,
        }],
    }
}
