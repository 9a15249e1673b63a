//! How xtask speaks: full sentences on stdout, failures on stderr. Knows nothing of what is said.

use std::io::{self, IsTerminal, Write};

/// Writes text as it is, with a line end when it has none.
pub(crate) fn text(text: &str) {
    let mut out = io::stdout().lock();
    // A reader who closed the pipe wants no more text; that is no failure of the task.
    let _ = out.write_all(text.as_bytes());
    if !text.ends_with('\n') {
        let _ = out.write_all(b"\n");
    }
    let _ = out.flush();
}

/// Opens a step: its name in bold and one sentence about it.
pub(crate) fn step(name: &str, about: &str) {
    if colours() {
        text(&format!("\n\u{1b}[1m{name}\u{1b}[0m · {about}"));
    } else {
        text(&format!("\n{name} · {about}"));
    }
}

/// A line inside a step.
pub(crate) fn note(line: &str) {
    text(&format!("  {line}"));
}

/// A sentence about what went wrong, on stderr.
pub(crate) fn failure(line: &str) {
    let mut err = io::stderr().lock();
    let _ = writeln!(err, "{line}");
}

/// Colours only for a person who did not ask for less.
pub(crate) fn colours() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
