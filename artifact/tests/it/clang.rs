//! Compiles the C sources of the tests, so that no binary is committed.

use std::path::Path;
use std::process::Command;

/// Compiles a C source below this crate's or the artifact crate's `test_data/objects` and returns the object's bytes.
#[expect(
    clippy::disallowed_methods,
    reason = "a test runs the real compiler; the crate itself never does"
)]
pub(crate) fn compile(source: &str, flags: &[&str]) -> Vec<u8> {
    let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let objects = manifest_dir.parent().unwrap().join("artifact/test_data/objects");
    let output = Command::new("clang")
        .args([
            "-O2",
            "-target",
            "bpf",
            "-I/usr/include/x86_64-linux-gnu",
            "-I/usr/include/aarch64-linux-gnu",
        ])
        .args(flags)
        .arg("-c")
        .arg(objects.join(source))
        .args(["-o", "-"])
        .output()
        .expect("clang runs");
    assert!(output.status.success(), "{source}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The limiter, little-endian with BTF.
pub(crate) fn limiter() -> Vec<u8> {
    compile("limiter.bpf.c", &["-g"])
}
