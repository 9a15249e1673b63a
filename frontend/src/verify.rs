//! Starts the checks of a version and hears how they go. It refuses to make them: a program of their own does,
//! which is loaded when the first version is verified.

use crate::browser;
use crate::view::verification::{Outcome, Report, Step, Verification};
use crate::words;
use leptos::prelude::*;
use leptos::task::spawn_local;

/// Versions up to this many bytes are verified without being asked: less than one photograph.
const LIGHT_BYTES_MAX: u64 = 2 << 20;

/// Starts the checks of one version, as often as the reader likes.
#[derive(Clone, Copy)]
pub(crate) struct Runner {
    version: StoredValue<String>,
    state: RwSignal<Verification>,
    light: bool,
}

/// Prepares the checks of a version of this size, given as the registry showed it; their state goes to `state`.
pub(crate) fn runner(version: String, bytes: u64, state: RwSignal<Verification>) -> Runner {
    let light = bytes <= LIGHT_BYTES_MAX;
    Runner { version: StoredValue::new(version), state, light }
}

impl Runner {
    /// Whether the version is small enough to be verified without being asked.
    pub(crate) fn is_light(self) -> bool {
        self.light
    }

    /// Makes all checks from the beginning.
    pub(crate) fn start(self) {
        let (version, state) = (self.version.get_value(), self.state);
        let mut fresh = Verification::default();
        fresh.set(Step::Signatures, Outcome::Running);
        state.set(fresh);
        let hear = move |report: String| {
            let report = serde_json::from_str(&report);
            let report = report.unwrap_or_else(|e| Report::Failed(e.to_string()));
            // The page may be gone by now; then nobody wants to know.
            state.try_update(|s| s.take(report));
        };
        spawn_local(async move {
            if !browser::verify(&version, hear).await {
                state.try_update(|s| s.take(Report::Failed(words::CHECK_NOT_LOADED.to_owned())));
            }
        });
    }
}
