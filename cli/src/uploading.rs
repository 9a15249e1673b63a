//! Brings blobs into a registry: small ones whole, large ones in pieces that are gone on with when
//! the connection breaks or the program is started again. Refuses to know what the blobs are.

use crate::limits::{
    RESUME_PAUSE_MAX, RESUME_PAUSE_MIN, RESUMES_MAX, UPLOAD_CHUNK_BYTES, UPLOAD_PIECE_BYTES,
    UPLOAD_WHOLE_BYTES_MAX,
};
use crate::output::Output;
use bytes::Bytes;
use futures::stream;
use indicatif::ProgressBar;
use skep_api::client::{Client, ClientError, Piece};
use skep_api::reason::code;
use skep_artifact::layout::Blob;
use std::convert::Infallible;
use std::time::Duration;

/// Uploads one blob that the registry lacks; `bar` moves with its bytes.
///
/// # Errors
/// [`ClientError`] when trying again did not help, or cannot.
pub(crate) async fn upload(
    client: &Client,
    blob: &Blob,
    bar: &ProgressBar,
    out: Output,
) -> Result<(), ClientError> {
    let begun = bar.position();
    let mut attempts = Attempts::default();
    loop {
        bar.set_position(begun);
        let sent = if blob.bytes.len() <= UPLOAD_WHOLE_BYTES_MAX {
            let length = blob.bytes.len() as u64;
            client.put_blob(&blob.digest, body(&blob.bytes, bar), length).await
        } else {
            pieces(client, blob, bar, &mut attempts, out).await
        };
        let Err(error) = sent else { return Ok(()) };
        let Some(pause) = attempts.after(&error) else { return Err(error) };
        out.say(&format!("{error} Going on with the upload."));
        tokio::time::sleep(pause).await;
    }
}

/// Sends what the registry does not have yet, piece by piece.
async fn pieces(
    client: &Client,
    blob: &Blob,
    bar: &ProgressBar,
    attempts: &mut Attempts,
    out: Output,
) -> Result<(), ClientError> {
    let (begun, of) = (bar.position(), blob.bytes.len() as u64);
    let mut state = client.upload_state(&blob.digest).await?;
    if state.offset > 0 && !state.complete {
        out.say(&format!("{} of {of} bytes are there already; going on from here.", state.offset));
    }
    while !state.complete {
        bar.set_position(begun + state.offset);
        let rest = usize::try_from(state.offset).ok().and_then(|at| blob.bytes.get(at..));
        let rest = rest.unwrap_or_default();
        let bytes = &rest[..rest.len().min(UPLOAD_PIECE_BYTES)];
        let piece = Piece { offset: state.offset, bytes: bytes.len() as u64, of };
        state = client.upload_piece(&blob.digest, piece, body(bytes, bar)).await?;
        attempts.progressed();
    }
    bar.set_position(begun + of);
    Ok(())
}

/// How often it was tried without getting on.
#[derive(Debug, Default)]
struct Attempts {
    failed: u32,
}

impl Attempts {
    fn progressed(&mut self) {
        self.failed = 0;
    }

    /// How long to wait before the next try; `None` when another one would not help.
    fn after(&mut self, error: &ClientError) -> Option<Duration> {
        // An upload of ours that another connection of ours went on with in the meantime.
        let moved = error.code() == Some(code::UPLOAD_OFFSET);
        if !(moved || error.is_passing()) || self.failed >= RESUMES_MAX {
            return None;
        }
        let pause = RESUME_PAUSE_MIN.saturating_mul(1 << self.failed);
        self.failed += 1;
        Some(pause.min(RESUME_PAUSE_MAX))
    }
}

/// Bytes as a stream that moves a bar.
fn body(bytes: &[u8], bar: &ProgressBar) -> reqwest::Body {
    let chunks: Vec<Bytes> = bytes.chunks(UPLOAD_CHUNK_BYTES).map(Bytes::copy_from_slice).collect();
    let bar = bar.clone();
    let moving = chunks.into_iter().map(move |chunk| {
        bar.inc(chunk.len() as u64);
        Ok::<_, Infallible>(chunk)
    });
    reqwest::Body::wrap_stream(stream::iter(moving))
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_api::reason::ErrorBody;

    fn refused(status: u16, code: &str) -> ClientError {
        let (code, message) = (code.to_owned(), String::new());
        ClientError::Refused {
            status,
            body: ErrorBody { code, message, hint: None, request_id: String::new() },
        }
    }

    #[test]
    fn only_what_may_pass_is_tried_again_and_not_for_ever() {
        let mut attempts = Attempts::default();
        assert_eq!(attempts.after(&refused(400, code::BLOB_DIGEST)), None);
        assert_eq!(attempts.after(&refused(409, code::UPLOAD_OFFSET)), Some(RESUME_PAUSE_MIN));
        let pauses: Vec<_> =
            std::iter::from_fn(|| attempts.after(&refused(503, code::OVERLOADED))).collect();
        assert_eq!(pauses.len(), RESUMES_MAX as usize - 1);
        assert!(pauses.is_sorted() && pauses.iter().all(|pause| *pause <= RESUME_PAUSE_MAX));
        attempts.progressed();
        assert_eq!(attempts.after(&refused(503, code::OVERLOADED)), Some(RESUME_PAUSE_MIN));
    }
}
