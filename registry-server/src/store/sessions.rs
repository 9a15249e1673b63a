//! Sessions, by the hash of their secret. Refuses to know the secrets and how somebody logged in.

use super::{Store, StoreError, failed};
use crate::secret::SecretHash;

/// A session as it is stored.
pub struct StoredSession {
    pub hash: SecretHash,
    pub account: String,
    pub created_at: i64,
    pub expires_at: i64,
    /// Coarse.
    pub used_at: i64,
}

#[derive(sqlx::FromRow)]
struct SessionRow {
    hash: Vec<u8>,
    account: String,
    created_at: i64,
    expires_at: i64,
    used_at: i64,
}

impl Store {
    /// Stores a fresh session, and forgets those that expired.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_session(&self, session: &StoredSession) -> Result<(), StoreError> {
        let mut change = self.begin().await?;
        sqlx::query("DELETE FROM sessions WHERE expires_at <= $1")
            .bind(session.created_at)
            .execute(&mut *change)
            .await
            .map_err(failed("forget sessions"))?;
        let add = "INSERT INTO sessions (id, hash, account, created_at, expires_at, used_at) \
            VALUES ($1, $2, $3, $4, $5, $6)";
        sqlx::query(add)
            .bind(session.hash.id())
            .bind(session.hash.as_bytes().to_vec())
            .bind(&session.account)
            .bind(session.created_at)
            .bind(session.expires_at)
            .bind(session.used_at)
            .execute(&mut *change)
            .await
            .map_err(failed("add a session"))?;
        change.commit().await.map_err(failed("commit a session"))
    }

    /// The session with this id, expired or not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn session(&self, id: &str) -> Result<Option<StoredSession>, StoreError> {
        let select =
            "SELECT hash, account, created_at, expires_at, used_at FROM sessions WHERE id = $1";
        let row: Option<SessionRow> = sqlx::query_as(select)
            .bind(id)
            .fetch_optional(&self.read)
            .await
            .map_err(failed("look a session up"))?;
        let Some(row) = row else { return Ok(None) };
        let hash = SecretHash::from_stored(&row.hash).ok_or(StoreError::Corrupt {
            what: "session hash",
            reason: format!("{} bytes", row.hash.len()),
        })?;
        let SessionRow { account, created_at, expires_at, used_at, .. } = row;
        Ok(Some(StoredSession { hash, account, created_at, expires_at, used_at }))
    }

    /// Notes that a session was used.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn session_used(&self, id: &str, now: i64) -> Result<(), StoreError> {
        sqlx::query("UPDATE sessions SET used_at = $1 WHERE id = $2 AND used_at < $1")
            .bind(now)
            .bind(id)
            .execute(&self.write)
            .await
            .map_err(failed("note a session"))?;
        Ok(())
    }

    /// Ends a session; tells whether there was one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove_session(&self, id: &str) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM sessions WHERE id = $1")
            .bind(id)
            .execute(&self.write)
            .await
            .map_err(failed("end a session"))?;
        Ok(done.rows_affected() == 1)
    }
}
