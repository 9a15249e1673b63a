//! `skep audit`.

use crate::cmd::Session;
use crate::render::people;
use skep_api::v1::audit::AuditQuery;
use skep_artifact::name::Namespace;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  skep audit
  skep audit --namespace acme --limit 20
  skep audit --action account.login_failed --json

Without --namespace an admin sees everything, and everybody else what they did themselves.")]
pub(crate) struct Args {
    /// What happened in this namespace; for its owners
    #[arg(long)]
    namespace: Option<Namespace>,
    /// Only this action, like package.published
    #[arg(long)]
    action: Option<String>,
    /// Entries before this one: what the page before ended with
    #[arg(long, value_name = "ID")]
    before: Option<i64>,
    /// How many entries, 1 to 1000
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
}

pub(crate) async fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let query = AuditQuery {
        namespace: args.namespace.as_ref().map(ToString::to_string),
        action: args.action.clone(),
        before: args.before,
        limit: Some(args.limit),
    };
    let page = session.settings.client()?.audit(&query).await?;
    if let Some(next) = page.next {
        session.out.say(&format!("There is more: pass --before {next}."));
    }
    session.out.result(&page, || people::audit(&page.entries))
}
