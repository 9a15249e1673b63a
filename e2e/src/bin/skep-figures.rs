//! `skep-figures road|registry`, run by `cargo xtask bench`: prints the figures of the whole road, or of the registry under
//! load, as JSON on stdout.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use skep_e2e::{figures, interrupt, load};

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
    let figures = match std::env::args().nth(1).as_deref() {
        Some("road") => serde_json::to_string(&figures::measure()?),
        Some("registry") => serde_json::to_string(&load::measure()?),
        _ => bail!("say which: road or registry"),
    };
    let figures = figures.context("figures are JSON")?;
    writeln!(std::io::stdout(), "{figures}").context("stdout is closed")
}
