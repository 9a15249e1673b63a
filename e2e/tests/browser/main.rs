//! Browser journeys: the finished registry and agent, seen through headless Chromium as a person sees them.
//! One binary, a journey a file. Refuses to know anything inside our programs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

mod account;
mod browser;
mod everybody;
mod journey;
mod package;

/// Whether the journey can be made here; when not, the reason is written down where `cargo xtask test` counts it.
fn can_run(test: &str) -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    skipped(test, "needs root, for network namespaces and BPF");
    false
}

/// Writes down that a test was left out, and why.
fn skipped(test: &str, why: &str) {
    if let Some(file) = std::env::var_os("SKEP_SKIPPED_FILE") {
        use std::io::Write;
        let mut file = std::fs::File::options()
            .append(true)
            .open(file)
            .expect("the file of skipped tests opens");
        writeln!(file, "skep-e2e::browser::{test}\t{why}")
            .expect("the file of skipped tests can be written");
    }
}
