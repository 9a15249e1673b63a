//! The protocol by which the tools of xdp-tools, and every other user of libxdp, share an interface:
//! its config block, its priorities, its pins, and how to tell a chain of it. What is here is the
//! protocol and reading; building and attaching such a chain is `backend/libxdp.rs`.

pub(crate) mod chain;
pub(crate) mod config;
pub(crate) mod dispatcher;
mod installed;
pub(crate) mod metadata;
pub(crate) mod order;
pub(crate) mod pins;
pub(crate) mod recognise;
