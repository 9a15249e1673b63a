//! Network namespaces with names of their own, gone when dropped, and code that runs inside one.
//! Refuses to know what is connected to what (that is `world`).

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::process;

const FOLDER: &str = "/run/netns";

/// A network namespace that we made.
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes a namespace with its loopback up.
    ///
    /// # Errors
    /// When the kernel or the lack of root refuses.
    pub fn create(name: &str) -> Result<Self> {
        ip(&["netns", "add", name])?;
        let made = Self { name: name.to_owned() };
        made.ip(&["link", "set", "lo", "up"])?;
        Ok(made)
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that stands for it.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        Path::new(FOLDER).join(&self.name)
    }

    /// Runs `ip -n <this namespace> …` and returns what it said.
    ///
    /// # Errors
    /// When `ip` refuses.
    pub fn ip(&self, arguments: &[&str]) -> Result<String> {
        let mut all = vec!["-n", &self.name];
        all.extend(arguments);
        ip(&all)
    }

    /// A command that runs a program inside, and dies with the thread that starts it. Both wrappers replace themselves,
    /// so the child's process id is the program's own.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "nsenter"])
            .arg(format!("--net={}", self.path().display()))
            .arg("--");
        command.arg(program);
        command
    }

    /// Moves the calling thread inside for good, with every process it starts from then on.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub fn enter(&self) -> Result<()> {
        let file =
            File::open(self.path()).with_context(|| format!("namespace {} is gone", self.name))?;
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            .context("the namespace could not be entered")
    }

    /// Calls a function on a thread inside. Sockets opened there stay there, whoever uses them later.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub fn within<T: Send>(&self, call: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        std::thread::scope(|scope| {
            let inside = scope.spawn(move || {
                self.enter()?;
                call()
            });
            inside
                .join()
                .map_err(|_| anyhow!("a thread inside namespace {} panicked", self.name))?
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // It takes its interfaces, and what is attached to them, along. Nothing can be done when it fails.
        let _ = ip(&["netns", "delete", &self.name]);
    }
}

/// Names of namespaces that begin so.
#[must_use]
pub fn names_with_prefix(prefix: &str) -> Vec<String> {
    let entries = std::fs::read_dir(FOLDER).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with(prefix))
        .collect()
}

/// Runs `ip` in our own namespace and returns what it said.
///
/// # Errors
/// When `ip` refuses.
pub fn ip(arguments: &[&str]) -> Result<String> {
    process::run(Command::new("ip").args(arguments))?.expect_success()
}
