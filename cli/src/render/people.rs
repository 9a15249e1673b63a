//! Accounts, tokens, members, invites and the audit log. Refuses to know a clock.

use crate::render::table::{Cell, layout};
use crate::render::{paint, units};
use skep_api::v1::accounts::{
    AccountInfo, AccountRole, InviteInfo, InviteState, Member, MemberRole, WhoAmI,
};
use skep_api::v1::audit::AuditEntry;
use skep_api::v1::publishers::PublisherInfo;
use skep_api::v1::tokens::{Scope, TokenInfo};
use skep_api::v1::webhooks::{Delivery, DeliveryState, QuotaUse, WebhookInfo};

fn heads<const N: usize>(names: [&str; N]) -> Vec<Cell> {
    names.map(|name| Cell::new(name).paint(paint::dim)).into()
}

fn role(role: MemberRole) -> &'static str {
    match role {
        MemberRole::Owner => "owner",
        MemberRole::Maintainer => "maintainer",
        MemberRole::Reader => "reader",
    }
}

fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Admin => "admin",
        Scope::Account => "account",
        Scope::Publish => "publish",
        Scope::Operate => "operate",
        Scope::ReadFleet => "read-fleet",
    }
}

/// An account with its namespaces.
pub(crate) fn account(account: &AccountInfo) -> String {
    let may = match account.role {
        AccountRole::Member => "member",
        AccountRole::Operator => "operator",
        AccountRole::Admin => "admin",
    };
    let email = account.email.as_deref().map(|email| format!(" · {email}")).unwrap_or_default();
    let mut text = format!("{}  {may}{email}\n", paint::bold(&account.name));
    let rows: Vec<Vec<Cell>> = account
        .namespaces
        .iter()
        .map(|m| vec![Cell::new(m.namespace.clone()), Cell::new(role(m.role))])
        .collect();
    text.push_str(&layout(&rows, 2));
    text
}

/// Who calls, and by what.
pub(crate) fn whoami(who: &WhoAmI, now: i64) -> String {
    let mut text = who.account.as_ref().map(account).unwrap_or_default();
    if let Some(token) = &who.token {
        let limit = token.namespace.as_ref().map(|of| format!(" for {of}")).unwrap_or_default();
        let until = units::ahead(token.expires_at, now);
        text.push_str(&format!(
            "by token '{}' ({}{limit}), which expires {until}\n",
            token.name,
            scope(token.scope)
        ));
    }
    text
}

/// Tokens, one a row.
pub(crate) fn tokens(tokens: &[TokenInfo], now: i64) -> String {
    if tokens.is_empty() {
        return "No token. Make one with `skep token create`.\n".to_owned();
    }
    let mut rows = vec![heads(["id", "name", "scope", "for", "account", "expires", "last used"])];
    rows.extend(tokens.iter().map(|token| {
        vec![
            Cell::new(token.id.clone()),
            Cell::new(token.name.clone()).paint(paint::bold),
            Cell::new(scope(token.scope)),
            Cell::new(token.namespace.clone().unwrap_or_default()),
            Cell::new(token.account.clone().unwrap_or_default()),
            Cell::new(units::ahead(token.expires_at, now)),
            Cell::new(token.last_used_at.map_or("never".to_owned(), |at| units::ago(at, now))),
        ]
    }));
    layout(&rows, 0)
}

/// Members, one a row.
pub(crate) fn members(members: &[Member], now: i64) -> String {
    if members.is_empty() {
        return "No member: an admin claimed this namespace for its keys.\n".to_owned();
    }
    let mut rows = vec![heads(["account", "role", "since"])];
    rows.extend(members.iter().map(|member| {
        vec![
            Cell::new(member.account.clone()).paint(paint::bold),
            Cell::new(role(member.role)),
            Cell::new(units::ago(member.added_at, now)),
        ]
    }));
    layout(&rows, 0)
}

/// Invites, one a row.
pub(crate) fn invites(invites: &[InviteInfo], now: i64) -> String {
    if invites.is_empty() {
        return "No invite.\n".to_owned();
    }
    let mut rows = vec![heads(["id", "role", "invited by", "state", "answered by"])];
    rows.extend(invites.iter().map(|invite| {
        let state = match invite.state {
            InviteState::Open if invite.expires_at <= now => "expired".to_owned(),
            InviteState::Open => format!("open, expires {}", units::ahead(invite.expires_at, now)),
            InviteState::Accepted => "accepted".to_owned(),
            InviteState::Declined => "declined".to_owned(),
            InviteState::Revoked => "revoked".to_owned(),
        };
        vec![
            Cell::new(invite.id.clone()),
            Cell::new(role(invite.role)),
            Cell::new(invite.invited_by.clone()),
            Cell::new(state),
            Cell::new(invite.answered_by.clone().unwrap_or_default()),
        ]
    }));
    layout(&rows, 0)
}

/// Trusted publishers, one a row.
pub(crate) fn publishers(publishers: &[PublisherInfo], now: i64) -> String {
    if publishers.is_empty() {
        return "No trusted publisher.\n".to_owned();
    }
    let mut rows = vec![heads(["id", "issuer", "for", "claims", "added"])];
    rows.extend(publishers.iter().map(|publisher| {
        let claims: Vec<String> =
            publisher.claims.iter().map(|(name, value)| format!("{name}={value}")).collect();
        vec![
            Cell::new(publisher.id.clone()),
            Cell::new(publisher.issuer.clone()).paint(paint::bold),
            Cell::new(publisher.package.clone().unwrap_or_else(|| "every package".to_owned())),
            Cell::new(claims.join(" ")),
            Cell::new(units::ago(publisher.created_at, now)),
        ]
    }));
    layout(&rows, 0)
}

/// Webhooks, one a row.
pub(crate) fn webhooks(webhooks: &[WebhookInfo], now: i64) -> String {
    if webhooks.is_empty() {
        return "No webhook. Make one with `skep namespace webhook add`.\n".to_owned();
    }
    let mut rows = vec![heads(["id", "address", "state", "made"])];
    rows.extend(webhooks.iter().map(|webhook| {
        let state = match (webhook.disabled_at, webhook.failures) {
            (Some(at), _) => format!("disabled {}", units::ago(at, now)),
            (None, 0) => "works".to_owned(),
            (None, failures) => format!("{failures} failures"),
        };
        vec![
            Cell::new(webhook.id.clone()),
            Cell::new(webhook.url.clone()).paint(paint::bold),
            Cell::new(state),
            Cell::new(units::ago(webhook.created_at, now)),
        ]
    }));
    layout(&rows, 0)
}

/// Deliveries, one a row.
pub(crate) fn deliveries(deliveries: &[Delivery], now: i64) -> String {
    if deliveries.is_empty() {
        return "Nothing was delivered yet.\n".to_owned();
    }
    let mut rows = vec![heads(["id", "event", "when", "attempts", "state", "last answer"])];
    rows.extend(deliveries.iter().map(|delivery| {
        let state = match (delivery.state, delivery.due_at) {
            (DeliveryState::Delivered, _) => "delivered".to_owned(),
            (DeliveryState::Failed, _) => "given up".to_owned(),
            (DeliveryState::Pending, due) => {
                format!("tried again {}", units::ahead(due.unwrap_or(now), now))
            }
        };
        let status = delivery.status.map(|status| status.to_string());
        let answer = delivery.problem.clone().or(status).unwrap_or_default();
        vec![
            Cell::new(delivery.id.clone()),
            Cell::new(delivery.event.clone()).paint(paint::bold),
            Cell::new(units::ago(delivery.created_at, now)),
            Cell::number(delivery.attempts.to_string()),
            Cell::new(state),
            Cell::new(answer),
        ]
    }));
    layout(&rows, 0)
}

/// What a namespace holds and may hold.
pub(crate) fn quota(held: &QuotaUse) -> String {
    let row = |what: &str, has: String, most: String| {
        vec![Cell::new(what), Cell::number(has), Cell::new("of"), Cell::number(most)]
    };
    let count = units::count;
    let rows = [
        row("packages", count(held.packages), count(held.packages_max)),
        row("versions in 24 h", count(held.versions_today), count(held.versions_per_day_max)),
        row("size", units::bytes(held.bytes), units::bytes(held.bytes_max)),
    ];
    layout(&rows, 0)
}

/// Entries of the audit log, one a row.
pub(crate) fn audit(entries: &[AuditEntry]) -> String {
    if entries.is_empty() {
        return "Nothing happened.\n".to_owned();
    }
    let mut rows = vec![heads(["time", "who", "what", "namespace", "subject", "from", ""])];
    rows.extend(entries.iter().map(|entry| {
        let at = jiff::Timestamp::from_second(entry.at).unwrap_or_default();
        vec![
            Cell::new(at.to_string()),
            Cell::new(entry.actor.clone()).paint(paint::bold),
            Cell::new(entry.action.clone()),
            Cell::new(entry.namespace.clone().unwrap_or_default()),
            Cell::new(entry.subject.clone()),
            Cell::new(entry.address.clone()),
            Cell::new(entry.detail.clone()).paint(paint::dim),
        ]
    }));
    layout(&rows, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::plain;

    #[test]
    fn an_open_invite_says_for_how_long_and_an_old_one_that_it_expired() {
        let invite = |expires_at| InviteInfo {
            id: "5f".into(),
            namespace: Some("acme".into()),
            role: MemberRole::Maintainer,
            invited_by: "anna".into(),
            created_at: 0,
            expires_at,
            state: InviteState::Open,
            answered_by: None,
        };
        let text = plain(&invites(&[invite(7300), invite(50)], 100));
        assert!(text.contains("5f  maintainer  anna        open, expires in 2 h"), "{text}");
        assert!(text.contains("5f  maintainer  anna        expired"), "{text}");
    }

    #[test]
    fn whoami_names_the_account_and_the_limits_of_its_token() {
        let token = TokenInfo {
            id: "t".into(),
            name: "ci".into(),
            scope: Scope::Publish,
            namespace: Some("acme/ratelimit".into()),
            created_at: 0,
            expires_at: 300,
            account: Some("anna".into()),
            last_used_at: None,
        };
        let who = WhoAmI { account: None, token: Some(token) };
        assert_eq!(
            plain(&whoami(&who, 0)),
            "by token 'ci' (publish for acme/ratelimit), which expires in 5 min\n"
        );
    }
}
