//! A manifest's claims against an object's facts: what an author says must be so.
//! It refuses to know bytes and OCI; both sides are parsed already.

use crate::config::{self, ConfigError};
use crate::manifest::{Family, Manifest};
use crate::object::{ObjectFacts, ProgramKind};

/// A claim that the object contradicts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// The manifest names a program the object does not have.
    #[error("skep.toml claims the program `{program}`; the object has {}", found.join(", "))]
    NoSuchProgram {
        /// The claimed name.
        program: String,
        /// What there is.
        found: Vec<String>,
    },
    /// The program's section asks for another type.
    #[error(
        "skep.toml claims `{program}` is of type {claimed}; its section `{section}` says otherwise"
    )]
    OtherType {
        /// The program.
        program: String,
        /// What the manifest says.
        claimed: Family,
        /// The section it stands in.
        section: String,
    },
    /// A setting that has no place in the object.
    #[error("a setting of skep.toml has no place in the object: {0}")]
    Setting(ConfigError),
    /// A metric whose map or key the object does not have.
    #[error(
        "the metric `{metric}` reads key {key} of the map `{map}`, which the object does not have"
    )]
    Metric {
        /// The metric.
        metric: String,
        /// Its map.
        map: String,
        /// Its key.
        key: u64,
    },
    /// A migration into a map the object does not have.
    #[error("skep.toml migrates the map `{map}`, which the object does not have")]
    Migration {
        /// The map.
        map: String,
    },
}

/// Checks every claim of a manifest against one object.
pub fn check(manifest: &Manifest, facts: &ObjectFacts) -> Result<(), ClaimError> {
    for claim in &manifest.programs {
        let Some(program) = facts.program(&claim.name) else {
            let found = facts.programs.iter().map(|program| program.name.clone()).collect();
            return Err(ClaimError::NoSuchProgram { program: claim.name.clone(), found });
        };
        let wanted = match claim.family {
            Family::Xdp => ProgramKind::Xdp,
            Family::Tc => ProgramKind::Tc,
        };
        // A section of no known name says nothing: then the author says it, and the kernel's verifier has the last word.
        if program.kind != wanted && program.kind != ProgramKind::Unknown {
            return Err(ClaimError::OtherType {
                program: claim.name.clone(),
                claimed: claim.family,
                section: program.section.clone(),
            });
        }
    }
    config::check_places(manifest, facts).map_err(ClaimError::Setting)?;
    for metric in &manifest.metrics {
        let holds_key = |map: &crate::object::MapFacts| {
            !map.kind.ends_with("array") || metric.key < u64::from(map.max_entries)
        };
        if !facts.map(&metric.map).is_some_and(holds_key) {
            let (metric, map, key) = (metric.name.clone(), metric.map.clone(), metric.key);
            return Err(ClaimError::Metric { metric, map, key });
        }
    }
    match manifest.migrate.keys().find(|map| facts.map(map).is_none()) {
        Some(map) => Err(ClaimError::Migration { map: map.clone() }),
        None => Ok(()),
    }
}
