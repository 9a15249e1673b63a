//! Fleet tests: the finished programs, joined, on the host's kernel. One binary, a module a story.
//! Refuses to know anything inside our programs.
//!
//! They need root. Without it every test says so in the file that `SKEP_SKIPPED_FILE` names, and is counted as skipped.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

mod agent_promises;
mod agent_readme;
mod attacks;
mod bundle;
mod cli;
mod compose;
mod drills;
mod evidence;
mod foreign;
mod foreign_dsse;
mod foreign_oci;
mod ground;
mod hostile;
mod hostile_node;
mod local;
mod log;
mod operators;
mod people;
mod revoked;
mod road;
mod rollouts;
mod run_beside;
mod run_chains;
mod run_local;
mod seeing;
mod top;
mod trust;
mod upgrade;

/// Whether the story can be told here; when not, the reason is written down where `cargo xtask test` counts it.
fn can_run(test: &str) -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    skip(test, "needs root, for network namespaces and BPF");
    false
}

/// Writes down why a story is not told.
fn skip(test: &str, reason: &str) {
    if let Some(file) = std::env::var_os("SKEP_SKIPPED_FILE") {
        use std::io::Write;
        let mut file = std::fs::File::options()
            .append(true)
            .open(file)
            .expect("the file of skipped tests opens");
        writeln!(file, "skep-e2e::fleet::{test}\t{reason}")
            .expect("the file of skipped tests can be written");
    }
}
