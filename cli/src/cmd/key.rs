//! `skep key new|show`.

use crate::cmd::Session;
use crate::keys;
use crate::render::paint;
use serde::Serialize;
use skep_artifact::key::PublicKey;
use std::path::{Path, PathBuf};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Make an ed25519 key in a new file that only you may read
    #[command(after_help = "Examples:
  skep key new                      ~/.config/skep/signing.key, used when no --key is given
  skep key new --out acme.key

The public key goes to `skep namespace claim` and into node policies; the file never leaves this machine.")]
    New {
        /// File to write; an existing file is never overwritten
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
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
}

#[derive(Serialize)]
struct Shown<'a> {
    file: &'a Path,
    public_key: &'a PublicKey,
    key_id: String,
}

pub(crate) fn run(command: &Command, session: &Session) -> anyhow::Result<()> {
    let (file, key, words): (_, _, fn(&Shown<'_>) -> String) = match command {
        Command::New { out } => {
            let file = match out {
                Some(file) => file.clone(),
                None => session.settings.key_default()?,
            };
            let key = keys::create(&file)?;
            (file, key, text)
        }
        Command::Show { file, public } => {
            let words = if *public { public_only } else { text };
            (file.clone(), keys::load(file)?, words)
        }
    };
    let public = key.public();
    let shown = Shown { file: &file, public_key: &public, key_id: public.key_id().hex() };
    session.out.result(&shown, || words(&shown))
}

fn public_only(shown: &Shown<'_>) -> String {
    format!("{}\n", shown.public_key)
}

fn text(shown: &Shown<'_>) -> String {
    format!(
        "secret key  {}  {}\npublic key  {}\nkey id      {}\n",
        shown.file.display(),
        paint::dim("keep it to yourself; whoever has it can sign as you"),
        shown.public_key,
        shown.key_id
    )
}
