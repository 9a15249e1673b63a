//! Where results go: text for people or JSON for programs, on standard output; everything said on
//! the way, on standard error. Refuses to know what is said.

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::io::{IsTerminal as _, Write as _};

/// What standard output is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Json,
}

/// The two streams of one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    format: Format,
}

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        Self { format }
    }

    /// What the caller asked for: `text` for people, `data` for programs.
    pub(crate) fn result(
        self,
        data: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        let shown = match self.format {
            Format::Text => text(),
            Format::Json => {
                let json = serde_json::to_string_pretty(data).context("writing JSON")?;
                format!("{json}\n")
            }
        };
        let mut out = anstream::stdout().lock();
        out.write_all(shown.as_bytes())
            .and_then(|()| out.flush())
            .context("Standard output cannot be written.")
    }

    /// One line of data among several, for programs that read along.
    pub(crate) fn line(self, data: &impl Serialize) -> anyhow::Result<()> {
        let json = serde_json::to_string(data).context("writing JSON")?;
        self.text(&format!("{json}\n"))
    }

    /// Text on standard output, at once.
    pub(crate) fn text(self, text: &str) -> anyhow::Result<()> {
        let mut out = anstream::stdout().lock();
        out.write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .context("Standard output cannot be written.")
    }

    /// Whether a program reads standard output.
    pub(crate) fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// A remark on standard error.
    pub(crate) fn say(self, line: &str) {
        // Standard error may be closed; a remark is not worth failing for.
        let _ = writeln!(anstream::stderr(), "{line}");
    }

    /// A bar for a transfer of `total` bytes; invisible where no terminal is.
    pub(crate) fn transfer(self, what: &str, total: u64) -> ProgressBar {
        let bar = self.bar(total);
        let template = "{msg:24} {bar:24.yellow} {bytes}/{total_bytes} {bytes_per_sec}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("██░"));
        }
        bar.set_message(what.to_owned());
        bar
    }

    /// A bar for `total` things to happen; invisible where no terminal is.
    pub(crate) fn progress(self, what: &str, total: u64) -> ProgressBar {
        let bar = self.bar(total);
        if let Ok(style) = ProgressStyle::with_template("{msg} {bar:24.yellow} {pos}/{len}") {
            bar.set_style(style.progress_chars("██░"));
        }
        bar.set_message(what.to_owned());
        bar
    }

    fn bar(self, total: u64) -> ProgressBar {
        let target = if self.is_lively() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        ProgressBar::with_draw_target(Some(total), target)
    }

    /// Whether somebody watches: bars move there, elsewhere plain lines are said.
    pub(crate) fn is_lively(self) -> bool {
        self.format == Format::Text && std::io::stderr().is_terminal()
    }
}
