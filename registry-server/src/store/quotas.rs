//! What a namespace may hold, what it holds, and the look at both inside the transaction that adds
//! to it. Refuses to know who may change a quota.

use super::publish::NewVersion;
use super::{Store, StoreError, failed, signed, unsigned};
use skep_api::v1::webhooks::{Quota, QuotaUse};
use skep_artifact::name::Namespace;

/// Packages of one namespace: the largest vendors of eBPF programs have some hundred.
pub const PACKAGES_MAX: u64 = 1000;
/// Versions a namespace publishes in 24 hours: a hundred packages, each from a pipeline that
/// publishes five times a day.
pub const VERSIONS_PER_DAY_MAX: u64 = 500;
/// Bytes of all versions of a namespace together: 100,000 versions of 100 KiB, which is 10 GiB.
pub const BYTES_MAX: u64 = 10 << 30;
const DAY_SECS: i64 = 86_400;

/// Which limit a version would pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuotaExceeded {
    #[error("the namespace may have {max} packages and has them")]
    Packages { max: u64 },
    #[error("the namespace may publish {max} versions in 24 hours and did")]
    VersionsPerDay { max: u64 },
    #[error("the namespace may hold {max} bytes; with this version it would hold {wanted}")]
    Bytes { max: u64, wanted: u64 },
}

/// Counts what a namespace holds and may hold, on whichever connection.
macro_rules! usage {
    ($namespace:expr, $now:expr, $executor:expr) => {{
        let find = "SELECT packages, versions_per_day, size_bytes FROM quotas WHERE namespace = $1";
        let own: Option<(Option<i64>, Option<i64>, Option<i64>)> = sqlx::query_as(find)
            .bind($namespace)
            .fetch_optional($executor)
            .await
            .map_err(failed("read a quota"))?;
        let count = "SELECT (SELECT count(*) FROM packages WHERE namespace = $1), \
            (SELECT count(*) FROM versions v JOIN packages p ON p.id = v.package_id \
                WHERE p.namespace = $1 AND v.published_at > $2), \
            (SELECT CAST(coalesce(sum(v.size_bytes), 0) AS BIGINT) FROM versions v \
                JOIN packages p ON p.id = v.package_id WHERE p.namespace = $1)";
        let held: (i64, i64, i64) = sqlx::query_as(count)
            .bind($namespace)
            .bind($now - DAY_SECS)
            .fetch_one($executor)
            .await
            .map_err(failed("count what a namespace holds"))?;
        together(own, held)
    }};
}

type OwnQuota = Option<(Option<i64>, Option<i64>, Option<i64>)>;

fn together(own: OwnQuota, held: (i64, i64, i64)) -> Result<QuotaUse, StoreError> {
    let (packages, versions, bytes) = own.unwrap_or_default();
    let or = |own: Option<i64>, default: u64| match own {
        Some(own) => unsigned("quota", own),
        None => Ok(default),
    };
    Ok(QuotaUse {
        packages: unsigned("package count", held.0)?,
        packages_max: or(packages, PACKAGES_MAX)?,
        versions_today: unsigned("version count", held.1)?,
        versions_per_day_max: or(versions, VERSIONS_PER_DAY_MAX)?,
        bytes: unsigned("size", held.2)?,
        bytes_max: or(bytes, BYTES_MAX)?,
    })
}

/// Whether one more package (or not), one more version and its bytes still fit.
fn fits(held: QuotaUse, new_packages: u64, bytes: u64) -> Result<(), QuotaExceeded> {
    if held.packages + new_packages > held.packages_max {
        return Err(QuotaExceeded::Packages { max: held.packages_max });
    }
    if held.versions_today >= held.versions_per_day_max {
        return Err(QuotaExceeded::VersionsPerDay { max: held.versions_per_day_max });
    }
    let wanted = held.bytes.saturating_add(bytes);
    if wanted > held.bytes_max {
        return Err(QuotaExceeded::Bytes { max: held.bytes_max, wanted });
    }
    Ok(())
}

/// Refuses a version that its namespace has no room for. Inside the transaction that adds it,
/// after the namespace's row was written: two publishes at once cannot both take the last place.
pub(super) async fn refuse_overfull(
    change: &mut super::Change,
    new: &NewVersion,
    new_packages: u64,
) -> Result<Result<(), QuotaExceeded>, StoreError> {
    let namespace = new.name.namespace().as_str();
    let held = usage!(namespace, new.published_at, &mut **change)?;
    let bytes = new.blobs.iter().map(|blob| blob.size_bytes).sum();
    Ok(fits(held, new_packages, bytes))
}

impl Store {
    /// What a namespace holds and may hold.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn quota(&self, namespace: &Namespace, now: i64) -> Result<QuotaUse, StoreError> {
        usage!(namespace.as_str(), now, &self.read)
    }

    /// Replaces what an admin allows a namespace.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_quota(&self, namespace: &Namespace, quota: Quota) -> Result<(), StoreError> {
        let number = |limit: Option<u64>| limit.map(|limit| signed("quota", limit)).transpose();
        let put = "INSERT INTO quotas (namespace, packages, versions_per_day, size_bytes) \
            VALUES ($1, $2, $3, $4) ON CONFLICT (namespace) DO UPDATE SET \
            packages = excluded.packages, versions_per_day = excluded.versions_per_day, \
            size_bytes = excluded.size_bytes";
        sqlx::query(put)
            .bind(namespace.as_str())
            .bind(number(quota.packages)?)
            .bind(number(quota.versions_per_day)?)
            .bind(number(quota.bytes)?)
            .execute(&self.write)
            .await
            .map_err(failed("change a quota"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_place_is_taken_and_the_next_is_refused() {
        let held = QuotaUse {
            packages: 2,
            packages_max: 3,
            versions_today: 4,
            versions_per_day_max: 5,
            bytes: 90,
            bytes_max: 100,
        };
        assert_eq!(fits(held, 1, 10), Ok(()));
        let full = QuotaUse { packages: 3, ..held };
        assert_eq!(fits(full, 1, 1), Err(QuotaExceeded::Packages { max: 3 }));
        assert_eq!(fits(full, 0, 1), Ok(()));
        let today = QuotaUse { versions_today: 5, ..held };
        assert_eq!(fits(today, 0, 1), Err(QuotaExceeded::VersionsPerDay { max: 5 }));
        assert_eq!(fits(held, 0, 11), Err(QuotaExceeded::Bytes { max: 100, wanted: 101 }));
        assert!(fits(held, 0, u64::MAX).is_err());
    }
}
