//! `skep key new|list|show|encrypt|rotate`.

use crate::cmd::Session;
use crate::exit::Ends;
use crate::keys::{self, Protection};
use crate::render::paint;
use anyhow::Context as _;
use serde::Serialize;
use skep_artifact::key::PublicKey;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Files of a folder that are looked at for keys: more is not a folder of keys.
const FILES_MAX: usize = 1024;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Make an ed25519 key in a new file that only you may read
    #[command(after_help = "Examples:
  skep key new                      ~/.config/skep/signing.key, used when no --key is given
  skep key new --out acme.key --encrypt

With --encrypt the file is encrypted with a passphrase (age, scrypt), typed or from SKEP_KEY_PASSPHRASE.
The public key goes to `skep namespace claim` and into node policies; the file never leaves this machine.")]
    New {
        /// File to write; an existing file is never overwritten
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Encrypt it with a passphrase
        #[arg(long)]
        encrypt: bool,
    },
    /// List the keys of a folder, without asking for passphrases
    #[command(after_help = "Example:
  skep key list                     the folder of ~/.config/skep/signing.key")]
    List {
        #[arg(value_name = "DIR")]
        folder: Option<PathBuf>,
    },
    /// Show the public key and the key id of a key file
    #[command(after_help = "Examples:
  skep key show acme.key
  skep namespace claim acme --key \"$(skep key show acme.key --public)\"")]
    Show {
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Print the public key and nothing else, for scripts
        #[arg(long)]
        public: bool,
    },
    /// Encrypt a key file with a passphrase, where it lies
    #[command(after_help = "Example:
  skep key encrypt acme.key")]
    Encrypt {
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Put a key aside and make a new one in its place
    #[command(after_help = "Example:
  skep key rotate acme.key

The old key stays beside it until everything is signed with the new one: see docs/trust.md.")]
    Rotate {
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

#[derive(Serialize)]
struct Shown<'a> {
    file: &'a Path,
    public_key: &'a PublicKey,
    key_id: String,
    encrypted: bool,
}

impl<'a> Shown<'a> {
    fn of(file: &'a Path, public_key: &'a PublicKey, protection: Protection) -> Self {
        let encrypted = protection == Protection::Passphrase;
        Self { file, public_key, key_id: public_key.key_id().hex(), encrypted }
    }
}

pub(crate) fn run(command: &Command, session: &Session) -> anyhow::Result<()> {
    match command {
        Command::New { out, encrypt } => {
            let file = match out {
                Some(file) => file.clone(),
                None => session.settings.key_default()?,
            };
            let protection = if *encrypt { Protection::Passphrase } else { Protection::Mode };
            let public = keys::create(&file, protection)?.public();
            let shown = Shown::of(&file, &public, protection);
            session.out.result(&shown, || text(&shown))
        }
        Command::List { folder } => list(folder.as_deref(), session),
        Command::Show { file, public: only } => {
            let (public, protection) = keys::public(file)?;
            let shown = Shown::of(file, &public, protection);
            let words = || if *only { format!("{public}\n") } else { text(&shown) };
            session.out.result(&shown, words)
        }
        Command::Encrypt { file } => {
            let public = keys::encrypt(file)?;
            let shown = Shown::of(file, &public, Protection::Passphrase);
            session.out.result(&shown, || text(&shown))
        }
        Command::Rotate { file } => rotate(file, session),
    }
}

fn list(folder: Option<&Path>, session: &Session) -> anyhow::Result<()> {
    let folder = match folder {
        Some(folder) => folder.to_owned(),
        None => session.settings.key_default()?.parent().unwrap_or(Path::new(".")).to_owned(),
    };
    let entries = std::fs::read_dir(&folder)
        .with_context(|| format!("{} cannot be read.", folder.display()))?;
    let mut files: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    if files.len() > FILES_MAX {
        let said = format!("{} holds more than {FILES_MAX} files.", folder.display());
        return Err(Ends::usage(said).into());
    }
    files.sort();
    // Files that are no keys, or that others may read, are passed over here; using one names the reason.
    let found: Vec<(PathBuf, PublicKey, Protection)> = files
        .into_iter()
        .filter_map(|path| keys::public(&path).ok().map(|(key, how)| (path, key, how)))
        .collect();
    let shown: Vec<Shown<'_>> =
        found.iter().map(|(path, key, how)| Shown::of(path, key, *how)).collect();
    session.out.result(&shown, || {
        let mut text = String::new();
        for key in &shown {
            let lock = if key.encrypted { "encrypted" } else { "plain" };
            // Writing into a String cannot fail.
            let _ = writeln!(
                text,
                "{}  {:<9}  {}  {}",
                &key.key_id[..8],
                lock,
                key.public_key,
                key.file.display()
            );
        }
        if text.is_empty() { format!("No keys in {}.\n", folder.display()) } else { text }
    })
}

#[derive(Serialize)]
struct Rotated<'a> {
    file: &'a Path,
    public_key: PublicKey,
    old_file: PathBuf,
    old_public_key: PublicKey,
}

fn rotate(file: &Path, session: &Session) -> anyhow::Result<()> {
    let (_, protection) = keys::public(file)?;
    let (old_public_key, old_file) = keys::set_aside(file)?;
    let public_key = match keys::create(file, protection) {
        Ok(key) => key.public(),
        Err(error) => {
            // The old key goes back to where everything looks for it.
            std::fs::rename(&old_file, file)
                .with_context(|| format!("The old key is in {}.", old_file.display()))?;
            return Err(error.into());
        }
    };
    let rotated = Rotated { file, public_key, old_file, old_public_key };
    session.out.result(&rotated, || {
        format!(
            "new key     {}  {}\nold key     {}  {}\nNext: have the new public key put where the old one is (`skep trust delegate`, node policies), sign with it, then remove the old file.\n",
            rotated.public_key,
            rotated.file.display(),
            rotated.old_public_key,
            rotated.old_file.display()
        )
    })
}

fn text(shown: &Shown<'_>) -> String {
    let kept = if shown.encrypted {
        "encrypted with a passphrase"
    } else {
        "keep it to yourself; whoever has it can sign as you"
    };
    format!(
        "secret key  {}  {}\npublic key  {}\nkey id      {}\n",
        shown.file.display(),
        paint::dim(kept),
        shown.public_key,
        shown.key_id
    )
}
