//! `skep whoami`.

use crate::cmd::Session;
use crate::render::people;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  skep whoami
  skep whoami --json | jq -r .account.name")]
pub(crate) struct Args {}

pub(crate) async fn run(_: &Args, session: &Session) -> anyhow::Result<()> {
    let who = session.settings.client()?.whoami().await?;
    session.out.result(&who, || people::whoami(&who, session.now()))
}
