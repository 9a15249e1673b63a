//! The agent against the real kernel: every test makes its own network namespaces, pin root and
//! state folder, and removes them. No server takes part: offers are made by hand, packages lie in
//! the cache, and the finished program runs with a server that is gone. Needs root.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

mod assigned;
mod chains;
mod host;
mod offers;
mod process;
mod seeing;
mod signed;
mod waves;

/// Whether the kernel can be worked with; when not, the reason is written down where
/// `cargo xtask test` counts it.
fn can_run(test: &str) -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    if let Some(file) = std::env::var_os("SKEP_SKIPPED_FILE") {
        use std::io::Write;
        let mut file = std::fs::File::options().append(true).open(file).unwrap();
        writeln!(
            file,
            "skep-node-agent::agent::{test}\tneeds root, for network namespaces and BPF"
        )
        .unwrap();
    }
    false
}
