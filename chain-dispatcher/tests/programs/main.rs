//! The first-party packages, compiled, loaded and run over packets by the real kernel: the vectors beside their
//! sources, and what a vector cannot say. Needs root, clang and libbpf's headers.
//! It refuses to know interfaces and chains: each program runs alone (`BPF_PROG_TEST_RUN`).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

mod case;
mod firewall;
mod flowlog;
mod package;
mod packet;
mod ratelimit;
mod vectors;
