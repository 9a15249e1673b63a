//! The publish use case in five phases: authorise, read the role, find the target, open the
//! package, commit. Nothing is written before the last. Refuses to know HTTP.

use crate::app::App;
use crate::auth::NamespacePublisher;
use crate::blob::{BlobError, BlobStore};
use crate::clock;
use crate::faults::FaultPoint;
use crate::readme;
use crate::store::StoreError;
use crate::store::publish::{BlobRole, NewBlob, NewVersion, PublishConflict, Shown};
use crate::tuf;
use bytes::Bytes;
use serde::Deserialize;
use skep_api::v1::namespaces::NamespaceInfo;
use skep_api::v1::packages::{PublishReceipt, PublishRequest};
use skep_artifact::digest::Digest;
use skep_artifact::layout::{self, LayoutError, Package};
use skep_artifact::limits::{MANIFEST_JSON_BYTES_MAX, PACKAGE_BYTES_MAX};
use skep_artifact::name::{Namespace, PackageName, Version};
use skep_artifact::role::{Role, RoleError, Target, VerifiedRole};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Most blobs one version may name: an index of 16 images with a config and a layer each, and
/// about 80 referrers with their content.
pub const VERSION_BLOBS_MAX: usize = 256;

const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

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
    #[error("a task was cancelled")]
    Cancelled { source: tokio::task::JoinError },
    #[error(transparent)]
    Blob(BlobError),
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
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(&wish.request.role)
        .map_err(|_| PublishError::RoleText)?;
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
        let kept = |old: &Target| {
            let new = verified.role().target(&old.package, &old.version);
            new.is_some_and(|new| new.index == old.index && new.release == old.release)
        };
        if let Some(lost) = before.targets().find(|old| !kept(old)) {
            return Err(PublishError::Rewrites { target: lost.path() });
        }
    }
    Ok(ReadRole { bytes, verified, threshold: namespace.threshold })
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

struct OpenedPackage {
    package: Package,
    blobs: Vec<NewBlob>,
}

/// Opens the package from the stored blobs, which re-derives every fact, and finds out what each
/// blob is to it. A blob that is none of its parts is refused.
async fn open_package(
    app: &App,
    wish: &Wish,
    target: &Target,
) -> Result<OpenedPackage, PublishError> {
    let named: BTreeSet<Digest> =
        wish.request.blobs.iter().copied().chain([wish.request.index]).collect();
    if named.len() > VERSION_BLOBS_MAX {
        return Err(PublishError::TooManyBlobs { found: named.len() });
    }
    let (store, index, length) = (app.blobs.clone(), wish.request.index, target.length);
    let opening = tokio::task::spawn_blocking(move || open_from(&store, index, length, &named));
    let opened = opening.await.map_err(|source| PublishError::Cancelled { source })??;
    let info = &opened.package.manifest.package;
    if (&info.name, &info.version) != (&wish.package, &wish.request.version) {
        let found = format!("{} {}", info.name, info.version);
        return Err(PublishError::OtherName { found, asked: wish.target() });
    }
    Ok(opened)
}

fn open_from(
    store: &BlobStore,
    index: Digest,
    length: u64,
    named: &BTreeSet<Digest>,
) -> Result<OpenedPackage, PublishError> {
    let mut blobs: BTreeMap<Digest, Bytes> = BTreeMap::new();
    let mut left = PACKAGE_BYTES_MAX as u64;
    for digest in named {
        let bytes = store.read_blocking(digest, left).map_err(|error| match error {
            BlobError::Missing { digest } => PublishError::BlobMissing { digest },
            BlobError::TooLarge { .. } => PublishError::TooLarge,
            other => PublishError::Blob(other),
        })?;
        left -= bytes.len() as u64;
        blobs.insert(*digest, bytes);
    }
    if blobs.get(&index).is_some_and(|bytes| bytes.len() as u64 != length) {
        return Err(PublishError::BlobMissing { digest: index });
    }
    let get = |digest: &Digest| blobs.get(digest).map(|bytes| bytes.to_vec());
    let package = layout::open(index, &get).map_err(|source| PublishError::Package { source })?;
    let roles = roles_of(index, &blobs);
    let role_of = |(digest, bytes): (Digest, Bytes)| match roles.get(&digest) {
        None => Err(PublishError::Unrelated { digest }),
        Some((media_type, role)) => Ok(NewBlob {
            digest,
            size_bytes: bytes.len() as u64,
            media_type: media_type.clone(),
            role: role.clone(),
        }),
    };
    let blobs = blobs.into_iter().map(role_of).collect::<Result<_, _>>()?;
    Ok(OpenedPackage { package, blobs })
}

/// The parts of OCI manifests that say what refers to what.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Links {
    manifests: Vec<Link>,
    config: Option<Link>,
    layers: Vec<Link>,
    subject: Option<Link>,
    artifact_type: Option<String>,
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Link {
    media_type: String,
    digest: Digest,
}

/// Walks from the index over images and referrers to their content.
fn roles_of(
    index: Digest,
    blobs: &BTreeMap<Digest, Bytes>,
) -> BTreeMap<Digest, (String, BlobRole)> {
    let links_of = |digest: &Digest| -> Option<Links> {
        let bytes = blobs.get(digest).filter(|bytes| bytes.len() <= MANIFEST_JSON_BYTES_MAX)?;
        skep_artifact::json::parse_into(bytes, MANIFEST_JSON_BYTES_MAX).ok()
    };
    let mut roles = BTreeMap::new();
    let content = |links: Links, roles: &mut BTreeMap<_, _>| {
        for link in links.config.into_iter().chain(links.layers) {
            roles.entry(link.digest).or_insert((link.media_type, BlobRole::Content));
        }
    };
    roles.insert(index, (INDEX_TYPE.to_owned(), BlobRole::Manifest));
    for image in links_of(&index).unwrap_or_default().manifests {
        content(links_of(&image.digest).unwrap_or_default(), &mut roles);
        roles.insert(image.digest, (image.media_type, BlobRole::Manifest));
    }
    let known: BTreeSet<Digest> = roles.keys().copied().collect();
    for digest in blobs.keys().filter(|digest| !known.contains(digest)) {
        let Some(mut links) = links_of(digest) else { continue };
        let Some(subject) = links.subject.take().filter(|s| known.contains(&s.digest)) else {
            continue;
        };
        // OCI 1.1: a referrer without an artifact type goes by the media type of its config.
        let config_type = links.config.as_ref().map(|config| config.media_type.clone());
        let artifact_type = links.artifact_type.take().or(config_type).unwrap_or_default();
        let annotations = serde_json::to_string(&links.annotations).unwrap_or_default();
        content(links, &mut roles);
        let referrer = BlobRole::Referrer { subject: subject.digest, artifact_type, annotations };
        roles.insert(*digest, (MANIFEST_TYPE.to_owned(), referrer));
    }
    roles
}

/// One transaction; the blobs are on the disk already.
async fn commit(
    app: &App,
    wish: Wish,
    role: ReadRole,
    target: Target,
    opened: OpenedPackage,
) -> Result<PublishReceipt, PublishError> {
    let OpenedPackage { package, blobs } = opened;
    let manifest = String::from_utf8_lossy(&package.manifest.canonical_json()).into_owned();
    let new = NewVersion {
        shown: shown(&package),
        index: target.index,
        release: target.release,
        published_at: clock::now(),
        published_by: wish.by,
        threshold: role.threshold,
        signed_by: role.verified.signed_by().iter().map(ToString::to_string).collect(),
        role_version: role.verified.role().version(),
        role: role.bytes,
        manifest,
        facts: package.objects.iter().map(|object| object.facts.clone()).collect(),
        readme_html: package.readme.as_deref().map(readme::to_html).unwrap_or_default(),
        blobs,
        name: wish.package,
        version: wish.request.version,
    };
    let faults = app.faults;
    let _kept = app.collecting.read().await;
    app.store
        .publish(&new, || faults.pass(FaultPoint::PublishWritten))
        .await
        .map_err(|conflict| refuse(&new, conflict))?;
    faults.pass(FaultPoint::PublishCommitted);
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
    })
}

fn refuse(new: &NewVersion, conflict: PublishConflict) -> PublishError {
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
        PublishConflict::BlobGone { digest } => PublishError::BlobMissing { digest },
        PublishConflict::Store(error) => PublishError::Store(error),
    }
}

impl Sameness {
    fn of(stored: Digest, asked: Digest) -> Self {
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

fn shown(package: &Package) -> Shown {
    let info = &package.manifest.package;
    let programs = package.objects.iter().flat_map(|object| &object.facts.programs);
    let lowest = programs.filter_map(|program| program.lowest_kernel).max();
    Shown {
        description: info.description.clone(),
        license: info.license.clone(),
        hooks: package.manifest.hooks(),
        lowest_kernel: lowest.map(|kernel| kernel.to_string()),
        keywords: info.keywords.iter().chain(&info.categories).cloned().collect(),
    }
}
