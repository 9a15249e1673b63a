//! `skep rollout watch`: follows one rollout until it is over, or until a person must decide. Refuses to change it.

use super::{Which, revision_of};
use crate::cmd::Session;
use crate::exit::Ends;
use crate::limits::WAIT_PAUSE;
use crate::render::rollouts as drawn;
use skep_api::client::Client;
use skep_api::v1::rollouts::{EvidenceInfo, RolloutDetail};
use skep_fleet::ids::PolicyName;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

pub(crate) async fn run(which: &Which, session: &Session) -> anyhow::Result<()> {
    let client = session.settings.client()?;
    let revision = revision_of(&client, which).await?;
    follow(&client, session, (&which.policy, revision), &Told::AsResult).await
}

/// Where it is told what happens.
pub(crate) enum Told {
    /// The caller asked for nothing else.
    AsResult,
    /// Beside another result, and for so long.
    AsRemarks { limit: Duration },
}

/// Draws a rollout whenever something changes.
///
/// # Errors
/// When it went back, was cancelled, stands still or takes longer than there is time.
pub(crate) async fn follow(
    client: &Client,
    session: &Session,
    (policy, revision): (&PolicyName, u64),
    told: &Told,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut last: Option<RolloutDetail> = None;
    let mut lines = 0;
    loop {
        match client.rollout(policy, revision).await {
            Ok(now) => {
                if last.as_ref().is_none_or(|last| last.summary != now.summary) {
                    match told {
                        Told::AsResult => lines = show(session, &now, last.as_ref(), lines)?,
                        Told::AsRemarks { .. } => new_evidence(&now, last.as_ref())
                            .for_each(|one| session.out.say(&drawn::evidence(one))),
                    }
                }
                if now.summary.is_final || now.summary.phase == "paused" {
                    return ended(&now);
                }
                last = Some(now);
            }
            // A registry that restarts does not stop a rollout.
            Err(error) if error.is_passing() && last.is_some() => {}
            Err(error) => return Err(error.into()),
        }
        if matches!(told, Told::AsRemarks { limit } if begun.elapsed() >= *limit) {
            anyhow::bail!(
                "The rollout of {policy} r{revision} goes on; `skep rollout watch {policy}` follows it."
            );
        }
        tokio::time::sleep(WAIT_PAUSE).await;
    }
}

/// Draws it over what was drawn before on a terminal, and line by line elsewhere. Says how many lines there are now.
fn show(
    session: &Session,
    now: &RolloutDetail,
    last: Option<&RolloutDetail>,
    lines: usize,
) -> anyhow::Result<usize> {
    if session.out.is_json() {
        session.out.line(&now.summary)?;
        return Ok(0);
    }
    let mut text = String::new();
    if !std::io::stdout().is_terminal() {
        for evidence in new_evidence(now, last) {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "{}", drawn::evidence(evidence));
        }
        session.out.text(&text)?;
        return Ok(0);
    }
    if lines > 0 {
        // Up to where it began, and clear to the end of the screen.
        let _ = write!(text, "\x1b[{lines}A\x1b[J");
    }
    let shown = drawn::detail(now);
    text.push_str(&shown);
    session.out.text(&text)?;
    Ok(shown.lines().count())
}

fn new_evidence<'a>(
    now: &'a RolloutDetail,
    last: Option<&RolloutDetail>,
) -> impl Iterator<Item = &'a EvidenceInfo> {
    now.evidence.iter().skip(last.map_or(0, |last| last.evidence.len()))
}

fn ended(it: &RolloutDetail) -> anyhow::Result<()> {
    let summary = &it.summary;
    if summary.phase == "succeeded" {
        return Ok(());
    }
    let why = it.evidence.last().map(|evidence| evidence.message.clone()).unwrap_or_default();
    let message = format!(
        "The rollout of {} r{} is {}: {why}.",
        summary.policy, summary.revision, summary.phase
    );
    Err(Ends::refusal(message).into())
}
