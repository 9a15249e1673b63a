//! `skep yank NAME@VERSION` and `skep unyank NAME@VERSION`.

use crate::cmd::Session;
use crate::exit::Ends;
use crate::render::life;
use crate::resolve::Reference;
use skep_api::v1::life::Reason;
use skep_artifact::name::PackageName;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  skep yank acme/ratelimit@1.4.2 --message 'Counts IPv6 packets twice; 1.4.3 does not.'

No new policy picks a yanked version. Nodes that run it run on, and `skep pull` still gets it by its exact
version. `skep unyank` takes it back. The reason is shown to everybody.")]
pub(crate) struct Args {
    /// A package and the version of it
    #[arg(value_name = "NAME@VERSION")]
    package: Reference,
    /// Why, and what to use instead
    #[arg(long, short)]
    message: String,
}

#[derive(clap::Args)]
#[command(after_help = "Examples:
  skep unyank acme/ratelimit@1.4.2")]
pub(crate) struct UnyankArgs {
    /// A package and the version of it
    #[arg(value_name = "NAME@VERSION")]
    package: Reference,
}

pub(crate) async fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let (name, version) = exact(&args.package)?;
    let reason = Reason { message: args.message.clone() };
    let receipt = session.settings.client()?.yank(name, version, &reason).await?;
    session.out.result(&receipt, || life::receipt(&receipt))
}

pub(crate) async fn undo(args: &UnyankArgs, session: &Session) -> anyhow::Result<()> {
    let (name, version) = exact(&args.package)?;
    let receipt = session.settings.client()?.unyank(name, version).await?;
    session.out.result(&receipt, || life::receipt(&receipt))
}

/// Yanking a whole package by leaving the version out would be too easy a slip.
fn exact(reference: &Reference) -> Result<(&PackageName, &semver::Version), Ends> {
    let name = &reference.name;
    match &reference.version {
        Some(version) => Ok((name, version)),
        None => Err(Ends::usage(format!(
            "Say which version: {name}@1.2.3. `skep info {name}` lists them; `skep deprecate {name}` is about all of them."
        ))),
    }
}
