//! Where everything is kept: the data folder, the database, the blobs. Read from flags and variables
//! by every subcommand. Refuses to open any of it.

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
}

/// One thing wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorageFault {
    #[error(
        "SKEP_DATABASE_URL or --database-url is no address of PostgreSQL. Write it like postgres://user@host/name."
    )]
    DatabaseUrl,
}

impl Storage {
    /// Everything in one folder.
    #[must_use]
    pub fn in_folder(data: &Path) -> Self {
        Self { data: data.to_owned(), database: Place::in_folder(data) }
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
        if faults.is_empty() { Ok(Self { data: data.to_owned(), database }) } else { Err(faults) }
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
        let flags = StorageFlags { database_url: Some("mysql://x".to_owned()) };
        assert_eq!(Storage::read(data, &flags, &variable), Err(vec![StorageFault::DatabaseUrl]));
        assert!(!format!("{flags:?}").contains("mysql"));
    }
}
