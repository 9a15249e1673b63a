//! `skep log watch`: new entries as they come, each proved, and an end when the log contradicts itself.

use super::Trusted;
use super::verify::Proving;
use crate::cmd::Session;
use crate::render::{log as render, units};
use crate::seen_log::SeenLog;
use serde::Serialize;
use skep_api::client::{Client, ClientError};
use skep_artifact::log::Entry;
use std::time::Duration;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  skep log watch 'acme/*'                 what happens in a namespace, from now on
  skep log watch acme/ratelimit --since 0 a package, from the beginning
  skep log watch --json | jq .            everything, one JSON object a line

A registry that cannot be reached is waited for. Ends with 3 when the log is refused: it shrank, it forked, or an
entry is not where the log says it is.")]
pub(crate) struct Args {
    /// What to print: NAMESPACE/*, NAMESPACE/NAME, or * for everything
    #[arg(value_name = "PATTERN", default_value = "*")]
    pattern: String,
    /// First entry to look at [default: the log's end]
    #[arg(long, value_name = "INDEX")]
    since: Option<u64>,
    /// How often to look
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = units::parse_duration)]
    every: Duration,
    /// End after so many entries
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u64>,
    #[command(flatten)]
    trusted: Trusted,
}

/// One entry for programs.
#[derive(Serialize)]
struct Line<'a> {
    /// Its number. Not `index`: what is published has one of its own.
    number: u64,
    #[serde(flatten)]
    entry: &'a Entry,
}

pub(super) async fn run(args: &Args, client: &Client, session: &Session) -> anyhow::Result<()> {
    let named = args.trusted.log_key.as_ref();
    let mut log = SeenLog::open(client, &session.settings, named, session.out).await?;
    let (mut next, mut printed) = (args.since, 0);
    loop {
        match log.newest(client).await {
            Ok(checkpoint) => {
                log.continue_to(client, &checkpoint).await?;
                let mut at = next.unwrap_or(checkpoint.size());
                let mut proving = Proving::new(client, &checkpoint);
                while at < checkpoint.size() {
                    for (index, bytes) in proving.entries_from(at, checkpoint.size()).await? {
                        at = index + 1;
                        if print(session, &args.pattern, index, &bytes)? {
                            printed += 1;
                        }
                        if args.limit.is_some_and(|limit| printed >= limit) {
                            return Ok(());
                        }
                    }
                }
                next = Some(at);
            }
            Err(error) if is_passing(&error) => {
                session.out.say("The registry does not answer; waiting.")
            }
            Err(error) => return Err(error),
        }
        tokio::time::sleep(args.every).await;
    }
}

fn is_passing(error: &anyhow::Error) -> bool {
    error.downcast_ref::<ClientError>().is_some_and(ClientError::is_passing)
}

/// Prints an entry that the pattern means; gives whether it did.
fn print(session: &Session, pattern: &str, index: u64, bytes: &[u8]) -> anyhow::Result<bool> {
    let Ok(entry) = Entry::read(bytes) else {
        session.out.say(&format!("Entry {index} is of a kind this program does not know."));
        return Ok(false);
    };
    if !matches(pattern, &entry) {
        return Ok(false);
    }
    if session.out.is_json() {
        session.out.line(&Line { number: index, entry: &entry })?;
    } else {
        session.out.text(&render::entry(index, &entry, session.now()))?;
    }
    Ok(true)
}

/// Whether an entry is about what the pattern names: a package's own entries, and those about its whole namespace.
fn matches(pattern: &str, entry: &Entry) -> bool {
    if pattern == "*" {
        return true;
    }
    let Some(namespace) = entry.namespace() else { return false };
    if let Some(wanted) = pattern.strip_suffix("/*") {
        return namespace.as_str() == wanted;
    }
    match entry.package() {
        Some(package) => package.to_string() == pattern,
        None => pattern.split('/').next() == Some(namespace.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_artifact::digest::Digest;
    use skep_artifact::log::Event;

    fn yank(package: &str) -> Entry {
        let event = Event::Yank {
            package: package.parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
            index: Digest::of(b""),
            yanked: true,
            reason: String::new(),
        };
        Entry { at: 0, event }
    }

    #[test]
    fn a_pattern_means_a_namespace_a_package_or_everything() {
        assert!(matches("*", &yank("acme/a")));
        assert!(matches("acme/*", &yank("acme/a")));
        assert!(!matches("acme/*", &yank("acme-two/a")));
        assert!(matches("acme/a", &yank("acme/a")));
        assert!(!matches("acme/a", &yank("acme/b")));
    }
}
