//! Listing and searching packages, page by page. Refuses to know how a page is shown.

use super::packages::PackageRow;
pub use super::search_index::Words;
use super::sql::Sql;
use super::{Dialect, Store, StoreError, failed, search_index, unsigned};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use skep_api::v1::packages::PackageSummary;
use skep_artifact::hook::Hook;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    pub words: Option<Words>,
    pub hook: Option<Hook>,
    pub after: Option<Cursor>,
    pub limit: u32,
}

/// The last row of a page: the next page begins behind it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cursor {
    rank: f64,
    published_at: i64,
    id: i64,
}

/// One page and how many rows there are in all.
pub struct Page {
    pub packages: Vec<PackageSummary>,
    pub next: Option<Cursor>,
    pub total: u64,
}

impl Cursor {
    /// The opaque text a caller passes back.
    #[must_use]
    pub fn to_text(self) -> String {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.rank.to_bits().to_be_bytes());
        bytes[8..16].copy_from_slice(&self.published_at.to_be_bytes());
        bytes[16..].copy_from_slice(&self.id.to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads what [`Cursor::to_text`] wrote; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 24] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let part = |at: usize| {
            let mut eight = [0; 8];
            eight.copy_from_slice(&bytes[at..at + 8]);
            eight
        };
        let rank = f64::from_bits(u64::from_be_bytes(part(0)));
        let published_at = i64::from_be_bytes(part(8));
        let id = i64::from_be_bytes(part(16));
        rank.is_finite().then_some(Self { rank, published_at, id })
    }
}

#[derive(sqlx::FromRow)]
struct ListedRow {
    id: i64,
    rank: f64,
    #[sqlx(flatten)]
    package: PackageRow,
    published_at: i64,
    total: i64,
}

impl Store {
    /// One page: the best match first, the newest first among equals. Of a search, `total` counts
    /// what was ranked.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list(&self, listing: &Listing) -> Result<Page, StoreError> {
        let mut rows: Vec<ListedRow> = page(self.dialect, listing)
            .rows()
            .fetch_all(&self.read)
            .await
            .map_err(failed("list packages"))?;
        let total = match rows.first() {
            Some(row) => row.total,
            None => {
                let count = count(self.dialect, listing);
                count.scalar().fetch_one(&self.read).await.map_err(failed("count packages"))?
            }
        };
        let more = rows.len() > listing.limit as usize;
        rows.truncate(listing.limit as usize);
        let cursor =
            |row: &ListedRow| Cursor { rank: row.rank, published_at: row.published_at, id: row.id };
        let next = rows.last().filter(|_| more).map(cursor);
        let packages: Result<_, _> = rows.into_iter().map(|row| row.package.read()).collect();
        Ok(Page { packages: packages?, next, total: unsigned("count", total)? })
    }
}

fn count(dialect: Dialect, listing: &Listing) -> Sql {
    let mut count = Sql::new("SELECT count(*) ");
    push_matching(&mut count, dialect, listing);
    count
}

/// Rows of a page, each with the total beside it. What words find is looked for once; without words
/// the page comes in the order of an index, and counting all is quicker than sorting them.
fn page(dialect: Dialect, listing: &Listing) -> Sql {
    let mut select = Sql::default();
    if listing.words.is_some() {
        select.push("WITH found AS MATERIALIZED (SELECT p.id, m.rank ");
        push_matching(&mut select, dialect, listing);
        select.push(") ");
    }
    select.push(
        "SELECT p.id, m.rank, p.name, p.version, p.description, p.license, p.hooks, \
         p.lowest_kernel, p.signed_by, p.published_at, p.deprecated, p.deprecated_for, ",
    );
    if listing.words.is_some() {
        select.push("(SELECT count(*) FROM found) AS total FROM found m JOIN packages p ON p.id = m.id WHERE 1 = 1");
    } else {
        select.push("(SELECT count(*) ");
        push_matching(&mut select, dialect, listing);
        select.push(") AS total ");
        push_matching(&mut select, dialect, listing);
    }
    if let Some(after) = listing.after {
        select.push(" AND (m.rank, -p.published_at, -p.id) > (").bind(after.rank);
        select.push(", ").bind(-after.published_at).push(", ").bind(-after.id).push(")");
    }
    // One more than asked for tells whether there is a next page.
    select.push(" ORDER BY m.rank, p.published_at DESC, p.id DESC LIMIT ");
    select.bind(i64::from(listing.limit) + 1);
    select
}

/// `FROM … WHERE …`: what both the page and its total are made of.
fn push_matching(sql: &mut Sql, dialect: Dialect, listing: &Listing) {
    match &listing.words {
        Some(words) => {
            sql.push("FROM ");
            search_index::push_matches(sql, dialect, words);
            sql.push(" m JOIN packages p ON p.id = m.id WHERE p.tombstone IS NULL");
        }
        None => {
            sql.push(
                "FROM packages p CROSS JOIN (SELECT CAST(0.0 AS DOUBLE PRECISION) AS rank) m \
                 WHERE p.tombstone IS NULL",
            );
        }
    }
    if let Some(hook) = listing.hook {
        sql.push(
            " AND EXISTS (SELECT 1 FROM package_hooks h WHERE h.package_id = p.id AND h.hook = ",
        );
        sql.bind(hook.to_string()).push(")");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_and_nothing_else_is_one() {
        let cursor = Cursor { rank: -3.25, published_at: 1_700_000_000, id: 42 };
        assert_eq!(Cursor::parse(&cursor.to_text()), Some(cursor));
        for text in ["", "x", "AAAA", &"A".repeat(4000)] {
            assert_eq!(Cursor::parse(text), None, "{text}");
        }
    }
}
