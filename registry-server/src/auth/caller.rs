//! Somebody who proved who they are, and what follows for what they may do. Pure: refuses to know
//! how it was proved.

use crate::store::accounts::Account;
use skep_api::v1::accounts::{AccountRole, MemberRole, Membership};
use skep_api::v1::tokens::{Pattern, Scope, TokenInfo};
use skep_artifact::name::Namespace;

/// What a caller proved themselves by.
#[derive(Clone)]
pub enum Means {
    /// Logged in; the public id of the session.
    Session {
        id: String,
    },
    Token(TokenInfo),
}

/// Somebody with a valid session or token.
#[derive(Clone)]
pub struct Caller {
    /// Who it is, for the record: an account, a token, or an account by a token.
    pub name: String,
    /// Absent for tokens that no account made.
    pub account: Option<Account>,
    pub means: Means,
    namespaces: Vec<Membership>,
}

impl Caller {
    /// An account that logged in.
    #[must_use]
    pub fn by_session(account: Account, id: String, namespaces: Vec<Membership>) -> Self {
        let name = account.name.clone();
        Self { name, account: Some(account), means: Means::Session { id }, namespaces }
    }

    /// The public id of what the caller proved itself with: of the session or of the token.
    #[must_use]
    pub fn credential(&self) -> &str {
        match &self.means {
            Means::Session { id } => id,
            Means::Token(token) => &token.id,
        }
    }

    /// A token, with the account it belongs to.
    #[must_use]
    pub fn by_token(
        token: TokenInfo,
        account: Option<Account>,
        namespaces: Vec<Membership>,
    ) -> Self {
        let name = match &account {
            Some(account) => format!("{} ({})", account.name, token.name),
            None => token.name.clone(),
        };
        Self { name, account, means: Means::Token(token), namespaces }
    }

    /// What rate limits count by: the account, or the token that has none.
    #[must_use]
    pub fn key(&self) -> String {
        match (&self.account, &self.means) {
            (Some(account), _) => account.id.clone(),
            (None, Means::Token(token)) => token.id.clone(),
            (None, Means::Session { id }) => id.clone(),
        }
    }

    /// Namespaces aside, whether it may what a token of this scope may. A token never goes beyond
    /// its account, nor an account's token beyond its own scope.
    #[must_use]
    pub fn may(&self, needed: Scope) -> bool {
        let by_means = match &self.means {
            Means::Session { .. } => true,
            Means::Token(token) => token.scope.covers(needed),
        };
        let by_account = match self.account.as_ref().map(|account| account.role) {
            None | Some(AccountRole::Admin) => true,
            Some(AccountRole::Operator) => needed != Scope::Admin,
            Some(AccountRole::Member) => Scope::Account.covers(needed),
        };
        by_means && by_account
    }

    /// What the account is in a namespace.
    #[must_use]
    pub fn role_in(&self, namespace: &Namespace) -> Option<MemberRole> {
        let found = self.namespaces.iter().find(|m| m.namespace == namespace.as_str());
        found.map(|membership| membership.role)
    }

    /// The namespaces the account is in.
    #[must_use]
    pub fn namespaces(&self) -> &[Membership] {
        &self.namespaces
    }

    /// What the token is limited to, if it is a token and limited.
    fn limited_to(&self) -> Option<Result<Pattern, ()>> {
        match &self.means {
            Means::Session { .. } => None,
            Means::Token(token) => token.namespace.as_ref().map(|text| text.parse().map_err(drop)),
        }
    }

    /// Whether it may publish everything the pattern names.
    #[must_use]
    pub fn may_publish(&self, pattern: &Pattern) -> bool {
        let by_pattern = match self.limited_to() {
            None => self.account.is_some() || self.may(Scope::Admin),
            Some(limit) => limit.is_ok_and(|limit| limit.covers(pattern)),
        };
        let by_membership = match &self.account {
            None => true,
            Some(account) if account.role == AccountRole::Admin => true,
            Some(_) => {
                let role = self.role_in(pattern.namespace());
                role.is_some_and(|role| role <= MemberRole::Maintainer)
            }
        };
        self.may(Scope::Publish) && by_pattern && by_membership
    }

    /// Whether it may hand out a token of this scope, pattern and end: nobody gives what they do
    /// not have, nor for longer.
    #[must_use]
    pub fn may_hand_out(&self, scope: Scope, pattern: Option<&Pattern>, expires_at: i64) -> bool {
        let lasts = match &self.means {
            Means::Session { .. } => true,
            // The first admin token outlives every token it makes; others end before they do.
            Means::Token(token) => token.expires_at >= expires_at,
        };
        let names = match pattern {
            Some(pattern) => self.may_publish(pattern),
            None => self.limited_to().is_none(),
        };
        lasts && names && self.may(scope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(role: AccountRole) -> Account {
        Account { id: "1".into(), name: "anna".into(), email: None, role, created_at: 0 }
    }

    fn token(scope: Scope, namespace: Option<&str>) -> TokenInfo {
        TokenInfo {
            id: "t".into(),
            name: "ci".into(),
            scope,
            namespace: namespace.map(str::to_owned),
            created_at: 0,
            expires_at: 100,
            account: None,
            last_used_at: None,
        }
    }

    fn member(role: MemberRole) -> Vec<Membership> {
        vec![Membership { namespace: "acme".into(), role }]
    }

    fn pattern(text: &str) -> Pattern {
        text.parse().unwrap()
    }

    #[test]
    fn a_token_publishes_what_its_pattern_names_while_its_account_may() {
        let by = |scope, limit, namespaces| {
            let account = Some(account(AccountRole::Member));
            Caller::by_token(token(scope, limit), account, namespaces)
        };
        let publish = |limit, role| by(Scope::Publish, limit, member(role));
        use MemberRole::{Maintainer, Owner, Reader};
        assert!(publish(Some("acme"), Maintainer).may_publish(&pattern("acme/one")));
        assert!(publish(Some("acme/one"), Owner).may_publish(&pattern("acme/one")));
        assert!(!publish(Some("acme/one"), Owner).may_publish(&pattern("acme/two")));
        assert!(!publish(Some("acme/one"), Owner).may_publish(&pattern("acme")));
        assert!(!publish(Some("acme"), Reader).may_publish(&pattern("acme/one")));
        assert!(!publish(Some("../acme"), Owner).may_publish(&pattern("acme/one")));
        let removed = by(Scope::Publish, Some("acme"), Vec::new());
        assert!(!removed.may_publish(&pattern("acme/one")), "removed from the namespace");
        let fleet = by(Scope::ReadFleet, None, member(Owner));
        assert!(!fleet.may_publish(&pattern("acme/one")) && !fleet.may(Scope::ReadFleet));
    }

    #[test]
    fn a_token_without_an_account_is_what_it_says_and_no_more() {
        let bare = |scope, limit| Caller::by_token(token(scope, limit), None, Vec::new());
        assert!(bare(Scope::Admin, None).may_publish(&pattern("acme")));
        assert!(bare(Scope::Publish, Some("acme")).may_publish(&pattern("acme/one")));
        assert!(!bare(Scope::Publish, None).may_publish(&pattern("acme/one")));
        assert!(bare(Scope::Operate, None).may(Scope::ReadFleet));
        assert!(!bare(Scope::Operate, None).may(Scope::Publish));
    }

    #[test]
    fn nobody_hands_out_what_they_do_not_have_nor_for_longer() {
        let acme = pattern("acme");
        let one = pattern("acme/one");
        let publish = Caller::by_token(token(Scope::Publish, Some("acme/one")), None, Vec::new());
        assert!(publish.may_hand_out(Scope::Publish, Some(&one), 100));
        assert!(!publish.may_hand_out(Scope::Publish, Some(&one), 101));
        assert!(!publish.may_hand_out(Scope::Publish, Some(&acme), 100));
        assert!(!publish.may_hand_out(Scope::Publish, None, 100));
        assert!(!publish.may_hand_out(Scope::Account, None, 100));
        assert!(!publish.may_hand_out(Scope::Admin, None, 100));
        let person = Caller::by_session(
            account(AccountRole::Member),
            "s".into(),
            member(MemberRole::Maintainer),
        );
        assert!(person.may_hand_out(Scope::Publish, Some(&acme), i64::MAX));
        assert!(person.may_hand_out(Scope::Account, None, i64::MAX));
        assert!(!person.may_hand_out(Scope::Publish, Some(&pattern("other")), 1));
        for scope in [Scope::Admin, Scope::Operate, Scope::ReadFleet] {
            assert!(!person.may_hand_out(scope, None, 1), "{scope:?}");
        }
        let operator = Caller::by_session(account(AccountRole::Operator), "s".into(), Vec::new());
        assert!(operator.may_hand_out(Scope::Operate, None, 1));
        assert!(!operator.may_hand_out(Scope::Admin, None, 1));
    }
}
