//! `skep login`: writes a context into the configuration file, after a call that worked.

use crate::cmd::Session;
use serde::Serialize;
use skep_api::v1::packages::PackageQuery;
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  skep login --server https://registry.example:7600 --ca ca.pem --token-file publish.token
  skep login --context lab --server http://127.0.0.1:7600 --token-file admin.token

The token is kept in ~/.config/skep/config.toml, which only you may read.")]
pub(crate) struct Args {
    /// Key file to sign with in this context
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

#[derive(Serialize)]
struct LoggedIn<'a> {
    context: &'a str,
    server: &'a str,
    config: String,
}

pub(crate) async fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let client = session.settings.client()?;
    // Wrong addresses and certificates show now rather than at the first publish.
    client.packages(&PackageQuery { limit: Some(1), ..PackageQuery::default() }).await?;
    let file = session.settings.remember(args.key.clone())?;
    let done = LoggedIn {
        context: session.settings.context(),
        server: client.server(),
        config: file.display().to_string(),
    };
    session.out.result(&done, || {
        format!(
            "Context '{}' now means {}. Written to {}.\n",
            done.context, done.server, done.config
        )
    })
}
