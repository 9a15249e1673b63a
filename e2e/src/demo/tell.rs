//! How the demo speaks: numbered scenes, commands with what they printed, facts, and expectations that are kept or not.
//! Refuses to know the story.

use std::io::{self, IsTerminal, Write};

/// Longest output of a command that is shown, in lines; more hides the story.
const LINES_SHOWN: usize = 24;

/// Tells, and remembers which expectations held.
#[derive(Default)]
pub(super) struct Teller {
    scenes: usize,
    held: usize,
    failures: Vec<String>,
}

impl Teller {
    /// Opens a scene.
    pub(super) fn scene(&mut self, title: &str) {
        self.scenes += 1;
        let (bold, plain) =
            if io::stdout().is_terminal() { ("\u{1b}[1m", "\u{1b}[0m") } else { ("", "") };
        self.line("");
        self.line(&format!("{bold}{:>2}  {title}{plain}", self.scenes));
    }

    /// One sentence or more.
    pub(super) fn line(&mut self, line: &str) {
        let mut out = io::stdout().lock();
        // A reader who closed the pipe wants no more text; the story goes on, because it is also a check.
        let _ = writeln!(out, "{line}");
        let _ = out.flush();
    }

    /// Some lines, set off.
    pub(super) fn text(&mut self, text: &str) {
        let lines: Vec<&str> = text.trim_end().lines().collect();
        for line in lines.iter().take(LINES_SHOWN) {
            self.line(&format!("      {line}"));
        }
        if lines.len() > LINES_SHOWN {
            self.line(&format!("      … {} lines more", lines.len() - LINES_SHOWN));
        }
    }

    /// A command as a person would type it, and what it printed.
    pub(super) fn shown(&mut self, command: &str, output: &str) {
        self.line(&format!("    $ {command}"));
        if !output.trim().is_empty() {
            self.text(output);
        }
    }

    /// Something with a name.
    pub(super) fn fact(&mut self, name: &str, value: &str) {
        self.line(&format!("    {name:<12} {value}"));
    }

    /// Something that must hold.
    pub(super) fn expect(&mut self, what: &str, holds: bool) {
        if holds {
            self.held += 1;
            self.line(&format!("    ✔ {what}"));
        } else {
            self.failures.push(what.to_owned());
            self.line(&format!("    ✘ does not hold: {what}"));
        }
    }

    /// How many expectations held.
    pub(super) fn verdict(&mut self) {
        let (held, failed) = (self.held, self.failures.len());
        self.line(&format!("    {held} expectations held, {failed} did not."));
    }

    /// The expectations that did not hold.
    pub(super) fn into_failures(self) -> Vec<String> {
        self.failures
    }
}
