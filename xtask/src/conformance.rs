//! `cargo xtask conformance`: runs a public conformance suite, which lies outside the repository, against what we built, and
//! counts what it says. Nothing of a suite is kept here. Refuses to know what a suite asks; each kind knows how its own is run.

mod oci;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use crate::say;
use crate::workspace::Workspace;

#[derive(clap::Args)]
pub(crate) struct ConformanceArguments {
    /// Whose suite it is.
    #[arg(long, value_enum, default_value_t = Kind::Oci)]
    kind: Kind,
    /// The folder of the suite. For oci: the folder `conformance` of a checkout of the distribution specification.
    #[arg(long, value_name = "DIR")]
    suite: PathBuf,
    /// The version of the specification to test against, as the suite names it.
    #[arg(long, default_value = "1.1")]
    version: String,
}

/// A public conformance suite.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// The OCI distribution API of the registry.
    Oci,
}

/// What a suite counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) tests: u64,
    pub(crate) failures: u64,
    pub(crate) errors: u64,
    pub(crate) skipped: u64,
    pub(crate) disabled: u64,
}

impl Counts {
    /// Tests that ran and found nothing wrong.
    fn passed(&self) -> u64 {
        let other = self.failures + self.errors + self.skipped + self.disabled;
        self.tests.saturating_sub(other)
    }

    /// A suite that found nothing to test proves nothing.
    fn is_good(&self) -> bool {
        self.failures + self.errors == 0 && self.passed() > 0
    }
}

pub(crate) fn perform(workspace: &Workspace, arguments: &ConformanceArguments) -> Result<ExitCode> {
    let counts = match arguments.kind {
        Kind::Oci => oci::run(workspace, &arguments.suite, &arguments.version)?,
    };
    say::text(&format!(
        "{} passed, {} failed, {} errors, {} skipped, {} disabled, of {}",
        counts.passed(),
        counts.failures,
        counts.errors,
        counts.skipped,
        counts.disabled,
        counts.tests
    ));
    Ok(if counts.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The counts in the first element of a JUnit report.
pub(crate) fn counts_of_junit(report: &str) -> Option<Counts> {
    let start = report.find("<testsuites").or_else(|| report.find("<testsuite"))?;
    let element = report.get(start..)?.split('>').next()?;
    let number = |name: &str| {
        let at = element.find(&format!(" {name}=\""))? + name.len() + 3;
        element.get(at..)?.split('"').next()?.parse().ok()
    };
    Some(Counts {
        tests: number("tests")?,
        failures: number("failures").unwrap_or(0),
        errors: number("errors").unwrap_or(0),
        skipped: number("skipped").unwrap_or(0),
        disabled: number("disabled").unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_counts_of_a_report() {
        let report = r#"<?xml version="1.0"?>
<testsuites tests="848" errors="1" failures="2" skipped="3" disabled="4" time="1.5"><testsuite tests="1">"#;
        let counts = counts_of_junit(report).unwrap();
        let expected = Counts { tests: 848, failures: 2, errors: 1, skipped: 3, disabled: 4 };
        assert_eq!(counts, expected);
        assert_eq!(counts.passed(), 838);
        assert!(!counts.is_good());
        assert_eq!(counts_of_junit("<testsuites>"), None);
        assert!(!Counts::default().is_good());
    }
}
