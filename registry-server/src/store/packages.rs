//! Looking packages and their versions up. Refuses to know signatures, ELF files, and how a
//! version comes to be.

use super::life::deprecation;
use super::{Store, StoreError, digest, failed, from_json, parsed, unsigned};
use skep_api::v1::packages::{PackageSummary, VersionDetail, VersionSummary};
use skep_artifact::name::{PackageName, Version};

#[derive(sqlx::FromRow)]
pub(super) struct PackageRow {
    name: String,
    version: String,
    description: String,
    license: String,
    hooks: String,
    lowest_kernel: Option<String>,
    signed_by: String,
    published_at: i64,
    deprecated: Option<String>,
    deprecated_for: Option<String>,
    downloads: i64,
}

impl PackageRow {
    /// Installs are counted by whoever knows the nodes.
    pub(super) fn read(self) -> Result<PackageSummary, StoreError> {
        Ok(PackageSummary {
            name: parsed("package name", &self.name)?,
            version: parsed("version", &self.version)?,
            description: self.description,
            hooks: from_json("hooks", &self.hooks)?,
            license: self.license,
            lowest_kernel: self.lowest_kernel,
            signed_by: from_json("key ids", &self.signed_by)?,
            installs: 0,
            downloads: unsigned("count", self.downloads)?,
            published_at: self.published_at,
            deprecated: deprecation(self.deprecated, self.deprecated_for.as_deref())?,
        })
    }
}

#[derive(sqlx::FromRow)]
struct VersionRow {
    version: String,
    release: i64,
    index_digest: Vec<u8>,
    published_at: i64,
    yanked: i64,
    yank_message: Option<String>,
    deprecated: Option<String>,
    deprecated_for: Option<String>,
    size_bytes: i64,
    log_position: Option<i64>,
}

/// The columns of a [`VersionRow`] as one text, for the two statements that read them.
macro_rules! select_versions {
    ($rest:literal) => {
        concat!(
            "SELECT v.version, v.release, v.index_digest, v.published_at, v.yanked, ",
            "v.yank_message, v.deprecated, v.deprecated_for, v.size_bytes, v.log_position",
            $rest
        )
    };
}

impl VersionRow {
    fn read(self) -> Result<VersionSummary, StoreError> {
        Ok(VersionSummary {
            version: parsed("version", &self.version)?,
            release: unsigned("release", self.release)?,
            index: digest(&self.index_digest)?,
            published_at: self.published_at,
            yanked: self.yanked != 0,
            yank_message: self.yank_message,
            deprecated: deprecation(self.deprecated, self.deprecated_for.as_deref())?,
            size_bytes: unsigned("size", self.size_bytes)?,
            log_index: self.log_position.map(|at| unsigned("log index", at)).transpose()?,
        })
    }
}

#[derive(sqlx::FromRow)]
struct DetailRow {
    #[sqlx(flatten)]
    summary: VersionRow,
    manifest: String,
    facts: String,
    readme_html: String,
    signed_by: String,
    threshold: i64,
    role_version: i64,
    published_by: String,
    tombstone: Option<String>,
}

impl Store {
    /// The listing row of a package; a deleted one has none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn package(&self, name: &PackageName) -> Result<Option<PackageSummary>, StoreError> {
        let select = "SELECT name, version, description, license, hooks, lowest_kernel, \
             signed_by, published_at, deprecated, deprecated_for, downloads FROM packages \
             WHERE name = $1 AND tombstone IS NULL";
        let row: Option<PackageRow> = sqlx::query_as(select)
            .bind(name.to_string())
            .fetch_optional(&self.read)
            .await
            .map_err(failed("look a package up"))?;
        row.map(PackageRow::read).transpose()
    }

    /// Every version of a package, newest release first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn versions(&self, name: &PackageName) -> Result<Vec<VersionSummary>, StoreError> {
        let select = select_versions!(
            " FROM versions v JOIN packages p ON p.id = v.package_id \
             WHERE p.name = $1 ORDER BY v.release DESC"
        );
        let rows: Vec<VersionRow> = sqlx::query_as(select)
            .bind(name.to_string())
            .fetch_all(&self.read)
            .await
            .map_err(failed("list versions"))?;
        rows.into_iter().map(VersionRow::read).collect()
    }

    /// Everything about one version.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn version(
        &self,
        name: &PackageName,
        version: &Version,
    ) -> Result<Option<VersionDetail>, StoreError> {
        let select = select_versions!(
            ", v.manifest, v.facts, v.readme_html, v.signed_by, v.threshold, v.role_version, \
             v.published_by, p.tombstone FROM versions v JOIN packages p ON p.id = v.package_id \
             WHERE p.name = $1 AND v.version = $2"
        );
        let row: Option<DetailRow> = sqlx::query_as(select)
            .bind(name.to_string())
            .bind(version.to_string())
            .fetch_optional(&self.read)
            .await
            .map_err(failed("look a version up"))?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(VersionDetail {
            name: name.clone(),
            summary: row.summary.read()?,
            manifest: from_json("manifest", &row.manifest)?,
            facts: from_json("facts", &row.facts)?,
            readme_html: row.readme_html,
            signed_by: from_json("key ids", &row.signed_by)?,
            threshold: u32::try_from(row.threshold).unwrap_or(u32::MAX),
            role_version: unsigned("role version", row.role_version)?,
            published_by: row.published_by,
            tombstoned: row.tombstone,
        }))
    }
}
