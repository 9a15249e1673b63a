//! What the workspace needs beyond Rust: one line a need, with how to see that it is there and which Debian
//! package brings it. Refuses to install anything; `setup` does.

use std::path::Path;

use crate::run;

/// How presence is seen.
#[derive(Clone, Copy)]
enum Sign {
    /// A program on PATH.
    Program(&'static str),
    /// A file in one of the include folders.
    Header(&'static str),
    /// A file that `pkg-config` would read.
    PkgConfig(&'static str),
    /// A file in any folder of this one: a folder a version.
    BelowAny { root: &'static str, file: &'static str },
}

/// One thing that must be on the machine.
#[derive(Clone, Copy)]
pub(crate) struct Need {
    sign: Sign,
    /// The Debian and Ubuntu package that brings it.
    pub(crate) package: &'static str,
    /// What it is for, in a few words.
    pub(crate) purpose: &'static str,
}

const NEEDS: &[Need] = &[
    Need {
        sign: Sign::Program("cc"),
        package: "build-essential",
        purpose: "linking, and C inside crates",
    },
    Need { sign: Sign::Program("pkg-config"), package: "pkg-config", purpose: "finding OpenSSL" },
    Need { sign: Sign::PkgConfig("openssl.pc"), package: "libssl-dev", purpose: "TLS" },
    Need { sign: Sign::Program("clang"), package: "clang", purpose: "compiling BPF programs" },
    Need { sign: Sign::Program("llvm-strip"), package: "llvm", purpose: "stripping BPF objects" },
    Need { sign: Sign::Header("bpf/bpf_helpers.h"), package: "libbpf-dev", purpose: "BPF headers" },
    Need {
        sign: Sign::Header("linux/bpf.h"),
        package: "linux-libc-dev",
        purpose: "kernel headers",
    },
    Need {
        sign: Sign::Program("bpftool"),
        package: "bpftool",
        purpose: "asking the kernel what runs",
    },
    Need { sign: Sign::Program("ip"), package: "iproute2", purpose: "network namespaces" },
    Need {
        sign: Sign::Program("nsenter"),
        package: "util-linux",
        purpose: "running agents inside namespaces",
    },
    Need {
        sign: Sign::Program("skopeo"),
        package: "skopeo",
        purpose: "an OCI client that others wrote",
    },
    Need {
        sign: Sign::Program("buildah"),
        package: "buildah",
        purpose: "an OCI client that others wrote",
    },
    Need {
        sign: Sign::Program("podman"),
        package: "podman",
        purpose: "an OCI client that others wrote",
    },
    Need {
        sign: Sign::Program("umoci"),
        package: "umoci",
        purpose: "an OCI client that others wrote",
    },
    Need {
        sign: Sign::Program("python3"),
        package: "python3-venv",
        purpose: "clients from PyPI that others wrote",
    },
    Need {
        sign: Sign::Program("docker-registry"),
        package: "docker-registry",
        purpose: "the registry that ours is measured beside",
    },
    Need { sign: Sign::Program("wrk"), package: "wrk", purpose: "load of HTTP" },
    Need { sign: Sign::Program("sqlite3"), package: "sqlite3", purpose: "making a database large" },
    Need {
        sign: Sign::Program("curl"),
        package: "curl",
        purpose: "an HTTP client that others wrote",
    },
    Need {
        sign: Sign::Program("sqlite3"),
        package: "sqlite3",
        purpose: "changing a registry's database behind its back, in drills",
    },
    Need { sign: Sign::Program("chromium"), package: "chromium", purpose: "browser tests" },
    Need {
        sign: Sign::Program("chromedriver"),
        package: "chromium-driver",
        purpose: "browser tests",
    },
    Need {
        sign: Sign::Program("qemu-system-x86_64"),
        package: "qemu-system-x86",
        purpose: "booting other kernels for the tests",
    },
    Need {
        sign: Sign::Program("busybox"),
        package: "busybox-static",
        purpose: "everyday programs inside those kernels",
    },
    Need {
        sign: Sign::BelowAny { root: "/usr/lib/postgresql", file: "bin/initdb" },
        package: "postgresql",
        purpose: "the server tests on the other database",
    },
    Need {
        sign: Sign::Program("prometheus"),
        package: "prometheus",
        purpose: "gates of rollouts that ask it",
    },
    Need {
        sign: Sign::Program("xz"),
        package: "xz-utils",
        purpose: "unpacking those kernels' modules",
    },
    Need {
        sign: Sign::Program("xdp-loader"),
        package: "xdp-tools",
        purpose: "an XDP loader that others wrote",
    },
    Need {
        sign: Sign::Program("node"),
        package: "nodejs",
        purpose: "an OpenID Connect issuer that others wrote",
    },
    Need { sign: Sign::Program("npm"), package: "npm", purpose: "installing that issuer" },
    Need { sign: Sign::Program("wasm-opt"), package: "binaryen", purpose: "a small frontend" },
    Need { sign: Sign::Program("brotli"), package: "brotli", purpose: "a small frontend" },
];

impl Need {
    fn is_met(self) -> bool {
        match self.sign {
            Sign::Program(name) => run::find(name).is_some(),
            Sign::Header(path) => under_any(&["/usr/include", "/usr/local/include"], path),
            Sign::BelowAny { root, file } => std::fs::read_dir(root)
                .is_ok_and(|folders| folders.flatten().any(|f| f.path().join(file).exists())),
            Sign::PkgConfig(file) => {
                let multiarch = format!("/usr/lib/{}-linux-gnu/pkgconfig", std::env::consts::ARCH);
                under_any(
                    &[
                        &multiarch,
                        "/usr/lib/pkgconfig",
                        "/usr/lib64/pkgconfig",
                        "/usr/share/pkgconfig",
                    ],
                    file,
                )
            }
        }
    }
}

fn under_any(folders: &[&str], file: &str) -> bool {
    folders.iter().any(|folder| Path::new(folder).join(file).exists())
}

/// What is not there, in the order of the list.
pub(crate) fn missing() -> Vec<Need> {
    NEEDS.iter().copied().filter(|need| !need.is_met()).collect()
}
