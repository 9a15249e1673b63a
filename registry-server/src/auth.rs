//! Who is calling. Each right is a type that only this file can make: a route that takes a
//! [`Publisher`] cannot be called by anybody else. Refuses to know what is done with the right.

pub mod oci;

use crate::app::App;
use crate::clock;
use crate::error::ApiError;
use crate::live::Node;
use crate::secret::{Kind, SecretHash};
use axum::extract::{FromRef, FromRequestParts};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use skep_api::v1::tokens::{Scope, TokenInfo};
use skep_artifact::name::Namespace;
use std::sync::Arc;

/// Why a caller is turned away.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// No token, an unknown one, or an expired one: the caller learns no difference.
    #[error("the request carries no valid token")]
    Unauthorised,
    #[error("the token's scope is not enough; {needs} is needed")]
    Scope { needs: &'static str },
    #[error("the token is not for namespace {namespace}")]
    Namespace { namespace: Namespace },
}

/// Holds an admin token.
pub struct Admin(pub TokenInfo);
/// May upload blobs; into which namespace it may publish is checked by [`Publisher::into_namespace`].
pub struct Publisher(TokenInfo);
/// May apply policies and make node tokens.
pub struct Operator(pub TokenInfo);
/// May read the fleet.
pub struct FleetReader(pub TokenInfo);
/// Is this node.
pub struct NodeCaller(pub Arc<Node>);
/// May publish into one namespace.
pub struct NamespacePublisher {
    /// Who publishes, for the record.
    pub by: String,
}

impl Publisher {
    /// Which credential the caller holds: unfinished uploads belong to it.
    #[must_use]
    pub fn credential(&self) -> &str {
        &self.0.id
    }

    /// Proof that the caller may publish into this namespace.
    ///
    /// # Errors
    /// [`AuthError::Namespace`] for a token of another namespace.
    pub fn into_namespace(self, namespace: &Namespace) -> Result<NamespacePublisher, AuthError> {
        let everywhere = self.0.scope == Scope::Admin;
        if everywhere || self.0.namespace.as_deref() == Some(namespace.as_str()) {
            return Ok(NamespacePublisher { by: self.0.name });
        }
        Err(AuthError::Namespace { namespace: namespace.clone() })
    }
}

/// The `Authorization: Bearer` value of a request.
fn bearer(parts: &Parts) -> Option<&str> {
    let value = parts.headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

async fn token_of(app: &App, parts: &Parts) -> Result<TokenInfo, ApiError> {
    let hash = bearer(parts).and_then(|text| SecretHash::of_text(Kind::Api, text));
    let hash = hash.ok_or(AuthError::Unauthorised)?;
    let stored = app.store.token(&hash.id()).await?;
    let valid = |token: &crate::store::tokens::StoredToken| {
        token.hash.same_as(&hash) && token.info.expires_at > clock::now()
    };
    match stored {
        Some(token) if valid(&token) => Ok(token.info),
        _ => Err(AuthError::Unauthorised.into()),
    }
}

async fn scoped(
    app: &App,
    parts: &Parts,
    enough: &[Scope],
    needs: &'static str,
) -> Result<TokenInfo, ApiError> {
    let token = token_of(app, parts).await?;
    if token.scope == Scope::Admin || enough.contains(&token.scope) {
        return Ok(token);
    }
    Err(AuthError::Scope { needs }.into())
}

macro_rules! extractor {
    ($right:ident, $enough:expr, $needs:literal) => {
        impl<S> FromRequestParts<S> for $right
        where
            App: FromRef<S>,
            S: Send + Sync,
        {
            type Rejection = ApiError;

            async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
                scoped(&App::from_ref(state), parts, $enough, $needs).await.map(Self)
            }
        }
    };
}
extractor!(Admin, &[], "admin");
extractor!(Publisher, &[Scope::Publish], "publish");
extractor!(Operator, &[Scope::Operate], "operate");
extractor!(FleetReader, &[Scope::Operate, Scope::ReadFleet], "read-fleet");

impl<S> FromRequestParts<S> for NodeCaller
where
    App: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let hash = bearer(parts).and_then(|text| SecretHash::of_text(Kind::NodeCredential, text));
        let hash = hash.ok_or(AuthError::Unauthorised)?;
        let node = App::from_ref(state).fleet.node_with(&hash);
        node.map(Self).ok_or_else(|| AuthError::Unauthorised.into())
    }
}
