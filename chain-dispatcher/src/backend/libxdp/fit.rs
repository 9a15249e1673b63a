//! Limits of a chain that is there already, checked before anything is touched; `choice` knows those
//! of the backend itself. Pure.

use crate::choice::Unfit;
use crate::libxdp::config::MEMBERS_MAX;
use crate::swap::{SeenLibxdp, Wanted};

/// Why a chain cannot join what is there, if it cannot.
pub(crate) fn fits(wanted: &Wanted, there: Option<&SeenLibxdp>) -> Result<(), Unfit> {
    let shared = there.filter(|there| !there.others.is_empty());
    if shared.is_some_and(|there| there.dev_bound) {
        return Err(Unfit::DeviceBound);
    }
    if let Some(there) = shared.filter(|there| !wanted.mode.allows(there.mode)) {
        return Err(Unfit::OtherMode { mode: there.mode });
    }
    room(wanted.record.members.len(), shared.map_or(0, |there| there.others.len()))
}

/// Whether so many members are not too many together.
pub(super) fn room(members: usize, others: usize) -> Result<(), Unfit> {
    let max = MEMBERS_MAX;
    if members + others > max { Err(Unfit::Members { members, max, others }) } else { Ok(()) }
}
