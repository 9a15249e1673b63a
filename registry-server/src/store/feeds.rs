//! The newest versions, for feeds. Refuses to know what a feed looks like.

use super::{Store, StoreError, failed};
use skep_artifact::name::{Namespace, PackageName};

/// Entries of a feed: readers that ask once a day miss nothing of a busy registry's hour.
const ENTRIES_MAX: i64 = 50;

/// A version as a feed shows it.
#[derive(sqlx::FromRow)]
pub struct FeedEntry {
    pub name: String,
    pub version: String,
    pub description: String,
    pub published_at: i64,
    pub published_by: String,
}

/// Whose versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedOf {
    Everybody,
    Namespace(Namespace),
    Package(PackageName),
}

/// The columns of a [`FeedEntry`], for the statements that differ in what follows.
macro_rules! select_entries {
    ($which:literal) => {
        concat!(
            "SELECT p.name, v.version, p.description, v.published_at, v.published_by ",
            "FROM versions v JOIN packages p ON p.id = v.package_id WHERE v.yanked = 0 ",
            $which,
            " ORDER BY v.published_at DESC, v.id DESC LIMIT $1"
        )
    };
}

impl Store {
    /// The newest versions.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn newest(&self, of: &FeedOf) -> Result<Vec<FeedEntry>, StoreError> {
        let query = match of {
            FeedOf::Everybody => sqlx::query_as(select_entries!("")).bind(ENTRIES_MAX),
            FeedOf::Namespace(namespace) => {
                let select = select_entries!("AND p.namespace = $2");
                sqlx::query_as(select).bind(ENTRIES_MAX).bind(namespace.to_string())
            }
            FeedOf::Package(package) => {
                let select = select_entries!("AND p.name = $2");
                sqlx::query_as(select).bind(ENTRIES_MAX).bind(package.to_string())
            }
        };
        query.fetch_all(&self.read).await.map_err(failed("list the newest versions"))
    }
}
