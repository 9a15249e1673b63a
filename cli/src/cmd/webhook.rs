//! `skep namespace webhook add|list|ping|deliveries|secret|remove`, and `skep namespace quota`.

use crate::cmd::Session;
use crate::render::people;
use skep_api::v1::webhooks::{CreateWebhook, Quota};
use skep_artifact::name::Namespace;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Have events posted to an address; shows the key of the signatures
    #[command(after_help = "Example:
  skep namespace webhook add acme https://hooks.example/skep > webhook.key")]
    Add { namespace: Namespace, url: String },
    /// List the webhooks of a namespace
    #[command(after_help = "Example:
  skep namespace webhook list acme")]
    List { namespace: Namespace },
    /// Send a ping; one that arrives enables a disabled webhook again
    #[command(after_help = "Example:
  skep namespace webhook ping acme 7c1f0e…")]
    Ping { namespace: Namespace, id: String },
    /// Show what was delivered, and what was not
    #[command(after_help = "Example:
  skep namespace webhook deliveries acme 7c1f0e…")]
    Deliveries { namespace: Namespace, id: String },
    /// Show the key of the signatures again; that is written into the audit log
    #[command(after_help = "Example:
  skep namespace webhook secret acme 7c1f0e…")]
    Secret { namespace: Namespace, id: String },
    /// Remove a webhook
    #[command(after_help = "Example:
  skep namespace webhook remove acme 7c1f0e…")]
    Remove { namespace: Namespace, id: String },
}

/// What a namespace holds and may hold.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  skep namespace quota acme
  skep namespace quota acme --set --packages 2000 --versions-per-day 1000

With --set, which only admins may, what is left out goes back to the default.")]
pub(crate) struct QuotaArgs {
    namespace: Namespace,
    /// Change it
    #[arg(long)]
    set: bool,
    /// Most packages
    #[arg(long, requires = "set")]
    packages: Option<u64>,
    /// Most versions in 24 hours
    #[arg(long, requires = "set")]
    versions_per_day: Option<u64>,
    /// Most bytes
    #[arg(long, requires = "set")]
    bytes: Option<u64>,
}

pub(crate) async fn run(command: &Command, session: &Session) -> anyhow::Result<()> {
    let client = session.settings.client()?;
    let out = session.out;
    match command {
        Command::Add { namespace, url } => {
            let wish = CreateWebhook { url: url.clone() };
            let created = client.create_webhook(namespace, &wish).await?;
            out.say(&format!("Webhook {} calls {}.", created.info.id, created.info.url));
            out.result(&created, || format!("{}\n", created.secret))
        }
        Command::List { namespace } => {
            let list = client.webhooks(namespace).await?;
            out.result(&list, || people::webhooks(&list.webhooks, session.now()))
        }
        Command::Ping { namespace, id } => {
            client.ping_webhook(namespace, id).await?;
            out.say(
                "The ping is on its way; `skep namespace webhook deliveries` shows how it went.",
            );
            Ok(())
        }
        Command::Deliveries { namespace, id } => {
            let list = client.deliveries(namespace, id).await?;
            out.result(&list, || people::deliveries(&list.deliveries, session.now()))
        }
        Command::Secret { namespace, id } => {
            let secret = client.webhook_secret(namespace, id).await?;
            out.result(&secret, || format!("{}\n", secret.secret))
        }
        Command::Remove { namespace, id } => {
            client.remove_webhook(namespace, id).await?;
            out.say(&format!("Webhook {id} is removed."));
            Ok(())
        }
    }
}

pub(crate) async fn quota(args: &QuotaArgs, session: &Session) -> anyhow::Result<()> {
    let client = session.settings.client()?;
    if args.set {
        let QuotaArgs { packages, versions_per_day, bytes, .. } = *args;
        client.change_quota(&args.namespace, &Quota { packages, versions_per_day, bytes }).await?;
    }
    let held = client.quota(&args.namespace).await?;
    session.out.result(&held, || people::quota(&held))
}
