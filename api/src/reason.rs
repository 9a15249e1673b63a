//! Stable, machine-readable reasons. A code, once released, keeps its meaning.

use serde::{Deserialize, Serialize};

/// The one error envelope of the HTTP API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErrorBody {
    /// One of the constants of [`code`], or the code of a refusal of `trust` or `artifact`.
    pub code: String,
    /// What happened and why, one or two sentences.
    pub message: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Finds the request in the server's log.
    #[serde(default)]
    pub request_id: String,
}

/// The codes the server itself gives.
pub mod code {
    pub const UNAUTHORISED: &str = "auth.missing_or_wrong_token";
    pub const FORBIDDEN: &str = "auth.not_allowed";
    pub const WRONG_LOGIN: &str = "auth.wrong_login";
    pub const CROSS_SITE: &str = "auth.cross_site";
    pub const ACCOUNT_NAME: &str = "account.name_refused";
    pub const ACCOUNT_TAKEN: &str = "account.name_taken";
    pub const ACCOUNT_PASSWORD: &str = "account.password_refused";
    pub const SIGN_UP_CLOSED: &str = "account.sign_up_closed";
    pub const INVITE_UNUSABLE: &str = "invite.unusable";
    pub const LAST_OWNER: &str = "namespace.last_owner";
    pub const TOKEN_REFUSED: &str = "trusted_publishing.token_refused";
    pub const TOKEN_REPLAYED: &str = "trusted_publishing.token_replayed";
    pub const ISSUER_UNREACHABLE: &str = "oidc.issuer_unreachable";
    pub const LOGIN_REFUSED: &str = "oidc.login_refused";
    pub const QUOTA: &str = "namespace.quota_exceeded";
    pub const TOO_MANY: &str = "request.too_many";
    pub const NOT_FOUND: &str = "request.not_found";
    pub const MALFORMED: &str = "request.malformed";
    pub const TOO_LARGE: &str = "request.too_large";
    pub const INTERNAL: &str = "server.internal";
    pub const STORAGE_FULL: &str = "server.storage_full";
    pub const OVERLOADED: &str = "server.overloaded";
    pub const DATABASE_DOWN: &str = "server.database_down";
    pub const BLOB_STORE_DOWN: &str = "server.blob_store_down";
    pub const BLOB_DIGEST: &str = "blob.digest_mismatch";
    pub const UPLOAD_OFFSET: &str = "upload.other_offset";
    pub const UPLOAD_TOO_MANY: &str = "upload.too_many";
    pub const BLOB_MISSING: &str = "blob.missing";
    pub const VERSION_EXISTS: &str = "package.version_exists";
    pub const PACKAGE_REFUSED: &str = "package.refused";
    pub const PACKAGE_TOMBSTONED: &str = "package.tombstoned";
    pub const RELEASE_NOT_NEWER: &str = "package.release_not_newer";
    pub const SIGNATURE_UNTRUSTED: &str = "package.signature_untrusted";
    pub const ROLE_CONFLICT: &str = "namespace.role_conflict";
    pub const ROLE_OLDER: &str = "namespace.role_older";
    pub const ROLE_FORKED: &str = "namespace.role_forked";
    pub const TASK_RUNNING: &str = "task.running";
    pub const NAMESPACE_EXISTS: &str = "namespace.exists";
    pub const TRUST_REFUSED: &str = "trust.refused";
    pub const TRUST_VERSION: &str = "trust.version_conflict";
    pub const TRUST_ROOT_MISSING: &str = "trust.no_root";
    pub const POLICY_REFUSED: &str = "policy.refused";
    pub const POLICY_STALE: &str = "policy.revision_not_newer";
    pub const ATTESTATION_MEDIA_TYPE: &str = "attestation.media_type";
    pub const ATTESTATION_DOCUMENT: &str = "attestation.malformed";
    pub const ATTESTATION_TOO_MANY: &str = "attestation.too_many";
    pub const ATTESTATION_EXISTS: &str = "attestation.exists";
    pub const LOG_NOT_WITNESSED: &str = "log.not_witnessed";
    pub const LOG_OTHER_HISTORY: &str = "log.other_history";
    pub const LOG_NO_COSIGNATURE: &str = "log.no_cosignature";
    pub const DOCUMENT_REFUSED: &str = "document.refused";
    pub const SET_STALE: &str = "set.not_newer";
    pub const APPROVAL_STALE: &str = "approval.other_revision";
    pub const ROLLOUT_STATE: &str = "rollout.not_now";
    pub const NODE_TOKEN: &str = "node.token_refused";
    pub const NODE_EXISTS: &str = "node.name_taken";
}
