//! The exchange: what an issuer says about a job for a publish token of a few minutes. Everything
//! is checked before the token's id is used up, and the id is used up before anything is given.

use super::job::{ExchangeError, Job, claimed_issuer};
use crate::app::{App, NewToken, create_token};
use crate::clock;
use crate::error::ApiError;
use skep_api::v1::publishers::{ExchangedToken, PublisherInfo};
use skep_api::v1::tokens::{Pattern, Scope};

/// How long the publish token is valid: a job uploads and publishes within minutes, and what leaks
/// into its log afterwards is worth nothing.
pub const VALID_SECS: i64 = 900;

/// A token that was given, and to whom.
pub struct Given {
    pub token: ExchangedToken,
    pub publisher: PublisherInfo,
    /// What the issuer calls the job.
    pub subject: String,
}

/// Exchanges a token of a job.
///
/// # Errors
/// [`ExchangeError`] inside an [`ApiError`], or a database that does not answer.
pub async fn exchange(app: &App, text: &str, wanted: &Pattern) -> Result<Given, ApiError> {
    let claimed = claimed_issuer(text)?;
    let mut issuers = app.people.issuers.iter();
    let issuer = issuers.find(|issuer| issuer.settings.url == claimed);
    let issuer = issuer.ok_or(ExchangeError::UnknownIssuer)?;
    let job = Job::verify(issuer, text).await?;
    let publishers = app.store.publishers(wanted.namespace()).await?;
    let publisher = job.publisher(issuer, &publishers, wanted).map_err(ExchangeError::Job)?;
    let now = clock::now();
    if !app.store.use_up(&issuer.settings.url, &job.jti, job.expires_at, now).await? {
        return Err(ExchangeError::Replayed.into());
    }
    let name: String =
        format!("{} {}", issuer.settings.name, job.subject).chars().take(63).collect();
    let namespace = Some(wanted.to_string());
    let new = NewToken { name, scope: Scope::Publish, namespace, valid_secs: VALID_SECS };
    let (info, secret) = create_token(&app.store, new, None).await?;
    let token = ExchangedToken {
        token: secret.reveal().to_owned(),
        pattern: wanted.to_string(),
        expires_at: info.expires_at,
    };
    Ok(Given { token, publisher: publisher.clone(), subject: job.subject })
}
