//! API tokens, by the hash of their secret. Refuses to know the secrets.

use super::{Store, StoreError, failed, from_json, to_json};
use crate::secret::SecretHash;
use skep_api::v1::tokens::{Scope, TokenInfo};

/// A token as it is stored.
#[derive(Clone)]
pub struct StoredToken {
    pub info: TokenInfo,
    pub hash: SecretHash,
    /// Id of the account it belongs to; its name is in `info`.
    pub account: Option<String>,
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
    account: Option<String>,
    account_name: Option<String>,
    last_used_at: Option<i64>,
}

/// The columns of a [`TokenRow`], for the statements that differ in what follows.
macro_rules! select_tokens {
    ($rest:literal) => {
        concat!(
            "SELECT t.id, t.hash, t.name, t.scope, t.namespace, t.created_at, t.expires_at, ",
            "t.account, t.last_used_at, a.name AS account_name ",
            "FROM tokens t LEFT JOIN accounts a ON a.id = t.account ",
            $rest
        )
    };
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
            account: self.account_name,
            last_used_at: self.last_used_at,
        };
        Ok(StoredToken { info, hash, account: self.account })
    }
}

impl Store {
    /// Stores a fresh token.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_token(&self, token: &StoredToken) -> Result<(), StoreError> {
        let add = "INSERT INTO tokens (id, hash, name, scope, namespace, created_at, expires_at, account) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        sqlx::query(add)
            .bind(&token.info.id)
            .bind(&token.hash.as_bytes()[..])
            .bind(&token.info.name)
            .bind(to_json("token scope", &token.info.scope)?)
            .bind(&token.info.namespace)
            .bind(token.info.created_at)
            .bind(token.info.expires_at)
            .bind(&token.account)
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
        let row: Option<TokenRow> = sqlx::query_as(select_tokens!("WHERE t.id = $1"))
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
            sqlx::query_as(select_tokens!("ORDER BY t.created_at DESC, t.id"))
                .fetch_all(&self.read)
                .await
                .map_err(failed("list tokens"))?;
        rows.into_iter().map(|row| row.read().map(|token| token.info)).collect()
    }

    /// The tokens of an account, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tokens_of(&self, account: &str) -> Result<Vec<TokenInfo>, StoreError> {
        let select = select_tokens!("WHERE t.account = $1 ORDER BY t.created_at DESC, t.id");
        let rows: Vec<TokenRow> = sqlx::query_as(select)
            .bind(account)
            .fetch_all(&self.read)
            .await
            .map_err(failed("list an account's tokens"))?;
        rows.into_iter().map(|row| row.read().map(|token| token.info)).collect()
    }

    /// Notes that a token was used.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn token_used(&self, id: &str, now: i64) -> Result<(), StoreError> {
        sqlx::query("UPDATE tokens SET last_used_at = $1 WHERE id = $2")
            .bind(now)
            .bind(id)
            .execute(&self.write)
            .await
            .map_err(failed("note a token"))?;
        Ok(())
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
