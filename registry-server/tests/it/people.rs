//! Accounts, sessions, members, invites and tokens, as people use them.

use crate::world::{Package, Publisher, World, client, refusal};
use skep_api::client::Client;
use skep_api::v1::accounts::{
    AccountRole, AnswerInvite, ChangePassword, CreateInvite, InviteAnswer, LogIn, MemberRole,
    SignUp,
};
use skep_api::v1::audit::{AuditQuery, action};
use skep_api::v1::namespaces::ClaimNamespace;
use skep_api::v1::tokens::{CreateToken, Scope};
use skep_artifact::key::SecretKey;
use skep_artifact::name::Namespace;

pub(crate) const PASSWORD: &str = "correct horse battery";

pub(crate) fn wish(name: &str) -> SignUp {
    SignUp { name: name.into(), password: PASSWORD.into(), email: None, invite: None }
}

pub(crate) fn login(name: &str) -> LogIn {
    LogIn { name: name.into(), password: PASSWORD.into() }
}

/// Signs up and logs in.
pub(crate) async fn person(world: &World, name: &str) -> Client {
    world.anonymous().sign_up(&wish(name)).await.unwrap();
    let done = world.anonymous().log_in(&login(name)).await.unwrap();
    world.client(Some(&done.session.unwrap()))
}

pub(crate) fn claim(name: &str) -> ClaimNamespace {
    let key = SecretKey::from_seed([7; 32]).public();
    ClaimNamespace { name: name.parse().unwrap(), keys: vec![key], threshold: 1 }
}

pub(crate) fn token(scope: Scope, namespace: Option<&str>) -> CreateToken {
    CreateToken {
        name: "ci".to_owned(),
        scope,
        namespace: namespace.map(str::to_owned),
        valid_secs: 3600,
    }
}

pub(crate) async fn join(owner: &Client, namespace: &Namespace, who: &Client, role: MemberRole) {
    let made = owner.invite(namespace, &CreateInvite { role, valid_secs: 600 }).await.unwrap();
    let answer = AnswerInvite { secret: made.secret, answer: InviteAnswer::Accept };
    who.answer_invite(&answer).await.unwrap();
}

#[tokio::test]
async fn somebody_signs_up_claims_a_namespace_and_publishes_with_a_token_of_their_own() {
    let world = World::open().await;
    let anna = person(&world, "anna").await;
    anna.claim_namespace(&claim("acme")).await.unwrap();
    let who = anna.whoami().await.unwrap();
    let account = who.account.unwrap();
    assert_eq!((account.name.as_str(), account.role), ("anna", AccountRole::Member));
    assert_eq!(account.namespaces[0].role, MemberRole::Owner);
    assert!(who.token.is_none());

    let made = anna.create_token(&token(Scope::Publish, Some("acme/*"))).await.unwrap();
    let publisher = Publisher {
        client: client(&world.address, Some(&made.secret)),
        namespace: "acme".parse().unwrap(),
        key: SecretKey::from_seed([7; 32]),
        secret: made.secret.clone(),
    };
    publisher.publish(&Package::new("acme/one", "1.0.0")).await.unwrap();
    let listed = anna.tokens().await.unwrap().tokens;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].account.as_deref(), Some("anna"));
    assert!(listed[0].last_used_at.is_some());

    // The session publishes as well; the token of one package publishes only that.
    let by_session = Publisher { client: anna.clone(), ..publisher };
    by_session.publish(&Package::new("acme/two", "1.0.0")).await.unwrap();
    let narrow = anna.create_token(&token(Scope::Publish, Some("acme/one"))).await.unwrap();
    let narrow = Publisher { client: client(&world.address, Some(&narrow.secret)), ..by_session };
    let refused = refusal(narrow.publish(&Package::new("acme/two", "2.0.0")).await);
    assert_eq!(refused, (403, "auth.not_allowed".into()));
    narrow.publish(&Package::new("acme/one", "2.0.0")).await.unwrap();

    // Withdrawn is withdrawn.
    anna.revoke_token(&made.info.id).await.unwrap();
    assert_eq!(refusal(world.client(Some(&made.secret)).whoami().await).0, 401);
}

#[tokio::test]
async fn who_may_sign_up_is_for_the_operator_to_say() {
    let closed = World::with(&[("SKEP_REGISTRY_SIGN_UP", "closed")]).await;
    let refused = refusal(closed.anonymous().sign_up(&wish("anna")).await);
    assert_eq!(refused, (403, "account.sign_up_closed".into()));

    let invited = World::start().await;
    let refused = refusal(invited.anonymous().sign_up(&wish("anna")).await);
    assert_eq!(refused, (403, "account.sign_up_closed".into()));
    let invite = CreateInvite { role: MemberRole::Reader, valid_secs: 600 };
    let made = invited.admin().invite_to_sign_up(&invite).await.unwrap();
    let with = |name: &str| SignUp { invite: Some(made.secret.clone()), ..wish(name) };
    invited.anonymous().sign_up(&with("anna")).await.unwrap();
    let again = refusal(invited.anonymous().sign_up(&with("bob")).await);
    assert_eq!(again, (403, "invite.unusable".into()), "single use");
    let anna = invited.anonymous().log_in(&login("anna")).await.unwrap();
    let anna = invited.client(anna.session.as_deref());
    assert_eq!(refusal(anna.invite_to_sign_up(&invite).await).0, 403, "only admins invite");
}

#[tokio::test]
async fn names_that_mean_something_or_look_like_anothers_are_refused() {
    let world = World::open().await;
    person(&world, "paypal").await;
    let code = async |name: &str| refusal(world.anonymous().sign_up(&wish(name)).await);
    assert_eq!(code("admin").await, (422, "account.name_refused".into()));
    assert_eq!(code("supp0rt").await, (422, "account.name_refused".into()));
    assert_eq!(code("Anna").await, (422, "account.name_refused".into()));
    assert_eq!(code("paypa1").await, (409, "account.name_taken".into()));
    assert_eq!(code("pay-pal").await, (409, "account.name_taken".into()));
    let short = SignUp { password: "short".into(), ..wish("bob") };
    let refused = refusal(world.anonymous().sign_up(&short).await);
    assert_eq!(refused, (422, "account.password_refused".into()));
    let bob = person(&world, "bob").await;
    bob.claim_namespace(&claim("acme")).await.unwrap();
    let refused = refusal(bob.claim_namespace(&claim("acrne")).await);
    assert_eq!(refused, (409, "account.name_taken".into()));
    world.admin().claim_namespace(&claim("acrne")).await.unwrap();
}

#[tokio::test]
async fn a_namespace_always_has_an_owner_and_roles_say_who_publishes() {
    let world = World::open().await;
    let (anna, bob) = (person(&world, "anna").await, person(&world, "bob").await);
    let namespace: Namespace = "acme".parse().unwrap();
    anna.claim_namespace(&claim("acme")).await.unwrap();
    let last = (409, "namespace.last_owner".to_owned());
    assert_eq!(refusal(anna.remove_member(&namespace, "anna").await), last);
    let change = anna.change_member(&namespace, "anna", MemberRole::Maintainer).await;
    assert_eq!(refusal(change), last);

    let publish = token(Scope::Publish, Some("acme"));
    assert_eq!(refusal(bob.create_token(&publish).await).0, 403, "a stranger");
    assert_eq!(refusal(bob.members(&namespace).await).0, 403);
    join(&anna, &namespace, &bob, MemberRole::Reader).await;
    assert_eq!(refusal(bob.create_token(&publish).await).0, 403, "a reader");
    anna.change_member(&namespace, "bob", MemberRole::Maintainer).await.unwrap();
    let made = bob.create_token(&publish).await.unwrap();
    let bobs = world.client(Some(&made.secret));
    let package = Package::new("acme/one", "1.0.0");
    let publisher = Publisher {
        client: bobs,
        namespace: namespace.clone(),
        key: SecretKey::from_seed([7; 32]),
        secret: made.secret.clone(),
    };
    publisher.publish(&package).await.unwrap();
    let invite = CreateInvite { role: MemberRole::Owner, valid_secs: 600 };
    assert_eq!(refusal(bob.invite(&namespace, &invite).await).0, 403, "maintainers do not invite");
    assert_eq!(refusal(bob.remove_member(&namespace, "anna").await).0, 403);

    // Removed, the token he made is worth nothing there.
    anna.remove_member(&namespace, "bob").await.unwrap();
    let refused = refusal(publisher.publish(&Package::new("acme/one", "1.1.0")).await);
    assert_eq!(refused, (403, "auth.not_allowed".into()));
    // With a second owner the first may leave.
    join(&anna, &namespace, &bob, MemberRole::Owner).await;
    anna.remove_member(&namespace, "anna").await.unwrap();
    assert_eq!(bob.members(&namespace).await.unwrap().members.len(), 1);
}

#[tokio::test]
async fn two_owners_who_leave_at_the_same_moment_do_not_both_leave() {
    let world = World::open().await;
    let (anna, bob) = (person(&world, "anna").await, person(&world, "bob").await);
    for round in 0..5 {
        let namespace: Namespace =
            format!("acme-{}", ["k", "q", "x", "z", "w"][round]).parse().unwrap();
        anna.claim_namespace(&claim(namespace.as_str())).await.unwrap();
        join(&anna, &namespace, &bob, MemberRole::Owner).await;
        let (one, two) = tokio::join!(
            anna.remove_member(&namespace, "anna"),
            bob.remove_member(&namespace, "bob")
        );
        assert_eq!([one.is_ok(), two.is_ok()].iter().filter(|left| **left).count(), 1);
        assert_eq!(world.admin().members(&namespace).await.unwrap().members.len(), 1);
    }
}

#[tokio::test]
async fn a_changed_password_ends_other_sessions_and_what_happened_is_written_down() {
    let world = World::open().await;
    let anna = person(&world, "anna").await;
    let other = world.anonymous().log_in(&login("anna")).await.unwrap().session.unwrap();
    let other = world.client(Some(&other));
    other.whoami().await.unwrap();
    let change = |old: &str| ChangePassword { old: old.into(), new: "another long one".into() };
    let refused = refusal(anna.change_password(&change("wrong wrong wrong")).await);
    assert_eq!(refused, (401, "auth.wrong_login".into()));
    anna.change_password(&change(PASSWORD)).await.unwrap();
    anna.whoami().await.unwrap();
    assert_eq!(refusal(other.whoami().await).0, 401);
    assert_eq!(refusal(world.anonymous().log_in(&login("anna")).await).0, 401);
    anna.log_out().await.unwrap();
    assert_eq!(refusal(anna.whoami().await).0, 401);

    let page = world.admin().audit(&AuditQuery::default()).await.unwrap();
    let seen: Vec<&str> = page.entries.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(
        seen,
        [
            action::LOGGED_OUT,
            action::LOGIN_FAILED,
            action::PASSWORD_CHANGED,
            action::LOGIN_FAILED,
            action::LOGGED_IN,
            action::LOGGED_IN,
            action::SIGNED_UP
        ]
    );
    assert!(page.entries.iter().all(|entry| entry.address == "127.0.0.1"));
}

#[tokio::test]
async fn the_audit_log_is_paged_and_shows_each_what_is_theirs() {
    let world = World::open().await;
    let (anna, bob) = (person(&world, "anna").await, person(&world, "bob").await);
    anna.claim_namespace(&claim("acme")).await.unwrap();
    let of = |namespace: &str| AuditQuery {
        namespace: Some(namespace.to_owned()),
        ..AuditQuery::default()
    };
    let entries = anna.audit(&of("acme")).await.unwrap().entries;
    assert_eq!(entries[0].action, action::NAMESPACE_CLAIMED);
    assert_eq!(refusal(bob.audit(&of("acme")).await).0, 403);
    let own = bob.audit(&AuditQuery::default()).await.unwrap().entries;
    assert!(!own.is_empty() && own.iter().all(|entry| entry.actor == "bob"), "{own:?}");
    let mut seen = Vec::new();
    let mut before = None;
    loop {
        let query = AuditQuery { before, limit: Some(2), ..AuditQuery::default() };
        let page = world.admin().audit(&query).await.unwrap();
        seen.extend(page.entries.iter().map(|entry| entry.id));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    let all = world.admin().audit(&AuditQuery::default()).await.unwrap().entries;
    assert_eq!(seen, all.iter().map(|entry| entry.id).collect::<Vec<_>>());
    assert!(seen.windows(2).all(|pair| pair[0] > pair[1]) && seen.len() >= 5);
}

#[tokio::test]
async fn an_operator_runs_the_fleet_and_nothing_else() {
    let world = World::open().await;
    let anna = person(&world, "anna").await;
    assert_eq!(refusal(anna.nodes().await).0, 403);
    world.admin().change_role("anna", AccountRole::Operator).await.unwrap();
    anna.nodes().await.unwrap();
    assert_eq!(refusal(anna.change_role("anna", AccountRole::Admin).await).0, 403);
    let operate = anna.create_token(&token(Scope::Operate, None)).await.unwrap();
    let by_token = world.client(Some(&operate.secret));
    by_token.nodes().await.unwrap();
    assert_eq!(refusal(by_token.claim_namespace(&claim("acme")).await).0, 403);
    // The token does not outlast the role.
    world.admin().change_role("anna", AccountRole::Member).await.unwrap();
    assert_eq!(refusal(by_token.nodes().await).0, 403);
}
