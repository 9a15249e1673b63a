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

/// What the floods of one kind found, summed up.
#[derive(Debug)]
pub(super) struct Report {
    what: &'static str,
    backend: Backend,
    begun: Instant,
    swaps: u32,
    packets: u64,
    lost: i64,
    neither: usize,
    halves: usize,
    twice: usize,
    unconfigured: u32,
    /// How often the process was killed, by the point where it was.
    pub(super) kills: BTreeMap<String, u32>,
}

impl Report {
    pub(super) fn new(what: &'static str, backend: Backend) -> Self {
        Self {
            what,
            backend,
            begun: Instant::now(),
            swaps: 0,
            packets: 0,
            lost: 0,
            neither: 0,
            halves: 0,
            twice: 0,
            unconfigured: 0,
            kills: BTreeMap::new(),
        }
    }

    pub(super) fn swaps(&self) -> u32 {
        self.swaps
    }

    /// Adds a flood in which so many swaps were made, and keeps the sum: a run that is cut has not run
    /// for nothing.
    pub(super) fn add(&mut self, swaps: u32, flood: &Flood, met: &Met) {
        self.swaps += swaps;
        self.packets += u64::from(flood.sent);
        self.lost += i64::from(flood.sent) - i64::from(flood.received);
        self.neither += met.neither;
        self.halves += met.halves;
        self.twice += met.twice;
        self.unconfigured += met.unconfigured;
        self.keep();
    }

    /// Says that nothing was lost, missed, met twice, met by half a chain, or met before it was
    /// configured.
    pub(super) fn finish(&self) {
        let figures = self.keep();
        let bad = [self.neither, self.halves, self.twice];
        assert_eq!((self.lost, bad, self.unconfigured), (0, [0; 3], 0), "{figures}");
    }

    /// Appends the figures so far to the file that the environment names.
    fn keep(&self) -> serde_json::Value {
        let seconds = (self.begun.elapsed().as_secs_f64() * 10.0).round() / 10.0;
        let commit = std::env::var("SKEP_SOAK_COMMIT").unwrap_or_else(|_| "?".to_owned());
        let figures = serde_json::json!({
            "commit": commit,
            "what": self.what, "backend": self.backend, "seconds": seconds,
            "swaps": self.swaps, "packets": self.packets, "kills": self.kills,
            "lost": self.lost, "neither": self.neither, "halves": self.halves,
            "twice": self.twice, "unconfigured": self.unconfigured,
        });
        if let Some(path) = std::env::var_os("SKEP_SOAK_REPORT") {
            let mut file =
                std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
            file.write_all(format!("{figures}\n").as_bytes()).unwrap();
        }
        figures
    }
}
