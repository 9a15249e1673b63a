//! Documents between this machine and the registry: handing in, showing, downloading the repository.

use crate::cmd::Session;
use crate::exit::Ends;
use crate::trust_files::{self, Shown, near};
use anyhow::Context as _;
use serde::Serialize;
use skep_api::client::Client;
use skep_api::v1::trust::{DocumentInfo, DocumentReceipt, TrustInfo};
use skep_trust::tuf::{
    Document, ROOT_BYTES_MAX, SNAPSHOT_BYTES_MAX, TARGETS_BYTES_MAX, TIMESTAMP_BYTES_MAX,
};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Roots that are looked for: one a month for eighty years.
const ROOTS_MAX: u64 = 1024;

pub(super) async fn add(files: &[PathBuf], session: &Session) -> anyhow::Result<()> {
    let client = session.settings.client()?;
    let mut receipts: Vec<DocumentReceipt> = Vec::new();
    for path in files {
        let document = trust_files::read(path)?;
        let role = document.kind().to_owned();
        if role != "root" && role != "targets" {
            let said =
                format!("{} is a {role} file; the registry makes those itself.", path.display());
            return Err(Ends::usage(said).into());
        }
        let bytes = document.to_bytes()?;
        let receipt = client.put_trust(&role, bytes).await;
        receipts.push(receipt.with_context(|| format!("{} was not taken.", path.display()))?);
    }
    session.out.result(&receipts, || {
        let each =
            receipts.iter().map(|r| format!("The registry took {} {}.\n", r.role, r.version));
        each.collect()
    })
}

pub(super) async fn show(file: Option<&Path>, session: &Session) -> anyhow::Result<()> {
    if let Some(path) = file {
        let shown = Shown::of(&trust_files::read(path)?);
        return session.out.result(&shown, || shown.text(session.now()));
    }
    let info = session.settings.client()?.trust().await?;
    session.out.result(&info, || text(&info, session.now()))
}

fn text(info: &TrustInfo, now: i64) -> String {
    let mut text = String::new();
    if info.root.is_none() {
        text.push_str("No ceremony has been held: this registry has no root, and nodes trust the keys that their own policies pin.\n");
    }
    let documents = [
        ("root", &info.root),
        ("targets", &info.targets),
        ("snapshot", &info.snapshot),
        ("timestamp", &info.timestamp),
    ];
    for (name, document) in documents {
        let Some(DocumentInfo { version, expires_at }) = document else { continue };
        let expires = jiff::Timestamp::from_second(*expires_at).map(|t| t.to_string());
        // The server renews its own; a day's timestamp is always near.
        let offline = matches!(name, "root" | "targets");
        let warning = if offline { near(*expires_at, now) } else { String::new() };
        // Writing into a String cannot fail.
        let _ = writeln!(
            text,
            "{name:<10} version {version}, expires {}{warning}",
            expires.unwrap_or_default()
        );
    }
    for delegated in &info.delegated {
        let ids: Vec<String> = delegated.keys.iter().map(|key| key.key_id().short()).collect();
        let (m, n) = (delegated.threshold, ids.len());
        let _ = writeln!(
            text,
            "{:<10} {m} of {n}: {}",
            delegated.namespace.to_string(),
            ids.join(", ")
        );
    }
    if !info.self_service.is_empty() {
        let names: Vec<String> = info.self_service.iter().map(ToString::to_string).collect();
        let _ = writeln!(
            text,
            "by sign-up {} (nodes take these only with pinned keys)",
            names.join(", ")
        );
    }
    let online = &info.online;
    let _ = writeln!(
        text,
        "the server's keys\n  snapshot     {}\n  timestamp    {}\n  selfservice  {}",
        online.snapshot, online.timestamp, online.selfservice
    );
    text
}

#[derive(Serialize)]
struct Exported {
    folder: PathBuf,
    files: Vec<String>,
}

/// Roots first, then down from the timestamp, so that what is written belongs together.
pub(super) async fn export(folder: &Path, session: &Session) -> anyhow::Result<()> {
    let client = session.settings.client()?;
    std::fs::create_dir_all(folder)
        .with_context(|| format!("{} cannot be made.", folder.display()))?;
    let mut files = Vec::new();
    for version in 1..=ROOTS_MAX {
        let name = format!("{version}.root.json");
        let Some(bytes) = client.tuf_file(&name, ROOT_BYTES_MAX).await? else { break };
        keep(folder, &name, &bytes, &mut files)?;
    }
    if files.is_empty() {
        return Err(Ends::not_found(
            "The registry has no trust documents: no ceremony has been held.",
        )
        .into());
    }
    let timestamp = get(&client, "timestamp.json", TIMESTAMP_BYTES_MAX).await?;
    let pinned = version_of(&timestamp, "snapshot.json")?;
    let name = format!("{pinned}.snapshot.json");
    let snapshot = get(&client, &name, SNAPSHOT_BYTES_MAX).await?;
    let roles = Document::parse(&snapshot)?;
    let roles = roles.signed()["meta"].as_object().cloned().unwrap_or_default();
    for role in roles.keys() {
        let name = format!("{}.{role}", version_of(&snapshot, role)?);
        let bytes = get(&client, &name, TARGETS_BYTES_MAX).await?;
        keep(folder, &name, &bytes, &mut files)?;
    }
    keep(folder, &name, &snapshot, &mut files)?;
    keep(folder, "timestamp.json", &timestamp, &mut files)?;
    let exported = Exported { folder: folder.to_owned(), files };
    session.out.result(&exported, || {
        format!("Wrote {} files to {}.\n", exported.files.len(), exported.folder.display())
    })
}

async fn get(client: &Client, name: &str, limit: usize) -> anyhow::Result<Vec<u8>> {
    let bytes = client.tuf_file(name, limit).await?;
    let missing = || Ends::not_found(format!("The registry does not have {name}. Try again."));
    Ok(bytes.ok_or_else(missing)?.to_vec())
}

fn version_of(bytes: &[u8], name: &str) -> anyhow::Result<u64> {
    let document = Document::parse(bytes)?;
    let version = document.signed()["meta"][name]["version"].as_u64();
    version.with_context(|| format!("A trust document does not name {name}."))
}

/// A name becomes a file of the folder only when it cannot leave it.
fn keep(folder: &Path, name: &str, bytes: &[u8], files: &mut Vec<String>) -> anyhow::Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if !name.chars().all(plain) || name.starts_with('.') {
        anyhow::bail!("The registry names a file {name:?}, which was not written.");
    }
    let path = folder.join(name);
    std::fs::write(&path, bytes)
        .with_context(|| format!("{} cannot be written.", path.display()))?;
    files.push(name.to_owned());
    Ok(())
}
