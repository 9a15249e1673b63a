//! Public halves of the keys that the servers of one database share. Refuses to know the secret ones.

use super::{Store, StoreError, failed};
use std::collections::BTreeMap;

impl Store {
    /// The keys that were noted, by name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn noted_keys(&self) -> Result<BTreeMap<String, String>, StoreError> {
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT name, public_key FROM server_keys")
                .fetch_all(&self.read)
                .await
                .map_err(failed("list the servers' keys"))?;
        Ok(rows.into_iter().collect())
    }

    /// Notes the last of `held`, unless a key is noted that is not among them; gives the one that was noted, or is now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn note_key(
        &self,
        name: &'static str,
        held: &[String],
        now: i64,
    ) -> Result<String, StoreError> {
        let newest = held.last().cloned().unwrap_or_default();
        let mut change = self.begin().await?;
        let noted: Option<String> =
            sqlx::query_scalar("SELECT public_key FROM server_keys WHERE name = $1")
                .bind(name)
                .fetch_optional(&mut *change)
                .await
                .map_err(failed("read a server's key"))?;
        if let Some(noted) = noted
            && (noted == newest || !held.contains(&noted))
        {
            return Ok(noted);
        }
        let put = "INSERT INTO server_keys (name, public_key, noted_at) VALUES ($1, $2, $3) \
             ON CONFLICT (name) DO UPDATE SET public_key = excluded.public_key, \
             noted_at = excluded.noted_at";
        sqlx::query(put)
            .bind(name)
            .bind(&newest)
            .bind(now)
            .execute(&mut *change)
            .await
            .map_err(failed("note a server's key"))?;
        change.commit().await.map_err(failed("commit a server's key"))?;
        Ok(newest)
    }
}
