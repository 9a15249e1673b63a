//! The use case of taking over signed versions from elsewhere: a mirror, an air-gap bundle. The same
//! checks as a publish but one: the role file may be any later one, because nobody adds to it here.
//! Refuses to know HTTP and where the bytes came from.

use crate::app::App;
use crate::clock;
use crate::oci::lookups::Sort;
use crate::publish::{self, OpenedPackage, PublishError, Sameness};
use crate::store::adopt::{Adoption, RoleMove};
use crate::store::publish::{NewVersion, PublishConflict};
use crate::tuf;
use skep_api::v1::adopt::{ADOPT_VERSIONS_MAX, AdoptReceipt, AdoptRequest, AdoptedVersion};
use skep_api::v1::namespaces::NamespaceInfo;
use skep_artifact::name::Namespace;
use skep_artifact::role::{Role, RoleError, Target, VerifiedRole};

/// Why nothing was taken over.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    #[error("{found} versions are named; 1 to {ADOPT_VERSIONS_MAX} are taken at a time")]
    Count { found: usize },
    #[error("{target} is not of the namespace {namespace}")]
    OtherNamespace { target: String, namespace: Namespace },
    #[error(
        "the role file has version {found}, and {current} is here, which does not list {target} like it"
    )]
    Older { found: u64, current: u64, target: String },
    #[error(
        "two role files of {namespace} have version {version} and different content: its keys signed both, or leaked"
    )]
    Forked { namespace: Namespace, version: u64 },
    #[error("the role of {namespace} moved to version {current} in the meantime")]
    Moved { namespace: Namespace, current: u64 },
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// A role file whose signatures hold, and what must happen to the one that is here.
struct Judged {
    /// What says which versions there are: the newer of the two.
    role: Role,
    bytes: Vec<u8>,
    signed_by: VerifiedRole,
    moved: RoleMove,
}

/// Makes versions visible that were uploaded before, under a role file from elsewhere.
///
/// # Errors
/// [`AdoptError`]; nothing became visible then.
pub async fn adopt(
    app: &App,
    by: &str,
    namespace: &Namespace,
    request: AdoptRequest,
) -> Result<AdoptReceipt, AdoptError> {
    let found = request.versions.len();
    if !(1..=ADOPT_VERSIONS_MAX).contains(&found) {
        return Err(AdoptError::Count { found });
    }
    let info = app.store.namespace(namespace).await.map_err(PublishError::Store)?;
    let info = info.ok_or_else(|| PublishError::NoNamespace { namespace: namespace.clone() })?;
    let judged = judge(app, &info, &request).await?;
    let (mut added, mut present, mut versions) = (Vec::new(), Vec::new(), Vec::new());
    for version in &request.versions {
        let target = listed(&judged, version, namespace)?;
        let word = format!("{} {}", version.name, version.version);
        if is_here(app, version).await? {
            present.push(word);
            continue;
        }
        let opened = publish::open_named(app, target, &version.blobs).await?;
        versions.push(new_version(target, opened, &judged, &info, by));
        added.push(word);
    }
    let adoption = Adoption {
        namespace: namespace.clone(),
        role: judged.bytes,
        role_version: judged.role.version(),
        moved: judged.moved,
        versions,
    };
    let _kept = app.collecting.read().await;
    app.store.adopt(&adoption).await.map_err(|conflict| refuse(&adoption, conflict))?;
    for new in &adoption.versions {
        let names = [new.version.to_string(), "latest".to_owned()];
        let names = names.iter().map(String::as_str);
        app.lookups.forget(Sort::Manifest, &new.name.to_string(), names);
        app.metrics.published();
    }
    tuf::published(app).await;
    if !added.is_empty() {
        let (count, role) = (added.len(), adoption.role_version);
        tracing::info!(%namespace, by, "took over {count} versions of {namespace} under role version {role}");
    }
    Ok(AdoptReceipt {
        namespace: namespace.clone(),
        role_version: adoption.role_version,
        added,
        present,
    })
}

/// Verifies the role file with the namespace's keys, and compares it with the one that is here: a
/// version number only ever rises, and what is published stays as it is.
async fn judge(
    app: &App,
    info: &NamespaceInfo,
    request: &AdoptRequest,
) -> Result<Judged, AdoptError> {
    let bytes = publish::role_bytes(&request.role)?;
    let refused = |source: RoleError| PublishError::Role { namespace: info.name.clone(), source };
    let threshold = usize::try_from(info.threshold).unwrap_or(usize::MAX);
    let verify =
        |bytes: &[u8]| Role::verify(bytes, &info.name, &info.keys, threshold).map_err(refused);
    let verified = verify(&bytes)?;
    let found = verified.role().version();
    let here = app.store.role(&info.name).await.map_err(PublishError::Store)?;
    let Some(here) = here else {
        let moved = RoleMove::From(0);
        return Ok(Judged { role: verified.role().clone(), bytes, signed_by: verified, moved });
    };
    let current = Role::read_unverified(&here, &info.name).map_err(refused)?;
    if found == current.version() && bytes != here {
        return Err(AdoptError::Forked { namespace: info.name.clone(), version: found });
    }
    if found <= current.version() {
        let wanted = |v: &AdoptedVersion| {
            let (old, new) =
                (verified.role().target(&v.name, &v.version), current.target(&v.name, &v.version));
            old.is_some() && old.map(|t| (t.index, t.release)) == new.map(|t| (t.index, t.release))
        };
        if let Some(lost) = request.versions.iter().find(|version| !wanted(version)) {
            let (current, target) = (current.version(), format!("{} {}", lost.name, lost.version));
            return Err(AdoptError::Older { found, current, target });
        }
        // The keys may have changed since; the newer file is served either way.
        let moved = RoleMove::Stays(current.version());
        return Ok(Judged { role: current, bytes: here, signed_by: verified, moved });
    }
    publish::check_kept(&current, verified.role())?;
    let moved = RoleMove::From(current.version());
    Ok(Judged { role: verified.role().clone(), bytes, signed_by: verified, moved })
}

/// What the role file says about a version must be what the request says.
fn listed<'a>(
    judged: &'a Judged,
    version: &AdoptedVersion,
    namespace: &Namespace,
) -> Result<&'a Target, AdoptError> {
    let word = || format!("{} {}", version.name, version.version);
    if version.name.namespace() != namespace {
        let namespace = namespace.clone();
        return Err(AdoptError::OtherNamespace { target: word(), namespace });
    }
    let target = judged.role.target(&version.name, &version.version);
    let target = target.ok_or_else(|| PublishError::NoTarget { target: word() })?;
    if target.index != version.index {
        let (signed, asked) = (target.index, version.index);
        return Err(PublishError::OtherIndex { target: word(), signed, asked }.into());
    }
    Ok(target)
}

/// Whether the version is here with these bytes; with others it cannot be taken over.
async fn is_here(app: &App, version: &AdoptedVersion) -> Result<bool, AdoptError> {
    let found = app.store.version(&version.name, &version.version).await;
    match found.map_err(PublishError::Store)? {
        None => Ok(false),
        Some(detail) if detail.summary.index == version.index => Ok(true),
        Some(_) => Err(PublishError::VersionExists {
            package: version.name.clone(),
            version: version.version.clone(),
            same: Sameness::Different,
        }
        .into()),
    }
}

fn refuse(adoption: &Adoption, conflict: PublishConflict) -> AdoptError {
    let namespace = adoption.namespace.clone();
    match (conflict, adoption.versions.first()) {
        (PublishConflict::RoleMoved { current }, _) => AdoptError::Moved { namespace, current },
        (PublishConflict::Store(error), _) => PublishError::Store(error).into(),
        // Which of several it was is in the conflict; the name of the first stands for the batch.
        (other, Some(first)) => publish::refuse(first, other).into(),
        (_, None) => PublishError::NoNamespace { namespace }.into(),
    }
}

fn new_version(
    target: &Target,
    opened: OpenedPackage,
    judged: &Judged,
    info: &NamespaceInfo,
    by: &str,
) -> NewVersion {
    publish::new_version(
        opened,
        publish::Signed {
            target: target.clone(),
            role: judged.bytes.clone(),
            role_version: judged.role.version(),
            signed_by: judged.signed_by.signed_by().to_vec(),
            threshold: info.threshold,
            by: by.to_owned(),
            at: clock::now(),
        },
    )
}
