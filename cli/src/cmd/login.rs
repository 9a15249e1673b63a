//! `skep login`: writes a context into the configuration file, after a call that worked.

use crate::cmd::Session;
use crate::password;
use serde::Serialize;
use skep_api::v1::accounts::LogIn;
use skep_api::v1::packages::PackageQuery;
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  skep login --server https://registry.example:7600 --user anna
  skep login --server https://registry.example:7600 --ca ca.pem --token-file publish.token
  pass skep/anna | skep login --user anna --password-stdin
  vault read skep/ci | skep login --server https://registry.example --token-stdin
  skep login --context lab --server http://127.0.0.1:7600 --token-file admin.token

With --user the registry gives a session, which `skep logout` ends. Session and token are kept in
~/.config/skep/config.toml, which only you may read.")]
pub(crate) struct Args {
    /// Log in as this account, with its password
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    #[command(flatten)]
    password: password::From,
    /// Read an API token from the first line of standard input
    #[arg(long, conflicts_with_all = ["user", "password_stdin"])]
    token_stdin: bool,
    /// Key file to sign with in this context
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

#[derive(Serialize)]
struct LoggedIn<'a> {
    context: &'a str,
    server: &'a str,
    config: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a str>,
}

pub(crate) async fn run(args: &Args, session: Session) -> anyhow::Result<()> {
    let Session { mut settings, out } = session;
    if args.token_stdin {
        settings = settings.with_token(password::line()?);
    }
    if let Some(name) = &args.user {
        let client = settings.client()?.with_token(None);
        let password = args.password.ask(&format!("Password of {name}: "))?;
        let done = client.log_in(&LogIn { name: name.clone(), password }).await?;
        settings = settings.with_token(done.session.unwrap_or_default());
    }
    let client = settings.client()?;
    // Wrong addresses, certificates and tokens show now rather than at the first publish.
    let account = if settings.has_token() {
        client.whoami().await?.account.map(|account| account.name)
    } else {
        client.packages(&PackageQuery { limit: Some(1), ..PackageQuery::default() }).await?;
        None
    };
    let file = settings.remember(args.key.clone())?;
    let done = LoggedIn {
        context: settings.context(),
        server: client.server(),
        config: file.display().to_string(),
        account: account.as_deref(),
    };
    out.result(&done, || {
        let who = done.account.map(|name| format!(" as {name}")).unwrap_or_default();
        format!(
            "Context '{}' now means {}{who}. Written to {}.\n",
            done.context, done.server, done.config
        )
    })
}
