//! The audit log's state in the address. It refuses to know what an entry means: the words in it are the log's own.

use crate::view::link;

/// What of the log is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditState {
    pub action: String,
    pub namespace: String,
    /// Entries before this one; empty for the newest.
    pub before: String,
}

impl AuditState {
    /// The page's address.
    #[must_use]
    pub fn address(&self) -> String {
        format!("/audit{}", self.query(""))
    }

    /// The API's address.
    #[must_use]
    pub fn api(&self) -> String {
        format!("/v1/audit{}", self.query("50"))
    }

    fn query(&self, limit: &str) -> String {
        link::query(&[
            ("action", &self.action),
            ("namespace", &self.namespace),
            ("before", &self.before),
            ("limit", limit),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_holds_the_whole_state() {
        let state = AuditState {
            action: "token.made".into(),
            namespace: "a&b".into(),
            before: "12".into(),
        };
        assert_eq!(state.address(), "/audit?action=token.made&namespace=a%26b&before=12");
        assert_eq!(AuditState::default().address(), "/audit");
        assert_eq!(AuditState::default().api(), "/v1/audit?limit=50");
    }
}
