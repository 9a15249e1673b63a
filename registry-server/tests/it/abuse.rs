//! What people's doors are tried with: other sites' pages, planted sessions, used invites, tokens
//! that want more, and questions about who exists.

use crate::people::{PASSWORD, claim, join, login, person, token, wish};
use crate::world::{World, http, refusal};
use serde_json::json;
use skep_api::v1::accounts::{AnswerInvite, CreateInvite, InviteAnswer, LogIn, MemberRole};
use skep_api::v1::tokens::{CreateToken, Scope};
use skep_artifact::name::Namespace;
use std::time::{Duration, Instant};

/// Logs in as a browser does and returns the cookie.
async fn cookie_of(world: &World, name: &str, brought: Option<&str>) -> String {
    let mut request = http()
        .post(format!("{}/v1/sessions", world.address))
        .header("x-skep-csrf", "1")
        .header("origin", &world.address)
        .json(&json!({ "name": name, "password": PASSWORD }));
    if let Some(cookie) = brought {
        request = request.header("cookie", cookie);
    }
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    for part in ["__Host-skep-session=skeps_", "Path=/", "Secure", "HttpOnly", "SameSite=Strict"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let body: serde_json::Value = answer.json().await.unwrap();
    assert!(body.get("session").is_none(), "the page's scripts never see the secret");
    cookie.split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn another_sites_page_cannot_act_with_the_cookie() {
    let world = World::open().await;
    person(&world, "anna").await;
    let cookie = cookie_of(&world, "anna", None).await;
    let claim = serde_json::to_value(claim("acme")).unwrap();
    let ask = async |headers: &[(&str, &str)]| {
        let mut request = http()
            .post(format!("{}/v1/namespaces", world.address))
            .header("cookie", &cookie)
            .json(&claim);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let body: serde_json::Value = answer.json().await.unwrap();
        (status, body["code"].as_str().unwrap_or_default().to_owned())
    };
    let refused = (403, "auth.cross_site".to_owned());
    assert_eq!(ask(&[]).await, refused);
    assert_eq!(ask(&[("origin", "https://evil.example")]).await, refused);
    let both = [("origin", "https://evil.example"), ("x-skep-csrf", "1")];
    assert_eq!(ask(&both).await, refused);
    assert_eq!(ask(&[("origin", "null"), ("x-skep-csrf", "1")]).await, refused);
    assert_eq!(ask(&[("origin", &world.address)]).await, refused);
    // No answer lets another site send the header in the first place.
    let preflight = http()
        .request(reqwest::Method::OPTIONS, format!("{}/v1/namespaces", world.address))
        .header("origin", "https://evil.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "x-skep-csrf")
        .send()
        .await
        .unwrap();
    assert!(!preflight.headers().contains_key("access-control-allow-origin"));
    assert_eq!(ask(&[("origin", &world.address), ("x-skep-csrf", "1")]).await.0, 201);
    // Reading needs no more than the cookie.
    let who = http()
        .get(format!("{}/v1/whoami", world.address))
        .header("cookie", &cookie)
        .send()
        .await
        .unwrap();
    assert_eq!(who.status(), 200);
}

#[tokio::test]
async fn another_site_cannot_log_its_visitor_in() {
    let world = World::open().await;
    person(&world, "mallory").await;
    let form = http()
        .post(format!("{}/v1/sessions", world.address))
        .header("origin", "https://evil.example")
        .header("content-type", "text/plain")
        .body(json!({ "name": "mallory", "password": PASSWORD }).to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(form.status(), 403);
    assert!(!form.headers().contains_key("set-cookie"));
}

#[tokio::test]
async fn a_planted_session_is_not_taken_over_by_a_login() {
    let world = World::open().await;
    person(&world, "mallory").await;
    person(&world, "anna").await;
    let planted = cookie_of(&world, "mallory", None).await;
    let fresh = cookie_of(&world, "anna", Some(&planted)).await;
    assert_ne!(planted, fresh);
    let who = async |cookie: &str| {
        let url = format!("{}/v1/whoami", world.address);
        let answer = http().get(url).header("cookie", cookie).send().await.unwrap();
        let status = answer.status().as_u16();
        let body: serde_json::Value = answer.json().await.unwrap();
        (status, body["account"]["name"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(who(&fresh).await, (200, "anna".to_owned()));
    assert_eq!(who(&planted).await.0, 401, "the session before ended");
    let invented = format!("__Host-skep-session=skeps_{}", "0".repeat(64));
    let after = cookie_of(&world, "anna", Some(&invented)).await;
    assert_ne!(after, invented);
}

#[tokio::test]
async fn an_invite_is_answered_once_by_whoever_is_first() {
    let world = World::open().await;
    let owner = person(&world, "anna").await;
    let guests = [person(&world, "bob").await, person(&world, "carl").await];
    let namespace: Namespace = "acme".parse().unwrap();
    owner.claim_namespace(&claim("acme")).await.unwrap();
    let make = async || {
        let wish = CreateInvite { role: MemberRole::Maintainer, valid_secs: 600 };
        owner.invite(&namespace, &wish).await.unwrap()
    };
    let answer = |secret: &str, answer| AnswerInvite { secret: secret.to_owned(), answer };
    let made = make().await;
    let accept = answer(&made.secret, InviteAnswer::Accept);
    let (one, two) =
        tokio::join!(guests[0].answer_invite(&accept), guests[1].answer_invite(&accept));
    assert_eq!([one.is_ok(), two.is_ok()].iter().filter(|ok| **ok).count(), 1);
    let unusable = (403, "invite.unusable".to_owned());
    for guest in &guests {
        assert_eq!(refusal(guest.answer_invite(&accept).await), unusable);
    }
    let declined = make().await;
    guests[0].answer_invite(&answer(&declined.secret, InviteAnswer::Decline)).await.unwrap();
    let late = answer(&declined.secret, InviteAnswer::Accept);
    assert_eq!(refusal(guests[1].answer_invite(&late).await), unusable);
    let revoked = make().await;
    owner.revoke_invite(&namespace, &revoked.info.id).await.unwrap();
    let late = answer(&revoked.secret, InviteAnswer::Accept);
    assert_eq!(refusal(guests[1].answer_invite(&late).await), unusable);
    // A token that is not for the account does not answer in its name.
    let publish = owner.create_token(&token(Scope::Publish, Some("acme"))).await.unwrap();
    let by_token = world.client(Some(&publish.secret));
    assert_eq!(
        refusal(by_token.answer_invite(&answer(&make().await.secret, InviteAnswer::Accept)).await)
            .0,
        403
    );
    // Who may sign up by an invite is another matter.
    let into = make().await;
    let sign_up = skep_api::v1::accounts::SignUp { invite: Some(into.secret), ..wish("dora") };
    assert_eq!(refusal(world.anonymous().sign_up(&sign_up).await), unusable);
}

#[tokio::test]
async fn a_token_never_makes_one_that_allows_more_or_lasts_longer() {
    let world = World::open().await;
    let anna = person(&world, "anna").await;
    anna.claim_namespace(&claim("acme")).await.unwrap();
    let made = anna.create_token(&token(Scope::Publish, Some("acme/one"))).await.unwrap();
    let narrow = world.client(Some(&made.secret));
    for (scope, namespace) in [
        (Scope::Admin, None),
        (Scope::Account, None),
        (Scope::Operate, None),
        (Scope::ReadFleet, None),
        (Scope::Publish, Some("acme")),
        (Scope::Publish, Some("acme/*")),
        (Scope::Publish, Some("acme/two")),
    ] {
        let refused = refusal(narrow.create_token(&token(scope, namespace)).await);
        assert_eq!(refused, (403, "auth.not_allowed".into()), "{scope:?} {namespace:?}");
    }
    let longer = CreateToken { valid_secs: 7200, ..token(Scope::Publish, Some("acme/one")) };
    assert_eq!(refusal(narrow.create_token(&longer).await).0, 403);
    let shorter = CreateToken { valid_secs: 60, ..token(Scope::Publish, Some("acme/one")) };
    let sub = narrow.create_token(&shorter).await.unwrap();
    assert_eq!(sub.info.account.as_deref(), Some("anna"));
    // Nor does it withdraw or list others, invite, or change the password.
    assert_eq!(refusal(narrow.tokens().await).0, 403);
    assert_eq!(refusal(narrow.revoke_token(&sub.info.id).await).0, 403);
    let invite = CreateInvite { role: MemberRole::Owner, valid_secs: 600 };
    assert_eq!(refusal(narrow.invite(&"acme".parse().unwrap(), &invite).await).0, 403);
    let bob = person(&world, "bob").await;
    assert_eq!(refusal(bob.revoke_token(&made.info.id).await).0, 404, "not even that it exists");
    join(&anna, &"acme".parse().unwrap(), &bob, MemberRole::Maintainer).await;
    assert_eq!(refusal(bob.revoke_token(&made.info.id).await).0, 404);
}

#[tokio::test]
async fn an_unknown_name_and_a_wrong_password_are_answered_alike() {
    let world = World::open().await;
    person(&world, "anna").await;
    let ask = async |name: &str| {
        let wish = LogIn { name: name.into(), password: "wrong wrong wrong".into() };
        let begun = Instant::now();
        let refused = refusal(world.anonymous().log_in(&wish).await);
        (refused, begun.elapsed())
    };
    // Both hash once, which takes far longer than everything else a login does.
    ask("nobody").await;
    let mut fastest = [Duration::MAX; 2];
    for _ in 0..4 {
        for (place, name) in ["anna", "nobody"].into_iter().enumerate() {
            let (refused, took) = ask(name).await;
            assert_eq!(refused, (401, "auth.wrong_login".to_owned()));
            fastest[place] = fastest[place].min(took);
        }
    }
    let [known, unknown] = fastest.map(|took| took.as_secs_f64());
    assert!(unknown > known / 2.0 && known > unknown / 2.0, "{fastest:?}");
}

#[tokio::test]
async fn guessing_passwords_is_slowed_down_and_says_for_how_long() {
    let world = World::open().await;
    person(&world, "anna").await;
    let url = format!("{}/v1/sessions", world.address);
    let mut refused = None;
    for _ in 0..15 {
        let body = json!({ "name": "anna", "password": "wrong wrong wrong" });
        let answer = http().post(&url).json(&body).send().await.unwrap();
        if answer.status() == 429 {
            refused = Some(answer);
            break;
        }
    }
    let answer = refused.expect("the account has ten guesses a minute");
    let after: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&after));
    let body: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(body["code"], "request.too_many");
    let right = world.anonymous().log_in(&login("anna")).await;
    assert_eq!(refusal(right).0, 429, "the right password has to wait as well");
}

#[tokio::test]
async fn an_address_behind_a_believed_proxy_has_its_own_share_and_no_more() {
    let world = World::with(&[("SKEP_REGISTRY_PROXIES", "127.0.0.1")]).await;
    let http = http();
    let ask = async |from: &str| {
        let wish = json!({ "name": "x", "password": "not long enough" });
        let request = http.post(format!("{}/v1/accounts", world.address)).json(&wish);
        request.header("x-forwarded-for", from).send().await.unwrap()
    };
    // Thirty an hour: one comes back in two minutes.
    let mut refused = None;
    for _ in 0..35 {
        let answer = ask("203.0.113.9").await;
        if answer.status() == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("an address signs up thirty times an hour");
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(ask("203.0.113.9, 127.0.0.1").await.status(), 429, "the proxy is not the client");
    assert_eq!(
        ask("198.51.100.1, 203.0.113.9").await.status(),
        429,
        "what the client says of itself"
    );
    assert_ne!(ask("198.51.100.7").await.status(), 429, "another address");
}
