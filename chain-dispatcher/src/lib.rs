//! Chains of eBPF programs on a hook of an interface: the only crate that talks to the kernel.
//! It loads, orders, attaches, replaces and watches; it refuses to know networks, registries, fleets
//! and where a program came from beyond the proof that it may be loaded.

mod backend;
mod chain;
mod choice;
mod copy_state;
mod counters;
mod drops;
mod elf;
mod engine;
mod error;
mod execute;
pub mod features;
mod flow;
mod fuse;
mod kernel;
mod kinds;
mod layout;
mod libxdp;
mod load;
mod lock;
mod meaning;
mod observe;
mod observer;
mod pins;
mod record;
mod seeing;
mod support;
mod swap;
pub mod testrun;
pub mod untrusted;
mod wanted;

pub use chain::{
    Chain, Counting, Foreign, Gap, HookPoint, Loadable, LostState, Member, XdpModeChoice,
};
pub use choice::Unfit;
pub use counters::MemberCounters;
pub use drops::{DropCause, DropEvent, DropStream, DroppedBy, Drops, DropsError};
pub use elf::ElfError;
pub use engine::{Applied, Engine, EngineConfig};
pub use error::{ApplyError, DeepStack, DetachError, EngineError, ObserveError, Unsupported};
pub use flow::{Flow, Headers};
pub use fuse::FuseError;
pub use kernel::netlink::XdpMode;
pub use kinds::{Attachment, Backend, BackendChoice, Build, Chosen, UnknownBackend};
pub use layout::{LAYOUT_VERSION, MEMBERS_MAX, SLOTS_MAX};
pub use libxdp::config::Version as LibxdpVersion;
pub use libxdp::pins::libxdp_root;
pub use load::LoadError;
pub use observe::{ObservedChain, ObservedMember};
pub use observer::Observer;
pub use record::{RecordError, config_digest};
pub use seeing::{Sampling, Seeing, SeeingError, Until};
pub use swap::{
    Crossing, FieldCopy, ForeignProgram, How, Live, Restarted, Step, SwapPlan, Warning,
};
