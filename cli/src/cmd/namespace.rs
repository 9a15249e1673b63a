//! `skep namespace …`: whose keys sign for it, and who is what in it.

use crate::cmd::{Session, trusted_publisher, webhook};
use crate::render::{packages, people, units};
use clap::ValueEnum;
use skep_api::v1::accounts::{AnswerInvite, CreateInvite, InviteAnswer, MemberRole};
use skep_api::v1::namespaces::ClaimNamespace;
use skep_artifact::key::PublicKey;
use skep_artifact::name::Namespace;
use std::time::Duration;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Claim a namespace for a set of publisher keys; you own it then
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
    /// Show who is what in a namespace
    #[command(after_help = "Example:
  skep namespace members acme")]
    Members { name: Namespace },
    /// Invite somebody into a namespace; the secret is shown once
    #[command(after_help = "Examples:
  skep namespace invite acme --role maintainer > invite.txt
  skep namespace invite acme --role owner --ttl 1h")]
    Invite {
        name: Namespace,
        /// What the invited becomes
        #[arg(long, value_enum, default_value_t = Role::Maintainer)]
        role: Role,
        /// How long it stays valid, like 1h or 3d
        #[arg(long, default_value = "7d", value_parser = units::parse_duration)]
        ttl: Duration,
    },
    /// List the invites of a namespace
    #[command(after_help = "Example:
  skep namespace invites acme")]
    Invites { name: Namespace },
    /// Take an open invite back
    #[command(after_help = "Example:
  skep namespace revoke-invite acme 5f0c2b7a91d3e864")]
    RevokeInvite {
        name: Namespace,
        /// As `skep namespace invites` shows it
        id: String,
    },
    /// Accept an invite
    #[command(after_help = "Example:
  skep namespace accept skepi_5f…")]
    Accept { secret: String },
    /// Decline an invite
    #[command(after_help = "Example:
  skep namespace decline skepi_5f…")]
    Decline { secret: String },
    /// Change what a member is
    #[command(after_help = "Example:
  skep namespace role acme bob owner")]
    Role { name: Namespace, account: String, role: Role },
    /// Remove a member, or leave
    #[command(after_help = "Example:
  skep namespace remove acme bob")]
    Remove { name: Namespace, account: String },
    /// Let a CI publish without a stored token
    #[command(subcommand)]
    TrustedPublisher(trusted_publisher::Command),
    /// Have others told what happens in a namespace
    #[command(subcommand)]
    Webhook(webhook::Command),
    /// Show what a namespace holds and may hold
    Quota(webhook::QuotaArgs),
}

/// What a member is, as written on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Invites, removes, sets up, publishes
    Owner,
    /// Publishes
    Maintainer,
    /// Reads what is private
    Reader,
}

impl From<Role> for MemberRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Owner => Self::Owner,
            Role::Maintainer => Self::Maintainer,
            Role::Reader => Self::Reader,
        }
    }
}

pub(crate) async fn run(command: &Command, session: &Session) -> anyhow::Result<()> {
    let client = session.settings.client()?;
    let out = session.out;
    match command {
        Command::Claim { name, keys, threshold } => {
            let (name, keys) = (name.clone(), keys.clone());
            let claim = ClaimNamespace { name, keys, threshold: *threshold };
            let info = client.claim_namespace(&claim).await?;
            out.result(&info, || packages::namespace(&info))
        }
        Command::Show { name } => {
            let info = client.namespace(name).await?;
            out.result(&info, || packages::namespace(&info))
        }
        Command::Members { name } => {
            let list = client.members(name).await?;
            out.result(&list, || people::members(&list.members, session.now()))
        }
        Command::Invite { name, role, ttl } => {
            let wish = CreateInvite { role: (*role).into(), valid_secs: ttl.as_secs() };
            let created = client.invite(name, &wish).await?;
            let until = units::ahead(created.info.expires_at, session.now());
            out.say(&format!("The invite expires {until}. It is shown this once."));
            out.result(&created, || format!("{}\n", created.secret))
        }
        Command::Invites { name } => {
            let list = client.invites(name).await?;
            out.result(&list, || people::invites(&list.invites, session.now()))
        }
        Command::RevokeInvite { name, id } => {
            client.revoke_invite(name, id).await?;
            out.say(&format!("Invite {id} is revoked."));
            Ok(())
        }
        Command::Accept { secret } => answer(secret, InviteAnswer::Accept, session).await,
        Command::Decline { secret } => answer(secret, InviteAnswer::Decline, session).await,
        Command::Role { name, account, role } => {
            client.change_member(name, account, (*role).into()).await?;
            out.say(&format!("{account} is changed in {name}."));
            Ok(())
        }
        Command::Remove { name, account } => {
            client.remove_member(name, account).await?;
            out.say(&format!("{account} is no longer in {name}."));
            Ok(())
        }
        Command::TrustedPublisher(command) => trusted_publisher::run(command, session).await,
        Command::Webhook(command) => webhook::run(command, session).await,
        Command::Quota(args) => webhook::quota(args, session).await,
    }
}

async fn answer(secret: &str, answer: InviteAnswer, session: &Session) -> anyhow::Result<()> {
    let wish = AnswerInvite { secret: secret.trim().to_owned(), answer };
    let info = session.settings.client()?.answer_invite(&wish).await?;
    let namespace = info.namespace.clone().unwrap_or_default();
    session.out.result(&info, || match answer {
        InviteAnswer::Accept => format!("You are in {namespace} now.\n"),
        InviteAnswer::Decline => format!("The invite into {namespace} is declined.\n"),
    })
}
