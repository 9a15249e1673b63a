//! Uploading a blob in pieces, from wherever an earlier attempt stopped. Refuses to know when to try again.

use super::{ANSWER_BYTES_MAX, Client, ClientError};
use crate::v1::uploads::{UPLOAD_LENGTH, UPLOAD_OFFSET, UploadState};
use reqwest::Method;
use reqwest::header::CONTENT_LENGTH;
use skep_artifact::digest::Digest;

/// One piece of a blob: where it begins, how many bytes it has, and how many the blob has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    pub offset: u64,
    pub bytes: u64,
    pub of: u64,
}

impl Client {
    /// How far an upload of this token is; offset 0 when there is none.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn upload_state(&self, digest: &Digest) -> Result<UploadState, ClientError> {
        self.get(&format!("/v1/uploads/{digest}")).await
    }

    /// Sends a piece. After the last one the registry compares the blob with its digest and stores it.
    ///
    /// # Errors
    /// [`ClientError`]; what arrived before the connection broke is kept for a day.
    pub async fn upload_piece(
        &self,
        digest: &Digest,
        piece: Piece,
        body: impl Into<reqwest::Body>,
    ) -> Result<UploadState, ClientError> {
        let request = self
            .request(Method::PATCH, &format!("/v1/uploads/{digest}"))
            .header(UPLOAD_OFFSET, piece.offset)
            .header(UPLOAD_LENGTH, piece.of)
            .header(CONTENT_LENGTH, piece.bytes)
            .body(body);
        let response = self.send(request).await?;
        self.json(response, ANSWER_BYTES_MAX).await
    }
}
