//! Signed documents as files that travel between machines: reading, writing, and what a person reads before signing one.
//! Refuses to know which signatures are enough.

use crate::exit::Ends;
use crate::project;
use crate::render::paint;
use anyhow::Context as _;
use serde::Serialize;
use skep_artifact::key::PublicKey;
use skep_trust::tuf::{Document, RoleKeysDraft, RootDraft, TARGETS_BYTES_MAX, TargetsDraft};
use std::fmt::Write as _;
use std::path::Path;

/// Seconds before its expiry from which on a document is warned about: 30 days.
pub(crate) const WARN_SECS: i64 = 30 * 86_400;

/// Reads a document.
///
/// # Errors
/// When the file cannot be read, or is no signed document.
pub(crate) fn read(path: &Path) -> anyhow::Result<Document> {
    let bytes = project::read_bytes(path, TARGETS_BYTES_MAX)?;
    of_bytes(&bytes).with_context(|| format!("{} cannot be used.", path.display()))
}

/// A document from bytes.
///
/// # Errors
/// When they are none.
pub(crate) fn of_bytes(bytes: &[u8]) -> anyhow::Result<Document> {
    Ok(Document::parse(bytes)?)
}

/// Writes a document; one that is there already only when `replacing` says that it is the same one with more signatures.
///
/// # Errors
/// When the file is there, or the disk refuses.
pub(crate) fn write_new(path: &Path, document: &Document) -> anyhow::Result<()> {
    if path.exists() {
        let said = format!("{} is there already and was not touched.", path.display());
        return Err(Ends::usage(said).into());
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("{} cannot be made.", folder.display()))?;
    }
    replace(path, document)
}

/// Writes a document over an earlier copy of itself, whole or not at all.
///
/// # Errors
/// When the disk refuses.
pub(crate) fn replace(path: &Path, document: &Document) -> anyhow::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let failed = || format!("{} cannot be written.", path.display());
    let mut draft =
        tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).with_context(failed)?;
    std::io::Write::write_all(&mut draft, &document.to_bytes()?).with_context(failed)?;
    draft.as_file().sync_all().with_context(failed)?;
    draft.persist(path).with_context(failed)?;
    Ok(())
}

/// A document for people and programs.
#[derive(Serialize)]
pub(crate) struct Shown {
    role: String,
    version: u64,
    expires: String,
    signed_by: Vec<String>,
    /// Who must sign, as the document itself says; roots only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    roles: Vec<RoleShown>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    namespaces: Vec<RoleShown>,
    targets: usize,
    #[serde(skip)]
    expires_at: i64,
}

#[derive(Serialize)]
struct RoleShown {
    name: String,
    threshold: usize,
    keys: Vec<PublicKey>,
}

impl Shown {
    /// What is to be seen of a document.
    pub(crate) fn of(document: &Document) -> Self {
        let named = |name: &str, role: &RoleKeysDraft| RoleShown {
            name: name.to_owned(),
            threshold: role.threshold,
            keys: role.keys.clone(),
        };
        let roles = RootDraft::of(document).map_or(Vec::new(), |root| {
            vec![
                named("root", &root.root),
                named("targets", &root.targets),
                named("snapshot", &root.snapshot),
                named("timestamp", &root.timestamp),
            ]
        });
        let namespaces = TargetsDraft::of(document).map_or(Vec::new(), |targets| {
            let each = targets.namespaces.iter();
            each.map(|d| named(d.namespace.as_str(), &d.signers)).collect()
        });
        Self {
            role: document.kind().to_owned(),
            version: document.version(),
            expires: document.expires().to_owned(),
            signed_by: document.claimed_signers().iter().map(ToString::to_string).collect(),
            roles,
            namespaces,
            targets: document.signed()["targets"].as_object().map_or(0, serde_json::Map::len),
            expires_at: document.expires_at(),
        }
    }

    /// In words; `now` decides whether its expiry is near.
    pub(crate) fn text(&self, now: i64) -> String {
        let mut text = format!("{} version {}\n", self.role, self.version);
        // Writing into a String cannot fail.
        let _ = writeln!(text, "  expires    {}{}", self.expires, near(self.expires_at, now));
        let short = |id: &String| id.chars().take(8).collect::<String>();
        let by: Vec<String> = self.signed_by.iter().map(short).collect();
        let by = if by.is_empty() { "nobody yet".to_owned() } else { by.join(", ") };
        let _ = writeln!(text, "  signed by  {by}");
        for role in self.roles.iter().chain(&self.namespaces) {
            let ids: Vec<String> = role.keys.iter().map(|key| key.key_id().short()).collect();
            let (m, n) = (role.threshold, role.keys.len());
            let _ = writeln!(text, "  {:<10} {m} of {n}: {}", role.name, ids.join(", "));
        }
        if self.targets > 0 {
            let _ = writeln!(text, "  lists      {} versions", self.targets);
        }
        text
    }
}

/// What is said behind an expiry that is near or past.
pub(crate) fn near(expires_at: i64, now: i64) -> String {
    let days = (expires_at - now) / 86_400;
    match expires_at - now {
        left if left <= 0 => format!("  {}", paint::clay("expired: nothing new is accepted by it")),
        left if left < WARN_SECS => {
            format!("  {}", paint::clay(&format!("in {days} days: renew it")))
        }
        _ => String::new(),
    }
}
