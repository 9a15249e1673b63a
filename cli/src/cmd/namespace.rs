//! `skep namespace claim|show`.

use crate::cmd::Session;
use crate::render::packages;
use skep_api::v1::namespaces::ClaimNamespace;
use skep_artifact::key::PublicKey;
use skep_artifact::name::Namespace;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Claim a namespace for a set of publisher keys
    #[command(after_help = "Examples:
  skep namespace claim acme --key skep-ed25519:oE…=
  skep namespace claim acme --key skep-ed25519:oE…= --key skep-ed25519:9f…= --threshold 2")]
    Claim {
        name: Namespace,
        /// A public key that may sign for the namespace; give it once for every key
        #[arg(long = "key", value_name = "PUBLIC_KEY", required = true)]
        keys: Vec<PublicKey>,
        /// How many of the keys must sign
        #[arg(long, default_value_t = 1)]
        threshold: u32,
    },
    /// Show who may sign for a namespace
    #[command(after_help = "Example:
  skep namespace show acme")]
    Show { name: Namespace },
}

pub(crate) async fn run(command: &Command, session: &Session) -> anyhow::Result<()> {
    let client = session.settings.client()?;
    let info = match command {
        Command::Claim { name, keys, threshold } => {
            let (name, keys) = (name.clone(), keys.clone());
            client.claim_namespace(&ClaimNamespace { name, keys, threshold: *threshold }).await?
        }
        Command::Show { name } => client.namespace(name).await?,
    };
    session.out.result(&info, || packages::namespace(&info))
}
