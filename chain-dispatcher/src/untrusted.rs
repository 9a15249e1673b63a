//! The doors through which bytes that somebody else wrote come in before the kernel sees any: plain
//! functions of bytes, for those who throw hostile ones at them. Touches no kernel.

use skep_artifact::config::EncodedConfig;
use skep_artifact::hook::Hook;

use crate::backend::slots::{TC_DISPATCHER, XDP_DISPATCHER};
use crate::load::{self, LoadError};

/// Reads from an object what a plan needs: the names of its maps, sorted.
///
/// # Errors
/// [`LoadError`] for an object that cannot be read, holds no such program, or does not fit the hook
/// or the config.
pub fn outline(
    object: &[u8],
    program: &str,
    hook: Hook,
    config: &EncodedConfig,
) -> Result<Vec<String>, LoadError> {
    let outline = load::outline(object, program, hook, config)?;
    Ok(outline.maps.into_iter().map(|map| map.name).collect())
}

/// The objects of our dispatchers, each with its program and a hook for it.
pub fn dispatchers() -> [(&'static [u8], &'static str, Hook); 2] {
    [(XDP_DISPATCHER, "skep_xdp", Hook::Xdp), (TC_DISPATCHER, "skep_tc", Hook::TcIngress)]
}
