//! What can go wrong, one enum per operation, each with a stable code. Knows nothing else.

use std::io;
use std::path::PathBuf;

use crate::chain::HookPoint;
use crate::choice::Unfit;
use crate::fuse::{FuseError, STACK_BYTES_MAX};
use crate::kinds::Backend;
use crate::load::LoadError;
use crate::record::RecordError;
use crate::swap::{Crossing, ForeignProgram};

/// The engine could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The pin root is no bpffs and none could be mounted.
    #[error(
        "the pin root {} cannot be used: mounting a BPF file system needs root, or mount one there: mount -t bpf bpf {}",
        path.display(),
        path.display()
    )]
    PinRoot {
        /// The folder.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel cannot do what chains need.
    #[error("this kernel cannot run chains")]
    Unsupported(#[from] Unsupported),
    /// Leftovers of an earlier run could not be looked at or removed.
    #[error("the leftovers under the pin root could not be removed")]
    Sweep(#[source] ObserveError),
}

/// Something that the kernel was asked for in a probe, and refused.
#[derive(Debug, thiserror::Error)]
#[error("the kernel does not offer {feature} (it exists since Linux {since}); {advice}")]
pub struct Unsupported {
    /// What was probed.
    pub feature: &'static str,
    /// The first release that has it.
    pub since: &'static str,
    /// What a person can do.
    pub advice: &'static str,
    /// What the kernel said.
    pub source: io::Error,
}

/// The state of pins and kernel could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// The folders under the pin root.
    #[error("the pins in {} cannot be read", path.display())]
    Pins {
        /// The folder.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A pinned object, or one asked for by id.
    #[error("the kernel would not say what {what} is")]
    Kernel {
        /// What was asked about.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// Another version of Skep made the chain and counts in a way that this one does not know.
    #[error(
        "the chain's counters have {bytes} bytes a CPU, a layout that this version of Skep does not know; the next apply builds the chain anew"
    )]
    CountersUnreadable {
        /// Size of one CPU's counters.
        bytes: u32,
    },
    /// Another process is changing chains.
    #[error(
        "another process has been changing chains under {} for {waited_secs} seconds; look who holds that folder (fuser), then try again",
        path.display()
    )]
    Busy {
        /// The pin root.
        path: PathBuf,
        /// How long this one waited.
        waited_secs: u64,
    },
    /// The interface is not there.
    #[error(
        "there is no interface named {interface} in this network namespace; ip link shows those that are"
    )]
    InterfaceGone {
        /// Its name.
        interface: String,
    },
}

/// A chain could not be put in place. What ran before runs on, unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The interface is not there, or vanished meanwhile.
    #[error(
        "there is no interface named {interface} in this network namespace; ip link shows those that are"
    )]
    InterfaceGone {
        /// Its name.
        interface: String,
    },
    /// The kernel has no such hook.
    #[error("this kernel cannot run a chain there; what runs now is untouched")]
    Unsupported(#[from] Unsupported),
    /// Somebody else's XDP program holds the hook.
    #[error(
        "{at} runs program {} ({}), which Skep did not attach; detach it there, or let the policy take it over",
        program.program_id,
        if program.name.is_empty() { "without a name" } else { &program.name }
    )]
    Foreign {
        /// The hook.
        at: HookPoint,
        /// Whose program.
        program: ForeignProgram,
    },
    /// The backend that was asked for cannot run this chain here.
    #[error("the backend {backend} cannot run this chain: {why}; what runs now is untouched")]
    BackendUnavailable {
        /// Which.
        backend: Backend,
        /// Why not.
        why: Unfit,
    },
    /// The new chain cannot take the place of the running one in one operation.
    #[error(
        "the kernel cannot move a running chain {crossing} in one step: packets would pass {at} unseen in between. Allow the gap for this change, or keep the backend that runs"
    )]
    GapRefused {
        /// The hook.
        at: HookPoint,
        /// What must be crossed.
        crossing: Crossing,
    },
    /// A new version declares a map in another layout and nothing says how its content goes on.
    #[error(
        "the content of the map {map} of {member} would be lost: {why}. Let the package say in [migrate.{map}] how it goes on, or allow this loss with loseState in the policy (--lose-state in skep run); what runs now is untouched"
    )]
    StateLost {
        /// Policy and name.
        member: String,
        /// The map.
        map: String,
        /// How the layouts differ.
        why: String,
    },
    /// The content of a map could not be copied into its new layout.
    #[error(
        "the content of the map {map} of {member} could not be copied into its new layout; what runs now is untouched"
    )]
    Migrate {
        /// Policy and name.
        member: String,
        /// The new version's map.
        map: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// More members than the backend holds.
    #[error(
        "the chain has {members} members; {max} is the most that the backend {backend} holds on one hook: put two programs into one, use another hook, or another backend (fused holds {})",
        Backend::Fused.members_max()
    )]
    TooManyMembers {
        /// How many were asked for.
        members: usize,
        /// How many the backend holds.
        max: usize,
        /// Which.
        backend: Backend,
    },
    /// A member's package was not verified for this hook.
    #[error(
        "{member} was verified for other hooks than {at}; the node policy names those its namespace may use"
    )]
    HookNotPermitted {
        /// The hook.
        at: HookPoint,
        /// The member's name.
        member: String,
    },
    /// Two members of the same policy and name.
    #[error("the policy {policy} names the member {name} twice; give them different names")]
    DuplicateMember {
        /// The policy.
        policy: String,
        /// The name.
        name: String,
    },
    /// A name that no pin can have.
    #[error("the name of the member {name} of {policy} is too long or empty; shorten it")]
    UnusableName {
        /// The policy.
        policy: String,
        /// The name.
        name: String,
    },
    /// The verifier refused a member.
    #[error("the kernel's verifier refused {program} of {member}; what runs now is untouched. It said:\n{}", last_lines.join("\n"))]
    Verifier {
        /// Policy and name.
        member: String,
        /// The function.
        program: String,
        /// The end of its log.
        last_lines: Vec<String>,
        /// The error number's meaning.
        source: io::Error,
    },
    /// A member's config does not fit its object, or the kernel refused it.
    #[error("the config of {member} cannot be written; what runs now is untouched")]
    Config {
        /// Policy and name.
        member: String,
        /// Why.
        source: LoadError,
    },
    /// A member's object cannot be brought into the kernel.
    #[error("{member} cannot be loaded; what runs now is untouched")]
    Load {
        /// Policy and name.
        member: String,
        /// Why.
        source: LoadError,
    },
    /// A loaded member does not fit into the chain's program array.
    #[error(
        "{member} was loaded but the kernel refuses it as a member of a chain; what runs now is untouched"
    )]
    Slot {
        /// Policy and name.
        member: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The members cannot become one program.
    #[error("the members cannot become one program; what runs now is untouched")]
    Fuse(#[source] FuseError),
    /// The verifier takes each member, and refuses all of them as one program.
    #[error(
        "each member loads alone, but the kernel's verifier refuses them as one program{}; the slots backend keeps them apart; what runs now is untouched. It said:\n{}",
        stack.as_ref().map(ToString::to_string).unwrap_or_default(),
        last_lines.join("\n")
    )]
    FusedVerifier {
        /// Who needs the most stack, where that is the reason.
        stack: Option<DeepStack>,
        /// The end of its log.
        last_lines: Vec<String>,
        /// The error number's meaning.
        source: io::Error,
    },
    /// Our own dispatcher was refused.
    #[error("the kernel refused the dispatcher; what runs now is untouched")]
    Dispatcher(#[source] LoadError),
    /// The description of the chain cannot be written.
    #[error("the chain cannot be described; what runs now is untouched")]
    Record(#[from] RecordError),
    /// The hook could not be looked at.
    #[error("the hook cannot be looked at")]
    Observe(#[source] ObserveError),
    /// A pin could not be made.
    #[error("{} cannot be pinned; what runs now is untouched", path.display())]
    Pin {
        /// The pin.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The driver takes the chain only for smaller packets.
    #[error(
        "the driver of {interface} refuses a chain whose members do not all cope with packets in several buffers while such packets may come: its MTU is {mtu} (on a veth pair the other end's counts). Lower the MTU, build every member with section xdp.frags, or ask for generic mode; what ran before runs on"
    )]
    MtuTooLarge {
        /// Its name.
        interface: String,
        /// Its MTU in bytes.
        mtu: u32,
    },
    /// The driver has no native XDP.
    #[error(
        "the driver of {interface} has no native XDP mode; ask for generic mode, which every interface has and which is slower, or leave the mode to Skep"
    )]
    NoNativeMode {
        /// Its name.
        interface: String,
    },
    /// Somebody else changed the interface at the same time.
    #[error(
        "somebody else kept changing the XDP program of {interface} while Skep did; what they made runs. Find out who (xdp-loader status, bpftool net), then apply again"
    )]
    Raced {
        /// The interface.
        interface: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The one live change was refused.
    #[error("the kernel refused to {action}; what ran before runs on")]
    Switch {
        /// What was tried.
        action: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

/// The member of a fused chain that needs the most stack.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    ": {member} needs {bytes} bytes of the {STACK_BYTES_MAX} that one path may use, and this kernel counts every function, the chain's own included, with at least 32"
)]
pub struct DeepStack {
    /// Policy and name.
    pub member: String,
    /// Bytes of stack on its deepest path, as far as its instructions tell.
    pub bytes: usize,
}

/// A hook could not be detached.
#[derive(Debug, thiserror::Error)]
pub enum DetachError {
    /// The state could not be read.
    #[error("the hook cannot be looked at")]
    Observe(#[from] ObserveError),
    /// The kernel refused, or the pins could not be removed.
    #[error("the chain in {} cannot be taken off", path.display())]
    Detach {
        /// Its pins.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

impl EngineError {
    /// A stable, machine-readable reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::PinRoot { .. } => "chain.pin_root",
            Self::Unsupported(_) => "chain.kernel_unsupported",
            Self::Sweep(_) => "chain.sweep",
        }
    }
}

impl ApplyError {
    /// A stable, machine-readable reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InterfaceGone { .. } => "chain.interface_gone",
            Self::Unsupported(_) => "chain.kernel_unsupported",
            Self::Foreign { .. } => "chain.foreign_program",
            Self::BackendUnavailable { .. } => "chain.backend_unavailable",
            Self::GapRefused { .. } => "chain.gap_refused",
            Self::StateLost { .. } => "chain.state_lost",
            Self::Migrate { .. } => "chain.migrate_refused",
            Self::TooManyMembers { .. } => "chain.too_many_members",
            Self::HookNotPermitted { .. } => "chain.hook_not_permitted",
            Self::DuplicateMember { .. } => "chain.duplicate_member",
            Self::UnusableName { .. } => "chain.unusable_name",
            Self::Verifier { .. } => "chain.verifier_refused",
            Self::Config { .. } => "chain.config_refused",
            Self::Load { .. } => "chain.load_refused",
            Self::Slot { .. } => "chain.slot_refused",
            Self::Fuse(_) => "chain.fuse_refused",
            Self::FusedVerifier { .. } => "chain.fused_verifier_refused",
            Self::Dispatcher(_) => "chain.dispatcher_refused",
            Self::Record(_) => "chain.record",
            Self::Observe(ObserveError::Busy { .. }) => "chain.busy",
            Self::Observe(_) => "chain.observe",
            Self::Pin { .. } => "chain.pin",
            Self::MtuTooLarge { .. } => "chain.mtu_too_large",
            Self::NoNativeMode { .. } => "chain.no_native_mode",
            Self::Raced { .. } => "chain.raced",
            Self::Switch { .. } => "chain.switch_refused",
        }
    }
}

impl From<ObserveError> for ApplyError {
    fn from(error: ObserveError) -> Self {
        match error {
            ObserveError::InterfaceGone { interface } => Self::InterfaceGone { interface },
            other => Self::Observe(other),
        }
    }
}
