//! Yanks, deprecations and tombstones, each with its entry in the package's history, in one
//! transaction. Refuses to know who may ask for them.

use super::log::append;
use super::shown::{self, reshow};
use super::{Change, Store, StoreError, digest, failed, parsed};
use skep_api::v1::life::{Deprecation, LifeAction, LifeEvent};
use skep_artifact::digest::Digest;
use skep_artifact::log::{Entry, Event};
use skep_artifact::name::{PackageName, Version};

/// What changes, and who wants it.
pub struct LifeChange {
    pub action: LifeAction,
    pub package: PackageName,
    /// `None` for the whole package.
    pub version: Option<Version>,
    pub message: String,
    pub replacement: Option<PackageName>,
    pub at: i64,
    pub by: String,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LifeOutcome {
    Changed,
    /// It was so before; nothing was written.
    Already,
    NoSuchThing,
    Tombstoned {
        message: String,
    },
}

/// A package or a version as it stands: its row, and what was said about it.
struct Found {
    package: i64,
    /// The row of the version, when one is meant.
    version: Option<i64>,
    tombstone: Option<String>,
    yank: Option<String>,
    deprecated: Option<String>,
    deprecated_for: Option<String>,
    /// The version's index, when one is meant.
    index: Option<Digest>,
}

impl Store {
    /// Changes what is said about a package or a version, and writes it into the history.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was changed then.
    pub async fn change_life(&self, change: &LifeChange) -> Result<LifeOutcome, StoreError> {
        let mut transaction = self.begin().await?;
        let Some(found) = find(&mut transaction, change).await? else {
            return Ok(LifeOutcome::NoSuchThing);
        };
        if let Some(message) = &found.tombstone {
            return Ok(match change.action {
                LifeAction::Tombstone => LifeOutcome::Already,
                _ => LifeOutcome::Tombstoned { message: message.clone() },
            });
        }
        if found.is_so(change) {
            return Ok(LifeOutcome::Already);
        }
        write(&mut transaction, &found, change).await?;
        note(&mut transaction, found.package, change).await?;
        if matches!(change.action, LifeAction::Yank | LifeAction::Unyank) {
            reshow(&mut transaction, found.package).await?;
        }
        if let Some(event) = logged(change, &found) {
            append(&mut transaction, &Entry { at: change.at, event }).await?;
        }
        transaction.commit().await.map_err(failed("commit what becomes of a package"))?;
        Ok(LifeOutcome::Changed)
    }

    /// What was done to a package, newest first; `None` for one that never was.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn life_events(
        &self,
        name: &PackageName,
        most: u32,
    ) -> Result<Option<Vec<LifeEvent>>, StoreError> {
        let id: Option<i64> = sqlx::query_scalar("SELECT id FROM packages WHERE name = $1")
            .bind(name.to_string())
            .fetch_optional(&self.read)
            .await
            .map_err(failed("look a package up"))?;
        let Some(id) = id else { return Ok(None) };
        let select = "SELECT version, action, message, replacement, done_at, done_by \
             FROM life_events WHERE package_id = $1 ORDER BY id DESC LIMIT $2";
        let rows: Vec<EventRow> = sqlx::query_as(select)
            .bind(id)
            .bind(i64::from(most))
            .fetch_all(&self.read)
            .await
            .map_err(failed("list what became of a package"))?;
        rows.into_iter().map(EventRow::read).collect::<Result<_, _>>().map(Some)
    }

    /// Why a package was deleted; `None` when it was not, or never was.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tombstone(&self, name: &PackageName) -> Result<Option<String>, StoreError> {
        let found: Option<Option<String>> =
            sqlx::query_scalar("SELECT tombstone FROM packages WHERE name = $1")
                .bind(name.to_string())
                .fetch_optional(&self.read)
                .await
                .map_err(failed("look for a tombstone"))?;
        Ok(found.flatten())
    }
}

/// The two columns of a deprecation as one.
pub(super) fn deprecation(
    message: Option<String>,
    replacement: Option<&str>,
) -> Result<Option<Deprecation>, StoreError> {
    let Some(message) = message else { return Ok(None) };
    let replacement = replacement.map(|name| parsed("package name", name)).transpose()?;
    Ok(Some(Deprecation { message, replacement }))
}

impl Found {
    /// Whether nothing would change.
    fn is_so(&self, change: &LifeChange) -> bool {
        let replacement = change.replacement.as_ref().map(ToString::to_string);
        match change.action {
            LifeAction::Yank => self.yank.as_ref() == Some(&change.message),
            LifeAction::Unyank => self.yank.is_none(),
            LifeAction::Deprecate => {
                (self.deprecated.as_ref(), &self.deprecated_for)
                    == (Some(&change.message), &replacement)
            }
            LifeAction::Undeprecate => self.deprecated.is_none(),
            LifeAction::Tombstone => false,
        }
    }
}

#[derive(sqlx::FromRow)]
struct PackageRow {
    id: i64,
    tombstone: Option<String>,
    deprecated: Option<String>,
    deprecated_for: Option<String>,
}

#[derive(sqlx::FromRow)]
struct VersionRow {
    id: i64,
    yanked: i64,
    yank_message: Option<String>,
    deprecated: Option<String>,
    deprecated_for: Option<String>,
    index_digest: Vec<u8>,
}

async fn find(transaction: &mut Change, change: &LifeChange) -> Result<Option<Found>, StoreError> {
    let select = "SELECT id, tombstone, deprecated, deprecated_for FROM packages WHERE name = $1";
    let package: Option<PackageRow> = sqlx::query_as(select)
        .bind(change.package.to_string())
        .fetch_optional(&mut **transaction)
        .await
        .map_err(failed("look a package up"))?;
    let Some(PackageRow { id, tombstone, deprecated, deprecated_for }) = package else {
        return Ok(None);
    };
    let Some(version) = &change.version else {
        let (package, version, yank, index) = (id, None, None, None);
        return Ok(Some(Found {
            package,
            version,
            tombstone,
            yank,
            deprecated,
            deprecated_for,
            index,
        }));
    };
    let select = "SELECT id, yanked, yank_message, deprecated, deprecated_for, index_digest \
         FROM versions WHERE package_id = $1 AND version = $2";
    let row: Option<VersionRow> = sqlx::query_as(select)
        .bind(id)
        .bind(version.to_string())
        .fetch_optional(&mut **transaction)
        .await
        .map_err(failed("look a version up"))?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Found {
        package: id,
        version: Some(row.id),
        tombstone,
        yank: (row.yanked != 0).then(|| row.yank_message.unwrap_or_default()),
        deprecated: row.deprecated,
        deprecated_for: row.deprecated_for,
        index: Some(digest(&row.index_digest)?),
    }))
}

/// What the log says of it; `None` for a yank of no version, which nobody can ask for.
fn logged(change: &LifeChange, found: &Found) -> Option<Event> {
    let LifeChange { package, version, message, .. } = change;
    let (package, version, message) = (package.clone(), version.clone(), message.clone());
    Some(match change.action {
        LifeAction::Yank | LifeAction::Unyank => Event::Yank {
            package,
            version: version?,
            index: found.index?,
            yanked: change.action == LifeAction::Yank,
            reason: message,
        },
        LifeAction::Deprecate | LifeAction::Undeprecate => {
            Event::Deprecate { package, version, message }
        }
        LifeAction::Tombstone => Event::Tombstone { package, message },
    })
}

async fn write(
    transaction: &mut Change,
    found: &Found,
    change: &LifeChange,
) -> Result<(), StoreError> {
    let replacement = change.replacement.as_ref().map(ToString::to_string);
    let message = Some(change.message.clone());
    let id = found.version.unwrap_or(found.package);
    let query = match (change.action, found.version) {
        (LifeAction::Yank, _) => {
            sqlx::query("UPDATE versions SET yanked = 1, yank_message = $1 WHERE id = $2")
                .bind(message)
        }
        (LifeAction::Unyank, _) => {
            sqlx::query("UPDATE versions SET yanked = 0, yank_message = $1 WHERE id = $2")
                .bind(None::<String>)
        }
        (LifeAction::Tombstone, _) => {
            return bury(transaction, found.package, &change.message).await;
        }
        (action, version) => {
            let set = if version.is_some() {
                "UPDATE versions SET deprecated = $1, deprecated_for = $2 WHERE id = $3"
            } else {
                "UPDATE packages SET deprecated = $1, deprecated_for = $2 WHERE id = $3"
            };
            let message = message.filter(|_| action == LifeAction::Deprecate);
            sqlx::query(set).bind(message).bind(replacement)
        }
    };
    query
        .bind(id)
        .execute(&mut **transaction)
        .await
        .map_err(failed("write what becomes of a package"))?;
    Ok(())
}

/// Takes a package out of everything that is looked through; its row keeps the name taken.
async fn bury(transaction: &mut Change, package: i64, message: &str) -> Result<(), StoreError> {
    sqlx::query("UPDATE packages SET tombstone = $1 WHERE id = $2")
        .bind(message)
        .bind(package)
        .execute(&mut **transaction)
        .await
        .map_err(failed("delete a package"))?;
    shown::forget(transaction, package).await
}

async fn note(
    transaction: &mut Change,
    package: i64,
    change: &LifeChange,
) -> Result<(), StoreError> {
    let add = "INSERT INTO life_events (package_id, version, action, message, replacement, \
         done_at, done_by) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    sqlx::query(add)
        .bind(package)
        .bind(change.version.as_ref().map(ToString::to_string))
        .bind(change.action.as_str())
        .bind(change.message.clone())
        .bind(change.replacement.as_ref().map(ToString::to_string))
        .bind(change.at)
        .bind(change.by.clone())
        .execute(&mut **transaction)
        .await
        .map_err(failed("note what became of a package"))?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct EventRow {
    version: Option<String>,
    action: String,
    message: String,
    replacement: Option<String>,
    done_at: i64,
    done_by: String,
}

impl EventRow {
    fn read(self) -> Result<LifeEvent, StoreError> {
        let action = serde_json::from_value(self.action.into());
        Ok(LifeEvent {
            action: action
                .map_err(|e| StoreError::Corrupt { what: "life event", reason: e.to_string() })?,
            version: self.version.map(|v| parsed("version", &v)).transpose()?,
            message: self.message,
            replacement: self.replacement.map(|n| parsed("package name", &n)).transpose()?,
            at: self.done_at,
            by: self.done_by,
        })
    }
}
