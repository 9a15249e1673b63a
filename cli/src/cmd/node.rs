//! `skep node token create|list|show|chain|drops|detach`.

use crate::cmd::{Session, node_chain, node_detach, node_drops};
use crate::render::{nodes, units};
use skep_api::v1::nodes::CreateNodeToken;
use skep_fleet::ids::NodeName;
use skep_fleet::selector::Labels;
use std::time::Duration;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Make tokens with which nodes enrol
    #[command(subcommand)]
    Token(TokenCommand),
    /// List the nodes
    #[command(after_help = "Example:
  skep node list --label role=edge")]
    List {
        /// Only nodes with this label; may be given several times
        #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
        labels: Vec<(String, String)>,
    },
    /// Show one node
    #[command(after_help = "Example:
  skep node show edge-07")]
    Show { name: NodeName },
    /// Draw the chains of a node, with what each program does to packets
    Chain(node_chain::Args),
    /// Tell who drops which packet on this host
    Drops(node_drops::Args),
    /// Take every chain off this host, without any server
    Detach(node_detach::Args),
}

#[derive(clap::Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token; its secret is shown once
    #[command(after_help = "Example:
  skep node token create --label role=edge --uses 10 --ttl 1h > node.token")]
    Create {
        /// A label every node enrolled with it gets; may be given several times
        #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
        labels: Vec<(String, String)>,
        /// How many nodes may enrol with it
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        uses: u32,
        /// How long it stays valid, like 1h or 30d
        #[arg(long, default_value = "1h", value_parser = units::parse_duration)]
        ttl: Duration,
    },
}

/// Why a text is not a label.
#[derive(Debug, thiserror::Error)]
#[error("'{text}' is not a label. Write it like role=edge.")]
pub(crate) struct LabelError {
    text: String,
}

fn label(text: &str) -> Result<(String, String), LabelError> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(LabelError { text: text.to_owned() }),
    }
}

pub(crate) async fn run(command: &Command, session: &Session) -> anyhow::Result<()> {
    match command {
        Command::Token(TokenCommand::Create { labels, uses, ttl }) => {
            create_token(labels.iter().cloned().collect(), *uses, *ttl, session).await
        }
        Command::List { labels } => list(labels, session).await,
        Command::Show { name } => {
            let detail = session.settings.client()?.node(name).await?;
            session.out.result(&detail, || nodes::detail(&detail))
        }
        Command::Chain(args) => node_chain::run(args, session).await,
        Command::Drops(args) => node_drops::run(args, session).await,
        Command::Detach(args) => node_detach::run(args, session).await,
    }
}

async fn create_token(
    labels: Labels,
    uses: u32,
    ttl: Duration,
    session: &Session,
) -> anyhow::Result<()> {
    let request = CreateNodeToken { labels, uses, valid_secs: ttl.as_secs() };
    let created = session.settings.client()?.create_node_token(&request).await?;
    session.out.say(&format!(
        "{} may enrol with this token; it expires {}. Use it on the node as\n  SKEP_AGENT_TOKEN=… skep-agent enrol --server URL --name NAME",
        units::plural(uses as usize, "node", "nodes"),
        units::ahead(created.expires_at, session.now()),
    ));
    // The secret alone goes to standard output, so that `> file` keeps exactly it.
    session.out.result(&created, || format!("{}\n", created.secret))
}

async fn list(labels: &[(String, String)], session: &Session) -> anyhow::Result<()> {
    let mut list = session.settings.client()?.nodes().await?;
    list.nodes.retain(|node| labels.iter().all(|(key, value)| node.labels.get(key) == Some(value)));
    session.out.result(&list, || nodes::list(&list, session.now()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_a_key_and_a_value() {
        assert_eq!(label("role=edge").unwrap(), ("role".into(), "edge".into()));
        assert_eq!(label("note=a=b").unwrap(), ("note".into(), "a=b".into()));
        assert!(label("role").is_err());
        assert!(label("=edge").is_err());
    }
}
