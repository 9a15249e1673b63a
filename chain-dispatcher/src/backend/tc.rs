//! Attachment of a tc dispatcher as one direct-action filter on clsact, for kernels before tcx. Others'
//! filters and queueing disciplines are left alone.

use std::io;
use std::os::fd::BorrowedFd;

use crate::backend::{Job, Spot};
use crate::choice::Unfit;
use crate::error::{ApplyError, ObserveError};
use crate::swap::{Live, SeenFolder};

/// Our filter on the hook.
pub(crate) fn live(
    _spot: &Spot<'_>,
    _folders: &[SeenFolder],
) -> Result<Option<Live>, ObserveError> {
    Ok(None)
}

pub(crate) fn attach(job: &Job<'_>, _dispatcher: BorrowedFd<'_>) -> Result<(), ApplyError> {
    Err(ApplyError::BackendUnavailable { backend: job.record.backend, why: Unfit::NotBuilt })
}

pub(crate) fn switch(
    job: &Job<'_>,
    _from: u32,
    _dispatcher: BorrowedFd<'_>,
) -> Result<(), ApplyError> {
    Err(ApplyError::BackendUnavailable { backend: job.record.backend, why: Unfit::NotBuilt })
}

pub(crate) fn detach(_spot: &Spot<'_>) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
