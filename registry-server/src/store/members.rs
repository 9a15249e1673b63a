//! Who is what in which namespace. Refuses to know who may change it.

use super::{Store, StoreError, failed, from_json, to_json};
use skep_api::v1::accounts::{Member, MemberRole};
use skep_artifact::name::Namespace;

/// Why a membership stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum MemberConflict {
    #[error("the account is no member")]
    NoMember,
    #[error("the namespace would have no owner")]
    LastOwner,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What becomes of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberChange {
    To(MemberRole),
    Out,
}

impl Store {
    /// The members of a namespace, by name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn members(&self, namespace: &Namespace) -> Result<Vec<Member>, StoreError> {
        let select = "SELECT a.name, m.role, m.added_at FROM namespace_members m \
            JOIN accounts a ON a.id = m.account WHERE m.namespace = $1 ORDER BY a.name";
        let rows: Vec<(String, String, i64)> = sqlx::query_as(select)
            .bind(namespace.as_str())
            .fetch_all(&self.read)
            .await
            .map_err(failed("list members"))?;
        let read = |(account, role, added_at): (String, String, i64)| {
            Ok(Member { account, role: from_json("member role", &role)?, added_at })
        };
        rows.into_iter().map(read).collect()
    }

    /// Makes an account a member, whatever it was before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_member(
        &self,
        namespace: &Namespace,
        account: &str,
        role: MemberRole,
        now: i64,
    ) -> Result<(), StoreError> {
        let put = "INSERT INTO namespace_members (namespace, account, role, added_at) \
            VALUES ($1, $2, $3, $4) \
            ON CONFLICT (namespace, account) DO UPDATE SET role = excluded.role";
        sqlx::query(put)
            .bind(namespace.as_str())
            .bind(account)
            .bind(to_json("member role", &role)?)
            .bind(now)
            .execute(&self.write)
            .await
            .map_err(failed("add a member"))?;
        Ok(())
    }

    /// Changes or removes a member, unless nobody would own the namespace then.
    ///
    /// # Errors
    /// [`MemberConflict`]; nothing was changed then.
    pub async fn change_member(
        &self,
        namespace: &Namespace,
        account: &str,
        to: MemberChange,
    ) -> Result<(), MemberConflict> {
        let owner = to_json("member role", &MemberRole::Owner)?;
        let mut change = self.begin().await?;
        // Two owners who leave at the same moment must not both see the other.
        sqlx::query("UPDATE namespaces SET name = name WHERE name = $1")
            .bind(namespace.as_str())
            .execute(&mut *change)
            .await
            .map_err(failed("hold a namespace"))?;
        let done = match to {
            MemberChange::Out => {
                sqlx::query("DELETE FROM namespace_members WHERE namespace = $1 AND account = $2")
                    .bind(namespace.as_str())
                    .bind(account)
                    .execute(&mut *change)
                    .await
            }
            MemberChange::To(role) => {
                let set = "UPDATE namespace_members SET role = $3 \
                    WHERE namespace = $1 AND account = $2";
                sqlx::query(set)
                    .bind(namespace.as_str())
                    .bind(account)
                    .bind(to_json("member role", &role)?)
                    .execute(&mut *change)
                    .await
            }
        };
        if done.map_err(failed("change a member"))?.rows_affected() == 0 {
            return Err(MemberConflict::NoMember);
        }
        let count = "SELECT count(*) FROM namespace_members WHERE namespace = $1 AND role = $2";
        let owners: i64 = sqlx::query_scalar(count)
            .bind(namespace.as_str())
            .bind(&owner)
            .fetch_one(&mut *change)
            .await
            .map_err(failed("count owners"))?;
        if owners == 0 {
            return Err(MemberConflict::LastOwner);
        }
        change.commit().await.map_err(failed("commit a member"))?;
        Ok(())
    }
}
