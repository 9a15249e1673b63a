//! Serving bytes by digest: whole, in part, or not at all when the client has them. What was looked up lately is
//! served without asking the database, and goes on being served while the database does not answer. Refuses to
//! know what the bytes are.

use super::Call;
use crate::app::App;
use crate::blob::Opened;
use crate::error::OciError;
use crate::oci::lookups::{Remembered, Served, Sort};
use crate::store::StoreError;
use axum::body::Body;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use skep_artifact::digest::Digest;
use std::sync::Arc;
use std::time::Instant;

/// How long a client may believe an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lasting {
    /// Asked for by digest: never another.
    Forever,
    /// Asked for by tag: ask again.
    Now,
}

/// Finds what a reference names: remembered, or by asking. An answer that is a little old is better than none.
pub(super) async fn look_up(
    call: &Call,
    sort: Sort,
    reference: &str,
    ask: impl Future<Output = Result<Option<Served>, StoreError>>,
) -> Result<Option<Arc<Served>>, StoreError> {
    let (lookups, repository) = (&call.app.lookups, call.repository.as_str());
    let (old, begun) = match lookups.get(sort, repository, reference, Instant::now()) {
        Remembered::Fresh(served) => return Ok(Some(served)),
        Remembered::Old(served, begun) => (Some(served), begun),
        Remembered::Nothing(begun) => (None, begun),
    };
    if let Some(served) = &old
        && call.app.memory.is_needed()
    {
        return Ok(Some(served.clone()));
    }
    match ask.await {
        Ok(Some(found)) => {
            let found = Arc::new(found);
            let name = (sort, repository, reference);
            lookups.keep(name, found.clone(), begun, Instant::now());
            Ok(Some(found))
        }
        Ok(None) => {
            lookups.forget(sort, repository, [reference]);
            Ok(None)
        }
        Err(error) => match old {
            Some(served) => {
                call.app.memory.database_failed();
                tracing::warn!("{repository} {reference} is served from memory: {error}");
                Ok(Some(served))
            }
            None => Err(error),
        },
    }
}

/// The part of a blob that is asked for, in bytes; `end` is the last one.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Whole,
    Range { start: u64, end: u64 },
    Unsatisfiable,
}

/// Reads a `Range` header. Several ranges, and units other than bytes, are answered with the whole
/// (RFC 9110, 14.2: a server may ignore the header). One that ends before it begins is refused.
fn part_of(headers: &HeaderMap, size: u64) -> Part {
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let Some((first, last)) = range.and_then(|r| r.strip_prefix("bytes=")?.split_once('-')) else {
        return Part::Whole;
    };
    let number = |text: &str| text.trim().parse::<u64>();
    match (number(first), number(last)) {
        (Ok(start), Ok(end)) if start > end => Part::Unsatisfiable,
        (Ok(start), _) if start >= size => Part::Unsatisfiable,
        (Ok(start), Ok(end)) => Part::Range { start, end: end.min(size - 1) },
        (Ok(start), Err(_)) if last.trim().is_empty() => Part::Range { start, end: size - 1 },
        (Err(_), Ok(0)) if first.trim().is_empty() => Part::Unsatisfiable,
        (Err(_), Ok(_)) if first.trim().is_empty() && size == 0 => Part::Unsatisfiable,
        (Err(_), Ok(tail)) if first.trim().is_empty() => {
            Part::Range { start: size.saturating_sub(tail), end: size - 1 }
        }
        _ => Part::Whole,
    }
}

/// Writes the answer.
pub(super) async fn serve(
    app: &App,
    blob: &Served,
    lasting: Lasting,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, OciError> {
    app.metrics.served();
    let etag = format!("\"{}\"", blob.digest);
    let cache = match lasting {
        Lasting::Forever => "public, max-age=31536000, immutable",
        Lasting::Now => "no-cache",
    };
    let builder = Response::builder()
        .header("docker-content-digest", &blob.digest)
        .header(header::ETAG, &etag)
        .header(header::CACHE_CONTROL, cache)
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::CONTENT_TYPE, &blob.media_type);
    let built = |result: Result<Response, axum::http::Error>| {
        // Media types were parsed when they came and digests are hexadecimal; a header that cannot be
        // written is a row we did not write.
        result.map_err(|e| {
            OciError::from(StoreError::Corrupt { what: "media type", reason: e.to_string() })
        })
    };
    if headers.get(header::IF_NONE_MATCH).is_some_and(|have| have == etag.as_str()) {
        return built(builder.status(StatusCode::NOT_MODIFIED).body(Body::empty()));
    }
    let (start, len, builder) = match part_of(headers, blob.size_bytes) {
        Part::Whole => (0, blob.size_bytes, builder),
        Part::Range { start, end } => {
            let range = format!("bytes {start}-{end}/{}", blob.size_bytes);
            let builder = builder.status(StatusCode::PARTIAL_CONTENT);
            (start, end - start + 1, builder.header(header::CONTENT_RANGE, range))
        }
        Part::Unsatisfiable => {
            let range = format!("bytes */{}", blob.size_bytes);
            let builder = builder.status(StatusCode::RANGE_NOT_SATISFIABLE);
            return built(builder.header(header::CONTENT_RANGE, range).body(Body::empty()));
        }
    };
    let builder = builder.header(header::CONTENT_LENGTH, len);
    if method == Method::HEAD {
        return built(builder.body(Body::empty()));
    }
    let body = body(app, blob.content, start, len).await?;
    built(builder.body(body))
}

async fn body(app: &App, digest: Digest, start: u64, len: u64) -> Result<Body, OciError> {
    match app.blobs.open_part(&digest, start, len).await? {
        Opened::Whole(bytes) => Ok(Body::from(bytes)),
        Opened::Stream(stream) => Ok(Body::from_stream(stream)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(range: &str, size: u64, expected: Part) {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, range.parse().unwrap());
        assert_eq!(part_of(&headers, size), expected, "{range} of {size}");
    }

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        check("bytes=0-9", 100, Part::Range { start: 0, end: 9 });
        check("bytes=90-", 100, Part::Range { start: 90, end: 99 });
        check("bytes=-10", 100, Part::Range { start: 90, end: 99 });
        check("bytes=-1000", 100, Part::Range { start: 0, end: 99 });
        check("bytes=50-1000", 100, Part::Range { start: 50, end: 99 });
        check("bytes=100-", 100, Part::Unsatisfiable);
        check("bytes=-0", 100, Part::Unsatisfiable);
        check("bytes=-5", 0, Part::Unsatisfiable);
        check("bytes=0-0", 0, Part::Unsatisfiable);
        check("bytes=9-0", 100, Part::Unsatisfiable);
        check("bytes=0-1,3-4", 100, Part::Whole);
        check("pages=0-1", 100, Part::Whole);
        check("bytes=x-y", 100, Part::Whole);
        check("bytes=-", 100, Part::Whole);
        check("bytes=99999999999999999999-", 100, Part::Whole);
    }
}
