//! `skep namespace trusted-publisher add|list|remove`, and `skep namespace exchange` for a CI job.

use crate::cmd::Session;
use crate::password;
use crate::render::{people, units};
use skep_api::v1::publishers::{AddPublisher, ExchangeToken};
use skep_api::v1::tokens::Pattern;
use skep_artifact::name::{Namespace, PackageName};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Let jobs of a CI publish without a stored token
    #[command(after_help = "Examples:
  skep namespace trusted-publisher add acme --issuer github \\
      --claim repository=acme/ebpf --claim workflow=release.yml --claim environment=release
  skep namespace trusted-publisher add acme --issuer gitlab --package acme/ratelimit \\
      --claim project_path=acme/ebpf --claim workflow=.gitlab-ci.yml

The job may upload; what it uploads is still signed with the namespace's key.")]
    Add {
        namespace: Namespace,
        /// An issuer the registry believes, as its operator named it
        #[arg(long)]
        issuer: String,
        /// Only this package
        #[arg(long)]
        package: Option<PackageName>,
        /// What the issuer must say about the job; give it once for every claim
        #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = claim, required = true)]
        claims: Vec<(String, String)>,
    },
    /// List the trusted publishers of a namespace
    #[command(after_help = "Example:
  skep namespace trusted-publisher list acme")]
    List { namespace: Namespace },
    /// Trust a CI no longer
    #[command(after_help = "Example:
  skep namespace trusted-publisher remove acme 7c1f0e…")]
    Remove { namespace: Namespace, id: String },
    /// In a job: exchange the ID token on standard input for a publish token of 15 minutes
    #[command(after_help = "Example:
  printf '%s\\n' \"$ID_TOKEN\" | skep namespace trusted-publisher exchange acme/ratelimit > token
  skep publish --token-file token")]
    Exchange {
        /// What is to be published: a package, or a namespace
        pattern: Pattern,
    },
}

fn claim(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err("write it like repository=acme/ebpf".to_owned()),
    }
}

pub(crate) async fn run(command: &Command, session: &Session) -> anyhow::Result<()> {
    let client = session.settings.client()?;
    let out = session.out;
    match command {
        Command::Add { namespace, issuer, package, claims } => {
            let wish = AddPublisher {
                issuer: issuer.clone(),
                package: package.as_ref().map(ToString::to_string),
                claims: claims.iter().cloned().collect(),
            };
            let info = client.add_publisher(namespace, &wish).await?;
            out.result(&info, || people::publishers(std::slice::from_ref(&info), session.now()))
        }
        Command::List { namespace } => {
            let list = client.publishers(namespace).await?;
            out.result(&list, || people::publishers(&list.publishers, session.now()))
        }
        Command::Remove { namespace, id } => {
            client.remove_publisher(namespace, id).await?;
            out.say(&format!("Trusted publisher {id} is removed."));
            Ok(())
        }
        Command::Exchange { pattern } => {
            let wish = ExchangeToken { token: password::line()?, pattern: pattern.to_string() };
            let given = client.with_token(None).exchange_token(&wish).await?;
            let until = units::ahead(given.expires_at, session.now());
            out.say(&format!("The token is for {} and expires {until}.", given.pattern));
            out.result(&given, || format!("{}\n", given.token))
        }
    }
}
