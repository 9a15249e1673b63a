//! Carries a plan out, step by step: one match over [`Step`], no choices left to make. Until the
//! live step everything is new and unpinned or in a folder of its own.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use skep_artifact::config::EncodedConfig;
use skep_artifact::hook::Hook;

use crate::backend::{self, slots, tcx};
use crate::chain::Member;
use crate::error::ApplyError;
use crate::kernel::netlink;
use crate::kernel::objects::{MapShape, MapSpec};
use crate::kernel::sys;
use crate::layout;
use crate::load::{self, Frags, LoadError, Loaded, Request};
use crate::pins::{self, GenerationDir, HookDir};
use crate::record::{Backend, ChainRecord, RECORD_BYTES_MAX};
use crate::seeing;
use crate::swap::{ForeignProgram, Step};

/// `BPF_MAP_TYPE_ARRAY`.
const ARRAY: u32 = 2;

/// A plan being carried out.
pub(crate) struct Execution<'a> {
    pub(crate) interface: &'a str,
    pub(crate) ifindex: u32,
    pub(crate) hook: Hook,
    pub(crate) dir: &'a HookDir,
    pub(crate) record: &'a ChainRecord,
    /// In order.
    pub(crate) members: &'a [&'a Member],
    pub(crate) frags: Frags,
    /// The folder whose state maps are carried over.
    pub(crate) running: Option<GenerationDir>,
    /// Number of the folder that the new chain will be pinned in.
    pub(crate) folder: u64,
    pub(crate) loaded: Vec<Loaded>,
    pub(crate) dispatcher: Option<Loaded>,
}

impl Execution<'_> {
    /// Performs one step.
    pub(crate) fn perform(&mut self, step: &Step) -> Result<(), ApplyError> {
        match step {
            Step::LoadMember { slot, carried, .. } => self.load_member(*slot, carried),
            Step::LoadDispatcher { backend, .. } => self.load_dispatcher(*backend),
            Step::Pin { folder } => self.pin(&self.dir.generation(*folder)),
            Step::TakeOver { program } => self.take_over(program),
            Step::Attach { .. } => self.attach(),
            Step::Switch { from, .. } => self.switch(*from),
            Step::Settle => sys::wait_for_running_programs()
                .map_err(|source| ApplyError::Switch { action: "wait for the old chain", source }),
            Step::Renumber { folder, .. } => self.renumber(&self.dir.generation(*folder)),
            Step::RemoveOld { folder } => remove(self.dir.generation(*folder).path()),
        }
    }

    /// Takes back what a failed plan had pinned before the hook ran it.
    pub(crate) fn undo(&self, step: &Step) {
        if let Step::Pin { folder } = step {
            // What stays is swept by the next apply; the first error is the one to tell.
            let _ = pins::remove_folder(self.dir.generation(*folder).path());
        }
    }

    fn load_member(&mut self, slot: usize, carried: &[String]) -> Result<(), ApplyError> {
        let Some(member) = self.members.get(slot) else { return Ok(()) };
        let mut live = BTreeMap::new();
        for map in carried {
            let Some(running) = &self.running else { continue };
            let path = running.map(&member.policy, &member.name, map);
            let fd = sys::obj_get(&path).map_err(|source| ApplyError::Pin { path, source })?;
            live.insert(map.clone(), fd);
        }
        let request = Request {
            bytes: member.object.bytes(),
            program: &member.program,
            hook: self.hook,
            config: &member.config,
            carried: live,
            frags: self.frags,
        };
        let loaded = load::load(request).map_err(|error| refusal(member, error))?;
        self.loaded.push(loaded);
        Ok(())
    }

    fn load_dispatcher(&mut self, backend: Backend) -> Result<(), ApplyError> {
        let (bytes, program) = backend::dispatcher(backend);
        let block = layout::chain_block(self.hook, &self.record.members, self.record.counting);
        let config = EncodedConfig {
            globals: BTreeMap::from([
                (layout::CHAIN_GLOBAL.to_owned(), block),
                (layout::NUMBER_GLOBAL.to_owned(), layout::number(self.folder).to_vec()),
            ]),
            maps: BTreeMap::new(),
        };
        let request = Request {
            bytes,
            program,
            hook: self.hook,
            config: &config,
            carried: seeing::carried(self.running.as_ref())?,
            frags: self.frags,
        };
        let dispatcher = load::load(request).map_err(ApplyError::Dispatcher)?;
        let slots = map_of(&dispatcher, "skep_slots")?;
        for (slot, (member, loaded)) in (0u32..).zip(self.members.iter().zip(&self.loaded)) {
            let fd = sys::raw_fd_bytes(loaded.program.as_fd());
            sys::map_update(slots.as_fd(), &slot.to_ne_bytes(), &fd)
                .map_err(|source| ApplyError::Slot { member: label(member), source })?;
        }
        self.dispatcher = Some(dispatcher);
        Ok(())
    }

    fn pin(&self, dir: &GenerationDir) -> Result<(), ApplyError> {
        let Some(dispatcher) = &self.dispatcher else { return Ok(()) };
        make_folder(dir.path())?;
        make_folder(&dir.members())?;
        for (member, loaded) in self.members.iter().zip(&self.loaded) {
            make_folder(&dir.member(&member.policy, &member.name))?;
            make_folder(&dir.maps(&member.policy, &member.name))?;
            pin(&loaded.program, &dir.program(&member.policy, &member.name))?;
            for (name, map) in &loaded.maps {
                pin(map, &dir.map(&member.policy, &member.name, name))?;
            }
        }
        pin(map_of(dispatcher, "skep_slots")?, &dir.slots())?;
        pin(map_of(dispatcher, layout::COUNTS_MAP)?, &dir.counters())?;
        pin(map_of(dispatcher, layout::DROPS_MAP)?, &dir.drops())?;
        pin(map_of(dispatcher, layout::TIMING_MAP)?, &dir.timing())?;
        pin(map_of(dispatcher, layout::TELLING_MAP)?, &dir.telling())?;
        pin(&self.record_map()?, &dir.record())?;
        pin(&dispatcher.program, &dir.dispatcher())
    }

    fn record_map(&self) -> Result<OwnedFd, ApplyError> {
        let refused = |source| {
            ApplyError::Dispatcher(LoadError::CreateMap { map: "record".to_owned(), source })
        };
        let value = self.record.to_value()?;
        let shape = MapShape {
            kind: ARRAY,
            key_size: 4,
            value_size: u32::try_from(RECORD_BYTES_MAX).unwrap_or_default(),
            max_entries: 1,
            flags: 0,
        };
        let spec = MapSpec { name: "skep_record", shape, ..MapSpec::default() };
        let map = sys::map_create(&spec, None).map_err(refused)?;
        sys::map_update(map.as_fd(), &0u32.to_ne_bytes(), &value).map_err(refused)?;
        sys::map_freeze(map.as_fd()).map_err(refused)?;
        Ok(map)
    }

    fn take_over(&self, program: &ForeignProgram) -> Result<(), ApplyError> {
        let refused =
            |source| ApplyError::Switch { action: "take off the foreign program", source };
        match (program.link_id, program.mode) {
            (Some(id), _) => sys::link_by_id(id).and_then(|link| sys::link_detach(link.as_fd())),
            (None, Some(mode)) => netlink::xdp_remove(self.ifindex, mode),
            (None, None) => Ok(()),
        }
        .map_err(refused)
    }

    fn attach(&self) -> Result<(), ApplyError> {
        let Some(dispatcher) = &self.dispatcher else { return Ok(()) };
        let program = dispatcher.program.as_fd();
        let link = match self.record.backend {
            Backend::Slots => slots::attach(program, self.ifindex),
            Backend::Tcx => tcx::attach(program, self.ifindex, self.hook),
        }
        .map_err(|source| self.live_error("attach the chain", source))?;
        // Should this process die before the pin is made, the kernel takes the link off again: the
        // hook is as it was.
        pin(&link, &self.dir.link())
    }

    fn switch(&self, from: u32) -> Result<(), ApplyError> {
        let Some(dispatcher) = &self.dispatcher else { return Ok(()) };
        let path = self.dir.link();
        let link = sys::obj_get(&path).map_err(|source| ApplyError::Pin { path, source })?;
        sys::prog_by_id(from)
            .and_then(|old| sys::link_update(link.as_fd(), dispatcher.program.as_fd(), old.as_fd()))
            .map_err(|source| self.live_error("switch to the new chain", source))
    }

    fn renumber(&self, dir: &GenerationDir) -> Result<(), ApplyError> {
        let next = dir.next_record();
        if let Err(source) = std::fs::remove_file(&next)
            && source.kind() != io::ErrorKind::NotFound
        {
            return Err(ApplyError::Pin { path: next, source });
        }
        pin(&self.record_map()?, &next)?;
        std::fs::rename(&next, dir.record())
            .map_err(|source| ApplyError::Pin { path: dir.record(), source })
    }

    /// The kernel's answer when the interface went away under us, in our words.
    fn live_error(&self, action: &'static str, source: io::Error) -> ApplyError {
        match source.raw_os_error() {
            Some(libc::ENODEV | libc::ENOLINK) => {
                ApplyError::InterfaceGone { interface: self.interface.to_owned() }
            }
            _ => ApplyError::Switch { action, source },
        }
    }
}

/// How messages name a member.
pub(crate) fn label(member: &Member) -> String {
    format!("{}/{}", member.policy, member.name)
}

/// A loader's error in the words of `apply`.
pub(crate) fn refusal(member: &Member, error: LoadError) -> ApplyError {
    let member = label(member);
    match error {
        LoadError::Verifier { program, last_lines, source } => {
            ApplyError::Verifier { member, program, last_lines, source }
        }
        source @ (LoadError::Global { .. }
        | LoadError::NoSuchMap { .. }
        | LoadError::FillMap { .. }) => ApplyError::Config { member, source },
        source => ApplyError::Load { member, source },
    }
}

fn map_of<'a>(loaded: &'a Loaded, name: &str) -> Result<&'a OwnedFd, ApplyError> {
    loaded
        .maps
        .get(name)
        .ok_or_else(|| ApplyError::Dispatcher(LoadError::NoSuchMap { map: name.to_owned() }))
}

fn pin(object: &OwnedFd, path: &Path) -> Result<(), ApplyError> {
    sys::obj_pin(object.as_fd(), path)
        .map_err(|source| ApplyError::Pin { path: path.to_owned(), source })
}

fn make_folder(path: &Path) -> Result<(), ApplyError> {
    std::fs::create_dir_all(path)
        .map_err(|source| ApplyError::Pin { path: path.to_owned(), source })
}

fn remove(path: &Path) -> Result<(), ApplyError> {
    pins::remove_folder(path).map_err(|source| ApplyError::Pin { path: path.to_owned(), source })
}
