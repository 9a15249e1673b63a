//! What an issuer says about a job, and which trusted publisher it is. Refuses to know databases;
//! it is given the publishers.

use super::issuer::{Claims, Issuer, IssuerError};
use super::provider::JobError;
use crate::clock;
use base64::Engine as _;
use serde_json::{Map, Value};
use skep_api::v1::publishers::PublisherInfo;
use skep_api::v1::tokens::Pattern;

/// Longest ID token in characters: those of CI systems have two to four KiB.
pub const TOKEN_CHARS_MAX: usize = 16 << 10;
/// How far an issuer's clock may be ahead of ours, in seconds.
const SKEW_SECS: i64 = 60;
/// Longest life of a token of a job, in seconds: a day. What lives longer is no token of a job, and
/// its id would have to be kept as long.
const LIFE_SECS_MAX: i64 = 86_400;

/// Why a job gets no token.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    #[error("the token is longer than {TOKEN_CHARS_MAX} characters")]
    TooLong,
    #[error("the token is none")]
    Shape,
    #[error("its issuer is not believed here")]
    UnknownIssuer,
    #[error("the issuer's word is not taken")]
    Issuer(#[from] IssuerError),
    #[error("the token is not valid yet")]
    NotYet,
    #[error("the token lives longer than {LIFE_SECS_MAX} s")]
    LivesTooLong,
    #[error("the token has no id, so it could be used twice")]
    NoId,
    #[error("the job may not publish")]
    Job(#[from] JobError),
    #[error("the token was exchanged before")]
    Replayed,
}

/// A token whose issuer vouches for it.
pub struct Job {
    pub jti: String,
    pub expires_at: i64,
    pub subject: String,
    said: Map<String, Value>,
}

/// The claims of a token before anybody verified them: good for finding the issuer, and for reading
/// the rest once it is verified.
fn payload(text: &str) -> Option<Map<String, Value>> {
    let (_, rest) = text.split_once('.')?;
    let (payload, _) = rest.split_once('.')?;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// Who a token says issued it.
///
/// # Errors
/// [`ExchangeError::TooLong`] or [`ExchangeError::Shape`].
pub fn claimed_issuer(text: &str) -> Result<String, ExchangeError> {
    if text.len() > TOKEN_CHARS_MAX {
        return Err(ExchangeError::TooLong);
    }
    let claims = payload(text).ok_or(ExchangeError::Shape)?;
    let issuer = claims.get("iss").and_then(Value::as_str).ok_or(ExchangeError::Shape)?;
    Ok(issuer.to_owned())
}

impl Job {
    /// Verifies a token: signature, issuer, audience, times, and that it can be used up.
    ///
    /// # Errors
    /// [`ExchangeError`].
    pub async fn verify(issuer: &Issuer, text: &str) -> Result<Self, ExchangeError> {
        let audience = issuer.settings.audience.as_deref().ok_or(ExchangeError::UnknownIssuer)?;
        let claims = issuer.verify(text, audience, None).await?;
        let expires_at = check_times(&claims, clock::now())?;
        let jti = claims.additional_claims().jti.clone().filter(|jti| !jti.is_empty());
        let jti = jti.ok_or(ExchangeError::NoId)?;
        let subject = claims.subject().to_string();
        // The bytes the signature was just verified over.
        let said = payload(text).ok_or(ExchangeError::Shape)?;
        Ok(Self { jti, expires_at, subject, said })
    }

    /// The publisher of a namespace that this job is, for what is to be published.
    ///
    /// # Errors
    /// [`JobError`].
    pub fn publisher<'a>(
        &self,
        issuer: &Issuer,
        publishers: &'a [PublisherInfo],
        wanted: &Pattern,
    ) -> Result<&'a PublisherInfo, JobError> {
        issuer.provider.refuse_context(&self.said)?;
        let covers = |publisher: &PublisherInfo| match &publisher.package {
            None => true,
            Some(package) => package.parse().is_ok_and(|of: Pattern| of.covers(wanted)),
        };
        let mut fitting = publishers.iter().filter(|publisher| {
            publisher.issuer == issuer.settings.name
                && covers(publisher)
                && issuer.provider.matches(&self.said, &publisher.claims)
        });
        fitting.next().ok_or(JobError::NoMatch)
    }
}

fn check_times(claims: &Claims, now: i64) -> Result<i64, ExchangeError> {
    let expires_at = claims.expiration().timestamp();
    let not_before = claims.additional_claims().nbf.unwrap_or_default();
    // Seconds since 1970 fit into the 53 bits of a float.
    let latest = now.saturating_add(SKEW_SECS) as f64;
    if not_before > latest || claims.issue_time().timestamp() > now.saturating_add(SKEW_SECS) {
        return Err(ExchangeError::NotYet);
    }
    if expires_at.saturating_sub(now) > LIFE_SECS_MAX {
        return Err(ExchangeError::LivesTooLong);
    }
    Ok(expires_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_token_names_no_issuer() {
        for text in ["", "a.b", "a.b.c", "..", "e30.e30.", &"x".repeat(TOKEN_CHARS_MAX + 1)] {
            assert!(claimed_issuer(text).is_err(), "{text:.20}");
        }
        let claims = r#"{"iss":"https://a.example"}"#;
        let middle = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(claims);
        assert_eq!(claimed_issuer(&format!("x.{middle}.y")).unwrap(), "https://a.example");
    }
}
