//! Which version of a package listings and searches show, and what they show of it. Refuses to know
//! signatures and ELF files: everything here was verified when it was published.

use super::search_index::{self, SearchTexts};
use super::{Change, StoreError, facets, failed, from_json, parsed, to_json};
use skep_api::v1::facets::FacetName;
use skep_artifact::hook::Hook;
use skep_artifact::manifest::Manifest;
use skep_artifact::name::{PackageName, Version};
use skep_artifact::object::{ObjectFacts, ProgramKind};

/// What listings and searches show and look through.
pub struct Shown {
    pub description: String,
    pub license: String,
    pub hooks: Vec<Hook>,
    pub lowest_kernel: Option<String>,
    pub keywords: Vec<String>,
    /// By what it can be narrowed, beside what the package's own row says.
    pub facets: Vec<(FacetName, String)>,
}

impl Shown {
    /// What is shown of a version, from its manifest and the facts of its objects.
    pub fn of<'f>(manifest: &Manifest, facts: impl IntoIterator<Item = &'f ObjectFacts>) -> Self {
        let info = &manifest.package;
        let programs: Vec<_> = facts.into_iter().flat_map(|facts| &facts.programs).collect();
        let lowest = programs.iter().filter_map(|program| program.lowest_kernel).max();
        let archs = manifest.objects.iter().flat_map(|object| &object.arch);
        let hooks = manifest.hooks().into_iter().map(|hook| (FacetName::Hook, hook.to_string()));
        let kinds = programs.iter().filter_map(|program| word(&program.kind));
        let facets = hooks
            .chain(kinds.map(|kind| (FacetName::ProgramType, kind)))
            .chain(archs.map(|arch| (FacetName::Arch, arch.to_string())))
            .chain(info.categories.iter().map(|category| (FacetName::Category, category.clone())))
            .collect();
        Self {
            facets,
            description: info.description.clone(),
            license: info.license.clone(),
            hooks: manifest.hooks(),
            lowest_kernel: lowest.map(|kernel| kernel.to_string()),
            keywords: info.keywords.iter().chain(&info.categories).cloned().collect(),
        }
    }
}

/// A program type as JSON writes it.
fn word(kind: &ProgramKind) -> Option<String> {
    serde_json::to_value(kind).ok()?.as_str().map(str::to_owned)
}

/// Whether a listing should show `candidate` rather than `current`: the higher one, and a finished
/// version rather than a pre-release.
pub(super) fn is_shown_before(candidate: &Version, current: &Version) -> bool {
    (candidate.pre.is_empty(), candidate) > (current.pre.is_empty(), current)
}

/// Shows the version that should be shown now: the highest that is not yanked, or the highest of
/// all when every one is.
pub(super) async fn reshow(change: &mut Change, package: i64) -> Result<(), StoreError> {
    let all: Vec<(i64, String, i64)> =
        sqlx::query_as("SELECT id, version, yanked FROM versions WHERE package_id = $1")
            .bind(package)
            .fetch_all(&mut **change)
            .await
            .map_err(failed("list versions"))?;
    let mut best: Option<(i64, Version, bool)> = None;
    for (id, version, yanked) in all {
        let (version, open): (Version, _) = (parsed("version", &version)?, yanked == 0);
        let better =
            best.as_ref().is_none_or(|(_, current, current_open)| match (open, current_open) {
                (true, false) => true,
                (false, true) => false,
                _ => is_shown_before(&version, current),
            });
        if better {
            best = Some((id, version, open));
        }
    }
    match best {
        Some((id, version, _)) => show(change, package, id, &version).await,
        None => Ok(()),
    }
}

#[derive(sqlx::FromRow)]
struct Kept {
    manifest: String,
    facts: String,
    signed_by: String,
    published_at: i64,
    name: String,
}

async fn show(
    change: &mut Change,
    package: i64,
    id: i64,
    version: &Version,
) -> Result<(), StoreError> {
    let select = "SELECT v.manifest, v.facts, v.signed_by, v.published_at, p.name \
         FROM versions v JOIN packages p ON p.id = v.package_id WHERE v.id = $1";
    let kept: Kept = sqlx::query_as(select)
        .bind(id)
        .fetch_one(&mut **change)
        .await
        .map_err(failed("look a version up"))?;
    let shown = read(&kept.manifest, &kept.facts)?;
    let show = "UPDATE packages SET version = $1, description = $2, license = $3, hooks = $4, \
         lowest_kernel = $5, signed_by = $6, published_at = $7 WHERE id = $8";
    sqlx::query(show)
        .bind(version.to_string())
        .bind(&shown.description)
        .bind(&shown.license)
        .bind(to_json("hooks", &shown.hooks)?)
        .bind(&shown.lowest_kernel)
        .bind(&kept.signed_by)
        .bind(kept.published_at)
        .bind(package)
        .execute(&mut **change)
        .await
        .map_err(failed("show a version of a package"))?;
    put_search(change, package, &parsed("package name", &kept.name)?, &shown).await
}

/// Replaces what of a package is looked through.
pub(super) async fn put_search(
    change: &mut Change,
    id: i64,
    name: &PackageName,
    shown: &Shown,
) -> Result<(), StoreError> {
    forget_hooks(change, id).await?;
    for hook in &shown.hooks {
        sqlx::query("INSERT INTO package_hooks (package_id, hook) VALUES ($1, $2)")
            .bind(id)
            .bind(hook.to_string())
            .execute(&mut **change)
            .await
            .map_err(failed("write a package's hook"))?;
    }
    let texts = SearchTexts {
        name: name.to_string(),
        description: shown.description.clone(),
        keywords: shown.keywords.join(" "),
    };
    search_index::put(change, id, &texts).await?;
    facets::put(change, id, &shown.facets).await
}

/// Writes the facets of a package by the version it shows; a deleted one has none.
pub(super) async fn refacet(change: &mut Change, package: i64) -> Result<(), StoreError> {
    let select = "SELECT v.manifest, v.facts FROM packages p JOIN versions v \
         ON v.package_id = p.id AND v.version = p.version WHERE p.id = $1 AND p.tombstone IS NULL";
    let kept: Option<(String, String)> = sqlx::query_as(select)
        .bind(package)
        .fetch_optional(&mut **change)
        .await
        .map_err(failed("look a version up"))?;
    let Some((manifest, facts)) = kept else { return facets::mark(change, package).await };
    facets::put(change, package, &read(&manifest, &facts)?.facets).await
}

fn read(manifest: &str, facts: &str) -> Result<Shown, StoreError> {
    let manifest = Manifest::from_canonical_json(manifest.as_bytes())
        .map_err(|e| StoreError::Corrupt { what: "manifest", reason: e.to_string() })?;
    let facts: Vec<ObjectFacts> = from_json("facts", facts)?;
    Ok(Shown::of(&manifest, &facts))
}

/// Takes a package out of everything that is looked through.
pub(super) async fn forget(change: &mut Change, id: i64) -> Result<(), StoreError> {
    forget_hooks(change, id).await?;
    facets::forget(change, id).await?;
    search_index::forget(change, id).await
}

async fn forget_hooks(change: &mut Change, id: i64) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM package_hooks WHERE package_id = $1")
        .bind(id)
        .execute(&mut **change)
        .await
        .map_err(failed("replace a package's hooks"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(candidate: &str, current: &str, expected: bool) {
        let shown = is_shown_before(&candidate.parse().unwrap(), &current.parse().unwrap());
        assert_eq!(shown, expected, "{candidate} before {current}");
    }

    #[test]
    fn a_listing_shows_the_highest_finished_version() {
        check("1.1.0", "1.0.0", true);
        check("1.0.1", "1.1.0", false);
        check("2.0.0-rc.1", "1.9.0", false);
        check("1.0.0", "2.0.0-rc.1", true);
        check("2.0.0-rc.2", "2.0.0-rc.1", true);
    }
}
