//! The publish use case in five phases: authorise, read the role, find the target, open the
//! package, commit. Nothing is written before the last. Refuses to know HTTP.

mod contents;

use crate::app::App;
use crate::auth::NamespacePublisher;
use crate::blob::BlobError;
use crate::clock;
use crate::faults::FaultPoint;
use crate::log::LogError;
use crate::oci::lookups::Sort;
use crate::readme;
use crate::store::StoreError;
use crate::store::publish::{NewVersion, PublishConflict};
use crate::store::quotas::QuotaExceeded;
use crate::store::shown::Shown;
use crate::tuf;
use skep_api::v1::namespaces::NamespaceInfo;
use skep_api::v1::packages::{PublishReceipt, PublishRequest};
use skep_artifact::digest::Digest;
use skep_artifact::layout::LayoutError;
use skep_artifact::limits::PACKAGE_BYTES_MAX;
use skep_artifact::name::{Namespace, PackageName, Version};
use skep_artifact::role::{Role, RoleError, Target, VerifiedRole};
use std::fmt;

pub use contents::VERSION_BLOBS_MAX;
pub(crate) use contents::{OpenedPackage, open_named};

/// Why a version is not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error("there is no namespace {namespace}")]
    NoNamespace { namespace: Namespace },
    #[error("the role file is not base64")]
    RoleText,
    #[error("the role of {namespace} is refused")]
    Role { namespace: Namespace, source: RoleError },
    #[error("the role has version {found}; the next one is {wanted}")]
    RoleConflict { found: u64, wanted: u64 },
    #[error("the role does not list {target}")]
    NoTarget { target: String },
    #[error("the role says {target} has index {signed}, the request says {asked}")]
    OtherIndex { target: String, signed: Digest, asked: Digest },
    #[error("the role changes or drops {target}, which is published")]
    Rewrites { target: String },
    #[error("{package} has release {highest} already; the role says {found}")]
    ReleaseNotNewer { package: PackageName, highest: u64, found: u64 },
    #[error("{package} {version} exists")]
    VersionExists { package: PackageName, version: Version, same: Sameness },
    #[error("package {package} was deleted: {message}")]
    Tombstoned { package: PackageName, message: String },
    #[error("{found} blobs are named; at most {VERSION_BLOBS_MAX} are allowed")]
    TooManyBlobs { found: usize },
    #[error("the blobs have more than {PACKAGE_BYTES_MAX} bytes together")]
    TooLarge,
    #[error("blob {digest} was not uploaded")]
    BlobMissing { digest: Digest },
    #[error("blob {digest} does not belong to the version")]
    Unrelated { digest: Digest },
    #[error("the package is refused")]
    Package { source: LayoutError },
    #[error("the package says {found} and is published as {asked}")]
    OtherName { found: String, asked: String },
    #[error("the namespace has no room for it")]
    Quota(#[source] QuotaExceeded),
    #[error("a task was cancelled")]
    Cancelled { source: tokio::task::JoinError },
    #[error(transparent)]
    Blob(BlobError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whether what exists is what was to be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sameness {
    Same,
    Different,
}

/// Makes uploaded blobs a version.
///
/// # Errors
/// [`PublishError`]; nothing became visible then.
pub async fn publish(
    app: &App,
    publisher: NamespacePublisher,
    package: PackageName,
    request: PublishRequest,
) -> Result<PublishReceipt, PublishError> {
    let wish = Wish { package, request, by: publisher.by };
    let namespace = wish.namespace(app).await?;
    let role = read_role(app, &wish, namespace).await?;
    let target = find_target(&wish, &role)?;
    let opened = open_package(app, &wish, &target).await?;
    app.faults.pass(FaultPoint::PublishVerified);
    commit(app, wish, role, target, opened).await
}

struct Wish {
    package: PackageName,
    request: PublishRequest,
    by: String,
}

struct ReadRole {
    bytes: Vec<u8>,
    verified: VerifiedRole,
    threshold: u32,
}

impl Wish {
    async fn namespace(&self, app: &App) -> Result<NamespaceInfo, PublishError> {
        let found = app.store.namespace(self.package.namespace()).await?;
        found.ok_or_else(|| PublishError::NoNamespace {
            namespace: self.package.namespace().clone(),
        })
    }

    fn target(&self) -> String {
        format!("{} {}", self.package, self.request.version)
    }
}

/// Verifies the new role with the namespace's keys and compares it with the one it replaces: the
/// next number, and everything that was published unchanged.
async fn read_role(
    app: &App,
    wish: &Wish,
    namespace: NamespaceInfo,
) -> Result<ReadRole, PublishError> {
    let bytes = role_bytes(&wish.request.role)?;
    let refused = |source| PublishError::Role { namespace: namespace.name.clone(), source };
    let threshold = usize::try_from(namespace.threshold).unwrap_or(usize::MAX);
    let verified =
        Role::verify(&bytes, &namespace.name, &namespace.keys, threshold).map_err(refused)?;
    if let Some(existing) = app.store.version(&wish.package, &wish.request.version).await? {
        return Err(PublishError::VersionExists {
            package: wish.package.clone(),
            version: wish.request.version.clone(),
            same: Sameness::of(existing.summary.index, wish.request.index),
        });
    }
    // Number and content come from one read: between two, another publisher may have been faster.
    let before = app.store.role(&namespace.name).await?;
    let before =
        before.map(|b| Role::read_unverified(&b, &namespace.name)).transpose().map_err(refused)?;
    let (found, wanted) = (verified.role().version(), before.as_ref().map_or(0, Role::version) + 1);
    if found != wanted {
        return Err(PublishError::RoleConflict { found, wanted });
    }
    if let Some(before) = before {
        check_kept(&before, verified.role())?;
    }
    Ok(ReadRole { bytes, verified, threshold: namespace.threshold })
}

/// A role file as it travels in a request.
pub(crate) fn role_bytes(text: &str) -> Result<Vec<u8>, PublishError> {
    use base64::Engine as _;
    let decoded = base64::engine::general_purpose::STANDARD.decode(text);
    decoded.map_err(|_| PublishError::RoleText)
}

/// Whatever a role file listed stays listed as it was.
pub(crate) fn check_kept(before: &Role, after: &Role) -> Result<(), PublishError> {
    let kept = |old: &Target| {
        let new = after.target(&old.package, &old.version);
        new.is_some_and(|new| new.index == old.index && new.release == old.release)
    };
    match before.targets().find(|old| !kept(old)) {
        Some(lost) => Err(PublishError::Rewrites { target: lost.path() }),
        None => Ok(()),
    }
}

/// What the publisher signed for this version must be what the request asks for.
fn find_target(wish: &Wish, role: &ReadRole) -> Result<Target, PublishError> {
    let role = role.verified.role();
    let target = role.target(&wish.package, &wish.request.version);
    let target = target.ok_or_else(|| PublishError::NoTarget { target: wish.target() })?;
    if target.index != wish.request.index {
        return Err(PublishError::OtherIndex {
            target: wish.target(),
            signed: target.index,
            asked: wish.request.index,
        });
    }
    Ok(target.clone())
}

/// Opens the package from the stored blobs, which re-derives every fact.
async fn open_package(
    app: &App,
    wish: &Wish,
    target: &Target,
) -> Result<OpenedPackage, PublishError> {
    open_named(app, target, &wish.request.blobs).await
}

/// One transaction; the blobs are on the disk already.
async fn commit(
    app: &App,
    wish: Wish,
    role: ReadRole,
    target: Target,
    opened: OpenedPackage,
) -> Result<PublishReceipt, PublishError> {
    let new = new_version(
        opened,
        Signed {
            target,
            role: role.bytes,
            role_version: role.verified.role().version(),
            signed_by: role.verified.signed_by().to_vec(),
            threshold: role.threshold,
            by: wish.by,
            at: clock::now(),
        },
    );
    let faults = app.faults;
    let _kept = app.collecting.read().await;
    let index = app
        .store
        .publish(&new, || faults.pass(FaultPoint::PublishWritten))
        .await
        .map_err(|conflict| refuse(&new, conflict))?;
    let names = [new.version.to_string(), "latest".to_owned()];
    let names = names.iter().map(String::as_str);
    app.lookups.forget(Sort::Manifest, &new.name.to_string(), names);
    faults.pass(FaultPoint::PublishCommitted);
    let log = app.log.proof(index, 0, 0).await?;
    faults.pass(FaultPoint::PublishProved);
    app.metrics.published();
    tuf::published(app).await;
    tracing::info!(package = %new.name, version = %new.version, index = %new.index,
        by = %new.published_by, "published {} {}", new.name, new.version);
    Ok(PublishReceipt {
        name: new.name,
        version: new.version,
        index: new.index,
        role_version: new.role_version,
        published_at: new.published_at,
        log,
    })
}

/// Who signed a version, and who brought it.
pub(crate) struct Signed {
    pub target: Target,
    pub role: Vec<u8>,
    pub role_version: u64,
    pub signed_by: Vec<skep_artifact::key::KeyId>,
    pub threshold: u32,
    pub by: String,
    pub at: i64,
}

/// Everything that is written of a version.
pub(crate) fn new_version(opened: OpenedPackage, signed: Signed) -> NewVersion {
    let OpenedPackage { package, blobs } = opened;
    let manifest = String::from_utf8_lossy(&package.manifest.canonical_json()).into_owned();
    NewVersion {
        shown: Shown::of(&package.manifest, package.objects.iter().map(|object| &object.facts)),
        index: signed.target.index,
        release: signed.target.release,
        published_at: signed.at,
        published_by: signed.by,
        threshold: signed.threshold,
        signed_by: signed.signed_by,
        role_version: signed.role_version,
        role: signed.role,
        manifest,
        facts: package.objects.iter().map(|object| object.facts.clone()).collect(),
        readme_html: package.readme.as_deref().map(readme::to_html).unwrap_or_default(),
        blobs,
        name: signed.target.package,
        version: signed.target.version,
    }
}

pub(crate) fn refuse(new: &NewVersion, conflict: PublishConflict) -> PublishError {
    match conflict {
        PublishConflict::RoleMoved { current } => {
            PublishError::RoleConflict { found: new.role_version, wanted: current + 1 }
        }
        PublishConflict::VersionExists { index } => PublishError::VersionExists {
            package: new.name.clone(),
            version: new.version.clone(),
            same: Sameness::of(index, new.index),
        },
        PublishConflict::ReleaseNotNewer { highest } => {
            PublishError::ReleaseNotNewer { package: new.name.clone(), highest, found: new.release }
        }
        PublishConflict::Tombstoned { message } => {
            PublishError::Tombstoned { package: new.name.clone(), message }
        }
        PublishConflict::Quota(quota) => PublishError::Quota(quota),
        PublishConflict::BlobGone { digest } => PublishError::BlobMissing { digest },
        PublishConflict::Store(error) => PublishError::Store(error),
    }
}

impl Sameness {
    pub(crate) fn of(stored: Digest, asked: Digest) -> Self {
        if stored == asked { Self::Same } else { Self::Different }
    }
}

impl fmt::Display for Sameness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Same => "It holds exactly these bytes, so nothing is left to do.",
            Self::Different => "It holds other bytes. A published version never changes.",
        })
    }
}
