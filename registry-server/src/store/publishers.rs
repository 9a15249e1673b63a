//! Trusted publishers, tokens of issuers that were used up, and logins on the way. Refuses to know
//! how tokens are verified.

use super::{Store, StoreError, failed, from_json, to_json};
use crate::secret::SecretHash;
use skep_api::v1::publishers::PublisherInfo;
use skep_artifact::name::Namespace;

/// A login that left for an issuer.
#[derive(sqlx::FromRow)]
pub struct StartedLogin {
    pub issuer: String,
    pub nonce: String,
    pub verifier: String,
    /// Set when an account links an identity.
    pub account: Option<String>,
    /// Secret of the invite to sign up with.
    pub invite: Option<String>,
    pub expires_at: i64,
}

#[derive(sqlx::FromRow)]
struct PublisherRow {
    id: String,
    package: Option<String>,
    issuer: String,
    claims: String,
    created_by: String,
    created_at: i64,
}

impl Store {
    /// Remembers a login until it comes back, and forgets those that never did.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn begin_login(
        &self,
        state: &SecretHash,
        login: &StartedLogin,
        now: i64,
    ) -> Result<(), StoreError> {
        let mut change = self.begin().await?;
        sqlx::query("DELETE FROM oidc_logins WHERE expires_at <= $1")
            .bind(now)
            .execute(&mut *change)
            .await
            .map_err(failed("forget logins"))?;
        let add = "INSERT INTO oidc_logins \
            (state_hash, issuer, nonce, verifier, account, invite, expires_at) \
            VALUES ($1, $2, $3, $4, $5, $6, $7)";
        sqlx::query(add)
            .bind(state.as_bytes().to_vec())
            .bind(&login.issuer)
            .bind(&login.nonce)
            .bind(&login.verifier)
            .bind(&login.account)
            .bind(&login.invite)
            .bind(login.expires_at)
            .execute(&mut *change)
            .await
            .map_err(failed("begin a login"))?;
        change.commit().await.map_err(failed("commit a login"))
    }

    /// Takes a login out: it comes back once.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_login(
        &self,
        state: &SecretHash,
        now: i64,
    ) -> Result<Option<StartedLogin>, StoreError> {
        let take = "DELETE FROM oidc_logins WHERE state_hash = $1 \
            RETURNING issuer, nonce, verifier, account, invite, expires_at";
        let found: Option<StartedLogin> = sqlx::query_as(take)
            .bind(state.as_bytes().to_vec())
            .fetch_optional(&self.write)
            .await
            .map_err(failed("end a login"))?;
        Ok(found.filter(|login| login.expires_at > now))
    }

    /// Adds a trusted publisher.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_publisher(
        &self,
        namespace: &Namespace,
        publisher: &PublisherInfo,
    ) -> Result<(), StoreError> {
        let add = "INSERT INTO trusted_publishers \
            (id, namespace, package, issuer, claims, created_by, created_at) \
            VALUES ($1, $2, $3, $4, $5, $6, $7)";
        sqlx::query(add)
            .bind(&publisher.id)
            .bind(namespace.as_str())
            .bind(&publisher.package)
            .bind(&publisher.issuer)
            .bind(to_json("claims", &publisher.claims)?)
            .bind(&publisher.created_by)
            .bind(publisher.created_at)
            .execute(&self.write)
            .await
            .map_err(failed("add a trusted publisher"))?;
        Ok(())
    }

    /// The trusted publishers of a namespace, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn publishers(
        &self,
        namespace: &Namespace,
    ) -> Result<Vec<PublisherInfo>, StoreError> {
        let select = "SELECT id, package, issuer, claims, created_by, created_at \
            FROM trusted_publishers WHERE namespace = $1 ORDER BY created_at DESC, id";
        let rows: Vec<PublisherRow> = sqlx::query_as(select)
            .bind(namespace.as_str())
            .fetch_all(&self.read)
            .await
            .map_err(failed("list trusted publishers"))?;
        let read = |row: PublisherRow| {
            let claims = from_json("claims", &row.claims)?;
            let PublisherRow { id, package, issuer, created_by, created_at, .. } = row;
            Ok(PublisherInfo { id, issuer, package, claims, created_by, created_at })
        };
        rows.into_iter().map(read).collect()
    }

    /// Removes a trusted publisher; tells whether there was one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove_publisher(
        &self,
        namespace: &Namespace,
        id: &str,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM trusted_publishers WHERE namespace = $1 AND id = $2")
            .bind(namespace.as_str())
            .bind(id)
            .execute(&self.write)
            .await
            .map_err(failed("remove a trusted publisher"))?;
        Ok(done.rows_affected() == 1)
    }

    /// Uses a token of an issuer up; `false` when it was before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn use_up(
        &self,
        issuer: &str,
        jti: &str,
        expires_at: i64,
        now: i64,
    ) -> Result<bool, StoreError> {
        let mut change = self.begin().await?;
        // An expired token is refused for being expired; its id need not be kept.
        sqlx::query("DELETE FROM exchanged_tokens WHERE expires_at <= $1")
            .bind(now)
            .execute(&mut *change)
            .await
            .map_err(failed("forget used tokens"))?;
        let add = "INSERT INTO exchanged_tokens (issuer, jti, expires_at) VALUES ($1, $2, $3) \
            ON CONFLICT (issuer, jti) DO NOTHING";
        let done = sqlx::query(add)
            .bind(issuer)
            .bind(jti)
            .bind(expires_at)
            .execute(&mut *change)
            .await
            .map_err(failed("use a token up"))?;
        change.commit().await.map_err(failed("commit a used token"))?;
        Ok(done.rows_affected() == 1)
    }
}
