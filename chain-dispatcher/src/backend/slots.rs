//! The slots build: members stay ordinary programs. A slot is an entry of a program array that a stub
//! function of the dispatcher tail-calls; the member returns into the dispatcher, which decides.
//! Refuses to know how the dispatcher is attached.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};

use skep_artifact::config::EncodedConfig;

use crate::backend::{Builder, Built, BuiltMember, Job, shared};
use crate::error::{ApplyError, ObserveError};
use crate::execute::{label, refusal};
use crate::kernel::sys;
use crate::kinds::Attachment;
use crate::layout;
use crate::load::{self, LoadError, Loaded, Request};
use crate::observe::{open_pin, program_at};
use crate::pins::GenerationDir;
use crate::record::ChainRecord;
use crate::seeing;

/// Bytes at an address that 8-byte loads may use, as ELF readers want.
#[repr(C, align(8))]
struct Aligned<T: ?Sized>(T);

static XDP: &Aligned<[u8]> =
    &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/xdp_dispatcher.o")));
static TC: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/tc_dispatcher.o")));
static CLSACT: &Aligned<[u8]> =
    &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/clsact_dispatcher.o")));

/// The XDP dispatcher.
pub(crate) static XDP_DISPATCHER: &[u8] = &XDP.0;
/// The tc dispatcher for tcx links.
pub(crate) static TC_DISPATCHER: &[u8] = &TC.0;

/// The tc dispatcher for clsact filters, which know more verdicts.
pub(crate) static CLSACT_DISPATCHER: &[u8] = &CLSACT.0;

/// The dispatcher's object and the name of its program.
pub(crate) fn dispatcher(attachment: Attachment) -> (&'static [u8], &'static str) {
    match attachment {
        Attachment::XdpLink | Attachment::XdpNetlink => (XDP_DISPATCHER, "skep_xdp"),
        Attachment::Tcx => (TC_DISPATCHER, "skep_tc"),
        Attachment::Clsact => (CLSACT_DISPATCHER, "skep_tc"),
    }
}

/// Members and dispatcher as they are loaded.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    members: Vec<Loaded>,
    dispatcher: Option<Loaded>,
}

impl Builder for Slots {
    fn load_member(
        &mut self,
        job: &Job<'_>,
        slot: usize,
        carried: BTreeMap<String, OwnedFd>,
    ) -> Result<(), ApplyError> {
        let Some(member) = job.members.get(slot) else { return Ok(()) };
        let request = Request {
            bytes: member.object.bytes(),
            program: &member.program,
            hook: job.spot.hook,
            config: &member.config,
            carried,
            frags: job.frags,
        };
        self.members.push(load::load(request).map_err(|error| refusal(member, error))?);
        Ok(())
    }

    fn load_dispatcher(&mut self, job: &Job<'_>) -> Result<(), ApplyError> {
        let hook = job.spot.hook;
        let (bytes, program) = dispatcher(job.record.backend.attachment());
        let block = layout::chain_block(hook, &job.record.members, job.record.counting);
        let config = EncodedConfig {
            globals: BTreeMap::from([
                (layout::CHAIN_GLOBAL.to_owned(), block),
                (layout::NUMBER_GLOBAL.to_owned(), layout::number(job.folder).to_vec()),
            ]),
            maps: BTreeMap::new(),
        };
        let request = Request {
            bytes,
            program,
            hook,
            config: &config,
            carried: seeing::carried(job.running.as_ref())?,
            frags: job.frags,
        };
        let dispatcher = load::load(request).map_err(ApplyError::Dispatcher)?;
        let slots = dispatcher.maps.get("skep_slots").ok_or_else(|| {
            ApplyError::Dispatcher(LoadError::NoSuchMap { map: "skep_slots".to_owned() })
        })?;
        for (slot, (member, loaded)) in (0u32..).zip(job.members.iter().zip(&self.members)) {
            let fd = sys::raw_fd_bytes(loaded.program.as_fd());
            sys::map_update(slots.as_fd(), &slot.to_ne_bytes(), &fd)
                .map_err(|source| ApplyError::Slot { member: label(member), source })?;
        }
        self.dispatcher = Some(dispatcher);
        Ok(())
    }

    fn built(&self) -> Built<'_> {
        Built {
            dispatcher: self.dispatcher.as_ref().map(|loaded| &loaded.program),
            members: self
                .members
                .iter()
                .map(|loaded| BuiltMember { program: Some(&loaded.program), maps: &loaded.maps })
                .collect(),
            shared: self.dispatcher.as_ref().map(|loaded| shared(&loaded.maps)).unwrap_or_default(),
            notes: Vec::new(),
        }
    }
}

/// Whether every slot holds the program pinned for its member: somebody may have emptied a slot, or
/// removed a pin and with it the array's entries.
pub(crate) fn intact(dir: &GenerationDir, record: &ChainRecord) -> Result<bool, ObserveError> {
    let (Some(slots), Some(_counters)) = (open_pin(&dir.slots())?, open_pin(&dir.counters())?)
    else {
        return Ok(false);
    };
    for (slot, member) in (0u32..).zip(&record.members) {
        let holds = sys::map_lookup(slots.as_fd(), &slot.to_ne_bytes())
            .map_err(|source| ObserveError::Kernel { what: "the chain's slots", source })?;
        let pinned = program_at(&dir.program(&member.policy, &member.name))?;
        if holds.is_none() || holds != pinned.map(|info| info.id.to_ne_bytes().to_vec()) {
            return Ok(false);
        }
    }
    Ok(true)
}
