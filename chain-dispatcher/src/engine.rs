//! The door of the crate: open a pin root, then plan, apply, observe, count, detach. Every operation
//! works in the network namespace of the calling thread. Knows the order of things, no details.

use std::path::{Path, PathBuf};

use skep_artifact::hook::Hook;

use crate::backend::{self, Job, Spot, tc, tcx};
use crate::chain::{Chain, Counting, HookPoint, Member, in_order};
use crate::choice;
use crate::counters::{self, MemberCounters};
use crate::drops::{DropStream, DropsError, Roots};
use crate::error::{ApplyError, DetachError, EngineError, ObserveError};
use crate::execute::{Execution, refusal};
use crate::features;
use crate::kernel::netlink::{self, Interface};
use crate::kernel::sys;
use crate::kinds::Attachment;
use crate::load::{self, Frags};
use crate::lock;
use crate::observe::{self, Gone, Look, ObservedChain};
use crate::pins::{self, HookDir, HookKey};
use crate::record::ChainRecord;
use crate::seeing::{self, Sampling, Seeing, SeeingError};
use crate::swap::{self, Blocked, Seen, SeenFolder, Step, SwapPlan, Wanted, WantedMember};
use crate::testrun::{self, Outcome, TestRunError};

/// How to open an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineConfig {
    /// A folder for this engine's pins alone; a bpffs is mounted over it unless it lies on one.
    pub pin_root: PathBuf,
    /// Whether chains count what they do.
    pub counting: Counting,
    /// The folder in which libxdp's users keep their pins: theirs, when chains shall join them.
    pub libxdp_root: PathBuf,
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
        }
    }
}

/// Puts chains on hooks and says what runs there.
#[derive(Debug)]
pub struct Engine {
    root: PathBuf,
    counting: Counting,
    libxdp_root: PathBuf,
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
        let EngineConfig { pin_root, counting, libxdp_root } = config;
        pins::prepare_root(&pin_root)
            .map_err(|source| EngineError::PinRoot { path: pin_root.clone(), source })?;
        features::probe(Hook::Xdp)?;
        let engine = Self { root: pin_root, counting, libxdp_root };
        engine.sweep().map_err(EngineError::Sweep)?;
        Ok(engine)
    }

    /// The folder that holds the pins.
    pub fn pin_root(&self) -> &Path {
        &self.root
    }

    /// What `apply` would do. Touches nothing.
    pub fn plan(&self, chain: &Chain) -> Result<SwapPlan, ApplyError> {
        check_limits(chain)?;
        let wanted = self.wanted(chain)?;
        let look = self.look(&chain.at)?;
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
        check_limits(chain)?;
        let wanted = self.wanted(chain)?;
        wanted.record.to_value()?;
        let _lock = lock::take(&self.root)?;
        // A vanished interface is found here; its pins are swept whatever the answer is.
        self.sweep_locked()?;
        let look = self.look(&chain.at)?;
        match wanted.record.backend.attachment() {
            Attachment::Tcx => tcx::probe(look.interface.index, chain.at.hook)?,
            Attachment::Clsact => tc::probe(look.interface.index, chain.at.hook)?,
            Attachment::XdpLink | Attachment::XdpNetlink => {}
        }
        let plan = decide(chain, &look.seen, &wanted)?;
        self.execute(chain, &look, &wanted, &plan, done)?;
        let chain = self.observe_hook(&chain.at)?;
        Ok(Applied { plan, chain })
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
        let Some(folder) = look.seen.running() else { return Ok(None) };
        let pinned = observe::open_pin(&look.dir.generation(folder.number).dispatcher())?;
        pinned.map(|program| testrun::run(&program, at.hook, packet, times)).transpose()
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

    /// Takes what is live off and removes all pins; gives whether anything was live. Without an
    /// interface only a link can be.
    fn detach_hook(
        &self,
        dir: &HookDir,
        hook: Hook,
        interface: Option<&Interface>,
    ) -> Result<bool, DetachError> {
        let refused = |source| DetachError::Detach { path: dir.path().to_owned(), source };
        let live = match interface {
            Some(interface) => {
                let spot = Spot { interface, hook, dir, libxdp_root: &self.libxdp_root };
                let seen = observe::pinned(&spot)?;
                if let Some(live) = seen.live {
                    backend::detach(&spot, live).map_err(refused)?;
                }
                for folder in &seen.folders {
                    backend::clear_beside(&spot, folder).map_err(refused)?;
                }
                seen.live
            }
            None => {
                let live = backend::here::anywhere(dir)?;
                if live.is_some() {
                    backend::xdp_link::detach(dir).map_err(refused)?;
                }
                live
            }
        };
        if live.is_some() {
            // A packet still inside the chain must find its members.
            sys::wait_for_running_programs().map_err(refused)?;
        }
        pins::remove_folder(dir.path()).map_err(refused)?;
        Ok(live.is_some())
    }

    /// Removes what killed runs left behind: generations that no link runs, and pins of interfaces
    /// that are gone. Gives how many folders it removed.
    pub fn sweep(&self) -> Result<usize, ObserveError> {
        let _lock = lock::take(&self.root)?;
        self.sweep_locked()
    }

    fn sweep_locked(&self) -> Result<usize, ObserveError> {
        let host = Host::look()?;
        backend::here::follow(&self.root, &self.hooks()?, host.netns, &host.interfaces)?;
        let mut removed = 0;
        for key in self.hooks()? {
            let dir = HookDir::of(&self.root, &key);
            let spot = host.interface(&key).map(|interface| Spot {
                interface,
                hook: key.hook,
                dir: &dir,
                libxdp_root: &self.libxdp_root,
            });
            let seen = match &spot {
                Some(spot) => Some(observe::pinned(spot)?),
                None => observe::pinned_elsewhere(&dir, host.gone(&key))?,
            };
            let Some(seen) = seen else { continue };
            removed += sweep_hook(&dir, spot.as_ref(), &seen)?;
        }
        let indices: Vec<u32> = host.interfaces.iter().map(|interface| interface.index).collect();
        tc::sweep_notes(&self.root, host.netns, &indices)
            .map_err(|source| ObserveError::Pins { path: self.root.clone(), source })?;
        Ok(removed)
    }

    fn hooks(&self) -> Result<Vec<HookKey>, ObserveError> {
        pins::hooks_in(&self.root)
            .map_err(|source| ObserveError::Pins { path: self.root.clone(), source })
    }

    fn look(&self, at: &HookPoint) -> Result<Look, ObserveError> {
        Look::at(&self.root, &self.libxdp_root, at)
    }

    fn wanted(&self, chain: &Chain) -> Result<Wanted, ApplyError> {
        let chosen = choice::choose(chain.at.hook, chain.backend)
            .map_err(|(backend, why)| ApplyError::BackendUnavailable { backend, why })?;
        let (backend, members) = (chosen.backend, chain.members.len());
        if members > backend.members_max() {
            let max = backend.members_max();
            return Err(ApplyError::TooManyMembers { members, max, backend });
        }
        let dispatcher = backend::identity(backend, chain.at.hook);
        let members = in_order(&chain.members)
            .into_iter()
            .map(|member| wanted_member(member, chain.at.hook))
            .collect::<Result<_, _>>()?;
        let record = ChainRecord::of(chain, chosen, dispatcher, self.counting);
        let Chain { foreign, xdp_mode: mode, gap, .. } = *chain;
        Ok(Wanted { record, members, foreign, mode, gap })
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
            frags: frags(wanted),
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
                    plan.steps[..=index].iter().rev().for_each(|earlier| execution.undo(earlier));
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

/// The interfaces of the calling thread's network namespace.
struct Host {
    netns: u64,
    interfaces: Vec<Interface>,
}

impl Host {
    fn look() -> Result<Self, ObserveError> {
        let interfaces = netlink::interfaces()
            .map_err(|source| ObserveError::Kernel { what: "the interfaces", source })?;
        Ok(Self { netns: observe::netns()?, interfaces })
    }

    fn interface(&self, key: &HookKey) -> Option<&Interface> {
        self.interfaces.iter().find(|i| i.index == key.ifindex && key.netns == self.netns)
    }

    fn gone(&self, key: &HookKey) -> Gone {
        if key.netns == self.netns { Gone::Yes } else { Gone::Unknown }
    }
}

fn decide(chain: &Chain, seen: &Seen, wanted: &Wanted) -> Result<SwapPlan, ApplyError> {
    let at = || chain.at.clone();
    swap::plan(&chain.at, seen, wanted).map_err(|blocked| match blocked {
        Blocked::Held(program) => ApplyError::Foreign { at: at(), program },
        Blocked::Gap(crossing) => ApplyError::GapRefused { at: at(), crossing },
    })
}

fn wanted_member(member: &Member, hook: Hook) -> Result<WantedMember, ApplyError> {
    let outline = load::outline(member.object.bytes(), &member.program, hook, &member.config)
        .map_err(|error| refusal(member, error))?;
    Ok(WantedMember { outline, config_maps: member.config.maps.keys().cloned().collect() })
}

/// All entries of a program array must agree on frags: they have it only if every member does.
fn frags(wanted: &Wanted) -> Frags {
    let all = !wanted.members.is_empty() && wanted.members.iter().all(|m| m.outline.frags);
    if all { Frags::With } else { Frags::Without }
}

fn check_limits(chain: &Chain) -> Result<(), ApplyError> {
    let mut names = std::collections::BTreeSet::new();
    for Member { policy, name, object, .. } in &chain.members {
        if !object.permits(chain.at.hook) {
            return Err(ApplyError::HookNotPermitted {
                at: chain.at.clone(),
                member: name.clone(),
            });
        }
        let length = pins::member_name(policy, name).len();
        if policy.is_empty() || name.is_empty() || length > pins::NAME_BYTES_MAX {
            return Err(ApplyError::UnusableName { policy: policy.clone(), name: name.clone() });
        }
        if !names.insert((policy, name)) {
            return Err(ApplyError::DuplicateMember { policy: policy.clone(), name: name.clone() });
        }
    }
    Ok(())
}

/// Removes the generations of a hook that do not run, or the hook's folder if none does.
fn sweep_hook(dir: &HookDir, spot: Option<&Spot<'_>>, seen: &Seen) -> Result<usize, ObserveError> {
    let clear = |folder: &SeenFolder| match spot {
        Some(spot) => backend::clear_beside(spot, folder)
            .map_err(|source| ObserveError::Pins { path: dir.path().to_owned(), source }),
        None => Ok(()),
    };
    let leftovers = seen.leftovers();
    if !leftovers.is_empty() && seen.live.is_some() {
        // They may have been live a moment ago.
        sys::wait_for_running_programs()
            .map_err(|source| ObserveError::Kernel { what: "the running programs", source })?;
    }
    leftovers.iter().try_for_each(|folder| clear(folder))?;
    if seen.live.is_none() {
        remove(dir.path())?;
        return Ok(1);
    }
    for folder in &leftovers {
        remove(dir.generation(folder.number).path())?;
    }
    Ok(leftovers.len())
}

fn remove(path: &Path) -> Result<(), ObserveError> {
    pins::remove_folder(path).map_err(|source| ObserveError::Pins { path: path.to_owned(), source })
}
