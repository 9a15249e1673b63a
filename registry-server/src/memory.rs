//! Answers to reads that everybody may make, kept in memory and given again while the database does not answer: an
//! answer that is a little old is better than none. What the OCI API looks up is remembered in [`crate::oci::lookups`].
//! Refuses to know what an answer says.

use crate::app::App;
use crate::clock;
use crate::error::DatabaseAway;
use axum::body::{Body, HttpBody as _};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use lru::LruCache;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What all answers together may take: the pages, role files and trust documents of some 10,000 packages.
const ANSWERS_BYTES_MAX: usize = 64 << 20;
/// The longest answer that is kept: the largest role file, and the snapshot of a registry of 10,000 namespaces.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// How old an answer may get before it is kept anew, in seconds: what is asked for all the time is copied once in
/// this time.
const RENEW_SECS: i64 = 2;
/// How often it is looked whether the database is back.
const PROBE_EVERY: Duration = Duration::from_millis(500);
/// How long it may take to answer then.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// What keeping one answer costs besides its body and its address.
const OVERHEAD_BYTES: usize = 512;

/// Headers that belong to an answer's content; all others are made anew.
const KEPT_HEADERS: [header::HeaderName; 3] =
    [header::CONTENT_TYPE, header::ETAG, header::CACHE_CONTROL];

struct Kept {
    headers: HeaderMap,
    body: Bytes,
    at: i64,
}

struct Inner {
    answers: LruCache<String, Kept>,
    bytes: usize,
}

/// The bounded memory of answers, and whether it is needed now.
pub struct Memory {
    inner: Mutex<Inner>,
    /// Routes whose answers are the same for everybody, as the router names them.
    public: HashSet<String>,
    away: AtomicBool,
    failed: tokio::sync::Notify,
}

impl Memory {
    /// Empty, for these routes.
    #[must_use]
    pub fn of(public: HashSet<String>) -> Self {
        let inner = Inner { answers: LruCache::unbounded(), bytes: 0 };
        Self {
            inner: Mutex::new(inner),
            public,
            away: AtomicBool::new(false),
            failed: tokio::sync::Notify::new(),
        }
    }

    /// Whether the database did not answer when it was asked last.
    #[must_use]
    pub fn is_needed(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }

    /// Notes that the database did not answer.
    pub fn database_failed(&self) {
        if !self.away.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "the database does not answer; what was read lately is served from memory"
            );
            self.failed.notify_one();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_due(&self, key: &str, now: i64) -> bool {
        self.lock().answers.peek(key).is_none_or(|kept| kept.at + RENEW_SECS <= now)
    }

    fn keep(&self, key: String, kept: Kept) {
        let size = cost(&key, &kept.body);
        let mut inner = self.lock();
        inner.bytes += size;
        if let Some((key, before)) = inner.answers.push(key, kept) {
            inner.bytes -= cost(&key, &before.body);
        }
        while inner.bytes > ANSWERS_BYTES_MAX
            && let Some((key, oldest)) = inner.answers.pop_lru()
        {
            inner.bytes -= cost(&key, &oldest.body);
        }
    }

    /// The answer to give while there is no better one.
    fn answer(&self, key: &str, now: i64) -> Option<Response> {
        let mut inner = self.lock();
        let kept = inner.answers.get(key)?;
        let age = now.saturating_sub(kept.at).max(0);
        let mut response = (kept.headers.clone(), kept.body.clone()).into_response();
        response.headers_mut().insert(header::AGE, HeaderValue::from(age));
        let stale = HeaderValue::from_static("110 - \"Response is Stale\"");
        response.headers_mut().insert(header::WARNING, stale);
        Some(response)
    }

    fn forget(&self, key: &str) {
        let mut inner = self.lock();
        if let Some(kept) = inner.answers.pop(key) {
            inner.bytes -= cost(key, &kept.body);
        }
    }
}

fn cost(key: &str, body: &Bytes) -> usize {
    key.len() + body.len() + OVERHEAD_BYTES
}

/// Remembers what is read, and gives it again while the database is away.
pub async fn remember(State(app): State<App>, request: Request, next: Next) -> Response {
    let memory = &app.memory;
    let key = key(memory, &request);
    if memory.is_needed()
        && let Some(answer) = key.as_ref().and_then(|key| memory.answer(key, clock::now()))
    {
        return answer;
    }
    let response = next.run(request).await;
    let away = response.extensions().get::<DatabaseAway>().is_some();
    if away {
        memory.database_failed();
    }
    match (key, response.status()) {
        (Some(key), _) if away => memory.answer(&key, clock::now()).unwrap_or(response),
        (Some(key), StatusCode::OK) => keep(memory, key, response).await,
        (Some(key), StatusCode::NOT_FOUND | StatusCode::GONE) => {
            memory.forget(&key);
            response
        }
        _ => response,
    }
}

/// By what an answer is remembered; `None` for what is not.
fn key(memory: &Memory, request: &Request) -> Option<String> {
    let route = request.extensions().get::<MatchedPath>()?.as_str();
    let path = request.uri().path();
    let listed =
        route.starts_with("/v2/") && (path.ends_with("/tags/list") || path.contains("/referrers/"));
    // The document writes the rest of an address like any other part of one.
    let public = memory.public.contains(route)
        || (route.contains("{*") && memory.public.contains(&route.replace("{*", "{")));
    if request.method() != Method::GET || !(listed || public) {
        return None;
    }
    request.uri().path_and_query().map(|path| path.as_str().to_owned())
}

async fn keep(memory: &Memory, key: String, response: Response) -> Response {
    let (parts, body) = response.into_parts();
    // Only what is whole in memory already: a stream is somebody's download.
    let length = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
    let now = clock::now();
    let private = parts.headers.contains_key(header::SET_COOKIE);
    if private || length.is_none_or(|l| l > ANSWER_BYTES_MAX) || !memory.is_due(&key, now) {
        return Response::from_parts(parts, body);
    }
    let Ok(whole) = body.collect().await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let body = whole.to_bytes();
    let mut headers = HeaderMap::new();
    for name in KEPT_HEADERS {
        if let Some(value) = parts.headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    memory.keep(key, Kept { headers, body: body.clone(), at: now });
    Response::from_parts(parts, Body::from(body))
}

/// Waits until the database fails, then until it is back, for as long as the server runs.
pub async fn watch(app: App) {
    loop {
        tokio::select! {
            () = app.memory.failed.notified() => {}
            () = app.stopping.cancelled() => return,
        }
        while app.memory.is_needed() {
            tokio::select! {
                () = tokio::time::sleep(PROBE_EVERY) => {}
                () = app.stopping.cancelled() => return,
            }
            if let Ok(Ok(())) = tokio::time::timeout(PROBE_TIMEOUT, app.store.ping()).await {
                app.memory.away.store(false, Ordering::Relaxed);
                tracing::info!("the database answers again");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(bytes: usize) -> Kept {
        Kept { headers: HeaderMap::new(), body: Bytes::from(vec![0; bytes]), at: 10 }
    }

    #[test]
    fn the_memory_keeps_to_its_limit_and_forgets_what_was_asked_for_least_lately() {
        let memory = Memory::of(HashSet::new());
        let each = 1 << 20;
        for number in 0..100 {
            memory.keep(format!("/{number}"), kept(each));
            assert!(memory.answer("/0", 11).is_some() || number > 0, "{number}");
        }
        assert!(memory.lock().bytes <= ANSWERS_BYTES_MAX);
        assert!(memory.answer("/0", 11).is_some(), "it was asked for each time");
        assert!(memory.answer("/1", 11).is_none());
        assert_eq!(memory.answer("/99", 15).unwrap().headers()[header::AGE], "5");
        // The same once more costs nothing more.
        let before = memory.lock().bytes;
        memory.keep("/99".to_owned(), kept(each));
        assert_eq!(memory.lock().bytes, before);
        memory.forget("/99");
        assert!(memory.answer("/99", 15).is_none());
        assert!(memory.lock().bytes < before);
    }
}
