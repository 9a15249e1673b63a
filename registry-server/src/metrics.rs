//! A few counters in the text form that Prometheus scrapes. Refuses to know what is counted.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the server counts since it started.
#[derive(Debug, Default)]
pub struct Metrics {
    publishes: AtomicU64,
    uploaded_bytes: AtomicU64,
    served_blobs: AtomicU64,
    syncs: AtomicU64,
    reports: AtomicU64,
}

impl Metrics {
    /// A version became visible.
    pub fn published(&self) {
        self.publishes.fetch_add(1, Ordering::Relaxed);
    }

    /// A blob of this many bytes was stored.
    pub fn uploaded(&self, bytes: u64) {
        self.uploaded_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A blob or manifest was served.
    pub fn served(&self) {
        self.served_blobs.fetch_add(1, Ordering::Relaxed);
    }

    /// A node asked what is wanted of it.
    pub fn synced(&self) {
        self.syncs.fetch_add(1, Ordering::Relaxed);
    }

    /// A node said what it runs.
    pub fn reported(&self) {
        self.reports.fetch_add(1, Ordering::Relaxed);
    }

    /// The exposition text; `nodes` is how many are enrolled, `log_size` how many entries the log has, and
    /// `log_alarms` how many nodes see another log.
    #[must_use]
    pub fn to_text(&self, nodes: usize, log_size: u64, log_alarms: usize) -> String {
        let counters = [
            ("skep_registry_publishes_total", "Versions published.", &self.publishes),
            ("skep_registry_uploaded_bytes_total", "Bytes of blobs stored.", &self.uploaded_bytes),
            ("skep_registry_served_blobs_total", "Blobs and manifests served.", &self.served_blobs),
            ("skep_registry_syncs_total", "Long polls answered or begun.", &self.syncs),
            ("skep_registry_reports_total", "Reports taken from nodes.", &self.reports),
        ];
        let mut text = String::new();
        for (name, help, counter) in counters {
            let value = counter.load(Ordering::Relaxed);
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {value}");
        }
        let gauges = [
            ("skep_registry_nodes", "Enrolled nodes.", nodes as u64),
            ("skep_registry_log_entries", "Entries of the transparency log.", log_size),
            ("skep_registry_log_alarms", "Nodes that see another log.", log_alarms as u64),
        ];
        for (name, help, value) in gauges {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
        }
        text
    }
}
