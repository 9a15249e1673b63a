//! `skep token create`.

use crate::cmd::Session;
use crate::render::units;
use clap::ValueEnum;
use skep_api::v1::tokens::{CreateToken, Scope};
use skep_artifact::name::Namespace;
use std::time::Duration;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Make an API token; its secret is shown once
    #[command(after_help = "Examples:
  skep token create --name ci --scope publish --namespace acme --ttl 90d
  skep token create --name ops --scope operate")]
    Create {
        /// Who or what will use it, for the audit trail
        #[arg(long)]
        name: String,
        /// What it allows
        #[arg(long, value_enum)]
        scope: TokenScope,
        /// The namespace a publish token may publish into
        #[arg(long, required_if_eq("scope", "publish"))]
        namespace: Option<Namespace>,
        /// How long it stays valid, like 1h or 30d
        #[arg(long, default_value = "30d", value_parser = units::parse_duration)]
        ttl: Duration,
    },
}

/// What a token allows, as written on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TokenScope {
    /// Everything, including making tokens and claiming namespaces
    Admin,
    /// Upload and publish into one namespace
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
            TokenScope::Publish => Self::Publish,
            TokenScope::Operate => Self::Operate,
            TokenScope::ReadFleet => Self::ReadFleet,
        }
    }
}

pub(crate) async fn run(command: &Command, session: &Session) -> anyhow::Result<()> {
    let Command::Create { name, scope, namespace, ttl } = command;
    let request = CreateToken {
        name: name.clone(),
        scope: (*scope).into(),
        namespace: namespace.as_ref().map(ToString::to_string),
        valid_secs: ttl.as_secs(),
    };
    let created = session.settings.client()?.create_token(&request).await?;
    session.out.say(&format!(
        "Token '{}' expires {}. Its secret is shown this once.",
        created.info.name,
        units::ahead(created.info.expires_at, session.now())
    ));
    // The secret alone goes to standard output, so that `> file` keeps exactly it.
    session.out.result(&created, || format!("{}\n", created.secret))
}
