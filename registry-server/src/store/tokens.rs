//! API tokens, by the hash of their secret. Refuses to know the secrets.

use super::{Store, StoreError, failed, from_json, to_json};
use crate::secret::SecretHash;
use skep_api::v1::tokens::{Scope, TokenInfo};

/// A token as it is stored.
#[derive(Clone)]
pub struct StoredToken {
    pub info: TokenInfo,
    pub hash: SecretHash,
}

#[derive(sqlx::FromRow)]
struct TokenRow {
    id: String,
    hash: Vec<u8>,
    name: String,
    scope: String,
    namespace: Option<String>,
    created_at: i64,
    expires_at: i64,
}

impl TokenRow {
    fn read(self) -> Result<StoredToken, StoreError> {
        let hash = SecretHash::from_stored(&self.hash).ok_or(StoreError::Corrupt {
            what: "token hash",
            reason: format!("{} bytes", self.hash.len()),
        })?;
        let scope: Scope = from_json("token scope", &self.scope)?;
        let info = TokenInfo {
            id: self.id,
            name: self.name,
            scope,
            namespace: self.namespace,
            created_at: self.created_at,
            expires_at: self.expires_at,
        };
        Ok(StoredToken { info, hash })
    }
}

impl Store {
    /// Stores a fresh token.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_token(&self, token: &StoredToken) -> Result<(), StoreError> {
        let add = "INSERT INTO tokens (id, hash, name, scope, namespace, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)";
        sqlx::query(add)
            .bind(&token.info.id)
            .bind(&token.hash.as_bytes()[..])
            .bind(&token.info.name)
            .bind(to_json("token scope", &token.info.scope)?)
            .bind(&token.info.namespace)
            .bind(token.info.created_at)
            .bind(token.info.expires_at)
            .execute(&self.write)
            .await
            .map_err(failed("add a token"))?;
        Ok(())
    }

    /// The token with this id, expired or not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn token(&self, id: &str) -> Result<Option<StoredToken>, StoreError> {
        let row: Option<TokenRow> = sqlx::query_as("SELECT * FROM tokens WHERE id = $1")
            .bind(id)
            .fetch_optional(&self.read)
            .await
            .map_err(failed("look a token up"))?;
        row.map(TokenRow::read).transpose()
    }

    /// Every token, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tokens(&self) -> Result<Vec<TokenInfo>, StoreError> {
        let rows: Vec<TokenRow> =
            sqlx::query_as("SELECT * FROM tokens ORDER BY created_at DESC, id")
                .fetch_all(&self.read)
                .await
                .map_err(failed("list tokens"))?;
        rows.into_iter().map(|row| row.read().map(|token| token.info)).collect()
    }

    /// Withdraws a token; tells whether there was one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove_token(&self, id: &str) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM tokens WHERE id = $1")
            .bind(id)
            .execute(&self.write)
            .await
            .map_err(failed("withdraw a token"))?;
        Ok(done.rows_affected() == 1)
    }
}
