//! The door of the crate: open a pin root, then plan, apply, observe, count, detach. Every operation
//! works in the network namespace of the calling thread. Knows the order of things, no details.

mod clear;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use clear::Host;

use crate::backend::Job;
use crate::chain::{Chain, Counting, HookPoint, in_order};
use crate::choice::Kernel;
use crate::counters::{self, MemberCounters};
use crate::drops::{DropStream, DropsError, Roots};
use crate::error::{ApplyError, DetachError, EngineError, ObserveError};
use crate::execute::Execution;
use crate::features;
use crate::kernel::sys;
use crate::libxdp::config::Version as LibxdpVersion;
use crate::lock;
use crate::observe::{self, Look, ObservedChain};
use crate::pins::{self, HookDir};
use crate::seeing::{self, Sampling, Seeing, SeeingError};
use crate::swap::{self, Blocked, LostMap, Restarted, Seen, Step, SwapPlan, Wanted, WantedMember};
use crate::testrun::{self, Outcome, TestRunError};
use crate::wanted;

/// How often a change begins anew because somebody else changed the interface at the same time: as
/// often as libxdp does.
const RACES_MAX: u32 = 10;

/// How to open an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineConfig {
    /// A folder for this engine's pins alone; a bpffs is mounted over it unless it lies on one.
    pub pin_root: PathBuf,
    /// Whether chains count what they do.
    pub counting: Counting,
    /// The folder in which libxdp's users keep their pins: theirs, when chains shall join them.
    pub libxdp_root: PathBuf,
    /// The version of libxdp's protocol for chains of which Skep makes the first; whoever joins one
    /// keeps its version. What the libxdp of the host speaks is [`LibxdpVersion::installed`].
    pub libxdp_version: LibxdpVersion,
}

impl EngineConfig {
    /// Where libxdp's users keep their pins, unless their environment says otherwise.
    pub const LIBXDP_ROOT: &str = "/sys/fs/bpf/xdp";

    /// Chains that count, pinned under `pin_root`.
    pub fn new(pin_root: impl Into<PathBuf>) -> Self {
        Self {
            pin_root: pin_root.into(),
            counting: Counting::default(),
            libxdp_root: PathBuf::from(Self::LIBXDP_ROOT),
            libxdp_version: LibxdpVersion::default(),
        }
    }
}

/// Puts chains on hooks and says what runs there.
#[derive(Debug)]
pub struct Engine {
    root: PathBuf,
    counting: Counting,
    libxdp_root: PathBuf,
    libxdp_version: LibxdpVersion,
    kernel: OnceLock<Kernel>,
}

/// What `apply` did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The steps, all done.
    pub plan: SwapPlan,
    /// What runs now.
    pub chain: ObservedChain,
}

impl Engine {
    /// Opens a pin root, probes the kernel, and removes what a killed run left behind. Running
    /// chains stay as they are.
    pub fn open(config: EngineConfig) -> Result<Self, EngineError> {
        let EngineConfig { pin_root, counting, libxdp_root, libxdp_version } = config;
        pins::prepare_root(&pin_root)
            .map_err(|source| EngineError::PinRoot { path: pin_root.clone(), source })?;
        features::may_load_programs()?;
        let engine =
            Self { root: pin_root, counting, libxdp_root, libxdp_version, kernel: OnceLock::new() };
        engine.sweep().map_err(EngineError::Sweep)?;
        Ok(engine)
    }

    /// The folder that holds the pins.
    pub fn pin_root(&self) -> &Path {
        &self.root
    }

    /// What `apply` would do. Touches nothing.
    pub fn plan(&self, chain: &Chain) -> Result<SwapPlan, ApplyError> {
        let members = wanted::read_members(chain)?;
        let mut look = self.look(&chain.at)?;
        observe::ask_types(&mut look)?;
        let wanted = self.wanted(chain, members, &look.seen)?;
        decide(chain, &look.seen, &wanted)
    }

    /// Makes the hook run this chain: all of it, or what ran before. Does nothing if it runs.
    pub fn apply(&self, chain: &Chain) -> Result<Applied, ApplyError> {
        self.apply_telling(chain, &mut |_| {})
    }

    /// As [`Engine::apply`], and tells each step once it is done.
    pub fn apply_telling(
        &self,
        chain: &Chain,
        done: &mut dyn FnMut(&Step),
    ) -> Result<Applied, ApplyError> {
        let members = wanted::read_members(chain)?;
        let _lock = lock::take(&self.root)?;
        // A vanished interface is found here; its pins are swept whatever the answer is.
        self.sweep_locked()?;
        let mut tries = 1;
        let plan = loop {
            match self.apply_once(chain, &members, done) {
                Err(ApplyError::Raced { .. }) if tries < RACES_MAX => tries += 1,
                other => break other?,
            }
        };
        let chain = self.observe_hook(&chain.at)?;
        Ok(Applied { plan, chain })
    }

    fn apply_once(
        &self,
        chain: &Chain,
        members: &[WantedMember],
        done: &mut dyn FnMut(&Step),
    ) -> Result<SwapPlan, ApplyError> {
        let mut look = self.look(&chain.at)?;
        observe::ask_types(&mut look)?;
        let wanted = self.wanted(chain, members.to_vec(), &look.seen)?;
        wanted.record.to_value()?;
        let plan = decide(chain, &look.seen, &wanted)?;
        self.execute(chain, &look, &wanted, &plan, done)?;
        Ok(plan)
    }

    /// Every chain of ours in this network namespace, and every hook that others hold.
    pub fn observe(&self) -> Result<Vec<ObservedChain>, ObserveError> {
        observe::chains(&self.root, &self.libxdp_root)
    }

    /// What one hook runs.
    pub fn observe_hook(&self, at: &HookPoint) -> Result<ObservedChain, ObserveError> {
        let look = self.look(at)?;
        observe::observed(&look.spot(), &look.seen)
    }

    /// What the members on a hook counted; empty where no chain of ours runs.
    pub fn counters(&self, at: &HookPoint) -> Result<Vec<MemberCounters>, ObserveError> {
        let look = self.look(at)?;
        counters::read(&look.dir, at.hook, &look.seen)
    }

    /// How closely the chain on a hook is looked at.
    pub fn seeing(&self, at: &HookPoint) -> Result<Seeing, SeeingError> {
        seeing::read(self.look(at)?, at)
    }

    /// Switches the timing of packets on a hook while they pass: none is lost, nothing is replaced.
    pub fn set_timing(&self, at: &HookPoint, timing: Sampling) -> Result<(), SeeingError> {
        seeing::set_timing(self.look(at)?, at, timing)
    }

    /// The drops of a hook from now on, one in `one_in`. One reader per hook at a time; telling ends
    /// with the stream.
    pub fn drops(&self, at: &HookPoint, one_in: u32) -> Result<DropStream, DropsError> {
        let roots = Roots { pins: self.root.clone(), libxdp: self.libxdp_root.clone() };
        DropStream::open(roots, at, one_in)
    }

    /// Runs the chain that is live on a hook over a packet, `times` times, without any traffic. Its
    /// members count it like any other. None where no chain of ours runs.
    pub fn test_run(
        &self,
        at: &HookPoint,
        packet: &[u8],
        times: u32,
    ) -> Result<Option<Outcome>, TestRunError> {
        let look = self.look(at)?;
        let (Some(live), Some(_)) = (look.seen.live, look.seen.running()) else { return Ok(None) };
        // By its number, not by our pin: others may have rebuilt a libxdp chain around our members.
        let program = sys::prog_by_id(live.program_id)
            .map_err(|source| ObserveError::Kernel { what: "the dispatcher", source })?;
        testrun::run(&program, at.hook, packet, times).map(Some)
    }

    /// Takes our chain off a hook. Fine where none is.
    pub fn detach(&self, at: &HookPoint) -> Result<(), DetachError> {
        let _lock = lock::take(&self.root)?;
        let (interface, key) = observe::locate(at)?;
        let dir = HookDir::of(&self.root, &key);
        self.detach_hook(&dir, key.hook, Some(&interface)).map(drop)
    }

    /// Takes every chain of ours off, in all network namespaces that this pin root knows, and names
    /// those of this namespace. Others' programs stay; so do chains of other namespaces that are not
    /// on a link, which only a thread in there can take off.
    pub fn detach_all(&self) -> Result<Vec<HookPoint>, DetachError> {
        let _lock = lock::take(&self.root)?;
        let host = Host::look()?;
        let mut detached = Vec::new();
        for key in self.hooks()? {
            let dir = HookDir::of(&self.root, &key);
            let interface = host.interface(&key);
            if interface.is_none() && observe::pinned_elsewhere(&dir, host.gone(&key))?.is_none() {
                let hook = dir.path().display();
                tracing::warn!(%hook, "a chain of another network namespace is not on a link and stays");
                continue;
            }
            let ran = self.detach_hook(&dir, key.hook, interface)?;
            if let (true, Some(interface)) = (ran, interface) {
                detached.push(HookPoint { interface: interface.name.clone(), hook: key.hook });
            }
        }
        detached.sort();
        Ok(detached)
    }

    /// Removes what killed runs left behind: generations that no link runs, and pins of interfaces
    /// that are gone. Gives how many folders it removed.
    pub fn sweep(&self) -> Result<usize, ObserveError> {
        let _lock = lock::take(&self.root)?;
        self.sweep_locked()
    }

    fn look(&self, at: &HookPoint) -> Result<Look, ObserveError> {
        Look::at(&self.root, &self.libxdp_root, at)
    }

    /// What the chain becomes on this hook, with this backend, on this kernel.
    fn wanted(
        &self,
        chain: &Chain,
        members: Vec<WantedMember>,
        seen: &Seen,
    ) -> Result<Wanted, ApplyError> {
        wanted::wanted(chain, members, self.kernel(), seen, self.counting)
    }

    /// What this kernel can do, asked once.
    fn kernel(&self) -> &Kernel {
        self.kernel.get_or_init(features::kernel)
    }

    fn execute(
        &self,
        chain: &Chain,
        look: &Look,
        wanted: &Wanted,
        plan: &SwapPlan,
        done: &mut dyn FnMut(&Step),
    ) -> Result<(), ApplyError> {
        let members = in_order(&chain.members);
        let mut execution = Execution::new(Job {
            spot: look.spot(),
            seen: &look.seen,
            record: &wanted.record,
            members: &members,
            frags: wanted::frags(wanted),
            libxdp_version: self.libxdp_version,
            mode: wanted.mode,
            running: look.seen.running().map(|folder| look.dir.generation(folder.number)),
            folder: plan.folder().unwrap_or_default(),
        });
        let mut live = false;
        for (index, step) in plan.steps.iter().enumerate() {
            match execution.perform(step) {
                Ok(()) => {}
                // The new chain runs: what could not be cleared away is swept by the next change.
                Err(error) if live => {
                    tracing::warn!(at = %chain.at, code = error.code(), "the old chain's pins stay for now");
                    return Ok(());
                }
                Err(error) => {
                    execution.undo(&plan.steps[..=index]);
                    tracing::warn!(at = %chain.at, code = error.code(), "the chain was not changed");
                    return Err(error);
                }
            }
            live |= step.is_live();
            tracing::debug!(at = %chain.at, "{step}");
            done(step);
        }
        Ok(())
    }
}

fn decide(chain: &Chain, seen: &Seen, wanted: &Wanted) -> Result<SwapPlan, ApplyError> {
    let at = || chain.at.clone();
    swap::plan(&chain.at, seen, wanted).map_err(|blocked| match blocked {
        Blocked::Held(program) => ApplyError::Foreign { at: at(), program },
        Blocked::Gap(crossing) => ApplyError::GapRefused { at: at(), crossing },
        Blocked::State(LostMap { policy, member, map: Restarted { map, why } }) => {
            ApplyError::StateLost { member: format!("{policy}/{member}"), map, why }
        }
    })
}
