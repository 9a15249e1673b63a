//! An error as a person reads it: what happened, then why, each cause once. Refuses to know exit codes.

use crate::render::paint;
use std::fmt::Write as _;

/// The lines printed on standard error.
pub(crate) fn render(error: &anyhow::Error) -> String {
    let mut causes = error.chain().map(ToString::to_string);
    let mut said = causes.next().unwrap_or_default();
    let mut text = format!("{} {}\n", paint::clay("error:"), said);
    for cause in causes {
        // A cause that its parent already quotes would be said twice.
        if said.contains(&cause) {
            continue;
        }
        let indented = cause.trim_end().replace('\n', "\n    ");
        // Writing into a String cannot fail.
        let _ = writeln!(text, "  {} {indented}", paint::dim("because:"));
        said = cause;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::plain;

    #[test]
    fn causes_are_said_once_each() {
        let error = anyhow::anyhow!("the file ends early")
            .context("the file ends early")
            .context("skep.toml cannot be read.");
        assert_eq!(
            plain(&render(&error)),
            "error: skep.toml cannot be read.\n  because: the file ends early\n"
        );
    }
}
