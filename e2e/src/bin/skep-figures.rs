//! `skep-figures`, run by `cargo xtask bench`: prints the figures of the whole road as JSON on stdout.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use skep_e2e::{figures, interrupt};

fn main() -> ExitCode {
    match perform() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without a reader on stderr the exit code still tells.
            let _ = writeln!(std::io::stderr(), "No figures: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform() -> Result<()> {
    interrupt::watch()?;
    let figures = serde_json::to_string(&figures::measure()?).context("figures are JSON")?;
    writeln!(std::io::stdout(), "{figures}").context("stdout is closed")
}
