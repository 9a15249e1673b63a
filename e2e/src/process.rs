//! Running programs: to their end with what they said, or in the background with a log, killed when dropped.
//! Refuses to know which programs.

use std::fmt;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::wait;

/// How long a program may take to end after it was asked to.
const ENDING: Duration = Duration::from_secs(20);
/// How much of a log is shown when something went wrong.
const LOG_LINES_SHOWN: usize = 30;

/// What a finished program left behind.
pub struct Finished {
    line: String,
    /// The exit code; -1 when a signal ended it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// Stdout, when the program succeeded.
    ///
    /// # Errors
    /// With all it said, when it did not.
    pub fn expect_success(self) -> Result<String> {
        if self.code != 0 {
            bail!("{self}");
        }
        Ok(self.stdout)
    }

    /// What it said on stderr, when it failed with this exit code.
    ///
    /// # Errors
    /// When it ended otherwise.
    pub fn expect_code(self, code: i32) -> Result<String> {
        if self.code != code {
            bail!("exit code {code} was expected; {self}");
        }
        Ok(self.stderr)
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ended with {}: {}{}", self.line, self.code, self.stdout, self.stderr)
    }
}

/// Runs a program to its end.
///
/// # Errors
/// When it cannot be started. Ending badly is no error here; see [`Finished`].
pub fn run(command: &mut Command) -> Result<Finished> {
    let line = line(command);
    // A group of its own: Ctrl-C is for the scenario, which then ends what it started, in order.
    let output = command
        .stdin(Stdio::null())
        .process_group(0)
        .output()
        .with_context(|| format!("`{line}` did not start"))?;
    Ok(Finished {
        line,
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// A program in the background. Dropping kills it, waits for it, and keeps its log.
pub struct Background {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Background {
    /// Starts a program with both its outputs appended to a log.
    ///
    /// # Errors
    /// When the log cannot be opened or the program not be started.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .context("a log file could not be opened")?;
        let again = file.try_clone().context("a log file could not be shared")?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(again)
            .process_group(0)
            .spawn()
            .with_context(|| format!("{name} did not start"))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_path_buf() })
    }

    /// The process id. The wrappers we start programs with replace themselves, so it is the program's own.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// An error with the end of its log, when the program has ended.
    ///
    /// # Errors
    /// When the program has ended.
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait().context("a child process could not be asked")? {
            None => Ok(()),
            Some(status) => {
                bail!("{} ended with {status}; its last words:\n{}", self.name, self.last_words())
            }
        }
    }

    /// The last lines of its log.
    #[must_use]
    pub fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
    }

    /// SIGKILL: no chance to tidy up.
    ///
    /// # Errors
    /// When the process cannot be killed or waited for.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill().context("a child process could not be killed")?;
        self.child.wait().context("a child process could not be waited for")?;
        Ok(())
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn terminate(self) -> Result<ExitStatus> {
        self.end_with(Signal::TERM)
    }

    /// A signal, and waits for the end.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn end_with(self, signal: Signal) -> Result<ExitStatus> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).context("a child process could not be signalled")?;
        self.ended()
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// When it does not come in time.
    pub fn ended(mut self) -> Result<ExitStatus> {
        let name = self.name.clone();
        wait::until(&format!("{name} ends"), ENDING, || {
            self.child.try_wait().context("a child process could not be asked")
        })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Either may fail because it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command as a person would type it: the program by its short name.
fn line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut words =
        vec![program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}
