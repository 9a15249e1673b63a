//! `skep info NAME[@VERSION]`.

use crate::cmd::Session;
use crate::render::packages;
use crate::resolve::Reference;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  skep info skep/firewall
  skep info skep/firewall@1.4.2")]
pub(crate) struct Args {
    /// A package, or one version of it
    #[arg(value_name = "NAME[@VERSION]")]
    package: Reference,
}

pub(crate) async fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let client = session.settings.client()?;
    let now = session.now();
    match &args.package {
        Reference { name, version: None } => {
            let detail = client.package(name).await?;
            session.out.result(&detail, || packages::detail(&detail, now))
        }
        Reference { name, version: Some(version) } => {
            let detail = client.version(name, version).await?;
            session.out.result(&detail, || packages::version(&detail, now))
        }
    }
}
