//! A backup as a folder: every row as a line of JSON, every blob by its digest, every key file; and
//! putting it back, verified, into either database. Refuses to know what rows mean.
//!
//! ```text
//! backup.json           what is here, with digests; written last: without it there is no backup
//! tables/NAME.jsonl     one object a row
//! blobs/sha256/AB/…     named by digest, so a later backup into the same folder adds what is new
//! files/…               keys and certificates of the data folder
//! ```

mod files;

use crate::blob::{BlobError, BlobStore, Opened};
use crate::store::{Store, StoreError};
use files::{copy_files, durable, read_json, sealed};
use futures::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use skep_artifact::digest::Digest;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// The form of the folder; a reader refuses what it does not know.
const FORMAT: u32 = 1;
/// Tables of uploads that are under way: their parts are not in a backup, and their senders begin again.
const UNFINISHED: [&str; 2] = ["oci_uploads", "oci_upload_parts"];
/// Longest row in bytes: a report or a manifest of a megabyte, in base64 and escaped.
const ROW_BYTES_MAX: usize = 16 << 20;

/// Why a backup was not made or not put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("cannot {what} {}", path.display())]
    File { what: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{} is not a whole backup: it has no backup.json that can be read", folder.display())]
    Unfinished { folder: PathBuf },
    #[error("the backup has form {found}; this program reads {FORMAT}")]
    Format { found: u32 },
    #[error(
        "the backup is of schema {found}, this program's is {wanted}. Restore it with the version that made it, then upgrade"
    )]
    Schema { found: i64, wanted: i64 },
    #[error("{file} is not as it was written; the backup is damaged and nothing was restored")]
    Damaged { file: String },
    #[error("{digest} is published or pushed and its bytes are not stored; run a scrub first")]
    BlobLost { digest: Digest },
    #[error("the database is in use. A backup is restored into an empty one")]
    NotEmpty,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Blob(#[from] BlobError),
}

/// What `backup.json` says.
#[derive(Debug, Serialize, Deserialize)]
struct Index {
    format: u32,
    schema: i64,
    /// Seconds since 1970.
    made_at: i64,
    tables: BTreeMap<String, TableEntry>,
    blobs: u64,
    /// Blobs that nothing names and that were collected while the backup was made.
    collected: Vec<Digest>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct TableEntry {
    rows: u64,
    sha256: String,
}

/// What was done.
#[derive(Debug, PartialEq, Eq)]
pub struct Counts {
    pub tables: usize,
    pub rows: u64,
    pub blobs: u64,
}

/// Writes a backup while the server goes on. Into the folder of an earlier one it adds the blobs that
/// are new and replaces the rows.
///
/// # Errors
/// [`BackupError`]; the folder then holds no `backup.json`.
pub async fn write(
    store: &Store,
    blobs: &BlobStore,
    data: &Path,
    to: &Path,
    now: i64,
) -> Result<Counts, BackupError> {
    let index_file = to.join("backup.json");
    files::private_folder(to)?;
    files::remove(&index_file)?;
    let _ = std::fs::remove_dir_all(to.join("tables"));
    files::private_folder(&to.join("tables"))?;
    let mut export = store.export().await?;
    let mut tables = BTreeMap::new();
    let (mut held, mut used) = (Vec::new(), std::collections::BTreeSet::new());
    for name in export.tables() {
        let mut file = TableFile::create(&to.join("tables").join(format!("{name}.jsonl")))?;
        export
            .rows(&name, |row| {
                match name.as_str() {
                    "blobs" => held.extend(digest_of(&row, "digest")),
                    "version_blobs" => used.extend(digest_of(&row, "digest")),
                    "oci_blobs" | "oci_manifests" => used.extend(digest_of(&row, "content")),
                    unfinished if UNFINISHED.contains(&unfinished) => return Ok(()),
                    _ => {}
                }
                file.add(&row)
            })
            .await?;
        tables.insert(name, file.finish()?);
    }
    let schema = export.schema;
    drop(export);
    copy_files(data, &to.join("files"))?;
    let mut collected = Vec::new();
    for digest in &held {
        match copy_blob(blobs, digest, &blob_path(&to.join("blobs"), digest)).await {
            Ok(()) => {}
            Err(BackupError::Blob(BlobError::Missing { .. })) if !used.contains(digest) => {
                collected.push(*digest);
            }
            Err(BackupError::Blob(BlobError::Missing { digest })) => {
                return Err(BackupError::BlobLost { digest });
            }
            Err(error) => return Err(error),
        }
    }
    let copied = (held.len() - collected.len()) as u64;
    let rows = tables.values().map(|table| table.rows).sum();
    let counts = Counts { tables: tables.len(), rows, blobs: copied };
    let index = Index { format: FORMAT, schema, made_at: now, tables, blobs: copied, collected };
    sealed(&index_file, &index)?;
    Ok(counts)
}

/// Puts a backup back: into a fresh data folder and an empty database of either kind.
///
/// # Errors
/// [`BackupError`]; the database is empty then.
pub async fn restore(
    store: &Store,
    blobs: &BlobStore,
    data: &Path,
    from: &Path,
) -> Result<Counts, BackupError> {
    let index: Index = read_json(&from.join("backup.json"))
        .ok_or_else(|| BackupError::Unfinished { folder: from.to_owned() })?;
    if index.format != FORMAT {
        return Err(BackupError::Format { found: index.format });
    }
    for (name, entry) in &index.tables {
        let file = from.join("tables").join(format!("{name}.jsonl"));
        if TableEntry::of(&file)? != *entry {
            return Err(BackupError::Damaged { file: file.display().to_string() });
        }
    }
    let mut import = store.import().await?.ok_or(BackupError::NotEmpty)?;
    if import.schema != index.schema {
        return Err(BackupError::Schema { found: index.schema, wanted: import.schema });
    }
    let mut restored = Vec::new();
    for name in import.tables() {
        let file = from.join("tables").join(format!("{name}.jsonl"));
        if !index.tables.contains_key(&name) {
            return Err(BackupError::Damaged { file: file.display().to_string() });
        }
        for line in lines(&file)? {
            let row: Map<String, Value> = serde_json::from_str(&line?)
                .map_err(|_| BackupError::Damaged { file: file.display().to_string() })?;
            if name == "blobs"
                && let Some(digest) = digest_of(&row, "digest")
            {
                if index.collected.contains(&digest) {
                    continue;
                }
                restored.push(digest);
            }
            import.add(&name, &row).await?;
        }
    }
    // Bytes first: what the database names must be there when it becomes visible.
    for digest in &restored {
        let path = blob_path(&from.join("blobs"), digest);
        restore_blob(blobs, digest, &path).await?;
    }
    copy_files(&from.join("files"), data)?;
    import.commit().await?;
    let rows = index.tables.values().map(|table| table.rows).sum();
    Ok(Counts { tables: index.tables.len(), rows, blobs: restored.len() as u64 })
}

fn digest_of(row: &Map<String, Value>, column: &str) -> Option<Digest> {
    use base64::Engine as _;
    let text = row.get(column)?.get("bytes")?.as_str()?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok()?;
    Some(Digest::from_bytes(bytes.try_into().ok()?))
}

fn blob_path(root: &Path, digest: &Digest) -> PathBuf {
    let digits = digest.hex();
    root.join("sha256").join(&digits[..2]).join(digits)
}

/// Copies a blob unless it is there; what is there has the name of what it is.
async fn copy_blob(blobs: &BlobStore, digest: &Digest, to: &Path) -> Result<(), BackupError> {
    if to.exists() {
        return Ok(());
    }
    let beside = to.with_extension("half");
    let failed = files::failed("write", &beside);
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder).map_err(files::failed("create", folder))?;
    }
    let mut file = File::create(&beside).map_err(&failed)?;
    let mut hasher = Sha256::new();
    match blobs.open_blob(digest).await? {
        Opened::Whole(bytes) => {
            hasher.update(&bytes);
            file.write_all(&bytes).map_err(&failed)?;
        }
        Opened::Stream(mut from) => {
            while let Some(chunk) = from.try_next().await.map_err(files::failed("read", to))? {
                hasher.update(&chunk);
                file.write_all(&chunk).map_err(&failed)?;
            }
        }
    }
    if Digest::from_bytes(hasher.finalize().into()) != *digest {
        let _ = std::fs::remove_file(&beside);
        return Err(BackupError::Damaged { file: format!("blob {digest}") });
    }
    durable(file, &beside, to)
}

/// Through the same gate as an upload: hashed on the way, and refused when it is something else.
async fn restore_blob(blobs: &BlobStore, digest: &Digest, from: &Path) -> Result<(), BackupError> {
    let file = tokio::fs::File::open(from).await.map_err(files::failed("open", from))?;
    let chunks = tokio_util::io::ReaderStream::with_capacity(file, 1 << 18);
    let chunks = futures::StreamExt::map(chunks, |chunk| chunk.map_err(axum::Error::new));
    let received = blobs.receive(u64::MAX, Box::pin(chunks)).await?;
    match blobs.keep(received, *digest).await {
        Ok(_) => Ok(()),
        Err(BlobError::WrongDigest { .. }) => {
            Err(BackupError::Damaged { file: from.display().to_string() })
        }
        Err(error) => Err(error.into()),
    }
}

/// One table's file while it is written.
struct TableFile {
    path: PathBuf,
    file: BufWriter<File>,
    hasher: Sha256,
    rows: u64,
}

impl TableFile {
    fn create(path: &Path) -> Result<Self, BackupError> {
        let file = files::private_file(path)?;
        let (path, file) = (path.to_owned(), BufWriter::new(file));
        Ok(Self { path, file, hasher: Sha256::new(), rows: 0 })
    }

    fn add(&mut self, row: &Map<String, Value>) -> Result<(), BackupError> {
        let mut line = Value::Object(row.clone()).to_string();
        line.push('\n');
        self.hasher.update(&line);
        self.rows += 1;
        self.file.write_all(line.as_bytes()).map_err(files::failed("write", &self.path))
    }

    fn finish(self) -> Result<TableEntry, BackupError> {
        let Self { path, file, hasher, rows } = self;
        let failed = files::failed("write", &path);
        let file = file.into_inner().map_err(|e| failed(e.into_error()))?;
        file.sync_all().map_err(failed)?;
        Ok(TableEntry { rows, sha256: hex::encode(hasher.finalize()) })
    }
}

impl TableEntry {
    fn of(path: &Path) -> Result<Self, BackupError> {
        let (mut hasher, mut rows) = (Sha256::new(), 0);
        for line in lines(path)? {
            hasher.update(line?);
            hasher.update("\n");
            rows += 1;
        }
        Ok(Self { rows, sha256: hex::encode(hasher.finalize()) })
    }
}

fn lines(
    path: &Path,
) -> Result<impl Iterator<Item = Result<String, BackupError>> + use<>, BackupError> {
    let file = File::open(path).map_err(files::failed("open", path))?;
    let (mut reader, path) = (BufReader::new(file), path.to_owned());
    Ok(std::iter::from_fn(move || {
        let mut line = Vec::new();
        let mut limited = std::io::Read::take(&mut reader, ROW_BYTES_MAX as u64);
        match limited.read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) => {
                let whole = line.pop() == Some(b'\n');
                let text = String::from_utf8(line).ok().filter(|_| whole);
                let damaged = || BackupError::Damaged { file: path.display().to_string() };
                Some(text.ok_or_else(damaged))
            }
            Err(source) => Some(Err(files::failed("read", &path)(source))),
        }
    }))
}
