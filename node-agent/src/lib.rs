//! Keeps one host at its desired state: fetch, verify, plan, execute, observe, report.
//!
//! SHELL: knows files, sockets, the clock and, through the dispatcher, the kernel. What happens
//! next is decided in `reconcile`, which knows none of them. Refuses to know SQL and the
//! registry's routes.

pub mod agent;
pub mod backoff;
pub mod cache;
pub mod config;
pub mod detached;
pub mod drops;
pub mod envelope;
pub mod evidence;
pub mod execute;
pub mod explain;
pub mod facts;
pub mod fetch;
pub mod files;
pub mod identity;
pub mod interfaces;
pub mod ledger;
pub mod link;
pub mod log;
pub mod metrics;
pub mod metrics_server;
pub mod node;
pub mod notices;
pub mod observe;
pub mod prepare;
pub mod reconcile;
pub mod report;
pub mod socket;
pub mod tuf;
