//! What a caller may do. Each right is a type that only this file can make: a route that takes a
//! [`Publisher`] cannot be called by anybody else. Refuses to know what is done with the right.

pub mod caller;
pub mod identify;
pub mod oci;

use crate::app::App;
use crate::error::ApiError;
use crate::live::Node;
use crate::secret::{Kind, SecretHash};
use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use caller::Caller;
use identify::{bearer, caller_in};
use skep_api::v1::accounts::MemberRole;
use skep_api::v1::tokens::{Pattern, Scope};
use skep_artifact::name::{Namespace, PackageName};
use std::sync::Arc;

/// Why a caller is turned away.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// No token, an unknown one, or an expired one: the caller learns no difference.
    #[error("the request carries no valid token")]
    Unauthorised,
    #[error("the token's scope is not enough; {needs} is needed")]
    Scope { needs: &'static str },
    #[error("the caller may not publish into {pattern}")]
    Publish { pattern: Pattern },
    #[error("the caller does not own {namespace}")]
    NotOwner { namespace: Namespace },
    #[error("the token belongs to no account")]
    NoAccount,
    /// A browser was told by another site to do this.
    #[error("the request was not made by a page of this registry")]
    CrossSite,
    #[error("the new token would allow more than the caller may")]
    Exceeds,
}

/// Anybody with a valid credential.
#[derive(Clone)]
pub struct Known(pub Caller);
/// May do everything.
pub struct Admin(pub Caller);
/// Is an account, and may do with its namespaces, tokens and invites what accounts may.
pub struct Person(pub Caller);
/// May upload blobs; what it may publish is checked by [`Publisher::into_package`].
pub struct Publisher(Caller);
/// May apply policies and make node tokens.
pub struct Operator(pub Caller);
/// May read the fleet.
pub struct FleetReader(pub Caller);
/// Is this node.
pub struct NodeCaller(pub Arc<Node>);
/// May publish what it was asked for.
pub struct NamespacePublisher {
    /// Who publishes, for the record.
    pub by: String,
}
/// Owns a namespace, or is an admin.
pub struct NamespaceOwner {
    pub caller: Caller,
    pub namespace: Namespace,
}

impl Publisher {
    /// Which credential the caller holds: unfinished uploads belong to it.
    #[must_use]
    pub fn credential(&self) -> &str {
        self.0.credential()
    }

    /// Proof that the caller may publish every package of this namespace.
    ///
    /// # Errors
    /// [`AuthError::Publish`].
    pub fn into_namespace(self, namespace: &Namespace) -> Result<NamespacePublisher, AuthError> {
        self.into_pattern(Pattern::Namespace(namespace.clone()))
    }

    /// Proof that the caller may publish this package.
    ///
    /// # Errors
    /// [`AuthError::Publish`].
    pub fn into_package(self, package: &PackageName) -> Result<NamespacePublisher, AuthError> {
        self.into_pattern(Pattern::Package(package.clone()))
    }

    fn into_pattern(self, pattern: Pattern) -> Result<NamespacePublisher, AuthError> {
        if self.0.may_publish(&pattern) {
            return Ok(NamespacePublisher { by: self.0.name });
        }
        Err(AuthError::Publish { pattern })
    }
}

impl From<NamespaceOwner> for NamespacePublisher {
    /// Whoever owns a namespace may do with its packages what its publishers may.
    fn from(owner: NamespaceOwner) -> Self {
        Self { by: owner.caller.name }
    }
}

impl Known {
    /// Proof that the caller owns this namespace.
    ///
    /// # Errors
    /// [`AuthError::NotOwner`].
    pub fn into_owner(self, namespace: Namespace) -> Result<NamespaceOwner, AuthError> {
        let caller = self.0;
        let owns = caller.role_in(&namespace) == Some(MemberRole::Owner);
        if caller.may(Scope::Admin) || (owns && caller.may(Scope::Account)) {
            return Ok(NamespaceOwner { caller, namespace });
        }
        Err(AuthError::NotOwner { namespace })
    }

    /// Proof that the caller may act for the fleet.
    ///
    /// # Errors
    /// [`AuthError::Scope`].
    pub fn into_operator(self) -> Result<Operator, AuthError> {
        with(self.0, Scope::Operate, "operate").map(Operator)
    }

    /// Proof that the caller may publish something.
    ///
    /// # Errors
    /// [`AuthError::Scope`].
    pub fn into_publisher(self) -> Result<Publisher, AuthError> {
        with(self.0, Scope::Publish, "publish").map(Publisher)
    }

    /// Proof that the caller is an account acting for itself.
    ///
    /// # Errors
    /// [`AuthError`].
    pub fn into_person(self) -> Result<Person, AuthError> {
        if !self.0.may(Scope::Account) {
            return Err(AuthError::Scope { needs: "account" });
        }
        if self.0.account.is_none() {
            return Err(AuthError::NoAccount);
        }
        Ok(Person(self.0))
    }
}

/// The caller, if it may do what one of this scope may.
///
/// # Errors
/// [`AuthError::Scope`].
fn with(caller: Caller, needs: Scope, word: &'static str) -> Result<Caller, AuthError> {
    if caller.may(needs) { Ok(caller) } else { Err(AuthError::Scope { needs: word }) }
}

macro_rules! extractor {
    ($right:ident, $from:expr) => {
        impl<S> FromRequestParts<S> for $right
        where
            App: FromRef<S>,
            S: Send + Sync,
        {
            type Rejection = ApiError;

            async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
                let caller = caller_in(&App::from_ref(state), parts).await?;
                let right: Result<Self, AuthError> = $from(caller);
                Ok(right?)
            }
        }
    };
}
extractor!(Known, |caller| Ok(Known(caller)));
extractor!(Person, |caller| Known(caller).into_person());
extractor!(Admin, |caller| with(caller, Scope::Admin, "admin").map(Self));
extractor!(Publisher, |caller| with(caller, Scope::Publish, "publish").map(Self));
extractor!(Operator, |caller| with(caller, Scope::Operate, "operate").map(Self));
extractor!(FleetReader, |caller| with(caller, Scope::ReadFleet, "read-fleet").map(Self));

impl<S> FromRequestParts<S> for NodeCaller
where
    App: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let app = App::from_ref(state);
        if let Some(node) = node_in(&app, parts) {
            return Ok(Self(node));
        }
        if bearer(parts).and_then(|text| SecretHash::of_text(Kind::NodeCredential, text)).is_none()
        {
            return Err(AuthError::Unauthorised.into());
        }
        // It may have enrolled at another server a moment ago.
        app.fleet.follow().await?;
        node_in(&app, parts).map(Self).ok_or_else(|| AuthError::Unauthorised.into())
    }
}

/// The node whose credential the request carries.
pub(crate) fn node_in(app: &App, parts: &Parts) -> Option<Arc<Node>> {
    let hash = SecretHash::of_text(Kind::NodeCredential, bearer(parts)?)?;
    app.fleet.node_with(&hash)
}
