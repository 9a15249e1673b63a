//! What really runs: pins and kernel asked, never a file of our own. Reads only; decides nothing.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use skep_artifact::Digest;
use skep_artifact::hook::{Failure, Hook, Mode, VerdictSet};

use crate::backend::{self, Spot};
use crate::chain::HookPoint;
use crate::error::ObserveError;
use crate::kernel::netlink::{self, Interface, XdpMode};
use crate::kernel::objects;
use crate::kernel::sys;
use crate::kinds::{Attachment, Backend, Build};
use crate::meaning::MapTypes;
use crate::pins::{self, GenerationDir, HookDir, HookKey};
use crate::record::{ChainRecord, MemberRecord};
use crate::swap::{ForeignProgram, How, Seen, SeenFolder, SeenMap};

use foreign::foreign;
pub(crate) use foreign::xdp_links;

mod foreign;

/// A chain as the kernel runs it, or a hook on which only others' programs run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedChain {
    /// Where.
    pub at: HookPoint,
    /// How it is built; none where nothing of ours runs.
    pub backend: Option<Backend>,
    /// Why that backend, in one sentence.
    pub reason: String,
    /// For XDP: native, generic or offloaded.
    pub mode: Option<XdpMode>,
    /// The caller's number at the last apply.
    pub generation: u64,
    /// In the order in which packets meet them.
    pub members: Vec<ObservedMember>,
    /// What ties our chain to the hook; none where nothing of ours runs.
    pub attachment: Option<Attachment>,
    /// The kernel's number for the link; none where it is attached without one.
    pub link_id: Option<u32>,
    /// The kernel's number for the dispatcher.
    pub dispatcher_id: Option<u32>,
    /// Others' programs on the same hook.
    pub foreign: Vec<ForeignProgram>,
}

/// One member as the kernel runs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedMember {
    /// The policy that asked for it.
    pub policy: String,
    /// Its name within the policy.
    pub name: String,
    /// The package; none for a local file.
    pub package: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// The digest of the package's index.
    pub index_digest: Option<Digest>,
    /// The digest of the object's bytes.
    pub digest: Digest,
    /// The function.
    pub program: String,
    /// Lower runs first.
    pub priority: u32,
    /// Whether its verdicts count.
    pub mode: Mode,
    /// The verdicts after which the next member runs.
    pub proceed_on: VerdictSet,
    /// What happens to a packet for which it could not run.
    pub failure: Failure,
    /// The kernel's number for the program; none if it does not run: its pin is gone, or others took
    /// it out of a chain that they share.
    pub prog_id: Option<u32>,
    /// The kernel's digest of its instructions, 16 hexadecimal digits.
    pub tag: Option<String>,
    /// The digest of what its config wrote.
    pub config_digest: Digest,
}

/// A hook with everything known about it.
pub(crate) struct Look {
    pub(crate) interface: Interface,
    pub(crate) hook: Hook,
    pub(crate) dir: HookDir,
    pub(crate) seen: Seen,
    libxdp_root: PathBuf,
}

impl Look {
    /// Looks at a hook of the calling thread's network namespace.
    pub(crate) fn at(
        root: &Path,
        libxdp_root: &Path,
        at: &HookPoint,
    ) -> Result<Self, ObserveError> {
        let (interface, key) = locate(at)?;
        let dir = HookDir::of(root, &key);
        let libxdp_root = libxdp_root.to_owned();
        let mut look = Self { interface, hook: at.hook, dir, seen: Seen::default(), libxdp_root };
        look.seen = seen(&look.spot())?;
        Ok(look)
    }

    pub(crate) fn spot(&self) -> Spot<'_> {
        let libxdp_root = &self.libxdp_root;
        Spot { interface: &self.interface, hook: self.hook, dir: &self.dir, libxdp_root }
    }
}

/// The interface and the pins' name for one of its hooks.
pub(crate) fn locate(at: &HookPoint) -> Result<(Interface, HookKey), ObserveError> {
    let interface = netlink::interface_named(&at.interface)
        .map_err(|source| ObserveError::Kernel { what: "the interface", source })?
        .ok_or_else(|| ObserveError::InterfaceGone { interface: at.interface.clone() })?;
    let key = HookKey { netns: netns()?, ifindex: interface.index, hook: at.hook };
    Ok((interface, key))
}

pub(crate) fn netns() -> Result<u64, ObserveError> {
    pins::current_netns()
        .map_err(|source| ObserveError::Kernel { what: "this network namespace", source })
}

/// Everything that a plan needs to know about a hook.
pub(crate) fn seen(spot: &Spot<'_>) -> Result<Seen, ObserveError> {
    let mut seen = pinned(spot)?;
    for folder in &mut seen.folders {
        let dir = spot.dir.generation(folder.number);
        folder.record = record(&dir)?;
        for member in folder.record.iter().flat_map(|record| &record.members) {
            folder.maps.extend(member_maps(&dir, member)?);
        }
        folder.intact = match &folder.record {
            Some(record) => backend::intact(spot, &dir, record)?,
            None => false,
        };
    }
    if spot.hook == Hook::Xdp {
        let program = seen.live.map(|live| live.program_id);
        let programs = &spot.interface.xdp;
        seen.mode = programs.iter().find(|(_, id)| Some(*id) == program).map(|(mode, _)| *mode);
        seen.libxdp = backend::libxdp::chain_there(spot)?;
    }
    seen.foreign = foreign(spot.interface, spot.hook, seen.live)?;
    seen.foreign.extend(seen.libxdp.iter().flat_map(|chain| chain.others.clone()));
    Ok(seen)
}

/// What is live and the dispatchers of a hook only: enough to tell what runs from what was left
/// behind.
pub(crate) fn pinned(spot: &Spot<'_>) -> Result<Seen, ObserveError> {
    let mut folders = folders(spot.dir)?;
    let live = backend::live(spot, &mut folders)?;
    Ok(Seen { live, folders, ..Seen::default() })
}

/// As [`pinned`], for an interface of another namespace, or one that is gone: only links can be seen
/// there. None where a chain may run that is tied to its hook in another way.
pub(crate) fn pinned_elsewhere(dir: &HookDir, gone: Gone) -> Result<Option<Seen>, ObserveError> {
    let folders = folders(dir)?;
    let live = backend::here::anywhere(dir)?;
    if live.is_none() && gone == Gone::Unknown {
        for folder in &folders {
            let record = record(&dir.generation(folder.number))?;
            let attachment = record.map(|record| record.backend.attachment());
            if matches!(attachment, Some(Attachment::XdpNetlink | Attachment::Clsact)) {
                return Ok(None);
            }
        }
    }
    Ok(Some(Seen { live, folders, ..Seen::default() }))
}

/// Whether an interface that is not among those of the calling thread's namespace exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gone {
    /// It is of this namespace, and not there.
    Yes,
    /// It is of another namespace.
    Unknown,
}

fn folders(dir: &HookDir) -> Result<Vec<SeenFolder>, ObserveError> {
    let numbers = dir
        .generations()
        .map_err(|source| ObserveError::Pins { path: dir.path().to_owned(), source })?;
    numbers
        .into_iter()
        .map(|number| {
            let dispatcher = program_at(&dir.generation(number).dispatcher())?;
            let dispatcher_id = dispatcher.map(|info| info.id);
            Ok(SeenFolder { number, dispatcher_id, record: None, intact: false, maps: Vec::new() })
        })
        .collect()
}

fn member_maps(dir: &GenerationDir, member: &MemberRecord) -> Result<Vec<SeenMap>, ObserveError> {
    let folder = dir.maps(&member.policy, &member.name);
    let read = |source| ObserveError::Pins { path: folder.clone(), source };
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(read(error)),
    };
    let mut maps = Vec::new();
    for entry in entries {
        let entry = entry.map_err(read)?;
        let Some(map) = open_pin(&entry.path())? else { continue };
        let info = sys::map_info(map.as_fd())
            .map_err(|source| ObserveError::Kernel { what: "a pinned map", source })?;
        maps.push(SeenMap {
            policy: member.policy.clone(),
            member: member.name.clone(),
            map: pins::unescaped(&entry.file_name().to_string_lossy()),
            shape: info.shape.as_declared(),
            types: MapTypes::default(),
        });
    }
    Ok(maps)
}

/// Asks what the bytes of the running chain's maps mean: only a plan needs it.
pub(crate) fn ask_types(look: &mut Look) -> Result<(), ObserveError> {
    let Some(running) = look.seen.running().map(|folder| folder.number) else { return Ok(()) };
    let refused = |source| ObserveError::Kernel { what: "a pinned map", source };
    let dir = look.dir.generation(running);
    let mut folders = look.seen.folders.iter_mut();
    for map in folders.find(|f| f.number == running).into_iter().flat_map(|f| &mut f.maps) {
        let Some(pinned) = open_pin(&dir.map(&map.policy, &map.member, &map.map))? else {
            continue;
        };
        let info = sys::map_info(pinned.as_fd()).map_err(refused)?;
        if info.btf_id != 0 {
            let btf = sys::btf_bytes(info.btf_id).map_err(refused)?;
            map.types = MapTypes::read(&btf, info.btf_key, info.btf_value);
        }
    }
    Ok(())
}

/// What a generation says about itself; none if it cannot be read.
pub(crate) fn record(dir: &GenerationDir) -> Result<Option<ChainRecord>, ObserveError> {
    let Some(map) = open_pin(&dir.record())? else { return Ok(None) };
    let value = sys::map_lookup(map.as_fd(), &0u32.to_ne_bytes())
        .map_err(|source| ObserveError::Kernel { what: "a chain's record", source })?;
    Ok(value.and_then(|value| ChainRecord::from_value(&value).ok()))
}

/// Every chain of ours and every hook with others' programs, in the calling thread's namespace.
pub(crate) fn chains(root: &Path, libxdp_root: &Path) -> Result<Vec<ObservedChain>, ObserveError> {
    let netns = netns()?;
    let interfaces = netlink::interfaces()
        .map_err(|source| ObserveError::Kernel { what: "the interfaces", source })?;
    let mut chains = Vec::new();
    for interface in &interfaces {
        for hook in Hook::ALL {
            let dir = HookDir::of(root, &HookKey { netns, ifindex: interface.index, hook });
            let spot = Spot { interface, hook, dir: &dir, libxdp_root };
            let seen = seen(&spot)?;
            if seen.live.is_none() && seen.foreign.is_empty() {
                continue;
            }
            chains.push(observed(&spot, &seen)?);
        }
    }
    Ok(chains)
}

pub(crate) fn observed(spot: &Spot<'_>, seen: &Seen) -> Result<ObservedChain, ObserveError> {
    let running = seen.running().and_then(|folder| Some((folder, folder.record.as_ref()?)));
    let members = match running {
        Some((folder, record)) => {
            let dir = spot.dir.generation(folder.number);
            // The members of a fused chain have no programs of their own: they run in the dispatcher.
            let fused = record.backend.build() == Build::Fused;
            let whole = if fused { program_at(&dir.dispatcher())? } else { None };
            record
                .members
                .iter()
                .map(|member| observed_member(&dir, member, whole.as_ref()))
                .map(|member| Ok(as_it_runs(member?, record.backend, seen)))
                .collect::<Result<_, ObserveError>>()?
        }
        None => Vec::new(),
    };
    Ok(ObservedChain {
        at: HookPoint { interface: spot.interface.name.clone(), hook: spot.hook },
        backend: running.map(|(_, record)| record.backend),
        reason: reason(seen, running.map(|(_, record)| record)),
        mode: seen.mode,
        generation: running.map_or(0, |(_, record)| record.generation),
        members,
        attachment: seen.live.map(|live| live.how.attachment(spot.hook.is_tc())),
        link_id: seen.live.and_then(|live| match live.how {
            How::Link { id } => Some(id),
            How::Netlink | How::Filter { .. } => None,
        }),
        dispatcher_id: seen.live.map(|live| live.program_id),
        foreign: seen.foreign.clone(),
    })
}

fn reason(seen: &Seen, record: Option<&ChainRecord>) -> String {
    match (record, seen.live) {
        (Some(record), _) => record.told(),
        (None, Some(_)) => {
            "the hook runs a program that no chain under the pin root describes".to_owned()
        }
        (None, None) => "only programs that Skep did not attach run here".to_owned(),
    }
}

/// Others may have taken a member out of a libxdp chain: its program is pinned, but does not run.
fn as_it_runs(member: ObservedMember, backend: Backend, seen: &Seen) -> ObservedMember {
    let in_chain = seen.libxdp.iter().flat_map(|chain| &chain.ours);
    if backend != Backend::Libxdp || in_chain.into_iter().any(|id| Some(*id) == member.prog_id) {
        return member;
    }
    ObservedMember { prog_id: None, tag: None, ..member }
}

fn observed_member(
    dir: &GenerationDir,
    member: &MemberRecord,
    whole: Option<&objects::ProgramInfo>,
) -> Result<ObservedMember, ObserveError> {
    let own = program_at(&dir.program(&member.policy, &member.name))?;
    let info = own.as_ref().or(whole);
    Ok(ObservedMember {
        policy: member.policy.clone(),
        name: member.name.clone(),
        package: member.package.clone(),
        version: member.version.clone(),
        index_digest: member.index_digest,
        digest: member.object,
        program: member.program.clone(),
        priority: member.priority,
        mode: member.mode,
        proceed_on: member.proceed_on,
        failure: member.failure,
        prog_id: info.map(|info| info.id),
        tag: info.map(|info| info.tag.iter().map(|byte| format!("{byte:02x}")).collect()),
        config_digest: member.config_digest,
    })
}

/// What the kernel says about a pinned program; none where nothing is pinned.
pub(crate) fn program_at(path: &Path) -> Result<Option<objects::ProgramInfo>, ObserveError> {
    let Some(program) = open_pin(path)? else { return Ok(None) };
    sys::prog_info(program.as_fd())
        .map(Some)
        .map_err(|source| ObserveError::Kernel { what: "a pinned program", source })
}

/// What is pinned at a path; none if nothing is.
pub(crate) fn open_pin(path: &Path) -> Result<Option<OwnedFd>, ObserveError> {
    match sys::obj_get(path) {
        Ok(fd) => Ok(Some(fd)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ObserveError::Pins { path: path.to_owned(), source }),
    }
}
