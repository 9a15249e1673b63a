//! Compiles the C sources in `bpf/` with clang, for the crate to carry inside itself.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Source file name, name of the object in `OUT_DIR`, further arguments.
const OBJECTS: [(&str, &str, &[&str]); 6] = [
    ("slots.bpf.c", "xdp_slots.o", &[]),
    ("slots.bpf.c", "tc_slots.o", &["-DSKEP_HOOK_TC"]),
    ("support.bpf.c", "xdp_support.o", &[]),
    ("support.bpf.c", "tc_support.o", &["-DSKEP_HOOK_TC"]),
    ("libxdp_dispatcher.bpf.c", "libxdp_dispatcher_v2.o", &["-DLIBXDP_VERSION=2"]),
    ("libxdp_dispatcher.bpf.c", "libxdp_dispatcher_v3.o", &["-DLIBXDP_VERSION=3"]),
];

fn main() {
    println!("cargo::rerun-if-changed=bpf");
    println!("cargo::rerun-if-env-changed=CLANG");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let clang = std::env::var("CLANG").unwrap_or_else(|_| "clang".to_owned());
    for (source, object, arguments) in OBJECTS {
        let source = Path::new("bpf").join(source);
        if let Err(message) = compile(&clang, &source, &out.join(object), arguments) {
            println!("cargo::error={message}");
        }
    }
}

fn compile(clang: &str, source: &Path, object: &Path, arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new(clang);
    command.args(arguments);
    command.args(["-O2", "-g", "-target", "bpf", "-Wall", "-Wextra", "-Werror"]);
    // Debian keeps asm/types.h in a folder per architecture that `-target bpf` does not search.
    for arch in ["x86_64", "aarch64"] {
        let headers = format!("/usr/include/{arch}-linux-gnu");
        if Path::new(&headers).is_dir() {
            command.arg("-idirafter").arg(headers);
        }
    }
    let output = command.arg("-c").arg(source).arg("-o").arg(object).output().map_err(|error| {
        format!(
            "The dispatcher {} needs `{clang}` to be compiled, which could not be started: {error}. \
             Install clang, llvm and libbpf-dev (Debian: apt-get install clang llvm libbpf-dev), \
             or name a clang with the environment variable CLANG.",
            source.display()
        )
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).replace('\n', " | ");
    Err(format!(
        "`{clang}` could not compile {}: {said} If a header is missing, install libbpf-dev and linux-libc-dev.",
        source.display()
    ))
}
