//! The full-text index of packages, in each database's own way: FTS5 in SQLite, a `tsvector` with a
//! GIN index in PostgreSQL. Refuses to know what a page of results is.

use super::sql::Sql;
use super::{Change, Dialect, StoreError, failed};

/// Most words of a query that are looked at.
const WORDS_MAX: usize = 8;
/// Longest query in characters; more is cut off.
const QUERY_CHARS_MAX: usize = 200;
/// Longest word in characters: PostgreSQL takes 2,046 bytes, and a word of a package is never as long.
const WORD_CHARS_MAX: usize = 64;
/// Words of one text that PostgreSQL's index keeps with their places; it counts up to 16,383.
const PLACES_MAX: usize = 4_096;

/// Matches of words that are ranked, the newest first: a word that more packages have tells little
/// about any of them. Ranking takes up to five microseconds each, so 10 ms in all.
const RANKED_MAX: i64 = 2_000;
/// Packages found by a part of their name only; they come last, without a rank among themselves.
const NAMED_MAX: i64 = 1_000;

/// What of a package can be found by words.
pub(super) struct SearchTexts {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) keywords: String,
}

/// A query that has at least one word in it.
#[derive(Debug, Clone)]
pub struct Words {
    words: Vec<String>,
    /// The whole query as a LIKE pattern with its wild cards escaped.
    like: String,
}

impl Words {
    /// Takes a query apart; `None` when nothing in it can be looked for.
    #[must_use]
    pub fn parse(query: &str) -> Option<Self> {
        let query: String = query.trim().chars().take(QUERY_CHARS_MAX).collect();
        let words: Vec<String> = words_of(&query).take(WORDS_MAX).collect();
        if words.is_empty() {
            return None;
        }
        let mut like = String::from("%");
        // A control character is in no name, and PostgreSQL refuses a text with a NUL.
        for c in query.to_lowercase().chars().filter(|c| !c.is_control()) {
            if matches!(c, '%' | '_' | '\\') {
                like.push('\\');
            }
            like.push(c);
        }
        like.push('%');
        Some(Self { words, like })
    }

    /// Every word quoted, so that nothing in it is an operator of the search language.
    fn to_fts5(&self) -> String {
        let quoted: Vec<String> = self.words.iter().map(|word| format!("\"{word}\"*")).collect();
        quoted.join(" ")
    }

    fn to_tsquery(&self) -> String {
        let quoted: Vec<String> = self.words.iter().map(|word| format!("'{word}':*")).collect();
        quoted.join(" & ")
    }
}

/// Runs of letters and digits, in lower case: no word holds anything that a database reads as more
/// than a letter.
fn words_of(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| word.to_lowercase().chars().take(WORD_CHARS_MAX).collect())
}

impl SearchTexts {
    /// The words with their places and weights, in the form of a `tsvector`: made here, because the
    /// database's own parser would take `acme/pass` for the name of a file.
    fn to_tsvector(&self) -> String {
        let weighed = [(&self.name, 'A'), (&self.keywords, 'B'), (&self.description, 'C')];
        let all = weighed.into_iter().flat_map(|(text, weight)| {
            words_of(text).map(move |word| (word, weight)).take(PLACES_MAX)
        });
        let placed =
            (1..).zip(all).map(|(place, (word, weight))| format!("'{word}':{place}{weight}"));
        placed.collect::<Vec<_>>().join(" ")
    }
}

/// Replaces what can be found of a package.
pub(super) async fn put(
    change: &mut Change,
    package: i64,
    texts: &SearchTexts,
) -> Result<(), StoreError> {
    match change.dialect {
        Dialect::Sqlite => put_fts5(change, package, texts).await,
        Dialect::Postgres => put_tsvector(change, package, texts).await,
    }
}

/// Takes a package out of the index.
pub(super) async fn forget(change: &mut Change, package: i64) -> Result<(), StoreError> {
    let forget = match change.dialect {
        Dialect::Sqlite => "DELETE FROM package_search WHERE rowid = $1",
        Dialect::Postgres => "DELETE FROM package_search WHERE package_id = $1",
    };
    sqlx::query(forget)
        .bind(package)
        .execute(&mut **change)
        .await
        .map_err(failed("take a package out of the search"))?;
    Ok(())
}

async fn put_fts5(
    change: &mut Change,
    package: i64,
    texts: &SearchTexts,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM package_search WHERE rowid = $1")
        .bind(package)
        .execute(&mut **change)
        .await
        .map_err(failed("replace a package in the search"))?;
    let put = "INSERT INTO package_search (rowid, name, description, keywords) \
         VALUES ($1, $2, $3, $4)";
    sqlx::query(put)
        .bind(package)
        .bind(&texts.name)
        .bind(&texts.description)
        .bind(&texts.keywords)
        .execute(&mut **change)
        .await
        .map_err(failed("write a package to the search"))?;
    Ok(())
}

async fn put_tsvector(
    change: &mut Change,
    package: i64,
    texts: &SearchTexts,
) -> Result<(), StoreError> {
    let put = "INSERT INTO package_search (package_id, name, description, keywords, document) \
         VALUES ($1, $2, $3, $4, CAST($5 AS tsvector)) \
         ON CONFLICT (package_id) DO UPDATE SET name = excluded.name, \
         description = excluded.description, keywords = excluded.keywords, \
         document = excluded.document";
    sqlx::query(put)
        .bind(package)
        .bind(&texts.name)
        .bind(&texts.description)
        .bind(&texts.keywords)
        .bind(texts.to_tsvector())
        .execute(&mut **change)
        .await
        .map_err(failed("write a package to the search"))?;
    Ok(())
}

/// Goes on with a table `(id, rank)` of the packages that words find. The better a match, the
/// lower its rank; a name that holds the whole query counts when no word begins like it. At most
/// [`RANKED_MAX`] and [`NAMED_MAX`] of each are looked at.
pub(super) fn push_matches(sql: &mut Sql, dialect: Dialect, words: &Words) {
    sql.push("(SELECT id, min(rank) AS rank FROM (SELECT id, rank FROM (");
    match dialect {
        Dialect::Sqlite => sql
            .push(
                "SELECT rowid AS id, bm25(package_search, 10.0, 3.0, 5.0) AS rank \
                 FROM package_search WHERE package_search MATCH ",
            )
            .bind(words.to_fts5())
            .push(" ORDER BY rowid DESC LIMIT "),
        // Weights from D to A, in the proportion of those of SQLite.
        Dialect::Postgres => sql
            .push(
                "SELECT package_id AS id, \
                 -CAST(ts_rank('{0.1, 0.3, 0.5, 1.0}', document, query) AS DOUBLE PRECISION) AS rank \
                 FROM package_search, CAST(",
            )
            .bind(words.to_tsquery())
            .push(" AS tsquery) query WHERE document @@ query ORDER BY package_id DESC LIMIT "),
    };
    sql.bind(RANKED_MAX)
        .push(") ranked UNION ALL SELECT id, rank FROM (SELECT id, CAST(0.0 AS DOUBLE PRECISION) AS rank FROM packages WHERE name LIKE ")
        .bind(words.like.clone())
        .push(" ESCAPE '\\' LIMIT ")
        .bind(NAMED_MAX)
        .push(") named) found GROUP BY id)");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_query_is_an_operator() {
        let words = Words::parse("rate OR \"x* NEAR(y) 50%_\\").unwrap();
        assert_eq!(words.to_fts5(), "\"rate\"* \"or\"* \"x\"* \"near\"* \"y\"* \"50\"*");
        assert_eq!(words.to_tsquery(), "'rate':* & 'or':* & 'x':* & 'near':* & 'y':* & '50':*");
        assert!(words.like.ends_with("50\\%\\_\\\\%"), "{}", words.like);
        assert!(Words::parse(" *\"'%_ ").is_none());
    }

    #[test]
    fn the_words_of_a_package_carry_place_and_weight() {
        let texts = SearchTexts {
            name: "acme/rate-limit".to_owned(),
            description: "Don't: flood".to_owned(),
            keywords: "DoS".to_owned(),
        };
        let expected = "'acme':1A 'rate':2A 'limit':3A 'dos':4B 'don':5C 't':6C 'flood':7C";
        assert_eq!(texts.to_tsvector(), expected);
    }
}
