//! Tokens: wrong, expired, withdrawn, of another kind.

use crate::world::{World, refusal};
use skep_api::v1::namespaces::ClaimNamespace;
use skep_api::v1::tokens::{CreateToken, Scope};
use skep_artifact::key::SecretKey;
use skep_registry_server::secret::{Kind, Secret};
use skep_registry_server::store::Store;
use skep_registry_server::store::tokens::StoredToken;
use std::os::unix::fs::PermissionsExt as _;

fn claim(name: &str) -> ClaimNamespace {
    let key = SecretKey::from_seed([1; 32]).public();
    ClaimNamespace { name: name.parse().unwrap(), keys: vec![key], threshold: 1 }
}

#[tokio::test]
async fn only_an_admin_claims_a_namespace_and_only_once() {
    let world = World::start().await;
    let unauthorised = (401, "auth.missing_or_wrong_token".to_owned());
    assert_eq!(refusal(world.anonymous().claim_namespace(&claim("acme")).await), unauthorised);
    let wrong = Secret::draw(Kind::Api).unwrap();
    let caller = world.client(Some(wrong.reveal()));
    assert_eq!(refusal(caller.claim_namespace(&claim("acme")).await), unauthorised);
    for scope in [Scope::Operate, Scope::ReadFleet] {
        let caller = world.client(Some(&world.token(scope, None).await));
        let refused = refusal(caller.claim_namespace(&claim("acme")).await);
        assert_eq!(refused, (403, "auth.not_allowed".into()));
    }
    world.admin().claim_namespace(&claim("acme")).await.unwrap();
    let refused = refusal(world.admin().claim_namespace(&claim("acme")).await);
    assert_eq!(refused, (409, "namespace.exists".into()));
    let none = ClaimNamespace { threshold: 2, ..claim("two") };
    assert_eq!(refusal(world.admin().claim_namespace(&none).await).0, 400);
}

#[tokio::test]
async fn an_expired_token_is_as_good_as_none() {
    let world = World::start().await;
    let secret = Secret::draw(Kind::Api).unwrap();
    let wish = CreateToken {
        name: "short".to_owned(),
        scope: Scope::Admin,
        namespace: None,
        valid_secs: 60,
    };
    let mut info = world.admin().create_token(&wish).await.unwrap().info;
    info.id = secret.hash().id();
    info.expires_at = 1;
    let store = Store::open(&world.database.place(&world.data)).await.unwrap();
    store.add_token(&StoredToken { info, hash: secret.hash(), account: None }).await.unwrap();
    store.close().await;
    let caller = world.client(Some(secret.reveal()));
    assert_eq!(refusal(caller.claim_namespace(&claim("acme")).await).0, 401);
}

#[tokio::test]
async fn a_withdrawn_token_no_longer_opens_anything() {
    let world = World::start().await;
    let wish = CreateToken {
        name: "gone".to_owned(),
        scope: Scope::ReadFleet,
        namespace: None,
        valid_secs: 600,
    };
    let created = world.admin().create_token(&wish).await.unwrap();
    let caller = world.client(Some(&created.secret));
    caller.nodes().await.unwrap();
    let admin = crate::world::admin_token(&world.data);
    let url = format!("{}/v1/tokens/{}", world.address, created.info.id);
    let done = crate::world::http().delete(url).bearer_auth(admin).send().await.unwrap();
    assert_eq!(done.status(), 204);
    assert_eq!(refusal(caller.nodes().await).0, 401);
}

#[tokio::test]
async fn secrets_are_not_in_the_database_and_the_admin_token_is_the_owners_only() {
    let world = World::start().await;
    let admin = crate::world::admin_token(&world.data);
    let path = world.data.join("admin.token");
    assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    let stopped = world.stop().await;
    for file in stopped.database_files() {
        let Ok(bytes) = std::fs::read(&file) else { continue };
        let held = bytes.windows(admin.len()).any(|window| window == admin.as_bytes());
        assert!(!held, "{}", file.display());
    }
}

#[tokio::test]
async fn every_answer_names_its_request_and_forbids_what_pages_do_not_need() {
    let world = World::start().await;
    for path in ["/", "/healthz", "/v1/nothing", "/v1/packages/a/b"] {
        let answer = crate::world::get(format!("{}{path}", world.address)).await.unwrap();
        let headers = answer.headers().clone();
        assert!(headers.contains_key("x-request-id"), "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'self'") && !policy.contains("unsafe-inline"));
        if answer.status() == 404 {
            let body: skep_api::reason::ErrorBody = answer.json().await.unwrap();
            assert_eq!(body.request_id, headers["x-request-id"].to_str().unwrap());
        }
    }
}
