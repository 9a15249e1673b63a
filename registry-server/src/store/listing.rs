//! Listing and searching packages, page by page. Refuses to know how a page is shown.

use super::packages::PackageRow;
use super::{Store, StoreError, failed, unsigned};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use skep_api::v1::packages::PackageSummary;
use skep_artifact::hook::Hook;
use sqlx::{QueryBuilder, Sqlite};

/// Most words of a query that are looked at.
const WORDS_MAX: usize = 8;
/// Longest query in characters; more is cut off.
const QUERY_CHARS_MAX: usize = 200;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    pub words: Option<Words>,
    pub hook: Option<Hook>,
    pub after: Option<Cursor>,
    pub limit: u32,
}

/// A query that has at least one word in it.
#[derive(Debug, Clone)]
pub struct Words {
    /// Every word quoted, so that nothing in it is an operator of the search language.
    fts: String,
    /// The whole query as a LIKE pattern with its wild cards escaped.
    like: String,
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

impl Words {
    /// Takes a query apart; `None` when nothing in it can be looked for.
    #[must_use]
    pub fn parse(query: &str) -> Option<Self> {
        let query: String = query.trim().chars().take(QUERY_CHARS_MAX).collect();
        let words = query.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        let quoted: Vec<String> =
            words.take(WORDS_MAX).map(|word| format!("\"{word}\"*")).collect();
        if quoted.is_empty() {
            return None;
        }
        let mut like = String::from("%");
        for c in query.to_lowercase().chars() {
            if matches!(c, '%' | '_' | '\\') {
                like.push('\\');
            }
            like.push(c);
        }
        like.push('%');
        Some(Self { fts: quoted.join(" "), like })
    }
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
}

impl Store {
    /// One page: the best match first, the newest first among equals.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list(&self, listing: &Listing) -> Result<Page, StoreError> {
        let mut count = QueryBuilder::new("SELECT count(*) ");
        matching(&mut count, listing);
        let total: i64 = count
            .build_query_scalar()
            .fetch_one(&self.read)
            .await
            .map_err(failed("count packages"))?;

        let mut select = QueryBuilder::new(
            "SELECT p.id, m.rank, p.name, p.version, p.description, p.license, p.hooks, \
             p.lowest_kernel, p.signed_by, p.published_at ",
        );
        matching(&mut select, listing);
        if let Some(after) = listing.after {
            select.push(" AND (m.rank, -p.published_at, -p.id) > (");
            let mut values = select.separated(", ");
            values.push_bind(after.rank);
            values.push_bind(-after.published_at);
            values.push_bind(-after.id);
            select.push(")");
        }
        // One more than asked for tells whether there is a next page.
        select.push(" ORDER BY m.rank, p.published_at DESC, p.id DESC LIMIT ");
        select.push_bind(i64::from(listing.limit) + 1);
        let mut rows: Vec<ListedRow> =
            select.build_query_as().fetch_all(&self.read).await.map_err(failed("list packages"))?;
        let more = rows.len() > listing.limit as usize;
        rows.truncate(listing.limit as usize);
        let cursor =
            |row: &ListedRow| Cursor { rank: row.rank, published_at: row.published_at, id: row.id };
        let next = rows.last().filter(|_| more).map(cursor);
        let packages: Result<_, _> = rows.into_iter().map(|row| row.package.read()).collect();
        Ok(Page { packages: packages?, next, total: unsigned("count", total)? })
    }
}

/// `FROM … WHERE …`: what both the page and its total are made of.
fn matching(query: &mut QueryBuilder<Sqlite>, listing: &Listing) {
    match &listing.words {
        Some(words) => {
            query.push(
                "FROM (SELECT id, min(rank) AS rank FROM (\
                 SELECT rowid AS id, bm25(package_search, 10.0, 3.0, 5.0) AS rank \
                 FROM package_search WHERE package_search MATCH ",
            );
            query.push_bind(words.fts.clone());
            query.push(" UNION ALL SELECT id, 0.0 AS rank FROM packages WHERE name LIKE ");
            query.push_bind(words.like.clone());
            query.push(" ESCAPE '\\') GROUP BY id) m JOIN packages p ON p.id = m.id WHERE 1");
        }
        None => {
            query.push("FROM packages p CROSS JOIN (SELECT 0.0 AS rank) m WHERE 1");
        }
    }
    if let Some(hook) = listing.hook {
        query.push(
            " AND EXISTS (SELECT 1 FROM package_hooks h WHERE h.package_id = p.id AND h.hook = ",
        );
        query.push_bind(hook.to_string());
        query.push(")");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_query_is_an_operator() {
        let words = Words::parse("rate OR \"x* NEAR(y) 50%_\\").unwrap();
        assert_eq!(words.fts, "\"rate\"* \"OR\"* \"x\"* \"NEAR\"* \"y\"* \"50\"*");
        assert!(words.like.ends_with("50\\%\\_\\\\%"), "{}", words.like);
        assert!(Words::parse(" *\"'%_ ").is_none());
    }

    #[test]
    fn a_cursor_is_read_back_and_nothing_else_is_one() {
        let cursor = Cursor { rank: -3.25, published_at: 1_700_000_000, id: 42 };
        assert_eq!(Cursor::parse(&cursor.to_text()), Some(cursor));
        for text in ["", "x", "AAAA", &"A".repeat(4000)] {
            assert_eq!(Cursor::parse(text), None, "{text}");
        }
    }
}
