//! What a flood found, as a line of JSON for whoever asked for one, and as assertions. Knows names of
//! figures; refuses to know how they were taken.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Instant;

use skep_chain_dispatcher::Backend;

use crate::flood::traffic::{Flood, Met};

/// A count that the environment may set higher than the suite needs it.
pub(super) fn count(variable: &str, otherwise: u32) -> u32 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}

/// One flood.
#[derive(Debug)]
pub(super) struct Report {
    figures: serde_json::Map<String, serde_json::Value>,
    begun: Instant,
}

impl Report {
    pub(super) fn new(what: &str, backend: Backend, begun: Instant) -> Self {
        let mut report = Self { figures: serde_json::Map::new(), begun };
        report.set("what", what);
        report.set("backend", backend.as_str());
        report
    }

    fn set(&mut self, name: &str, value: impl Into<serde_json::Value>) {
        self.figures.insert(name.to_owned(), value.into());
    }

    pub(super) fn swaps(mut self, swaps: u32) -> Self {
        self.set("swaps", swaps);
        self
    }

    /// How often the process was killed, by the point where it was.
    pub(super) fn kills(mut self, kills: &BTreeMap<String, u32>) -> Self {
        self.set("kills", serde_json::to_value(kills).unwrap());
        self
    }

    pub(super) fn traffic(mut self, flood: &Flood, met: &Met) -> Self {
        self.set("packets", flood.sent);
        self.set("lost", i64::from(flood.sent) - i64::from(flood.received));
        self.set("neither", met.neither);
        self.set("halves", met.halves);
        self.set("twice", met.twice);
        self.set("unconfigured", met.unconfigured);
        self.set("versions", met.versions);
        let seconds = self.begun.elapsed().as_secs_f64();
        self.set("seconds", (seconds * 10.0).round() / 10.0);
        self
    }

    /// Appends the report to the file that the environment names.
    pub(super) fn write(&self) {
        if let Some(path) = std::env::var_os("SKEP_SOAK_REPORT") {
            let mut file =
                std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
            let line = format!("{}\n", serde_json::Value::Object(self.figures.clone()));
            file.write_all(line.as_bytes()).unwrap();
        }
    }

    /// Nothing was lost, missed, met twice, or met by half a chain.
    pub(super) fn check(&self) {
        for figure in ["lost", "neither", "halves", "twice", "unconfigured"] {
            assert_eq!(self.figures[figure], 0, "{figure}: {:?}", self.figures);
        }
    }
}
