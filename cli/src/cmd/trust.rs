//! `skep trust …`: the ceremony of a registry's root and the offline role that delegates namespaces.

mod ceremony;
mod change;
mod hand_in;

pub(crate) use ceremony::SignArgs;

use crate::cmd::Session;
use skep_artifact::key::PublicKey;
use skep_artifact::name::Namespace;
use std::path::PathBuf;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Make the first root and the first offline role of a registry, to be signed
    #[command(after_help = "Examples:
  skep trust show --json > online.json                       on a machine that reaches the registry
  skep trust init --online online.json --out ceremony \\
      --root-key A --root-key B --root-key C --root-key D --root-key E \\
      --targets-key F --targets-key G --targets-key H         on the machine of the ceremony

Writes 1.root.json and 1.targets.json. Nobody has signed them yet: carry them to each keeper and run `skep trust sign`.
Defaults are 3 of the root's keys and 2 of the targets'. One key each is enough for trying things out.")]
    Init(ceremony::InitArgs),
    /// Add signatures to a root or targets file
    #[command(after_help = "Examples:
  skep trust sign 1.root.json --key alice.key
  skep trust sign 1.root.json --merge from-bob/1.root.json

Shows what is signed. The file is rewritten with the signatures it had and yours.")]
    Sign(SignArgs),
    /// Make the next offline role: give a namespace to keys, or take it back
    #[command(after_help = "Examples:
  skep trust delegate acme --key skep-ed25519:oE…= --out 2.targets.json
  skep trust delegate acme --key K1 --key K2 --key K3 --threshold 2 --from 2.targets.json --out 3.targets.json
  skep trust delegate acme --remove --out 4.targets.json

A namespace that is delegated already gets the new keys instead of the old ones: that is how a publisher's keys are
rotated, and how a lost key is recovered.")]
    Delegate(change::DelegateArgs),
    /// Make the next root with other keys for a role, or the next targets with another self-service key
    #[command(after_help = "Examples:
  skep trust rotate root --key A --key B --key C --threshold 2 --out 2.root.json
  skep trust rotate timestamp --key \"$(skep-registry trust new-key --data /var/lib/skep-registry --role timestamp)\" --out 2.root.json

A new root must be signed by enough keys of the old one and by enough of its own.")]
    Rotate(change::RotateArgs),
    /// Make the next root or targets with the same content and a new expiry
    #[command(after_help = "Examples:
  skep trust renew targets --out 5.targets.json
  skep trust renew root --from 2.root.json --out 3.root.json")]
    Renew(change::RenewArgs),
    /// Hand signed roots and targets in to the registry
    #[command(after_help = "Example:
  skep trust add 1.root.json 1.targets.json

The registry takes a root that follows its own and is signed by both, and targets signed by the root's keys.")]
    Add {
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
    /// Show the registry's trust documents, or a file
    #[command(after_help = "Examples:
  skep trust show
  skep trust show 2.targets.json")]
    Show {
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Download the whole repository of trust documents, for a mirror or a node's policy
    #[command(after_help = "Examples:
  skep trust export /srv/mirror/tuf
  skep trust export out && install -m 644 out/1.root.json /etc/skep/root.json

Whoever trusts a root from here trusts this connection: compare it with what its keepers gave you.")]
    Export {
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

/// Where the document comes from that the next one follows.
#[derive(clap::Args)]
pub(crate) struct Source {
    /// The document to begin from; the registry's newest when left out
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// File to write; an existing one is never overwritten
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Days the new document is valid
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..=3650))]
    days: u16,
}

/// A namespace and keys, as several commands take them.
#[derive(clap::Args)]
pub(crate) struct NamespaceKeys {
    #[arg(value_name = "NAMESPACE")]
    namespace: Namespace,
    /// A public key that may sign for it; give it once for every key
    #[arg(long = "key", value_name = "PUBLIC_KEY", required_unless_present = "remove")]
    keys: Vec<PublicKey>,
    /// How many of the keys must sign
    #[arg(long, default_value_t = 1)]
    threshold: usize,
    /// Take the namespace back: nobody signs for it any more
    #[arg(long, conflicts_with = "keys")]
    remove: bool,
}

pub(crate) async fn run(command: &Command, session: &Session) -> anyhow::Result<()> {
    match command {
        Command::Init(args) => ceremony::init(args, session).await,
        Command::Sign(args) => ceremony::sign(args, session),
        Command::Delegate(args) => change::delegate(args, session).await,
        Command::Rotate(args) => change::rotate(args, session).await,
        Command::Renew(args) => change::renew(args, session).await,
        Command::Add { files } => hand_in::add(files, session).await,
        Command::Show { file } => hand_in::show(file.as_deref(), session).await,
        Command::Export { folder } => hand_in::export(folder, session).await,
    }
}
