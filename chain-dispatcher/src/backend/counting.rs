//! Counting in a generated walk, whatever builds the chain: the functions that it calls, their maps, and
//! where it finds them. Refuses to know members.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};

use skep_artifact::config::EncodedConfig;

use crate::backend::{Job, shared};
use crate::chain::Counting;
use crate::error::ApplyError;
use crate::fuse::asm::Address;
use crate::fuse::walk::{self, SUPPORT};
use crate::fuse::{License, Part};
use crate::layout;
use crate::load::{self, LoadError, Request, Several};
use crate::{seeing, support};

/// The one key of an array, in the constants.
pub(crate) const ZERO_KEY: [u8; 8] = [0; 8];

/// What a walk needs that counts.
#[derive(Debug)]
pub(crate) struct Counters {
    functions: Several,
    /// Holds the key of the counters, which the walk reads.
    zeroes: OwnedFd,
}

impl Counters {
    /// None where nothing is counted.
    pub(crate) fn prepare(job: &Job<'_>) -> Result<Option<Self>, ApplyError> {
        if job.record.counting == Counting::Off {
            return Ok(None);
        }
        let zeroes = load::constants_map("skep_zeroes", &ZERO_KEY);
        let zeroes = zeroes.map_err(ApplyError::Dispatcher)?;
        Ok(Some(Self { functions: prepare(job)?, zeroes }))
    }

    /// Where the walk finds them.
    pub(crate) fn places(&self) -> Result<walk::Counting, LoadError> {
        places(&self.functions, &self.zeroes)
    }

    /// The functions, one part each, in the order of [`SUPPORT`].
    pub(crate) fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        parts(&self.functions)
    }

    /// Their maps, by the names of their pins.
    pub(crate) fn shared(&self) -> Vec<(&'static str, &OwnedFd)> {
        shared(&self.functions.maps)
    }
}

/// Where the walk finds the counters and the settings. `zeroes`: a map of constants that begins with
/// [`ZERO_KEY`].
pub(crate) fn places(support: &Several, zeroes: &OwnedFd) -> Result<walk::Counting, LoadError> {
    let map = |name: &str| {
        let map = support.maps.get(name).map(AsRawFd::as_raw_fd);
        map.ok_or_else(|| LoadError::NoSuchMap { map: name.to_owned() })
    };
    let address = |map| Address { map, offset: 0 };
    Ok(walk::Counting {
        counts: map(layout::COUNTS_MAP)?,
        zero: address(zeroes.as_raw_fd()),
        timing: address(map(layout::TIMING_MAP)?),
        telling: address(map(layout::TELLING_MAP)?),
    })
}

/// The functions that count, one part each, in the order of [`SUPPORT`].
pub(crate) fn parts(several: &Several) -> impl Iterator<Item = Part<'_>> {
    several.functions.iter().zip(SUPPORT).map(|(function, name)| Part {
        label: name,
        license: License::Any,
        instructions: &function.instructions,
        func_info: &function.func_info,
        btf: several.types.as_ref().map(|types| types.bytes.as_slice()),
        stacks: &[],
    })
}

/// The functions that count and their maps; settings and the reader's ring go on from the running
/// chain.
pub(crate) fn prepare(job: &Job<'_>) -> Result<Several, ApplyError> {
    let config = EncodedConfig {
        globals: BTreeMap::from([(
            layout::NUMBER_GLOBAL.to_owned(),
            layout::number(job.folder).to_vec(),
        )]),
        maps: BTreeMap::new(),
    };
    let request = Request {
        bytes: support::object(job.spot.hook),
        program: "",
        hook: job.spot.hook,
        config: &config,
        carried: seeing::carried(job.running.as_ref())?,
        frags: job.frags,
    };
    load::prepare_each(request, &SUPPORT).map_err(ApplyError::Dispatcher)
}
