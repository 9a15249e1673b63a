//! `skep search WORDS [--hook HOOK]`.

use crate::cmd::Session;
use crate::render::packages;
use skep_api::v1::packages::{PAGE_MAX, PackageQuery};
use skep_artifact::hook::Hook;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  skep search rate limit
  skep search --hook xdp")]
pub(crate) struct Args {
    /// Words to look for in name, description and keywords
    words: Vec<String>,
    /// Only packages with a program for this hook: xdp, tc-ingress or tc-egress
    #[arg(long)]
    hook: Option<Hook>,
    /// Packages to show, 1 to 100
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(PAGE_MAX)))]
    limit: Option<u32>,
    /// Go on where an earlier page ended
    #[arg(long, value_name = "NEXT")]
    after: Option<String>,
}

pub(crate) async fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let words = args.words.join(" ");
    let query = PackageQuery {
        q: (!words.is_empty()).then_some(words),
        hook: args.hook,
        after: args.after.clone(),
        limit: args.limit,
    };
    let page = session.settings.client()?.packages(&query).await?;
    session.out.result(&page, || packages::page(&page, session.now()))
}
