//! Uploads that can be broken off and gone on with. Refuses to know what is uploaded.

use serde::{Deserialize, Serialize};

/// Header of a piece: the place in the blob where its first byte belongs.
pub const UPLOAD_OFFSET: &str = "upload-offset";
/// Header of a piece: how many bytes the blob has in all.
pub const UPLOAD_LENGTH: &str = "upload-length";

/// How far an upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UploadState {
    /// Bytes that are here: where the next piece begins.
    pub offset: u64,
    /// Whether the blob is stored; then there is nothing to go on with.
    pub complete: bool,
}
