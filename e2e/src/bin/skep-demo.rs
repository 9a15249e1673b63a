//! `skep-demo [--keep]`, run by `cargo xtask demo`. Holds the arguments and the exit code; the story is in the library.

use std::io::Write;
use std::process::ExitCode;

use skep_e2e::demo::{self, Ending};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let ending = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Ending::CleanUp,
        ["--keep"] => Ending::KeepRunning,
        _ => return failed("Usage: skep-demo [--keep]", 2),
    };
    match demo::perform(ending) {
        Ok(failures) if failures.is_empty() => ExitCode::SUCCESS,
        Ok(failures) => failed(&format!("These did not hold:\n  {}", failures.join("\n  ")), 1),
        Err(error) => failed(&format!("The demo stopped: {error:#}"), 1),
    }
}

fn failed(message: &str, code: u8) -> ExitCode {
    // Without a reader on stderr the exit code still tells.
    let _ = writeln!(std::io::stderr(), "{message}");
    ExitCode::from(code)
}
