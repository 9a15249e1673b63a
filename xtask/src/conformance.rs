//! `cargo xtask conformance`: runs a public conformance suite, which lies outside the repository, or a tool that asks by our own
//! API document, against what we built, and counts what it says. Nothing of a suite is kept here. Refuses to know what a suite asks; each kind knows how its own is run.

mod api;
mod oci;
mod registry;
mod tuf;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::say;
use crate::workspace::Workspace;

#[derive(clap::Args)]
pub(crate) struct ConformanceArguments {
    /// Whose suite it is.
    #[arg(long, value_enum, default_value_t = Kind::Oci)]
    kind: Kind,
    /// The folder of the suite. For oci: the folder `conformance` of a checkout of the distribution specification;
    /// for tuf: a checkout of the TUF conformance suite.
    #[arg(long, value_name = "DIR", required_if_eq_any = [("kind", "oci"), ("kind", "tuf")])]
    suite: Option<PathBuf>,
    /// The version of the OCI specification to test against, as the suite names it.
    #[arg(long, default_value = "1.1")]
    version: String,
    /// For api: how many requests are made up for each operation.
    #[arg(long, default_value_t = 25)]
    examples: u32,
}

/// A public conformance suite.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// The OCI distribution API of the registry.
    Oci,
    /// The agent's TUF client.
    Tuf,
    /// The registry's HTTP API by its own OpenAPI document, asked by schemathesis, which is installed.
    Api,
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
    // Who needs a suite was asked for one by the parser.
    let suite = || arguments.suite.as_deref().context("--suite names the folder of the suite");
    let counts = match arguments.kind {
        Kind::Oci => oci::run(workspace, suite()?, &arguments.version)?,
        Kind::Tuf => tuf::run(workspace, suite()?)?,
        Kind::Api => api::run(workspace, arguments.examples)?,
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

/// The counts in the first element of a JUnit report that has any: of all suites, or of the only one.
pub(crate) fn counts_of_junit(report: &str) -> Option<Counts> {
    ["<testsuites", "<testsuite "].iter().find_map(|element| counts_of_element(report, element))
}

fn counts_of_element(report: &str, element: &str) -> Option<Counts> {
    let start = report.find(element)?;
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
        let pytest = r#"<testsuites name="pytest tests"><testsuite name="pytest" errors="0" failures="0" skipped="1" tests="113">"#;
        assert_eq!(counts_of_junit(pytest).unwrap().passed(), 112);
        assert_eq!(counts_of_junit("<testsuites>"), None);
        assert!(!Counts::default().is_good());
    }
}
