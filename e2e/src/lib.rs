//! The harness for everything that joins finished programs: fleet tests, browser journeys, the demo, benchmarks.
//!
//! Holds a small world of its own: network namespaces, the real registry over TLS, real agents, real traffic, all of it
//! gone when the value is dropped. Refuses to know how any of our programs works inside: it starts them, talks to them
//! as a person would, and asks the kernel.

pub mod chain;
pub mod demo;
pub mod drill;
pub mod figures;
pub mod interrupt;
pub mod kernel;
pub mod load;
pub mod namespace;
pub mod node;
pub mod operator;
pub mod packages;
pub mod process;
pub mod programs;
pub mod registry;
pub mod rollout;
pub mod stage;
pub mod traffic;
pub mod wait;
pub mod world;
