//! Who calls the OCI API. Reading is free to all, so nobody's word is asked for. Writing needs an API token of
//! the namespace: as the password of HTTP Basic, by itself as a bearer token, or traded for a short-lived token
//! of [`crate::oci::access`]. A wrong one is refused and never taken for nobody's. Refuses to know HTTP answers.

use super::AuthError;
use super::caller::Caller;
use super::identify::{caller_of_api_token, caller_of_token_id};
use crate::app::App;
use crate::clock;
use crate::oci::access::{Access, Action, Claims};
use crate::oci::name::Repository;
use crate::secret::{Kind, SecretHash};
use crate::store::StoreError;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use skep_api::v1::tokens::Pattern;
use skep_artifact::name::PackageName;

/// May push into one repository, or take away from it.
pub struct Pusher {
    /// Who pushes, for the record.
    pub by: String,
}

/// What a request says about its sender.
pub enum Said {
    Nothing,
    /// An API token, in the clear or traded.
    Known(Box<Caller>, Option<Claims>),
    /// A traded token of nobody: good for reading.
    Anybody,
}

/// Why a caller is turned away.
#[derive(Debug, thiserror::Error)]
pub enum OciAuthError {
    /// The caller should ask for a token and come back.
    #[error("the request carries no credentials that are enough")]
    Challenge { why: Option<Why> },
    #[error(transparent)]
    Denied(#[from] AuthError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a challenge says is wrong with the credentials (RFC 6750).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    InvalidToken,
    InsufficientScope,
}

impl Why {
    /// As the header names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidToken => "invalid_token",
            Self::InsufficientScope => "insufficient_scope",
        }
    }
}

const INVALID: OciAuthError = OciAuthError::Challenge { why: Some(Why::InvalidToken) };

/// Reads the `Authorization` header.
///
/// # Errors
/// [`OciAuthError::Challenge`] for credentials that are wrong, expired or withdrawn.
pub async fn said(app: &App, headers: &HeaderMap) -> Result<Said, OciAuthError> {
    let Some(value) = headers.get(AUTHORIZATION) else { return Ok(Said::Nothing) };
    let (scheme, rest) = value.to_str().ok().and_then(|v| v.split_once(' ')).ok_or(INVALID)?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("basic") {
        let password = password(rest).ok_or(INVALID)?;
        return Ok(Said::Known(Box::new(api_token(app, &password).await?), None));
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(INVALID);
    }
    if SecretHash::of_text(Kind::Api, rest).is_some() {
        return Ok(Said::Known(Box::new(api_token(app, rest).await?), None));
    }
    let claims = app.access_key.read(rest, clock::now()).map_err(|_| INVALID)?;
    let Some(id) = claims.sub.clone() else { return Ok(Said::Anybody) };
    // Asked again each time: a token that was withdrawn ends what it was traded for.
    let caller = caller_of_token_id(app, &id).await?.ok_or(INVALID)?;
    Ok(Said::Known(Box::new(caller), Some(claims)))
}

/// The password of `user:password` in base64; the user's name means nothing here.
fn password(encoded: &str) -> Option<String> {
    let text = String::from_utf8(BASE64.decode(encoded).ok()?).ok()?;
    text.split_once(':').map(|(_, password)| password.to_owned())
}

/// Who holds the API token that this secret opens.
///
/// # Errors
/// [`OciAuthError::Challenge`] when there is none.
pub async fn api_token(app: &App, secret: &str) -> Result<Caller, OciAuthError> {
    caller_of_api_token(app, secret).await?.ok_or(INVALID)
}

/// Proof that the caller may change this repository.
///
/// # Errors
/// [`OciAuthError`].
pub async fn pusher(
    app: &App,
    headers: &HeaderMap,
    repository: &Repository,
    action: Action,
) -> Result<Pusher, OciAuthError> {
    match said(app, headers).await? {
        Said::Nothing => Err(OciAuthError::Challenge { why: None }),
        Said::Anybody => Err(OciAuthError::Challenge { why: Some(Why::InsufficientScope) }),
        Said::Known(caller, claims) => {
            may_push(&caller, repository)?;
            if claims.is_some_and(|claims| !claims.covers(repository, action)) {
                return Err(OciAuthError::Challenge { why: Some(Why::InsufficientScope) });
            }
            Ok(Pusher { by: caller.name })
        }
    }
}

/// A repository named like a package is for whoever may publish that package; a deeper one for whoever may
/// publish into the whole namespace.
fn may_push(caller: &Caller, repository: &Repository) -> Result<(), AuthError> {
    let pattern = match repository.to_string().parse::<PackageName>() {
        Ok(package) => Pattern::Package(package),
        Err(_) => Pattern::Namespace(repository.namespace().clone()),
    };
    if caller.may_publish(&pattern) { Ok(()) } else { Err(AuthError::Publish { pattern }) }
}

/// Of what a client asks for, what its token allows: everybody pulls, a namespace's publishers push.
#[must_use]
pub fn granted(asked: Vec<Access>, caller: Option<&Caller>) -> Vec<Access> {
    let allowed = |mut access: Access| {
        let repository: Option<Repository> = access.name.parse().ok();
        let pushes = repository
            .zip(caller)
            .is_some_and(|(repository, caller)| may_push(caller, &repository).is_ok());
        access.actions.retain(|action| pushes || *action == Action::Pull);
        access
    };
    asked.into_iter().map(allowed).collect()
}
