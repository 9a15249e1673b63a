//! Carries a plan out, step by step: one match over [`Step`], no choices left to make. Until the
//! live step everything is new and unpinned or in a folder of its own.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use crate::backend::{self, Builder, Job, Spot};
use crate::chain::Member;
use crate::copy_state;
use crate::error::ApplyError;
use crate::kernel::netlink;
use crate::kernel::objects::{MapShape, MapSpec};
use crate::kernel::sys;
use crate::load::LoadError;
use crate::pins::{self, GenerationDir};
use crate::record::{ChainRecord, RECORD_BYTES_MAX};
use crate::swap::{FieldCopy, ForeignProgram, Live, Step};

/// `BPF_MAP_TYPE_ARRAY`.
const ARRAY: u32 = 2;

/// A plan being carried out.
pub(crate) struct Execution<'a> {
    job: Job<'a>,
    builder: Box<dyn Builder>,
}

impl<'a> Execution<'a> {
    /// Nothing done yet.
    pub(crate) fn new(job: Job<'a>) -> Self {
        Self { builder: backend::builder(job.record.backend), job }
    }

    /// Performs one step.
    pub(crate) fn perform(&mut self, step: &Step) -> Result<(), ApplyError> {
        match step {
            Step::LoadMember { slot, carried, .. } => self.load_member(*slot, carried),
            Step::LoadDispatcher { .. } => self.builder.load_dispatcher(&self.job),
            Step::Pin { folder } => self.pin(&self.generation(*folder)),
            Step::Migrate { slot, map, from, fields, .. } => self.migrate(*slot, map, from, fields),
            Step::TakeOver { program } => self.take_over(program),
            Step::Leave { live } => self.leave(*live),
            Step::Attach { .. } => match self.builder.built().dispatcher {
                Some(dispatcher) => backend::attach(&self.job, dispatcher.as_fd()),
                None => Ok(()),
            },
            Step::Switch { how, from, .. } => match self.builder.built().dispatcher {
                Some(dispatcher) => backend::switch(&self.job, *how, *from, dispatcher.as_fd()),
                None => Ok(()),
            },
            Step::Settle => sys::wait_for_running_programs()
                .map_err(|source| ApplyError::Switch { action: "wait for the old chain", source }),
            Step::Renumber { folder, .. } => self.renumber(&self.generation(*folder)),
            Step::RemoveOld { folder } => self.remove_old(*folder),
        }
    }

    /// Takes back what a failed plan had done before the hook ran the new chain; the last of `steps`
    /// is the one that failed. What stays is swept by the next apply; the first error is the one to
    /// tell.
    pub(crate) fn undo(&self, steps: &[Step]) {
        for (index, step) in steps.iter().enumerate().rev() {
            match step {
                Step::Pin { folder } => {
                    self.builder.unpin_beside(&self.job);
                    let _ = pins::remove_folder(self.generation(*folder).path());
                }
                Step::Leave { live } if index + 1 < steps.len() => self.come_back(*live),
                _ => {}
            }
        }
    }

    fn generation(&self, folder: u64) -> GenerationDir {
        self.job.spot.dir.generation(folder)
    }

    fn load_member(&mut self, slot: usize, carried: &[String]) -> Result<(), ApplyError> {
        let Some(member) = self.job.members.get(slot) else { return Ok(()) };
        let mut live = BTreeMap::new();
        for map in carried {
            let Some(running) = &self.job.running else { continue };
            let path = running.map(&member.policy, &member.name, map);
            let fd = sys::obj_get(&path).map_err(|source| ApplyError::Pin { path, source })?;
            live.insert(map.clone(), fd);
        }
        self.builder.load_member(&self.job, slot, live)
    }

    fn migrate(
        &self,
        slot: usize,
        map: &str,
        from: &str,
        fields: &[FieldCopy],
    ) -> Result<(), ApplyError> {
        let (Some(member), Some(running)) = (self.job.members.get(slot), &self.job.running) else {
            return Ok(());
        };
        let refused =
            |source| ApplyError::Migrate { member: label(member), map: map.to_owned(), source };
        let path = running.map(&member.policy, &member.name, from);
        let old = sys::obj_get(&path).map_err(|source| ApplyError::Pin { path, source })?;
        let new = self.builder.built().members.get(slot).and_then(|built| built.maps.get(map));
        let new = new.ok_or_else(|| refused(io::ErrorKind::NotFound.into()))?;
        let copied = copy_state::copy(old.as_fd(), new.as_fd(), fields).map_err(refused)?;
        tracing::info!(member = label(member), map, copied, "state was copied into a new layout");
        Ok(())
    }

    fn pin(&self, dir: &GenerationDir) -> Result<(), ApplyError> {
        let built = self.builder.built();
        let Some(dispatcher) = built.dispatcher else { return Ok(()) };
        make_folder(dir.path())?;
        make_folder(&dir.members())?;
        for (member, built) in self.job.members.iter().zip(&built.members) {
            make_folder(&dir.member(&member.policy, &member.name))?;
            make_folder(&dir.maps(&member.policy, &member.name))?;
            if let Some(program) = built.program {
                pin(program, &dir.program(&member.policy, &member.name))?;
            }
            for (name, map) in built.maps {
                pin(map, &dir.map(&member.policy, &member.name, name))?;
            }
        }
        for (name, map) in &built.shared {
            pin(map, &dir.shared(name))?;
        }
        pin(&self.record_map()?, &dir.record())?;
        pin(dispatcher, &dir.dispatcher())?;
        self.builder.pin_beside(&self.job)
    }

    /// The record, which tells how the chain was built; one that goes on says what it said.
    fn record(&self) -> ChainRecord {
        let built = self.builder.built();
        let running = self.job.seen.running().and_then(|folder| folder.record.as_ref());
        let notes = match (built.dispatcher, running) {
            (None, Some(running)) => running.notes.clone(),
            _ => built.notes,
        };
        ChainRecord { notes, ..self.job.record.clone() }
    }

    fn record_map(&self) -> Result<OwnedFd, ApplyError> {
        let refused = |source| {
            ApplyError::Dispatcher(LoadError::CreateMap { map: "record".to_owned(), source })
        };
        let value = self.record().to_value()?;
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
        let index = self.job.spot.interface.index;
        match (program.link_id, program.mode) {
            (Some(id), _) => sys::link_by_id(id).and_then(|link| sys::link_detach(link.as_fd())),
            (None, Some(mode)) => netlink::xdp_remove(index, mode).and_then(|()| {
                let root = self.job.spot.libxdp_root;
                backend::libxdp::forget(root, index, program.program_id)
            }),
            (None, None) => Ok(()),
        }
        .map_err(|source| ApplyError::Switch { action: "take off the foreign program", source })
    }

    fn leave(&self, live: Live) -> Result<(), ApplyError> {
        backend::detach(&self.job.spot, live)
            .map_err(|source| backend::live_error(&self.job, "take the old chain off", source))
    }

    /// Puts the old chain back where a new one could not be attached.
    fn come_back(&self, live: Live) {
        let running = self.job.seen.running().and_then(|folder| folder.record.as_ref());
        let (Some(record), Some(dir)) = (running, &self.job.running) else { return };
        let mode = crate::chain::XdpModeChoice::Auto;
        let job = Job { record, mode, running: None, ..self.job };
        let back = sys::obj_get(&dir.dispatcher())
            .map_err(|source| ApplyError::Pin { path: dir.dispatcher(), source })
            .and_then(|dispatcher| backend::attach(&job, dispatcher.as_fd()));
        if let Err(error) = back {
            let program = live.program_id;
            tracing::error!(program, code = error.code(), "the old chain could not be put back");
        }
    }

    fn remove_old(&self, folder: u64) -> Result<(), ApplyError> {
        let path = self.generation(folder).path().to_owned();
        let Spot { libxdp_root, hook, interface, .. } = self.job.spot;
        backend::clear_beside(libxdp_root, (hook, interface.index), &self.generation(folder))
            .and_then(|()| pins::remove_folder(&path))
            .map_err(|source| ApplyError::Pin { path, source })
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

fn pin(object: &OwnedFd, path: &Path) -> Result<(), ApplyError> {
    sys::obj_pin(object.as_fd(), path)
        .map_err(|source| ApplyError::Pin { path: path.to_owned(), source })
}

fn make_folder(path: &Path) -> Result<(), ApplyError> {
    std::fs::create_dir_all(path)
        .map_err(|source| ApplyError::Pin { path: path.to_owned(), source })
}
