//! `skep deprecate NAME[@VERSION]`: warns whoever picks it.

use crate::cmd::Session;
use crate::render::life;
use crate::resolve::Reference;
use skep_api::v1::life::Deprecation;
use skep_artifact::name::PackageName;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  skep deprecate acme/ratelimit --message 'Not maintained any more.' --use acme/limiter
  skep deprecate acme/ratelimit@1.3.0 --message 'Slow on ARM; 1.4 is not.'
  skep deprecate acme/ratelimit --undo

What is deprecated can still be chosen; `skep plan`, `skep apply` and `skep pull` warn.")]
pub(crate) struct Args {
    /// A package, or one version of it
    #[arg(value_name = "NAME[@VERSION]")]
    package: Reference,
    /// Why
    #[arg(long, short, required_unless_present = "undo")]
    message: Option<String>,
    /// The package that takes its place
    #[arg(long = "use", value_name = "NAME", conflicts_with = "undo")]
    replacement: Option<PackageName>,
    /// Take the deprecation back
    #[arg(long, conflicts_with = "message")]
    undo: bool,
}

pub(crate) async fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let client = session.settings.client()?;
    let Reference { name, version } = &args.package;
    let receipt = match &args.message {
        None => client.undeprecate(name, version.as_ref()).await?,
        Some(message) => {
            let (message, replacement) = (message.clone(), args.replacement.clone());
            let deprecation = Deprecation { message, replacement };
            client.deprecate(name, version.as_ref(), &deprecation).await?
        }
    };
    session.out.result(&receipt, || life::receipt(&receipt))
}
