//! Where everything is kept: the data folder, the database, the blobs. Read from flags and variables
//! by every subcommand. Refuses to open any of it.

use crate::blob::BucketPlace;
use crate::store::Place;
use std::fmt;
use std::path::{Path, PathBuf};

/// Where the data goes when nobody says otherwise, below the working directory.
pub const DATA_DEFAULT: &str = "skep-data";

/// What was given on the command line besides the data folder; each flag wins over its variable.
#[derive(Clone, Default, clap::Args)]
pub struct StorageFlags {
    /// PostgreSQL instead of a file in the data folder: postgres://user@host/name. A password
    /// belongs into the variable, because others see flags (SKEP_DATABASE_URL)
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// A bucket of an S3-compatible store for the bytes instead of a folder: s3://bucket/folder (SKEP_BLOB_STORE).
    /// Credentials, region and endpoint come from the usual AWS_ variables
    #[arg(long, value_name = "URL")]
    pub blob_store: Option<String>,
}

impl fmt::Debug for StorageFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StorageFlags").finish_non_exhaustive()
    }
}

/// Where everything is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// Keys, certificates, uploads on their way, and what has no place of its own.
    pub data: PathBuf,
    pub database: Place,
    /// Where the bytes are, when it is not the folder.
    pub bucket: Option<BucketPlace>,
}

/// One thing wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorageFault {
    #[error(
        "SKEP_DATABASE_URL or --database-url is no address of PostgreSQL. Write it like postgres://user@host/name."
    )]
    DatabaseUrl,
    #[error(
        "'{text}' in SKEP_BLOB_STORE or --blob-store is no bucket. Write it like s3://bucket/folder."
    )]
    BlobStore { text: String },
}

impl Storage {
    /// Everything in one folder.
    #[must_use]
    pub fn in_folder(data: &Path) -> Self {
        Self { data: data.to_owned(), database: Place::in_folder(data), bucket: None }
    }

    /// Reads flags first and variables second.
    ///
    /// # Errors
    /// Every [`StorageFault`], at least one.
    pub fn read(
        data: &Path,
        flags: &StorageFlags,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Vec<StorageFault>> {
        let given = |flag: &Option<String>, variable| {
            let text = flag.clone().or_else(|| lookup(variable));
            text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        let mut faults = Vec::new();
        let database = match given(&flags.database_url, "SKEP_DATABASE_URL") {
            None => Place::in_folder(data),
            Some(url) => {
                if !is_postgres(&url) {
                    faults.push(StorageFault::DatabaseUrl);
                }
                Place::Postgres(url)
            }
        };
        let bucket = given(&flags.blob_store, "SKEP_BLOB_STORE").and_then(|text| {
            let place = BucketPlace::parse(&text);
            if place.is_none() {
                faults.push(StorageFault::BlobStore { text });
            }
            place
        });
        let data = data.to_owned();
        if faults.is_empty() { Ok(Self { data, database, bucket }) } else { Err(faults) }
    }
}

fn is_postgres(url: &str) -> bool {
    ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_holds_everything_until_something_else_is_said() {
        let data = Path::new("x");
        let nothing = |_: &str| None;
        let read = Storage::read(data, &StorageFlags::default(), &nothing).unwrap();
        assert_eq!(read, Storage::in_folder(data));
        let url = "postgres://skep:secret@db/skep";
        let variable = |name: &str| (name == "SKEP_DATABASE_URL").then(|| url.to_owned());
        let read = Storage::read(data, &StorageFlags::default(), &variable).unwrap();
        assert_eq!(read.database, Place::Postgres(url.to_owned()));
        assert!(!format!("{read:?}").contains("secret"));
        let flags = StorageFlags { database_url: Some("mysql://x".to_owned()), blob_store: None };
        assert_eq!(Storage::read(data, &flags, &variable), Err(vec![StorageFault::DatabaseUrl]));
        assert!(!format!("{flags:?}").contains("mysql"));
        let bucket = |text: &str| {
            let flags = StorageFlags { database_url: None, blob_store: Some(text.to_owned()) };
            Storage::read(data, &flags, &nothing).map(|read| format!("{:?}", read.bucket.unwrap()))
        };
        assert_eq!(bucket("s3://skep-blobs/a/b/").unwrap(), "s3://skep-blobs/a/b");
        assert!(bucket("s3://skep-blobs").is_ok());
        for wrong in ["https://bucket", "s3://", "s3://UPPER/x", "s3://a"] {
            assert!(bucket(wrong).is_err(), "{wrong}");
        }
    }
}
