//! A person at a terminal: runs `skep` with a registry, a token and keys of their own. Refuses to know how `skep` works.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::namespace::Namespace;
use crate::process::{self, Finished};
use crate::programs;
use crate::registry::Registry;

/// Somebody who uses `skep`, with a home folder of their own.
pub struct Operator {
    namespace: PathBuf,
    home: PathBuf,
    server: String,
    ca: PathBuf,
    token_file: PathBuf,
}

impl Operator {
    /// The first administrator of a registry, sitting in a namespace that reaches it.
    ///
    /// # Errors
    /// When the home folder cannot be made.
    pub fn administrator(within: &Namespace, registry: &Registry, folder: &Path) -> Result<Self> {
        let home = folder.join("operator");
        std::fs::create_dir_all(&home).context("a home folder could not be made")?;
        Ok(Self {
            namespace: within.path(),
            home,
            server: registry.address().to_owned(),
            ca: registry.ca(),
            token_file: registry.admin_token(),
        })
    }

    /// A file in the operator's home folder.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    /// Writes a file into the operator's home folder.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.file(name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).context("a folder could not be made")?;
        }
        std::fs::write(&path, text).with_context(|| format!("{name} could not be written"))?;
        Ok(path)
    }

    /// `skep` with these words, not yet run. No secret is among its arguments: the token is in a file.
    ///
    /// # Errors
    /// When `skep` is not built.
    pub fn command(&self, words: &[&str]) -> Result<Command> {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", self.namespace.display()))
            .arg("--")
            .arg(programs::find("skep")?);
        command.args(words).current_dir(&self.home);
        command
            .env("HOME", &self.home)
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("SKEP_TOKEN")
            .env_remove("SKEP_KEY");
        command
            .env("SKEP_SERVER", &self.server)
            .env("SKEP_CA", &self.ca)
            .env("SKEP_TOKEN_FILE", &self.token_file);
        Ok(command)
    }

    /// Runs `skep` to its end, however it ends.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn try_skep(&self, words: &[&str]) -> Result<Finished> {
        process::run(&mut self.command(words)?)
    }

    /// Runs `skep` and returns what it printed.
    ///
    /// # Errors
    /// When it fails, with what it said.
    pub fn skep(&self, words: &[&str]) -> Result<String> {
        self.try_skep(words)?.expect_success()
    }

    /// Runs `skep --json` and returns its answer.
    ///
    /// # Errors
    /// When it fails, or prints something else than JSON.
    pub fn skep_json(&self, words: &[&str]) -> Result<Value> {
        let mut all = vec!["--json"];
        all.extend(words);
        let text = self.skep(&all)?;
        serde_json::from_str(&text)
            .with_context(|| format!("`skep {}` printed no JSON: {text}", all.join(" ")))
    }
}
