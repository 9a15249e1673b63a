//! The audit log on the wire: who did what when.

use serde::{Deserialize, Serialize};

/// Entries in a page when the caller names no number, and at most.
pub const AUDIT_PAGE_DEFAULT: u32 = 100;
pub const AUDIT_PAGE_MAX: u32 = 1000;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditEntry {
    /// Grows with every entry.
    pub id: i64,
    pub at: i64,
    /// An account, a token, or an account by a token.
    pub actor: String,
    /// One of [`action`].
    pub action: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// What it was done to.
    pub subject: String,
    /// What else there is to say, in a few words.
    pub detail: String,
    /// The address it came from.
    pub address: String,
}

/// Which entries to show.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct AuditQuery {
    /// Only this namespace; without it an admin sees everything, others what they did themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Only this action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Entries before this one: `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<i64>,
    /// 1 to 1000; 100 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Entries, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditPage {
    pub entries: Vec<AuditEntry>,
    /// What `before` has to be for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
}

/// What can happen. A word, once released, keeps its meaning.
pub mod action {
    pub const SIGNED_UP: &str = "account.signed_up";
    pub const LOGGED_IN: &str = "account.logged_in";
    pub const LOGIN_FAILED: &str = "account.login_failed";
    pub const LOGGED_OUT: &str = "account.logged_out";
    pub const PASSWORD_CHANGED: &str = "account.password_changed";
    pub const IDENTITY_LINKED: &str = "account.identity_linked";
    pub const ROLE_CHANGED: &str = "account.role_changed";
    pub const NAMESPACE_CLAIMED: &str = "namespace.claimed";
    pub const QUOTA_CHANGED: &str = "namespace.quota_changed";
    pub const MEMBER_CHANGED: &str = "member.changed";
    pub const MEMBER_REMOVED: &str = "member.removed";
    pub const INVITE_MADE: &str = "invite.made";
    pub const INVITE_ACCEPTED: &str = "invite.accepted";
    pub const INVITE_DECLINED: &str = "invite.declined";
    pub const INVITE_REVOKED: &str = "invite.revoked";
    pub const TOKEN_MADE: &str = "token.made";
    pub const TOKEN_REVOKED: &str = "token.revoked";
    pub const TOKEN_EXCHANGED: &str = "token.exchanged";
    pub const TOKEN_EXCHANGE_REFUSED: &str = "token.exchange_refused";
    pub const PUBLISHER_ADDED: &str = "trusted_publisher.added";
    pub const PUBLISHER_REMOVED: &str = "trusted_publisher.removed";
    pub const PUBLISHED: &str = "package.published";
    pub const ADOPTED: &str = "package.adopted";
    pub const WEBHOOK_MADE: &str = "webhook.made";
    pub const WEBHOOK_REMOVED: &str = "webhook.removed";
    pub const WEBHOOK_SECRET_READ: &str = "webhook.secret_read";
    pub const ROLLOUT_WISHED: &str = "rollout.wished";
    pub const FREEZE_SET: &str = "freeze.set";
    pub const FREEZE_REMOVED: &str = "freeze.removed";
}
