//! Listing and searching packages, page by page. Refuses to know how a page is shown.

use super::facets::{Filters, Narrowed};
use super::packages::PackageRow;
pub use super::search_index::Words;
use super::sql::Sql;
use super::{Dialect, Store, StoreError, failed, search_index, unsigned};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use skep_api::v1::packages::PackageSummary;

/// Up to so many packages that pass every filter are sorted by time; more are met soon enough on a walk through all,
/// the newest first.
const SORTED_MAX: i64 = 2_000;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    pub words: Option<Words>,
    pub filters: Filters,
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
        let Some(narrowed) = listing.filters.narrow(self).await? else {
            return Ok(Page { packages: Vec::new(), next: None, total: 0 });
        };
        let (source, known) = match &listing.words {
            Some(words) => (Source::Words(words), None),
            None if narrowed.is_empty() => (Source::All, None),
            None => match narrowed.count(self).await? {
                few if few <= SORTED_MAX => (Source::Few, Some(few)),
                many => (Source::All, Some(many)),
            },
        };
        let asked = Asked { listing, narrowed: &narrowed, source, dialect: self.dialect };
        let page = asked.page(known).rows();
        let mut rows: Vec<ListedRow> =
            page.fetch_all(&self.read).await.map_err(failed("list packages"))?;
        let total = match (known, rows.first()) {
            (Some(total), _) => total,
            (None, Some(row)) => row.total,
            (None, None) => {
                let count = asked.count();
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

/// Where the rows of a page come from.
enum Source<'l> {
    /// From what words find, looked for once.
    Words(&'l Words),
    /// From what the filters leave, which is little.
    Few,
    /// From a walk in the order of an index: quicker than sorting.
    All,
}

/// A listing on its way to become a statement.
struct Asked<'l> {
    listing: &'l Listing,
    narrowed: &'l Narrowed,
    source: Source<'l>,
    dialect: Dialect,
}

impl Asked<'_> {
    fn count(&self) -> Sql {
        let mut count = Sql::new("SELECT count(*) ");
        self.push_matching(&mut count);
        count
    }

    /// Rows of a page, each with the total beside it.
    fn page(&self, known: Option<i64>) -> Sql {
        let mut select = Sql::default();
        let walk = matches!(self.source, Source::All);
        if !walk {
            select.push("WITH found AS MATERIALIZED (SELECT p.id, m.rank ");
            self.push_matching(&mut select);
            select.push(") ");
        }
        select.push(
            "SELECT p.id, m.rank, p.name, p.version, p.description, p.license, p.hooks, \
             p.lowest_kernel, p.signed_by, p.published_at, p.deprecated, p.deprecated_for, \
             p.downloads, ",
        );
        match known {
            Some(total) => {
                select.push("CAST(").bind(total).push(" AS BIGINT)");
            }
            None if walk => {
                select.push("(SELECT count(*) ");
                self.push_matching(&mut select);
                select.push(")");
            }
            None => {
                select.push("(SELECT count(*) FROM found)");
            }
        }
        select.push(" AS total ");
        if walk {
            self.push_matching(&mut select);
        } else {
            select.push("FROM found m JOIN packages p ON p.id = m.id WHERE 1 = 1");
        }
        if let Some(after) = self.listing.after {
            select.push(" AND (m.rank, -p.published_at, -p.id) > (").bind(after.rank);
            select.push(", ").bind(-after.published_at).push(", ").bind(-after.id).push(")");
        }
        // One more than asked for tells whether there is a next page.
        select.push(" ORDER BY m.rank, p.published_at DESC, p.id DESC LIMIT ");
        select.bind(i64::from(self.listing.limit) + 1);
        select
    }

    /// `FROM … WHERE …`: what both the page and its total are made of.
    fn push_matching(&self, sql: &mut Sql) {
        match &self.source {
            Source::Words(words) => {
                sql.push("FROM ");
                search_index::push_matches(sql, self.dialect, words);
                sql.push(" m JOIN packages p ON p.id = m.id WHERE p.tombstone IS NULL");
            }
            Source::Few => {
                sql.push("FROM (SELECT f.id, CAST(0.0 AS DOUBLE PRECISION) AS rank FROM (");
                self.narrowed.push_found(sql);
                // What is deleted has no facets.
                sql.push(") f) m JOIN packages p ON p.id = m.id WHERE 1 = 1");
                return;
            }
            Source::All => {
                sql.push(
                    "FROM packages p CROSS JOIN (SELECT CAST(0.0 AS DOUBLE PRECISION) AS rank) m \
                     WHERE p.tombstone IS NULL",
                );
            }
        }
        self.narrowed.push_conditions(sql, "p.id");
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
