//! What this host is like: kernel, processor, boot. Read from the kernel, never guessed. Refuses to
//! know what follows from it.

use skep_api::v1::nodes::{Feature, NodeFacts};
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970 by the system clock; 0 when the clock stands before 1970.
#[must_use]
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    i64::try_from(since).unwrap_or(i64::MAX)
}

/// One even draw from 0 to 255. Where the system has no randomness it is always the same, and
/// only jitter is lost.
#[must_use]
pub fn chance() -> u8 {
    let mut byte = [0];
    match getrandom::fill(&mut byte) {
        Ok(()) => byte[0],
        Err(_) => 128,
    }
}

/// A text that changes at every boot; empty where `/proc` is not mounted.
#[must_use]
pub fn boot_id() -> String {
    let read = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    read.map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// The processor's name as packages call it (Go's and OCI's names).
#[must_use]
pub fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The running kernel's release, as `uname -r` says it.
#[must_use]
pub fn kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// The facts that a report carries.
#[must_use]
pub fn gather(interfaces: &[String], features: Vec<Feature>) -> NodeFacts {
    let host = rustix::system::uname();
    NodeFacts {
        hostname: host.nodename().to_string_lossy().into_owned(),
        kernel: host.release().to_string_lossy().into_owned(),
        arch: arch().to_owned(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        interfaces: interfaces.to_vec(),
        features,
    }
}
