//! `skep-drill owned-registry|owned-controller`, run by `cargo xtask drill`. Holds the argument and the exit code; the drills
//! are in the library.

use std::io::Write;
use std::process::ExitCode;

use skep_e2e::drill::{self, Drill};

fn main() -> ExitCode {
    let drill = match std::env::args().nth(1).as_deref() {
        Some("owned-registry") => Drill::OwnedRegistry,
        Some("owned-controller") => Drill::OwnedController,
        _ => return failed("Usage: skep-drill owned-registry|owned-controller", 2),
    };
    match drill::perform(drill) {
        Ok(attempts) => {
            // Without a reader on stdout the exit code still tells.
            let _ = write!(std::io::stdout(), "{}", drill::table(&attempts));
            match attempts.iter().filter(|attempt| !attempt.holds).count() {
                0 => ExitCode::SUCCESS,
                broken => {
                    failed(&format!("{broken} attempts were not answered as they must be."), 1)
                }
            }
        }
        Err(error) => failed(&format!("The drill stopped: {error:#}"), 1),
    }
}

fn failed(message: &str, code: u8) -> ExitCode {
    // Without a reader on stderr the exit code still tells.
    let _ = writeln!(std::io::stderr(), "{message}");
    ExitCode::from(code)
}
