//! The kernel, behind safe functions: bpf(2) and the little netlink that XDP needs.

pub(crate) mod netlink;
pub(crate) mod sys;
