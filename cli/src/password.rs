//! Asking for a password: unseen at a terminal, or one line of standard input. Refuses to take one
//! from the command line, where every process of the machine could read it.

use crate::exit::Ends;
use std::io::{self, BufRead as _, IsTerminal as _, Read as _};

/// Longest line read from standard input, in bytes: four times what the registry takes.
const LINE_BYTES_MAX: u64 = 1024;

/// Where a password comes from.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct From {
    /// Read the password from the first line of standard input instead of asking for it
    #[arg(long)]
    password_stdin: bool,
}

/// One line of standard input, without its end.
pub(crate) fn line() -> anyhow::Result<String> {
    let mut text = String::new();
    io::stdin().lock().take(LINE_BYTES_MAX).read_line(&mut text)?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(Ends::usage("Standard input is empty.").into());
    }
    Ok(text.to_owned())
}

impl From {
    /// The password somebody has.
    pub(crate) fn ask(self, prompt: &str) -> anyhow::Result<String> {
        if self.password_stdin {
            return line();
        }
        if !io::stdin().is_terminal() {
            let what = "There is no terminal to ask for a password. Pass --password-stdin.";
            return Err(Ends::usage(what).into());
        }
        Ok(rpassword::prompt_password(prompt)?)
    }

    /// A new password; at a terminal it has to be typed twice.
    pub(crate) fn ask_new(self, prompt: &str) -> anyhow::Result<String> {
        let password = self.ask(prompt)?;
        if !self.password_stdin && rpassword::prompt_password("Once more: ")? != password {
            return Err(Ends::usage("The two passwords differ. Nothing was changed.").into());
        }
        Ok(password)
    }
}
