//! Who may push, and how OCI clients find out: challenges, tokens, wrong passwords.

use crate::registry_client::{Repository, answer};
use crate::world::{World, http};
use reqwest::Method;
use serde_json::Value;
use skep_api::v1::tokens::Scope;

fn challenge_of(answer: &crate::registry_client::Answer) -> String {
    answer.header("www-authenticate").to_owned()
}

async fn traded(world: &World, password: Option<&str>, scope: &str) -> (u16, Value) {
    let url = format!("{}/v2/token?service=test&scope={scope}", world.address);
    let request = http().get(url);
    let request = match password {
        Some(password) => request.basic_auth("me", Some(password)),
        None => request,
    };
    let answer = answer(request).await;
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
}

#[tokio::test]
async fn a_client_is_told_where_to_log_in_and_for_what() {
    let world = World::start().await;
    let repository = Repository::new(&world, "acme/image").await;
    let host = world.address.strip_prefix("http://").unwrap();
    let login = format!("Bearer realm=\"http://{host}/v2/token\",service=\"{host}\"");
    let root = answer(http().get(format!("{}/v2/", world.address))).await;
    assert_eq!(root.refusal(), (401, "UNAUTHORIZED".into()));
    assert_eq!(challenge_of(&root), login);
    let nobody = repository.anonymous();
    for (method, rest, actions) in [
        (Method::POST, "blobs/uploads/", "pull,push"),
        (Method::PATCH, "blobs/uploads/1", "pull,push"),
        (Method::PUT, "manifests/v1", "pull,push"),
        (Method::DELETE, "manifests/v1", "delete"),
        (Method::DELETE, "blobs/sha256:00", "delete"),
    ] {
        let refused = nobody.send(method.clone(), rest).await;
        assert_eq!(refused.refusal(), (401, "UNAUTHORIZED".into()), "{method} {rest}");
        let expected = format!("{login},scope=\"repository:acme/image:{actions}\"");
        assert_eq!(challenge_of(&refused), expected);
    }
}

#[tokio::test]
async fn a_password_is_traded_for_a_token_that_pushes_where_the_password_may() {
    let world = World::start().await;
    let repository = Repository::new(&world, "acme/image").await;
    let other = Repository::new(&world, "other/image").await;
    let password = repository.token.clone().unwrap();
    let scope = "repository:acme/image:pull,push&scope=repository:other/image:pull,push";
    let (status, token) = traded(&world, Some(&password), scope).await;
    assert_eq!(status, 200);
    assert_eq!(token["token"], token["access_token"]);
    assert!(token["expires_in"].as_i64().unwrap() >= 60);
    let token = token["token"].as_str().unwrap().to_owned();
    let push = |name: &str| {
        let url = format!("{}/v2/{name}/blobs/uploads/", world.address);
        answer(http().post(url).bearer_auth(&token))
    };
    assert_eq!(push("acme/image").await.status, 202);
    assert_eq!(push("other/image").await.refusal(), (403, "DENIED".into()));
    let elsewhere = push("acme/elsewhere").await;
    assert!(challenge_of(&elsewhere).ends_with("error=\"insufficient_scope\""));
    let root = answer(http().get(format!("{}/v2/", world.address)).bearer_auth(&token)).await;
    assert_eq!(root.status, 200);
    // The same as OAuth 2 writes it.
    let form = [
        ("grant_type", "password"),
        ("username", "me"),
        ("password", &*password),
        ("service", "test"),
        ("scope", "repository:acme/image:pull,push"),
    ];
    let encoded = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let post = http().post(format!("{}/v2/token", world.address));
    let post = post.header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(answer(post.body(encoded)).await.expect(200).json()["expires_in"], 300);
    // Withdrawing the password ends the token.
    let id = skep_registry_server::secret::SecretHash::of_text(
        skep_registry_server::secret::Kind::Api,
        &password,
    )
    .unwrap()
    .id();
    let admin = crate::world::admin_token(&world.data);
    let withdrawn = http().delete(format!("{}/v1/tokens/{id}", world.address)).bearer_auth(admin);
    assert_eq!(answer(withdrawn).await.status, 204);
    assert_eq!(push("acme/image").await.status, 401);
    drop(other);
}

#[tokio::test]
async fn wrong_credentials_are_refused_and_never_taken_for_nobodys() {
    let world = World::start().await;
    let repository = Repository::new(&world, "acme/image").await;
    let image = repository.push_image("v1", b"layer").await;
    for password in ["", "wrong", "skep_0000", &"x".repeat(5000)] {
        let (status, _) = traded(&world, Some(password), "repository:acme/image:pull").await;
        assert_eq!(status, 401, "{password:.20}");
        let caller = Repository { token: Some(password.to_owned()), ..repository.clone() };
        assert_eq!(caller.send(Method::POST, "blobs/uploads/").await.status, 401);
    }
    for header in ["Bearer", "Bearer a.b.c", "Digest x", "Basic !!!", "basic bm9jb2xvbg=="] {
        let request = repository.anonymous().request(Method::POST, "blobs/uploads/");
        assert_eq!(answer(request.header("authorization", header)).await.status, 401, "{header}");
        let root = http().get(format!("{}/v2/", world.address)).header("authorization", header);
        assert_eq!(answer(root).await.status, 401, "{header}");
    }
    // Nobody gets a token that reads and does not write.
    let (status, token) = traded(&world, None, "repository:acme/image:pull,push").await;
    assert_eq!(status, 200);
    let token = token["token"].as_str().unwrap();
    let push = repository.anonymous().request(Method::POST, "blobs/uploads/").bearer_auth(token);
    let push = answer(push).await;
    assert_eq!(push.status, 401);
    assert!(challenge_of(&push).contains("insufficient_scope"));
    let pull = repository.anonymous().request(Method::GET, "manifests/v1").bearer_auth(token);
    assert_eq!(answer(pull).await.expect(200).json(), image);
    let grant = http().post(format!("{}/v2/token", world.address)).body("grant_type=refresh_token");
    assert_eq!(answer(grant).await.status, 400);
}

#[tokio::test]
async fn tokens_of_other_scopes_and_namespaces_push_nothing_and_the_admin_everywhere() {
    let world = World::start().await;
    let repository = Repository::new(&world, "acme/image").await;
    for (scope, namespace) in
        [(Scope::Operate, None), (Scope::ReadFleet, None), (Scope::Publish, Some("else"))]
    {
        let token = world.token(scope, namespace).await;
        let caller = Repository::of(&world, "acme/image", &token);
        let refused = caller.send(Method::POST, "blobs/uploads/").await;
        assert_eq!(refused.refusal(), (403, "DENIED".into()), "{scope:?}");
    }
    let admin = Repository::of(&world, "acme/image", &crate::world::admin_token(&world.data));
    admin.push_image("v1", b"layer").await;
    let unclaimed = admin.named("unclaimed/image").send(Method::POST, "blobs/uploads/").await;
    assert_eq!(unclaimed.refusal(), (404, "NAME_UNKNOWN".into()));
    let bare = admin.request(Method::POST, "blobs/uploads/");
    let bearer = http().post(bare.build().unwrap().url().clone());
    let bearer = bearer.bearer_auth(repository.token.as_ref().unwrap());
    assert_eq!(answer(bearer).await.status, 202);
}

#[tokio::test]
async fn names_and_methods_that_are_none_are_refused_in_the_words_of_the_specification() {
    let world = World::start().await;
    let repository = Repository::new(&world, "acme/image").await;
    for name in ["acme/Image", "acme/-a", "a.b/c", "acme/a..b/x"] {
        let refused = repository.named(name).get("tags/list").await;
        assert_eq!(refused.refusal(), (400, "NAME_INVALID".into()), "{name}");
    }
    for rest in ["", "manifests/", "tags", "_catalog", "blobs/uploads/1/2"] {
        let got = repository.get(rest).await;
        assert!([400, 404].contains(&got.status), "{rest}: {got:?}");
    }
    let refused = repository.send(Method::PATCH, "manifests/v1").await;
    assert_eq!(refused.refusal(), (405, "UNSUPPORTED".into()));
    assert_eq!(refused.header("allow"), "GET, HEAD, PUT, DELETE");
    // Generated clients send the slashes of a name encoded.
    repository.push_image("v1", b"layer").await;
    repository.named("acme%2Fimage").get("manifests/v1").await.expect(200);
}
