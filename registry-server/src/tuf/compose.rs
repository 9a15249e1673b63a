//! What the server signs: self-service role, snapshot, timestamp; and the role files it passes on as they were signed.
//! Each is written when what it says changed, or when less than half of its time is left.

use super::{ATTEMPTS_MAX, TrustError};
use crate::app::App;
use crate::clock;
use crate::store::tuf::{FileRow, NewFile, Signed};
use skep_artifact::digest::Digest;
use skep_artifact::key::{PublicKey, SecretKey};
use skep_artifact::name::Namespace;
use skep_artifact::role::Role;
use skep_trust::tuf::{
    DELEGATIONS_MAX, DelegationDraft, Document, Pin, Pins, RoleKeysDraft, SELF_SERVICE,
    SELF_SERVICE_VALID_SECS, SNAPSHOT_VALID_SECS, TIMESTAMP_VALID_SECS, TargetsDraft, is_reserved,
    online_keys, snapshot, timestamp,
};
use std::collections::{BTreeMap, BTreeSet};

/// Writes whatever is due.
pub(super) async fn refresh(app: &App) -> Result<(), TrustError> {
    for _ in 0..ATTEMPTS_MAX {
        let Some(work) = Work::begin(app).await? else { return Ok(()) };
        let after = work.version("timestamp");
        let files = work.write().await?;
        if files.is_empty() || app.store.tuf_put(after, &files, &[], clock::now()).await? {
            return Ok(());
        }
    }
    Err(TrustError::Raced)
}

struct Work<'a> {
    app: &'a App,
    now: i64,
    newest: BTreeMap<String, FileRow>,
    targets: Document,
    named: Vec<PublicKey>,
    files: Vec<NewFile>,
    pins: Pins,
}

impl<'a> Work<'a> {
    /// `None` when there is no root or no targets role yet.
    async fn begin(app: &'a App) -> Result<Option<Self>, TrustError> {
        let newest = app.store.tuf_newest().await?;
        let newest: BTreeMap<_, _> =
            newest.into_iter().map(|row| (row.role.clone(), row)).collect();
        let root = app.store.tuf_file("root", None).await?;
        let targets = app.store.tuf_file("targets", None).await?;
        let (Some(root), Some(targets)) = (root, targets) else { return Ok(None) };
        let mut named = online_keys(&root).unwrap_or_default();
        named.extend(super::self_service_keys(&targets));
        Ok(Some(Self {
            app,
            now: clock::now(),
            targets: Document::parse(&targets)?,
            named,
            newest,
            files: Vec::new(),
            pins: Pins::new(),
        }))
    }

    fn version(&self, role: &str) -> u64 {
        self.newest.get(role).map_or(0, |row| row.version)
    }

    /// Higher than before, and than anything a copy of this server lost in a restore had signed.
    fn next_version(&self, role: &str) -> u64 {
        (self.version(role) + 1).max(u64::try_from(self.now).unwrap_or(0))
    }

    async fn write(mut self) -> Result<Vec<NewFile>, TrustError> {
        if let Some(row) = self.newest.get("targets") {
            self.pins.insert("targets".to_owned(), pin_of(row));
        }
        let namespaces = self.app.store.signed_namespaces().await?;
        self.self_service(&namespaces).await?;
        self.role_files(&namespaces).await?;
        let Some(pin) = self.snapshot().await? else { return Ok(self.files) };
        self.timestamp(&pin).await?;
        Ok(self.files)
    }

    /// The names claimed by sign-up that the offline role says nothing about.
    async fn self_service(&mut self, namespaces: &[Signed]) -> Result<(), TrustError> {
        let roles = self.targets.signed()["delegations"]["roles"].as_array().cloned();
        let offline: BTreeSet<String> = roles
            .unwrap_or_default()
            .iter()
            .filter_map(|role| role["name"].as_str().map(str::to_owned))
            .collect();
        if !offline.contains(SELF_SERVICE) {
            return Ok(());
        }
        let claimed = namespaces.iter().filter(|signed| {
            !is_reserved(&signed.namespace) && !offline.contains(signed.namespace.as_str())
        });
        let mut drafts: Vec<DelegationDraft> = claimed
            .map(|signed| DelegationDraft {
                namespace: signed.namespace.clone(),
                signers: RoleKeysDraft {
                    keys: signed.keys.clone(),
                    threshold: usize::try_from(signed.threshold).unwrap_or(usize::MAX),
                },
            })
            .collect();
        if drafts.len() > DELEGATIONS_MAX {
            // Oldest first: who came later is not served by TUF, and everybody else goes on.
            tracing::error!(
                "{} namespaces are claimed by sign-up; the self-service role holds {DELEGATIONS_MAX}. Delegate some by the offline role.",
                drafts.len()
            );
            drafts.truncate(DELEGATIONS_MAX);
        }
        let draft = TargetsDraft {
            version: self.next_version(SELF_SERVICE),
            expires_at: self.now + SELF_SERVICE_VALID_SECS,
            namespaces: drafts,
            selfservice: None,
        };
        let document = draft.document().ok_or(TrustError::Clock)?;
        self.online(SELF_SERVICE, document, "delegations", SELF_SERVICE_VALID_SECS).await
    }

    /// Role files as their publishers signed them, byte for byte.
    async fn role_files(&mut self, namespaces: &[Signed]) -> Result<(), TrustError> {
        let published = namespaces.iter().filter(|n| n.role_version > 0);
        for Signed { namespace, .. } in published.filter(|n| !is_reserved(&n.namespace)) {
            self.role_file(namespace, namespaces).await?;
        }
        Ok(())
    }

    async fn role_file(
        &mut self,
        namespace: &Namespace,
        namespaces: &[Signed],
    ) -> Result<(), TrustError> {
        let name = namespace.as_str();
        let current = namespaces.iter().find(|n| n.namespace == *namespace);
        let kept = self.newest.get(name);
        if let (Some(row), Some(signed)) = (kept, current)
            && row.version >= signed.role_version
        {
            self.pins.insert(name.to_owned(), pin_of(row));
            return Ok(());
        }
        let Some(bytes) = self.app.store.role(namespace).await? else { return Ok(()) };
        let Ok(role) = Role::read_unverified(&bytes, namespace) else { return Ok(()) };
        let expires_at = Document::parse(&bytes).map_or(0, |document| document.expires_at());
        self.keep(NewFile { role: name.to_owned(), version: role.version(), bytes, expires_at });
        Ok(())
    }

    async fn snapshot(&mut self) -> Result<Option<Pin>, TrustError> {
        let expires_at = self.now + SNAPSHOT_VALID_SECS;
        let document = snapshot(self.next_version("snapshot"), expires_at, &self.pins);
        let document = document.ok_or(TrustError::Clock)?;
        self.online("snapshot", document, "meta", SNAPSHOT_VALID_SECS).await?;
        Ok(self.pins.remove("snapshot"))
    }

    async fn timestamp(&mut self, pin: &Pin) -> Result<(), TrustError> {
        let (version, expires_at) =
            (self.next_version("timestamp"), self.now + TIMESTAMP_VALID_SECS);
        let document = timestamp(version, self.now, expires_at, pin).ok_or(TrustError::Clock)?;
        self.online("timestamp", document, "meta", TIMESTAMP_VALID_SECS).await
    }

    /// Signs a document, unless the newest of its role says the same in `field`, is signed by the same key and has
    /// more than half of its time left.
    async fn online(
        &mut self,
        role: &str,
        mut document: Document,
        field: &str,
        valid_secs: i64,
    ) -> Result<(), TrustError> {
        let key = self.key(role);
        if let Some(row) = self.newest.get(role)
            && row.expires_at - self.now > valid_secs / 2
            && let Some(bytes) = self.app.store.tuf_file(role, Some(row.version)).await?
            && let Ok(there) = Document::parse(&bytes)
            && there.signed()[field] == document.signed()[field]
            && !there.signed_by(&[key.public()]).is_empty()
        {
            let pin = pin_of(row);
            self.pins.insert(role.to_owned(), pin);
            return Ok(());
        }
        document.sign(key)?;
        let bytes = document.to_bytes()?;
        let (version, expires_at) = (document.version(), document.expires_at());
        self.keep(NewFile { role: role.to_owned(), version, bytes, expires_at });
        Ok(())
    }

    fn key(&self, role: &str) -> &'a SecretKey {
        self.app.tuf.keys.signing(role, &self.named)
    }

    fn keep(&mut self, file: NewFile) {
        let pin = Pin {
            version: file.version,
            length: file.bytes.len() as u64,
            digest: Digest::of(&file.bytes),
        };
        self.pins.insert(file.role.clone(), pin);
        self.files.push(file);
    }
}

fn pin_of(row: &FileRow) -> Pin {
    Pin { version: row.version, length: row.length, digest: row.digest }
}
