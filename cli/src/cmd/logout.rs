//! `skep logout`: ends the session and forgets it.

use crate::cmd::Session;
use serde::Serialize;
use skep_api::client::ClientError;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  skep logout
  skep logout --context lab

An API token is only forgotten here; `skep token revoke` withdraws it.")]
pub(crate) struct Args {}

#[derive(Serialize)]
struct LoggedOut<'a> {
    context: &'a str,
    ended: bool,
}

pub(crate) async fn run(_: &Args, session: &Session) -> anyhow::Result<()> {
    let settings = &session.settings;
    let ended = if settings.has_token() {
        match settings.client()?.log_out().await {
            Ok(()) => true,
            // The registry does not know the session any more, or it is a token.
            Err(ClientError::Refused { status: 400 | 401, .. }) => false,
            Err(error) => return Err(error.into()),
        }
    } else {
        false
    };
    settings.forget_token()?;
    let done = LoggedOut { context: settings.context(), ended };
    session.out.result(&done, || format!("Context '{}' is logged out.\n", done.context))
}
