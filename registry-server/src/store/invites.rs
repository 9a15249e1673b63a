//! Invites, by the hash of their secret: each is answered once. Refuses to know the secrets.

use super::{Store, StoreError, failed, from_json, to_json};
use crate::secret::SecretHash;
use skep_api::v1::accounts::{InviteInfo, InviteState, MemberRole};
use skep_artifact::name::Namespace;

#[derive(sqlx::FromRow)]
struct InviteRow {
    id: String,
    hash: Vec<u8>,
    namespace: Option<String>,
    role: String,
    invited_by: String,
    created_at: i64,
    expires_at: i64,
    state: String,
    answered_by: Option<String>,
}

impl InviteRow {
    fn read(self) -> Result<InviteInfo, StoreError> {
        let state = match self.state.as_str() {
            "open" => InviteState::Open,
            "accepted" => InviteState::Accepted,
            "declined" => InviteState::Declined,
            "revoked" => InviteState::Revoked,
            other => {
                let reason = other.to_owned();
                return Err(StoreError::Corrupt { what: "invite state", reason });
            }
        };
        Ok(InviteInfo {
            id: self.id,
            namespace: self.namespace,
            role: from_json("member role", &self.role)?,
            invited_by: self.invited_by,
            created_at: self.created_at,
            expires_at: self.expires_at,
            state,
            answered_by: self.answered_by,
        })
    }
}

/// What an account says to an invite.
#[derive(Debug, Clone, Copy)]
pub struct Answerer<'a> {
    pub id: &'a str,
    pub name: &'a str,
}

impl Store {
    /// Stores a fresh invite.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_invite(&self, info: &InviteInfo, hash: &SecretHash) -> Result<(), StoreError> {
        let add = "INSERT INTO invites \
            (id, hash, namespace, role, invited_by, created_at, expires_at, state) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, 'open')";
        sqlx::query(add)
            .bind(&info.id)
            .bind(hash.as_bytes().to_vec())
            .bind(&info.namespace)
            .bind(to_json("member role", &info.role)?)
            .bind(&info.invited_by)
            .bind(info.created_at)
            .bind(info.expires_at)
            .execute(&self.write)
            .await
            .map_err(failed("add an invite"))?;
        Ok(())
    }

    /// The invite with this secret, in whatever state.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn invite(&self, hash: &SecretHash) -> Result<Option<InviteInfo>, StoreError> {
        let row: Option<InviteRow> = sqlx::query_as("SELECT * FROM invites WHERE id = $1")
            .bind(hash.id())
            .fetch_optional(&self.read)
            .await
            .map_err(failed("look an invite up"))?;
        let same = |row: &InviteRow| {
            SecretHash::from_stored(&row.hash).is_some_and(|stored| stored.same_as(hash))
        };
        row.filter(same).map(InviteRow::read).transpose()
    }

    /// The invites into a namespace, or (without one) to sign up; newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn invites(
        &self,
        namespace: Option<&Namespace>,
    ) -> Result<Vec<InviteInfo>, StoreError> {
        let select = "SELECT * FROM invites WHERE coalesce(namespace, '') = $1 \
            ORDER BY created_at DESC, id LIMIT 500";
        let rows: Vec<InviteRow> = sqlx::query_as(select)
            .bind(namespace.map(Namespace::as_str).unwrap_or_default())
            .fetch_all(&self.read)
            .await
            .map_err(failed("list invites"))?;
        rows.into_iter().map(InviteRow::read).collect()
    }

    /// Makes the account a member by the invite, or declines it; `false` when the invite was
    /// answered, revoked or expired before. Who is a member already keeps the higher role.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn answer_invite(
        &self,
        invite: &InviteInfo,
        by: Answerer<'_>,
        state: InviteState,
        now: i64,
    ) -> Result<bool, StoreError> {
        let word = if state == InviteState::Accepted { "accepted" } else { "declined" };
        let mut change = self.begin().await?;
        let answer = "UPDATE invites SET state = $1, answered_by = $2 \
            WHERE id = $3 AND state = 'open' AND expires_at > $4";
        let done = sqlx::query(answer)
            .bind(word)
            .bind(by.name)
            .bind(&invite.id)
            .bind(now)
            .execute(&mut *change)
            .await
            .map_err(failed("answer an invite"))?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        if state == InviteState::Accepted
            && let Some(namespace) = &invite.namespace
        {
            let find = "SELECT role FROM namespace_members WHERE namespace = $1 AND account = $2";
            let before: Option<String> = sqlx::query_scalar(find)
                .bind(namespace)
                .bind(by.id)
                .fetch_optional(&mut *change)
                .await
                .map_err(failed("look a member up"))?;
            let before: Option<MemberRole> =
                before.map(|role| from_json("member role", &role)).transpose()?;
            let role = before.map_or(invite.role, |before| before.min(invite.role));
            let put = "INSERT INTO namespace_members (namespace, account, role, added_at) \
                VALUES ($1, $2, $3, $4) \
                ON CONFLICT (namespace, account) DO UPDATE SET role = excluded.role";
            sqlx::query(put)
                .bind(namespace)
                .bind(by.id)
                .bind(to_json("member role", &role)?)
                .bind(now)
                .execute(&mut *change)
                .await
                .map_err(failed("add a member"))?;
        }
        change.commit().await.map_err(failed("commit an answer"))?;
        Ok(true)
    }

    /// Takes an open invite back; tells whether there was one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn revoke_invite(
        &self,
        namespace: Option<&Namespace>,
        id: &str,
    ) -> Result<bool, StoreError> {
        let revoke = "UPDATE invites SET state = 'revoked' \
            WHERE id = $1 AND coalesce(namespace, '') = $2 AND state = 'open'";
        let done = sqlx::query(revoke)
            .bind(id)
            .bind(namespace.map(Namespace::as_str).unwrap_or_default())
            .execute(&self.write)
            .await
            .map_err(failed("revoke an invite"))?;
        Ok(done.rows_affected() == 1)
    }
}
