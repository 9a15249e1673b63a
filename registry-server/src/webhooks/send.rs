//! One attempt: to the address that was judged and no other, without redirects, within bounds.

use super::Key;
use super::target::{self, TargetError};
use crate::config::people::PrivateTargets;
use crate::store::webhooks::{Attempt, DueDelivery, Then};
use std::time::Duration;

/// How long a receiver may take, by the scheme's advice: it answers first and works later.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How long after each failed attempt the next comes, in seconds: from a restart of the receiver to
/// a weekend, 75 hours together. After the last the delivery is given up.
pub const AGAIN_SECS: [i64; 8] = [5, 300, 1800, 7200, 18_000, 36_000, 72_000, 135_000];
/// Failed attempts in a row after which a webhook is called no more: two deliveries whose every
/// attempt failed, or twenty at once to a receiver that is gone.
pub const FAILURES_MAX: i64 = 20;

/// Why an attempt did not arrive.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error("the receiver did not answer: {reason}")]
    Request { reason: &'static str },
    #[error("the receiver answered {status}")]
    Status { status: u16 },
}

fn why(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "it took too long"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    }
}

async fn post(due: &DueDelivery, private: PrivateTargets, now: i64) -> Result<u16, SendError> {
    let url = target::parse(&due.url, private)?;
    let addresses = target::resolve(&url, private).await?;
    let failed = |error: reqwest::Error| SendError::Request { reason: why(&error) };
    // The client connects to what was judged: a name that resolves differently a moment later
    // leads nowhere else.
    let client = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent("skep-registry-webhooks")
        .resolve_to_addrs(url.host_str().unwrap_or_default(), &addresses)
        .build()
        .map_err(failed)?;
    let signature = Key::from_stored(due.secret.clone()).sign(&due.id, now, &due.payload);
    let answer = client
        .post(url)
        .header("content-type", "application/json")
        .header("webhook-id", &due.id)
        .header("webhook-timestamp", now)
        .header("webhook-signature", signature)
        .body(due.payload.clone())
        .send()
        .await
        .map_err(failed)?;
    // Nobody reads what it says besides the status.
    match answer.status() {
        status if status.is_success() => Ok(status.as_u16()),
        status => Err(SendError::Status { status: status.as_u16() }),
    }
}

/// Makes one attempt and says what follows.
pub async fn attempt(due: &DueDelivery, private: PrivateTargets, now: i64) -> Attempt {
    let error = match post(due, private, now).await {
        Ok(status) => {
            return Attempt { status: Some(status), problem: None, then: Then::Delivered };
        }
        Err(error) => error,
    };
    let status = match error {
        SendError::Status { status } => Some(status),
        _ => None,
    };
    let then = if status == Some(410) { Then::Disable } else { next(due.attempts, now) };
    Attempt { status, problem: Some(error.to_string()), then }
}

fn next(attempts: i64, now: i64) -> Then {
    let place = usize::try_from(attempts).unwrap_or(usize::MAX);
    match AGAIN_SECS.get(place) {
        Some(secs) => Then::Again { due_at: now.saturating_add(*secs) },
        None => Then::GiveUp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_comes_later_every_time_and_then_never() {
        let waits: Vec<Then> = (0..10).map(|attempts| next(attempts, 1000)).collect();
        assert_eq!(waits[0], Then::Again { due_at: 1005 });
        assert_eq!(waits[7], Then::Again { due_at: 136_000 });
        assert_eq!(waits[8], Then::GiveUp);
        assert!(AGAIN_SECS.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
