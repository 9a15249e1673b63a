//! `skep rollout …`: how a revision goes to its nodes, and what operators wish of it.

pub(crate) mod watch;

use crate::cmd::{Session, approve};
use crate::exit::Ends;
use crate::render::rollouts as drawn;
use anyhow::Context as _;
use skep_api::client::Client;
use skep_api::v1::rollouts::{RolloutDetail, RolloutSummary, RolloutWish, WishKind};
use skep_fleet::ids::PolicyName;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// List rollouts
    #[command(after_help = "Examples:
  skep rollout list
  skep rollout list --json")]
    List,
    /// Show a rollout: waves, gates, evidence
    #[command(after_help = "Examples:
  skep rollout show edge-firewall
  skep rollout show edge-firewall --revision 14 --json")]
    Show(Which),
    /// Watch a rollout until it is over or stands still
    #[command(after_help = "Examples:
  skep rollout watch edge-firewall
  skep rollout watch edge-firewall --json      one line whenever something changes

Exit codes: 0 it succeeded, 3 it went back, was cancelled or stands still, 1 it could not be watched.")]
    Watch(Which),
    /// Give out nothing more, at once
    #[command(after_help = "Example:
  skep rollout pause edge-firewall --why 'support is calling'")]
    Pause(Because),
    /// Go on where it stood
    #[command(after_help = "Example:
  skep rollout resume edge-firewall")]
    Resume(Which),
    /// Begin the next wave now, whatever the gates say
    #[command(after_help = "Example:
  skep rollout promote edge-firewall")]
    Promote(Which),
    /// Sign that a wave may begin
    Approve(approve::Args),
    /// Let failed nodes try again
    #[command(after_help = "Example:
  skep rollout retry edge-firewall")]
    Retry(Which),
    /// Give out nothing more, for good; every node keeps what it has
    #[command(after_help = "Example:
  skep rollout cancel edge-firewall --why 'next week'")]
    Cancel(Because),
    /// Let every node go back
    #[command(after_help = "Example:
  skep rollout rollback edge-firewall --why 'customers complain'")]
    Rollback(Because),
    /// Let it pass freezes, windows and what is known to be bad
    #[command(after_help = "Example:
  skep rollout break-glass edge-firewall --why 'an attack is under way'

Who did it and why is kept with the rollout. One that stands still because of what is known to be bad goes on with
`skep rollout resume` then.")]
    BreakGlass {
        #[command(flatten)]
        which: Which,
        /// What others shall read about it
        #[arg(long)]
        why: String,
    },
}

/// Which rollout is meant.
#[derive(clap::Args)]
pub(crate) struct Which {
    policy: PolicyName,
    /// The revision; the newest one that is rolled out when none is named
    #[arg(long)]
    revision: Option<u64>,
}

/// Which rollout, and why.
#[derive(clap::Args)]
pub(crate) struct Because {
    #[command(flatten)]
    which: Which,
    /// What others shall read about it
    #[arg(long, default_value = "")]
    why: String,
}

pub(crate) async fn run(command: &Command, session: &Session) -> anyhow::Result<()> {
    match command {
        Command::List => list(session).await,
        Command::Show(which) => {
            let client = session.settings.client()?;
            let detail = find(&client, which).await?;
            shown(session, &detail)
        }
        Command::Watch(which) => watch::run(which, session).await,
        Command::Approve(args) => approve::run(args, session).await,
        Command::Resume(which) => wish(session, which, WishKind::Resume, "").await,
        Command::Promote(which) => wish(session, which, WishKind::Promote, "").await,
        Command::Retry(which) => wish(session, which, WishKind::Retry, "").await,
        Command::Pause(Because { which, why }) => wish(session, which, WishKind::Pause, why).await,
        Command::Cancel(Because { which, why }) => {
            wish(session, which, WishKind::Cancel, why).await
        }
        Command::Rollback(Because { which, why }) => {
            wish(session, which, WishKind::Rollback, why).await
        }
        Command::BreakGlass { which, why } => wish(session, which, WishKind::BreakGlass, why).await,
    }
}

async fn list(session: &Session) -> anyhow::Result<()> {
    let list = session.settings.client()?.rollouts().await?;
    session.out.result(&list, || drawn::list(&list))
}

async fn wish(session: &Session, which: &Which, wish: WishKind, why: &str) -> anyhow::Result<()> {
    let client = session.settings.client()?;
    let revision = revision_of(&client, which).await?;
    let wish = RolloutWish { wish, why: why.to_owned() };
    let detail = client.wish_of_rollout(&which.policy, revision, &wish).await?;
    shown(session, &detail)
}

fn shown(session: &Session, detail: &RolloutDetail) -> anyhow::Result<()> {
    session.out.result(detail, || drawn::detail(detail))
}

async fn find(client: &Client, which: &Which) -> anyhow::Result<RolloutDetail> {
    let revision = revision_of(client, which).await?;
    let found = client.rollout(&which.policy, revision).await;
    found.context("The rollout could not be read.")
}

/// The revision that is meant: the one that is named, else the newest that is rolled out.
async fn revision_of(client: &Client, which: &Which) -> anyhow::Result<u64> {
    if let Some(revision) = which.revision {
        return Ok(revision);
    }
    let all = client.rollouts().await?.rollouts;
    let of_policy = all.iter().filter(|it| it.policy == which.policy.as_str());
    let newest: Option<&RolloutSummary> = of_policy.max_by_key(|it| it.revision);
    let missing = || {
        Ends::not_found(format!(
            "Policy {} was never rolled out in waves. Name a strategy when you apply it.",
            which.policy
        ))
    };
    Ok(newest.ok_or_else(missing)?.revision)
}
