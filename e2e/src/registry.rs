//! The real registry on a real address over TLS, with a data folder that can be kept, copied and put back.
//! Refuses to look into its database; only blobs are touched, because a thief with a disk could.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::namespace::Namespace;
use crate::process::{self, Background};
use crate::{programs, wait};

/// How a gzip stream begins; layers of packages are tar archives in gzip.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Files that were changed behind the registry's back.
pub struct Tampered {
    originals: Vec<(PathBuf, Vec<u8>)>,
}

impl Tampered {
    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        self.originals.len()
    }

    /// Puts the right bytes back.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn undo(self) -> Result<()> {
        self.originals.iter().try_for_each(|(path, bytes)| replace(path, bytes))
    }
}

/// Removes the file first: a blob may be read-only, which holds up nobody who has the disk.
fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::remove_file(path)
        .with_context(|| format!("{} could not be removed", path.display()))?;
    std::fs::write(path, bytes).with_context(|| format!("{} could not be written", path.display()))
}

/// A registry that runs in a namespace.
pub struct Registry {
    data: PathBuf,
    log: PathBuf,
    address: String,
    process: Option<Background>,
}

impl Registry {
    /// Starts a registry with an empty data folder and waits until it accepts connections.
    /// `at` is outside loopback, so it makes its own CA: that is how it comes out of the box.
    ///
    /// # Errors
    /// When it does not start, with the end of its log.
    pub fn start(within: &Namespace, at: &str, folder: &Path) -> Result<Self> {
        let mut registry = Self {
            data: folder.join("registry"),
            log: folder.join("registry.log"),
            address: String::new(),
            process: None,
        };
        registry.start_at(within, &format!("{at}:0"))?;
        Ok(registry)
    }

    fn start_at(&mut self, within: &Namespace, listen: &str) -> Result<()> {
        let address_file = self.data.with_extension("address");
        if address_file.exists() {
            std::fs::remove_file(&address_file)
                .context("the old address file could not be removed")?;
        }
        let mut command = within.command(&programs::find("skep-registry")?);
        command.arg("serve").arg("--data").arg(&self.data).args(["--listen", listen]);
        command.arg("--address-file").arg(&address_file);
        let mut process = Background::start("skep-registry", &mut command, &self.log)?;
        self.address = wait::until("the registry tells its address", wait::PATIENCE, || {
            process.check()?;
            let text = std::fs::read_to_string(&address_file).unwrap_or_default();
            Ok(text
                .strip_suffix('\n')
                .or(Some(&text))
                .filter(|text| text.contains("://"))
                .map(str::to_owned))
        })?;
        self.process = Some(process);
        Ok(())
    }

    /// `https://host:port`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The certificate of the CA it made.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.data.join("ca.pem")
    }

    /// The token it made for the first administrator.
    #[must_use]
    pub fn admin_token(&self) -> PathBuf {
        self.data.join("admin.token")
    }

    /// Ends the process with SIGTERM. The data stays.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(&mut self) -> Result<()> {
        if let Some(process) = self.process.take() {
            process.terminate()?;
        }
        Ok(())
    }

    /// Ends the process with SIGKILL. The data stays as it is.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), Background::kill)
    }

    /// Starts it again at the same address, with the data it has.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_again(&mut self, within: &Namespace) -> Result<()> {
        let listen = self
            .address
            .split_once("://")
            .map_or(self.address.clone(), |(_, listen)| listen.to_owned());
        self.start_at(within, &listen)
    }

    /// Copies the data folder of a stopped registry, as a backup does.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub fn copy_data(&self, to: &Path) -> Result<()> {
        process::run(Command::new("cp").arg("-a").arg(&self.data).arg(to))?
            .expect_success()
            .map(drop)
    }

    /// Replaces the data folder of a stopped registry by a copy: what a thief, or an old backup, does.
    ///
    /// # Errors
    /// When it cannot be replaced.
    pub fn replace_data(&self, from: &Path) -> Result<()> {
        std::fs::remove_dir_all(&self.data).context("the data folder could not be removed")?;
        process::run(Command::new("cp").arg("-a").arg(from).arg(&self.data))?
            .expect_success()
            .map(drop)
    }

    /// Flips one bit in the middle of every layer (gzip) that the registry keeps: what a thief with its disk could do.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn tamper_with_layers(&self) -> Result<Tampered> {
        let files = process::run(
            Command::new("find").arg(&self.data).args(["-type", "f", "-size", "-1024k"]),
        )?;
        let mut tampered = Tampered { originals: Vec::new() };
        for path in files.expect_success()?.lines() {
            let path = PathBuf::from(path);
            let original = std::fs::read(&path)
                .with_context(|| format!("{} could not be read", path.display()))?;
            if original.starts_with(&GZIP_MAGIC) {
                let mut changed = original.clone();
                changed[original.len() / 2] ^= 1;
                replace(&path, &changed)?;
                tampered.originals.push((path, original));
            }
        }
        Ok(tampered)
    }

    /// The last lines of its log.
    #[must_use]
    pub fn last_words(&self) -> String {
        self.process.as_ref().map(Background::last_words).unwrap_or_default()
    }
}
