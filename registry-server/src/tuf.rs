//! The registry's TUF repository: what its keepers hand in is taken by TUF's rules, and what the server signs follows
//! from it and from what was published. Refuses to know HTTP. Without a ceremony there is no repository, and nothing
//! here claims one.

mod compose;
pub mod keys;

use crate::app::App;
use crate::clock;
use crate::publish::PublishError;
use crate::shared_keys::SharedKey;
use crate::store::StoreError;
use crate::store::tuf::{NewFile, Taken};
use keys::{OnlineKeyError, ServerKeys};
use skep_artifact::key::PublicKey;
use skep_artifact::name::Namespace;
use skep_artifact::role::{Role, Target};
use skep_trust::tuf::online_keys;
use skep_trust::tuf::{
    AcceptError, Document, DocumentError, OnlineKeys, accept_root, accept_targets, namespaces_of,
};
use std::path::Path;
use tokio::sync::Mutex;

/// How often a change is tried again because another server was faster. Each time that one has succeeded.
const ATTEMPTS_MAX: usize = 5;

/// Why a trust document is not taken or made.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error("there is no root yet; a ceremony comes first")]
    NoRoot,
    #[error("the document is refused")]
    Refused(#[from] AcceptError),
    #[error("the document cannot be made")]
    Document(#[from] DocumentError),
    #[error("other trust documents were handed in at the same time")]
    Raced,
    #[error("the clock of this server is outside the years that can be written")]
    Clock,
    #[error("the role file of {namespace} has other versions than the one before it")]
    OtherTargets { namespace: Namespace },
    #[error(transparent)]
    Publish(Box<PublishError>),
    #[error(transparent)]
    Keys(#[from] OnlineKeyError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The server's part of the repository.
pub struct Tuf {
    keys: ServerKeys,
    /// One change at a time in this process; between processes the store compares and swaps.
    changing: Mutex<()>,
}

impl Tuf {
    /// Reads the server's keys, or makes them.
    ///
    /// # Errors
    /// [`OnlineKeyError`].
    pub fn open(data: &Path) -> Result<Self, OnlineKeyError> {
        Ok(Self { keys: ServerKeys::open(data)?, changing: Mutex::default() })
    }

    /// The keys a ceremony should name: the newest.
    #[must_use]
    pub fn newest_keys(&self) -> OnlineKeys {
        self.keys.newest()
    }

    pub(crate) fn shared_keys(&self) -> Vec<SharedKey> {
        self.keys.shared()
    }
}

/// Takes a root.
///
/// # Errors
/// [`TrustError`]; nothing changed then.
pub async fn take_root(app: &App, bytes: Vec<u8>) -> Result<u64, TrustError> {
    let _changing = app.tuf.changing.lock().await;
    let document = Document::parse(&bytes)?;
    let before = app.store.tuf_file("root", None).await?;
    let named = online_keys(&bytes).unwrap_or_default();
    let online = app.tuf.keys.matching(&named);
    let version = accept_root(before.as_deref(), &bytes, &online, clock::now())?;
    let file =
        NewFile { role: "root".to_owned(), version, bytes, expires_at: document.expires_at() };
    put(app, file, &[]).await?;
    compose::refresh(app).await?;
    tracing::info!(version, "took root {version}");
    Ok(version)
}

/// Takes a targets role, and with it the keys of the namespaces it delegates.
///
/// # Errors
/// [`TrustError`]; nothing changed then.
pub async fn take_targets(app: &App, bytes: Vec<u8>) -> Result<u64, TrustError> {
    let _changing = app.tuf.changing.lock().await;
    let root = app.store.tuf_file("root", None).await?.ok_or(TrustError::NoRoot)?;
    let before = app.store.tuf_file("targets", None).await?;
    let online = app.tuf.keys.matching(&self_service_keys(&bytes));
    let facts = accept_targets(&root, before.as_deref(), &bytes, &online, clock::now())?;
    let known = before.as_deref().map(namespaces_of).transpose()?;
    let known = known.unwrap_or_default();
    let taken = facts.namespaces.into_iter().map(|(namespace, signers)| Taken {
        is_new: known.get(&namespace) != Some(&signers),
        namespace,
        keys: signers.keys,
        threshold: u32::try_from(signers.threshold).unwrap_or(u32::MAX),
    });
    let taken: Vec<Taken> = taken.collect();
    let file = NewFile {
        role: "targets".to_owned(),
        version: facts.version,
        bytes,
        expires_at: facts.expires_at,
    };
    put(app, file, &taken).await?;
    compose::refresh(app).await?;
    tracing::info!(version = facts.version, "took targets {}", facts.version);
    Ok(facts.version)
}

/// Takes a namespace's role file that lists the same versions as the one before: signed anew, by other keys or for longer.
///
/// # Errors
/// [`TrustError`]; nothing changed then.
pub async fn take_role(
    app: &App,
    namespace: &Namespace,
    bytes: Vec<u8>,
) -> Result<u64, TrustError> {
    let refused = |error| TrustError::Publish(Box::new(error));
    let info = app.store.namespace(namespace).await?;
    let info =
        info.ok_or_else(|| refused(PublishError::NoNamespace { namespace: namespace.clone() }))?;
    let role = |source| refused(PublishError::Role { namespace: namespace.clone(), source });
    let threshold = usize::try_from(info.threshold).unwrap_or(usize::MAX);
    let verified = Role::verify(&bytes, namespace, &info.keys, threshold).map_err(role)?;
    let before = app.store.role(namespace).await?;
    let before = before.map(|b| Role::read_unverified(&b, namespace)).transpose().map_err(role)?;
    let wanted = before.as_ref().map_or(0, Role::version) + 1;
    let found = verified.role().version();
    if found != wanted {
        return Err(refused(PublishError::RoleConflict { found, wanted }));
    }
    let listed = |role: &Role| -> Vec<Target> { role.targets().cloned().collect() };
    if before.as_ref().map(listed).unwrap_or_default() != listed(verified.role()) {
        return Err(TrustError::OtherTargets { namespace: namespace.clone() });
    }
    if !app.store.replace_role(namespace, found, &bytes, clock::now()).await? {
        return Err(refused(PublishError::RoleConflict { found, wanted: found + 1 }));
    }
    refresh(app).await?;
    Ok(found)
}

/// Brings what the server signs up to date with what was published and with the time. Does nothing without a ceremony.
///
/// # Errors
/// [`TrustError`]; the job tries again.
pub async fn refresh(app: &App) -> Result<(), TrustError> {
    let _changing = app.tuf.changing.lock().await;
    compose::refresh(app).await
}

/// After a publish: the version is committed, so a repository that could not follow is the job's to mend.
pub async fn published(app: &App) {
    if let Err(error) = refresh(app).await {
        tracing::error!("the trust documents could not follow a publish: {error}");
    }
}

async fn put(app: &App, file: NewFile, taken: &[Taken]) -> Result<(), TrustError> {
    let newest = app.store.tuf_newest().await?;
    let after = newest.iter().find(|row| row.role == "timestamp").map_or(0, |row| row.version);
    if app.store.tuf_put(after, &[file], taken, clock::now()).await? {
        return Ok(());
    }
    Err(TrustError::Raced)
}

/// Keys that a targets role names, in the form of ours.
fn self_service_keys(bytes: &[u8]) -> Vec<PublicKey> {
    let Ok(document) = Document::parse(bytes) else { return Vec::new() };
    let keys = document.signed()["delegations"]["keys"].as_object().cloned().unwrap_or_default();
    let public = |key: &serde_json::Value| {
        let mut bytes = [0; 32];
        hex::decode_to_slice(key["keyval"]["public"].as_str()?, &mut bytes).ok()?;
        PublicKey::from_bytes(&bytes).ok()
    };
    keys.values().filter_map(public).collect()
}
