//! From wire types to rows, labels and shapes. PURE: no clock, no network, no DOM; `now` is an argument.

pub mod account;
pub mod audit;
pub mod chain;
pub mod compatibility;
pub mod diff;
pub mod feed;
pub mod format;
pub mod link;
pub mod load;
pub mod node;
pub mod nodes;
pub mod package;
pub mod permissions;
pub mod pipeline;
pub mod policy;
pub mod search;
pub mod security;
pub mod tabs;
pub mod verification;

#[cfg(test)]
mod samples;
