//! What people see, made from what is known. Pure: refuses to know files, sockets, clocks and
//! whether colours are wanted (the writer strips them).

pub(crate) mod attestations;
pub(crate) mod chain;
pub(crate) mod drops;
pub(crate) mod facts;
pub(crate) mod fault;
pub(crate) mod life;
pub(crate) mod log;
pub(crate) mod nodes;
pub(crate) mod packages;
pub(crate) mod paint;
pub(crate) mod people;
pub(crate) mod plan;
pub(crate) mod policies;
pub(crate) mod rollouts;
#[cfg(feature = "local")]
pub(crate) mod running;
pub(crate) mod table;
pub(crate) mod tasks;
#[cfg(feature = "local")]
pub(crate) mod top;
pub(crate) mod units;

/// The text without colours, as it reaches a file or a pipe.
#[cfg(test)]
pub(crate) fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}
