//! How often versions were downloaded, by day. Refuses to know who downloaded, which is noted nowhere.

use super::{Store, StoreError, failed, parsed, signed, unsigned};
use crate::downloads::Downloaded;
use skep_api::v1::stats::{DayStats, STATS_DAYS, VersionStats};
use skep_artifact::name::PackageName;

const DAY_SECS: i64 = 86_400;

impl Store {
    /// Adds what was counted. An index that is of no version is left out.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was added then.
    pub async fn add_downloads(&self, day: i64, all: &[Downloaded]) -> Result<(), StoreError> {
        let add = "INSERT INTO version_downloads (version_id, day, downloads) \
             SELECT v.id, CAST($1 AS BIGINT), CAST($2 AS BIGINT) FROM versions v \
             JOIN packages p ON p.id = v.package_id WHERE p.name = $3 AND v.index_digest = $4 \
             ON CONFLICT (version_id, day) DO UPDATE \
             SET downloads = version_downloads.downloads + excluded.downloads";
        let mut change = self.begin().await?;
        for downloaded in all {
            let times = signed("count", downloaded.times)?;
            let added = sqlx::query(add)
                .bind(day)
                .bind(times)
                .bind(&downloaded.repository)
                .bind(&downloaded.index.as_bytes()[..])
                .execute(&mut *change)
                .await
                .map_err(failed("count downloads"))?;
            if added.rows_affected() == 0 {
                continue;
            }
            sqlx::query("UPDATE packages SET downloads = downloads + $1 WHERE name = $2")
                .bind(times)
                .bind(&downloaded.repository)
                .execute(&mut *change)
                .await
                .map_err(failed("count a package's downloads"))?;
        }
        change.commit().await.map_err(failed("commit downloads"))
    }

    /// How often each version of a package was downloaded, the newest first; installs are counted by whoever knows the
    /// nodes.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn version_downloads(
        &self,
        name: &PackageName,
    ) -> Result<Vec<VersionStats>, StoreError> {
        let select = "SELECT v.version, CAST(COALESCE((SELECT sum(d.downloads) \
             FROM version_downloads d WHERE d.version_id = v.id), 0) AS BIGINT) AS downloads \
             FROM versions v JOIN packages p ON p.id = v.package_id WHERE p.name = $1 \
             ORDER BY v.release DESC";
        let rows: Vec<(String, i64)> = sqlx::query_as(select)
            .bind(name.to_string())
            .fetch_all(&self.read)
            .await
            .map_err(failed("read a package's downloads"))?;
        let read = |(version, downloads): (String, i64)| {
            let downloads = unsigned("count", downloads)?;
            Ok(VersionStats { version: parsed("version", &version)?, downloads, installs: 0 })
        };
        rows.into_iter().map(read).collect()
    }

    /// How often a package was downloaded on each of the last days.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn daily_downloads(
        &self,
        name: &PackageName,
        now: i64,
    ) -> Result<Vec<DayStats>, StoreError> {
        let select = "SELECT d.day, CAST(sum(d.downloads) AS BIGINT) AS downloads \
             FROM version_downloads d JOIN versions v ON v.id = d.version_id \
             JOIN packages p ON p.id = v.package_id WHERE p.name = $1 AND d.day > $2 \
             GROUP BY d.day ORDER BY d.day";
        let rows: Vec<(i64, i64)> = sqlx::query_as(select)
            .bind(name.to_string())
            .bind(now.div_euclid(DAY_SECS) - i64::from(STATS_DAYS))
            .fetch_all(&self.read)
            .await
            .map_err(failed("read a package's downloads by day"))?;
        let read = |(day, downloads): (i64, i64)| {
            Ok(DayStats { day: day * DAY_SECS, downloads: unsigned("count", downloads)? })
        };
        rows.into_iter().map(read).collect()
    }
}
