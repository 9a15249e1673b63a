//! Accounts, and the identities elsewhere that log into them. Refuses to know how passwords are
//! hashed and who may change what.

use super::{Store, StoreError, failed, from_json, to_json};
use skep_api::v1::accounts::{AccountRole, MemberRole, Membership};

/// An account as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub id: String,
    pub name: String,
    pub email: Option<String>,
    pub role: AccountRole,
    pub created_at: i64,
}

/// A fresh account.
pub struct NewAccount {
    pub account: Account,
    /// A PHC string.
    pub password: Option<String>,
    /// What the name looks like.
    pub skeleton: String,
    /// Issuer and subject of the identity it came with.
    pub identity: Option<(String, String)>,
    /// The invite it came by, which this uses up.
    pub invite: Option<String>,
}

/// Why there is no new account.
#[derive(Debug, thiserror::Error)]
pub enum SignUpConflict {
    #[error("the name, or one that looks like it, is taken")]
    NameTaken,
    #[error("the invite is unknown, used or expired")]
    Invite,
    #[error("the identity belongs to an account already")]
    IdentityTaken,
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(sqlx::FromRow)]
struct AccountRow {
    id: String,
    name: String,
    email: Option<String>,
    role: String,
    created_at: i64,
}

impl AccountRow {
    fn read(self) -> Result<Account, StoreError> {
        let role: AccountRole = from_json("account role", &self.role)?;
        let Self { id, name, email, created_at, .. } = self;
        Ok(Account { id, name, email, role, created_at })
    }
}

/// The columns of an [`AccountRow`], for the statements that differ in what follows.
macro_rules! select_accounts {
    ($rest:literal) => {
        concat!("SELECT id, name, email, role, created_at FROM accounts ", $rest)
    };
}

impl Store {
    /// Makes an account, with everything that has to be true at the same moment.
    ///
    /// # Errors
    /// [`SignUpConflict`]; nothing was made then.
    pub async fn add_account(&self, new: &NewAccount) -> Result<(), SignUpConflict> {
        let account = &new.account;
        let mut change = self.begin().await?;
        if let Some(invite) = &new.invite {
            let used = "UPDATE invites SET state = 'accepted', answered_by = $1 WHERE id = $2 \
                AND namespace IS NULL AND state = 'open' AND expires_at > $3";
            let used = sqlx::query(used)
                .bind(&account.name)
                .bind(invite)
                .bind(account.created_at)
                .execute(&mut *change)
                .await
                .map_err(failed("use an invite"))?;
            if used.rows_affected() == 0 {
                return Err(SignUpConflict::Invite);
            }
        }
        let look = "INSERT INTO name_skeletons (kind, skeleton, name) VALUES ('account', $1, $2) \
            ON CONFLICT (kind, skeleton) DO NOTHING";
        let look = sqlx::query(look)
            .bind(&new.skeleton)
            .bind(&account.name)
            .execute(&mut *change)
            .await
            .map_err(failed("take a name"))?;
        if look.rows_affected() == 0 {
            return Err(SignUpConflict::NameTaken);
        }
        let add = "INSERT INTO accounts (id, name, email, password, role, created_at) \
            VALUES ($1, $2, $3, $4, $5, $6)";
        sqlx::query(add)
            .bind(&account.id)
            .bind(&account.name)
            .bind(&account.email)
            .bind(&new.password)
            .bind(to_json("account role", &account.role)?)
            .bind(account.created_at)
            .execute(&mut *change)
            .await
            .map_err(failed("add an account"))?;
        if let Some((issuer, subject)) = &new.identity {
            let link = "INSERT INTO account_identities (issuer, subject, account, linked_at) \
                VALUES ($1, $2, $3, $4) ON CONFLICT (issuer, subject) DO NOTHING";
            let linked = sqlx::query(link)
                .bind(issuer)
                .bind(subject)
                .bind(&account.id)
                .bind(account.created_at)
                .execute(&mut *change)
                .await
                .map_err(failed("link an identity"))?;
            if linked.rows_affected() == 0 {
                return Err(SignUpConflict::IdentityTaken);
            }
        }
        change.commit().await.map_err(failed("commit an account"))?;
        Ok(())
    }

    /// The account of this name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn account_named(&self, name: &str) -> Result<Option<Account>, StoreError> {
        self.one_account(select_accounts!("WHERE name = $1"), name).await
    }

    /// The account with this id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn account(&self, id: &str) -> Result<Option<Account>, StoreError> {
        self.one_account(select_accounts!("WHERE id = $1"), id).await
    }

    async fn one_account(
        &self,
        select: &'static str,
        key: &str,
    ) -> Result<Option<Account>, StoreError> {
        let row: Option<AccountRow> = sqlx::query_as(select)
            .bind(key)
            .fetch_optional(&self.read)
            .await
            .map_err(failed("look an account up"))?;
        row.map(AccountRow::read).transpose()
    }

    /// The password of an account, as a PHC string.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn password(&self, account: &str) -> Result<Option<String>, StoreError> {
        let found: Option<Option<String>> =
            sqlx::query_scalar("SELECT password FROM accounts WHERE id = $1")
                .bind(account)
                .fetch_optional(&self.read)
                .await
                .map_err(failed("read a password"))?;
        Ok(found.flatten())
    }

    /// Replaces a password and ends every session of the account but `kept`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn change_password(
        &self,
        account: &str,
        password: &str,
        kept: Option<&str>,
    ) -> Result<(), StoreError> {
        let mut change = self.begin().await?;
        sqlx::query("UPDATE accounts SET password = $1 WHERE id = $2")
            .bind(password)
            .bind(account)
            .execute(&mut *change)
            .await
            .map_err(failed("change a password"))?;
        sqlx::query("DELETE FROM sessions WHERE account = $1 AND id <> $2")
            .bind(account)
            .bind(kept.unwrap_or_default())
            .execute(&mut *change)
            .await
            .map_err(failed("end sessions"))?;
        change.commit().await.map_err(failed("commit a password"))
    }

    /// Changes what an account may do; tells whether there is one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn change_account_role(
        &self,
        name: &str,
        role: AccountRole,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query("UPDATE accounts SET role = $1 WHERE name = $2")
            .bind(to_json("account role", &role)?)
            .bind(name)
            .execute(&self.write)
            .await
            .map_err(failed("change an account's role"))?;
        Ok(done.rows_affected() == 1)
    }

    /// The namespaces an account is in, by name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn memberships(&self, account: &str) -> Result<Vec<Membership>, StoreError> {
        let select = "SELECT namespace, role FROM namespace_members WHERE account = $1 \
            ORDER BY namespace";
        let rows: Vec<(String, String)> = sqlx::query_as(select)
            .bind(account)
            .fetch_all(&self.read)
            .await
            .map_err(failed("list an account's namespaces"))?;
        let read = |(namespace, role): (String, String)| {
            let role: MemberRole = from_json("member role", &role)?;
            Ok(Membership { namespace, role })
        };
        rows.into_iter().map(read).collect()
    }

    /// The account an identity logs into.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn account_of_identity(
        &self,
        issuer: &str,
        subject: &str,
    ) -> Result<Option<Account>, StoreError> {
        let select = "SELECT account FROM account_identities WHERE issuer = $1 AND subject = $2";
        let id: Option<String> = sqlx::query_scalar(select)
            .bind(issuer)
            .bind(subject)
            .fetch_optional(&self.read)
            .await
            .map_err(failed("look an identity up"))?;
        match id {
            Some(id) => self.account(&id).await,
            None => Ok(None),
        }
    }

    /// Lets an identity log into an account; `false` when it belongs to one already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn link_identity(
        &self,
        account: &str,
        issuer: &str,
        subject: &str,
        now: i64,
    ) -> Result<bool, StoreError> {
        let link = "INSERT INTO account_identities (issuer, subject, account, linked_at) \
            VALUES ($1, $2, $3, $4) ON CONFLICT (issuer, subject) DO NOTHING";
        let done = sqlx::query(link)
            .bind(issuer)
            .bind(subject)
            .bind(account)
            .bind(now)
            .execute(&self.write)
            .await
            .map_err(failed("link an identity"))?;
        Ok(done.rows_affected() == 1)
    }
}
