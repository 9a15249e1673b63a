//! Secrets that every replica shares. Refuses to know what they are for.

use super::{Store, StoreError, failed};

impl Store {
    /// The secret of this name; the first who asks brings it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn server_secret(
        &self,
        name: &'static str,
        fresh: Vec<u8>,
        now: i64,
    ) -> Result<Vec<u8>, StoreError> {
        let mut change = self.begin().await?;
        let add = "INSERT INTO server_secrets (name, secret, made_at) VALUES ($1, $2, $3) \
             ON CONFLICT (name) DO NOTHING";
        sqlx::query(add)
            .bind(name)
            .bind(fresh)
            .bind(now)
            .execute(&mut *change)
            .await
            .map_err(failed("keep a secret"))?;
        let secret = sqlx::query_scalar("SELECT secret FROM server_secrets WHERE name = $1")
            .bind(name)
            .fetch_one(&mut *change)
            .await
            .map_err(failed("read a secret"))?;
        change.commit().await.map_err(failed("commit a secret"))?;
        Ok(secret)
    }
}
