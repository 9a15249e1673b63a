//! `skep token create|list|revoke`.

use crate::cmd::Session;
use crate::render::{people, units};
use clap::ValueEnum;
use skep_api::v1::tokens::{CreateToken, Pattern, Scope};
use std::time::Duration;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Make an API token; its secret is shown once
    #[command(after_help = "Examples:
  skep token create --name ci --scope publish --namespace acme --ttl 90d
  skep token create --name ci --scope publish --namespace acme/ratelimit --ttl 1d
  skep token create --name ops --scope operate

A token never allows more, or lasts longer, than what you make it with.")]
    Create {
        /// Who or what will use it, for the audit log
        #[arg(long)]
        name: String,
        /// What it allows
        #[arg(long, value_enum)]
        scope: TokenScope,
        /// What a publish token may publish: a namespace, or one package of it
        #[arg(long, required_if_eq("scope", "publish"), value_name = "PATTERN")]
        namespace: Option<Pattern>,
        /// How long it stays valid, like 1h or 30d; a year at most
        #[arg(long, default_value = "30d", value_parser = units::parse_duration)]
        ttl: Duration,
    },
    /// List your tokens; an admin sees all
    #[command(after_help = "Example:
  skep token list")]
    List,
    /// Withdraw a token
    #[command(after_help = "Example:
  skep token revoke 5f0c2b7a91d3e864")]
    Revoke {
        /// As `skep token list` shows it
        id: String,
    },
}

/// What a token allows, as written on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TokenScope {
    /// Everything, including making tokens and claiming namespaces
    Admin,
    /// What your account may do with namespaces, members and tokens
    Account,
    /// Upload and publish what the pattern names
    Publish,
    /// Apply policies, make node tokens, read the fleet
    Operate,
    /// Read the fleet
    ReadFleet,
}

impl From<TokenScope> for Scope {
    fn from(scope: TokenScope) -> Self {
        match scope {
            TokenScope::Admin => Self::Admin,
            TokenScope::Account => Self::Account,
            TokenScope::Publish => Self::Publish,
            TokenScope::Operate => Self::Operate,
            TokenScope::ReadFleet => Self::ReadFleet,
        }
    }
}

pub(crate) async fn run(command: &Command, session: &Session) -> anyhow::Result<()> {
    let client = session.settings.client()?;
    match command {
        Command::Create { name, scope, namespace, ttl } => {
            let request = CreateToken {
                name: name.clone(),
                scope: (*scope).into(),
                namespace: namespace.as_ref().map(ToString::to_string),
                valid_secs: ttl.as_secs(),
            };
            let created = client.create_token(&request).await?;
            session.out.say(&format!(
                "Token '{}' expires {}. Its secret is shown this once.",
                created.info.name,
                units::ahead(created.info.expires_at, session.now())
            ));
            // The secret alone goes to standard output, so that `> file` keeps exactly it.
            session.out.result(&created, || format!("{}\n", created.secret))
        }
        Command::List => {
            let list = client.tokens().await?;
            session.out.result(&list, || people::tokens(&list.tokens, session.now()))
        }
        Command::Revoke { id } => {
            client.revoke_token(id).await?;
            session.out.say(&format!("Token {id} is withdrawn."));
            Ok(())
        }
    }
}
