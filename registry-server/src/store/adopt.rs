//! The one transaction in which versions of a namespace are taken over. Refuses to know signatures.

use super::publish::{NewVersion, PublishConflict};
use super::quotas::refuse_overfull;
use super::{Change, Store, failed, publish, signed};
use skep_artifact::name::Namespace;

/// Verified versions, ready to become visible together.
pub struct Adoption {
    pub namespace: Namespace,
    /// The role file that is served afterwards.
    pub role: Vec<u8>,
    pub role_version: u64,
    pub moved: RoleMove,
    pub versions: Vec<NewVersion>,
}

/// What happens to the role file, if nobody changed it in the meantime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleMove {
    /// It is replaced; the one before had this version.
    From(u64),
    /// It stays; it has this version.
    Stays(u64),
}

impl Store {
    /// Makes all of them visible, or none.
    ///
    /// # Errors
    /// [`PublishConflict`]; nothing was changed then.
    pub async fn adopt(&self, adoption: &Adoption) -> Result<(), PublishConflict> {
        let mut change = self.begin().await?;
        move_role(&mut change, adoption).await?;
        for new in &adoption.versions {
            let package = publish::find_open_package(&mut change, new).await?;
            refuse_overfull(&mut change, new, u64::from(package.is_none())).await??;
            publish::insert(&mut change, new, package.as_ref()).await?;
        }
        change.commit().await.map_err(failed("commit what was taken over"))?;
        Ok(())
    }
}

async fn move_role(change: &mut Change, adoption: &Adoption) -> Result<(), PublishConflict> {
    let before = match adoption.moved {
        RoleMove::From(version) | RoleMove::Stays(version) => version,
    };
    let swap = "UPDATE namespaces SET role = $1, role_version = $2 \
         WHERE name = $3 AND role_version = $4";
    let done = sqlx::query(swap)
        .bind(adoption.role.clone())
        .bind(signed("role version", adoption.role_version)?)
        .bind(adoption.namespace.as_str())
        .bind(signed("role version", before)?)
        .execute(&mut **change)
        .await
        .map_err(failed("replace a role file"))?;
    if done.rows_affected() == 1 {
        return Ok(());
    }
    let current = publish::role_version(change, &adoption.namespace).await?;
    Err(PublishConflict::RoleMoved { current })
}
