//! The first-party packages, compiled, loaded and run over packets by the real kernel: the vectors beside their
//! sources, and what a vector cannot say. Needs root, clang and libbpf's headers.
//! Each program runs alone (`BPF_PROG_TEST_RUN`), except in `together`, where they share the hooks of an interface.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]
#![expect(clippy::print_stderr, reason = "a skipped test is shown")]

mod case;
mod documents;
mod firewall;
mod flowlog;
mod package;
mod packet;
#[path = "../kernel/place.rs"]
#[expect(dead_code, reason = "the kernel tests use all of it, these a part")]
mod place;
mod ratelimit;
mod together;
mod vectors;
