//! Accounts, tokens, members and invites as rows and choices. It refuses to know who may change them: the registry does.

use crate::words;
use skep_api::v1::accounts::{AccountRole, InviteInfo, InviteState, MemberRole};
use skep_api::v1::tokens::{Scope, TokenInfo};
use std::collections::BTreeMap;

/// Where somebody goes after logging in, when nothing else was asked for.
const HOME_OF_ACCOUNTS: &str = "/account";
/// How long tokens may be made to live, in seconds.
const TOKEN_LIVES: [(u64, &str); 4] = [
    (86_400, words::A_DAY),
    (2_592_000, words::THIRTY_DAYS),
    (7_776_000, words::NINETY_DAYS),
    (31_536_000, words::A_YEAR),
];
/// How long invites may be made to live, in seconds.
const INVITE_LIVES: [(u64, &str); 3] =
    [(86_400, words::A_DAY), (604_800, words::A_WEEK), (2_592_000, words::THIRTY_DAYS)];

/// The page that an address asks to be led to: one of ours, and never another site.
#[must_use]
pub fn next_page(asked: Option<&str>) -> &str {
    let own = |path: &&str| {
        path.starts_with('/') && !path.starts_with("//") && !path.contains(['\\', '\n', '\r', '\t'])
    };
    asked.filter(own).unwrap_or(HOME_OF_ACCOUNTS)
}

/// What a role of an account allows.
#[must_use]
pub const fn account_role(role: AccountRole) -> &'static str {
    match role {
        AccountRole::Member => words::ROLE_MEMBER,
        AccountRole::Operator => words::ROLE_OPERATOR,
        AccountRole::Admin => words::ROLE_ADMIN,
    }
}

/// The word of a role in a namespace, as on the wire.
#[must_use]
pub const fn member_role(role: MemberRole) -> &'static str {
    match role {
        MemberRole::Owner => "owner",
        MemberRole::Maintainer => "maintainer",
        MemberRole::Reader => "reader",
    }
}

/// The role that a choice names; the least one when it names none.
#[must_use]
pub fn role_named(name: &str) -> MemberRole {
    let all = [MemberRole::Owner, MemberRole::Maintainer, MemberRole::Reader];
    all.into_iter().find(|role| member_role(*role) == name).unwrap_or(MemberRole::Reader)
}

/// Roles to choose from: name and what it may do.
#[must_use]
pub fn role_choices() -> Vec<(String, String)> {
    let all = [
        (MemberRole::Owner, words::MAY_OWNER),
        (MemberRole::Maintainer, words::MAY_MAINTAINER),
        (MemberRole::Reader, words::MAY_READER),
    ];
    all.map(|(role, may)| (member_role(role).to_owned(), format!("{}: {may}", member_role(role))))
        .into()
}

/// The word of a scope, as on the wire.
#[must_use]
pub const fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Admin => "admin",
        Scope::Account => "account",
        Scope::Publish => "publish",
        Scope::Operate => "operate",
        Scope::ReadFleet => "read-fleet",
    }
}

/// The scope that a choice names.
#[must_use]
pub fn scope_named(name: &str) -> Scope {
    let all = [Scope::Admin, Scope::Account, Scope::Publish, Scope::Operate, Scope::ReadFleet];
    all.into_iter().find(|each| scope(*each) == name).unwrap_or(Scope::Publish)
}

/// Scopes that an account may hand out: name and what it allows.
#[must_use]
pub fn scope_choices(role: AccountRole) -> Vec<(String, String)> {
    let mut all = vec![(Scope::Publish, words::MAY_PUBLISH), (Scope::Account, words::MAY_ACCOUNT)];
    if role >= AccountRole::Operator {
        all.push((Scope::ReadFleet, words::MAY_READ_FLEET));
        all.push((Scope::Operate, words::MAY_OPERATE));
    }
    if role == AccountRole::Admin {
        all.push((Scope::Admin, words::MAY_ADMIN));
    }
    let choice =
        |(each, may): (Scope, &str)| (scope(each).to_owned(), format!("{}: {may}", scope(each)));
    all.into_iter().map(choice).collect()
}

/// How long a token may live: seconds, and what people read.
#[must_use]
pub fn token_lives() -> Vec<(String, String)> {
    TOKEN_LIVES.map(|(secs, text)| (secs.to_string(), text.to_owned())).into()
}

/// How long an invite may live.
#[must_use]
pub fn invite_lives() -> Vec<(String, String)> {
    INVITE_LIVES.map(|(secs, text)| (secs.to_string(), text.to_owned())).into()
}

/// What a token allows: its scope, and for what.
#[must_use]
pub fn token_allows(token: &TokenInfo) -> String {
    match &token.namespace {
        Some(pattern) => format!("{} {pattern}", scope(token.scope)),
        None => scope(token.scope).to_owned(),
    }
}

/// How far an invite is, now.
#[must_use]
pub fn invite_state(invite: &InviteInfo, now: i64) -> &'static str {
    match invite.state {
        InviteState::Open if invite.expires_at <= now => words::INVITE_EXPIRED,
        InviteState::Open => words::INVITE_OPEN,
        InviteState::Accepted => words::INVITE_ACCEPTED,
        InviteState::Declined => words::INVITE_DECLINED,
        InviteState::Revoked => words::INVITE_REVOKED,
    }
}

/// Claims as typed, one `name=value` a line.
///
/// # Errors
/// The line that is none.
pub fn claims(text: &str) -> Result<BTreeMap<String, String>, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let pair = |line: &str| {
        let (name, value) = line.split_once('=').ok_or_else(|| line.to_owned())?;
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || value.is_empty() {
            return Err(line.to_owned());
        }
        Ok((name.to_owned(), value.to_owned()))
    };
    lines.map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_to_another_site() {
        assert_eq!(next_page(Some("/nodes?q=a")), "/nodes?q=a");
        for asked in
            [None, Some("https://evil.example"), Some("//evil.example"), Some("/\\evil"), Some("x")]
        {
            assert_eq!(next_page(asked), "/account", "{asked:?}");
        }
    }

    #[test]
    fn words_on_the_wire_are_those_of_the_api() {
        for (name, _) in role_choices() {
            let text = serde_json::to_value(role_named(&name)).unwrap();
            assert_eq!(text.as_str(), Some(name.as_str()));
        }
        for (name, _) in scope_choices(AccountRole::Admin) {
            let text = serde_json::to_value(scope_named(&name)).unwrap();
            assert_eq!(text.as_str(), Some(name.as_str()));
        }
        assert_eq!(scope_choices(AccountRole::Member).len(), 2);
    }

    #[test]
    fn claims_are_lines() {
        let read = claims("repository=acme/one\n\n workflow = release.yml ").unwrap();
        assert_eq!(read["repository"], "acme/one");
        assert_eq!(read["workflow"], "release.yml");
        assert_eq!(claims("repository"), Err("repository".to_owned()));
        assert_eq!(claims("=x"), Err("=x".to_owned()));
    }

    #[test]
    fn an_open_invite_expires() {
        let mut invite = InviteInfo {
            id: "i".into(),
            namespace: Some("acme".into()),
            role: MemberRole::Reader,
            invited_by: "ada".into(),
            created_at: 0,
            expires_at: 100,
            state: InviteState::Open,
            answered_by: None,
        };
        assert_eq!(invite_state(&invite, 99), words::INVITE_OPEN);
        assert_eq!(invite_state(&invite, 100), words::INVITE_EXPIRED);
        invite.state = InviteState::Accepted;
        assert_eq!(invite_state(&invite, 100), words::INVITE_ACCEPTED);
    }
}
