//! The kernel, behind safe functions: bpf(2) and the little netlink that XDP needs.

mod attr;
pub(crate) mod netlink;
pub(crate) mod objects;
pub(crate) mod sys;
