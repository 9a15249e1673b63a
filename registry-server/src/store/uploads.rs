//! Uploads that are not finished: how far each is, and in which parts. Refuses to know where the parts are.

use super::pushes::{PushConflict, need_namespace};
use super::{Store, StoreError, failed, signed, unsigned};
use crate::oci::name::Repository;

/// An upload under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    pub id: String,
    /// Bytes that were acknowledged.
    pub received_bytes: u64,
    /// In order, without gaps.
    pub parts: Vec<Part>,
}

/// One acknowledged part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// By which its bytes are found.
    pub name: String,
    pub start_byte: u64,
    pub size_bytes: u64,
}

#[derive(sqlx::FromRow)]
struct PartRow {
    name: String,
    start_byte: i64,
    size_bytes: i64,
}

impl PartRow {
    fn read(self) -> Result<Part, StoreError> {
        Ok(Part {
            name: self.name,
            start_byte: unsigned("part's start", self.start_byte)?,
            size_bytes: unsigned("part's size", self.size_bytes)?,
        })
    }
}

impl Store {
    /// Begins an upload.
    ///
    /// # Errors
    /// [`PushConflict::NoNamespace`], [`PushConflict::Store`].
    pub async fn start_upload(
        &self,
        id: &str,
        repository: &Repository,
        now: i64,
    ) -> Result<(), PushConflict> {
        let mut change = self.begin().await?;
        need_namespace(&mut change, repository).await?;
        let add = "INSERT INTO oci_uploads (id, repository, received_bytes, parts, touched_at) \
             VALUES ($1, $2, 0, 0, $3)";
        sqlx::query(add)
            .bind(id.to_owned())
            .bind(repository.to_string())
            .bind(now)
            .execute(&mut *change)
            .await
            .map_err(failed("begin an upload"))?;
        change.commit().await.map_err(failed("commit an upload"))?;
        Ok(())
    }

    /// An upload of this repository.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn upload(
        &self,
        id: &str,
        repository: &Repository,
    ) -> Result<Option<Upload>, StoreError> {
        let select = "SELECT received_bytes FROM oci_uploads WHERE id = $1 AND repository = $2";
        let received: Option<i64> = sqlx::query_scalar(select)
            .bind(id.to_owned())
            .bind(repository.to_string())
            .fetch_optional(&self.read)
            .await
            .map_err(failed("look an upload up"))?;
        let Some(received) = received else { return Ok(None) };
        let select = "SELECT name, start_byte, size_bytes FROM oci_upload_parts \
             WHERE upload = $1 AND start_byte < $2 ORDER BY start_byte";
        let rows: Vec<PartRow> = sqlx::query_as(select)
            .bind(id.to_owned())
            .bind(received)
            .fetch_all(&self.read)
            .await
            .map_err(failed("list an upload's parts"))?;
        let parts = rows.into_iter().map(PartRow::read).collect::<Result<_, _>>()?;
        let received_bytes = unsigned("upload's size", received)?;
        Ok(Some(Upload { id: id.to_owned(), received_bytes, parts }))
    }

    /// Counts a part whose bytes are stored, if the upload is still where the part begins: of two parts
    /// for one place only one gets through. Tells whether this one did.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_upload_part(
        &self,
        id: &str,
        part: &Part,
        now: i64,
    ) -> Result<bool, StoreError> {
        let mut change = self.begin().await?;
        let (start, size) =
            (signed("part's start", part.start_byte)?, signed("part's size", part.size_bytes)?);
        let swap = "UPDATE oci_uploads SET received_bytes = received_bytes + $1, \
             parts = parts + 1, touched_at = $2 WHERE id = $3 AND received_bytes = $4";
        let done = sqlx::query(swap)
            .bind(size)
            .bind(now)
            .bind(id.to_owned())
            .bind(start)
            .execute(&mut *change)
            .await
            .map_err(failed("count a part"))?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        let add = "INSERT INTO oci_upload_parts (upload, start_byte, name, size_bytes) \
             VALUES ($1, $2, $3, $4)";
        sqlx::query(add)
            .bind(id.to_owned())
            .bind(start)
            .bind(part.name.clone())
            .bind(size)
            .execute(&mut *change)
            .await
            .map_err(failed("note a part"))?;
        change.commit().await.map_err(failed("commit a part"))?;
        Ok(true)
    }

    /// Ends an upload: nobody can go on with it. Tells whether it was there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_upload(&self, id: &str) -> Result<bool, StoreError> {
        let mut change = self.begin().await?;
        sqlx::query("DELETE FROM oci_upload_parts WHERE upload = $1")
            .bind(id.to_owned())
            .execute(&mut *change)
            .await
            .map_err(failed("forget an upload's parts"))?;
        let done = sqlx::query("DELETE FROM oci_uploads WHERE id = $1")
            .bind(id.to_owned())
            .execute(&mut *change)
            .await
            .map_err(failed("forget an upload"))?;
        change.commit().await.map_err(failed("commit the end of an upload"))?;
        Ok(done.rows_affected() == 1)
    }

    /// Whether somebody may go on with this upload.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn is_upload(&self, id: &str) -> Result<bool, StoreError> {
        let found: Option<i64> = sqlx::query_scalar("SELECT 1 FROM oci_uploads WHERE id = $1")
            .bind(id.to_owned())
            .fetch_optional(&self.read)
            .await
            .map_err(failed("look for an upload"))?;
        Ok(found.is_some())
    }

    /// Uploads of which nothing was heard since `before`, at most `most`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn abandoned_uploads(
        &self,
        before: i64,
        most: u32,
    ) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar("SELECT id FROM oci_uploads WHERE touched_at < $1 LIMIT $2")
            .bind(before)
            .bind(i64::from(most))
            .fetch_all(&self.read)
            .await
            .map_err(failed("look for abandoned uploads"))
    }
}
