//! Hostile bytes for every reader of bytes that others wrote: what each target reads, from which seeds
//! it starts, and what must hold whatever the bytes are. Refuses to know who makes the bytes: libFuzzer
//! (`fuzz_targets/`) and the short run of the test suite (`tests/smoke.rs`) both call [`run`].

#![expect(clippy::unwrap_used, reason = "a fuzz target that cannot go on has found something")]

mod btf;
mod config;
mod documents;
mod elf;
mod facts;
mod fuse;
mod loader;
mod material;
pub mod mutate;

use material::Material;

/// One reader of hostile bytes.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name on the command line and in the corpus.
    pub name: &'static str,
    /// Reads the bytes; panics when something does not hold.
    run: fn(&[u8]),
    /// Inputs that get deep into the reader, made out of real programs.
    seeds: fn(&Material) -> Vec<Vec<u8>>,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "facts", run: facts::run, seeds: facts::seeds },
    Target { name: "btf", run: btf::run, seeds: btf::seeds },
    Target { name: "config", run: config::run, seeds: config::seeds },
    Target { name: "loader", run: loader::run, seeds: loader::seeds },
    Target { name: "fuse", run: fuse::run, seeds: fuse::seeds },
    Target { name: "manifest", run: documents::run_manifest, seeds: documents::manifest_seeds },
    Target { name: "policy", run: documents::run_policy, seeds: documents::policy_seeds },
];

/// Runs the named target over some bytes.
///
/// # Panics
/// When the bytes break what must hold, or there is no such target.
pub fn run(target: &str, bytes: &[u8]) {
    (find(target).run)(bytes);
}

/// The seeds of the named target. Compiles our own programs with clang when it is first asked.
///
/// # Panics
/// When there is no such target or clang cannot compile.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    (find(target).seeds)(Material::shared())
}

fn find(target: &str) -> &'static Target {
    TARGETS
        .iter()
        .find(|known| known.name == target)
        .unwrap_or_else(|| panic!("there is no target {target}"))
}
