//! Webhooks to a real receiver, feeds, and quotas.

use crate::people::{claim, person};
use crate::world::{Package, Publisher, World, eventually, get, refusal};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use skep_api::client::Client;
use skep_api::v1::audit::{AuditQuery, action};
use skep_api::v1::webhooks::{CreateWebhook, DeliveryState, Quota};
use skep_artifact::key::SecretKey;
use skep_artifact::name::Namespace;
use std::sync::{Arc, Mutex};

#[derive(Clone, Default)]
struct Heard {
    calls: Arc<Mutex<Vec<(HeaderMap, String)>>>,
    status: Arc<Mutex<u16>>,
}

/// A receiver on this machine; answers what it is told to.
async fn receiver(status: u16) -> (String, Heard) {
    let heard = Heard::default();
    *heard.status.lock().unwrap() = status;
    let hear = async |State(heard): State<Heard>, headers: HeaderMap, body: String| {
        heard.calls.lock().unwrap().push((headers, body));
        let status = StatusCode::from_u16(*heard.status.lock().unwrap()).unwrap();
        (status, [("location", "http://169.254.169.254/")])
    };
    let app = Router::new().route("/hook", post(hear)).with_state(heard.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (url, heard)
}

async fn owner(world: &World) -> (Client, Namespace) {
    let anna = person(world, "anna").await;
    anna.claim_namespace(&claim("acme")).await.unwrap();
    (anna, "acme".parse().unwrap())
}

async fn private() -> World {
    let private = ("SKEP_REGISTRY_WEBHOOKS", "private");
    World::with(&[("SKEP_REGISTRY_SIGN_UP", "open"), private]).await
}

fn publisher(client: &Client, namespace: &Namespace) -> Publisher {
    let key = SecretKey::from_seed([7; 32]);
    Publisher { client: client.clone(), namespace: namespace.clone(), key, secret: String::new() }
}

/// What a receiver does, by the scheme and on its own.
fn verifies(secret: &str, headers: &HeaderMap, body: &str) -> bool {
    use base64::Engine as _;
    let base64 = base64::engine::general_purpose::STANDARD;
    let text = |name: &str| headers[name].to_str().unwrap().to_owned();
    let key = base64.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    let signed = format!("{}.{}.{body}", text("webhook-id"), text("webhook-timestamp"));
    mac.update(signed.as_bytes());
    let signature = text("webhook-signature");
    let signature = base64.decode(signature.strip_prefix("v1,").unwrap()).unwrap();
    mac.verify_slice(&signature).is_ok()
}

#[tokio::test]
async fn a_receiver_hears_of_a_publish_and_can_verify_who_says_so() {
    let world = private().await;
    let (anna, namespace) = owner(&world).await;
    let (url, heard) = receiver(204).await;
    let made = anna.create_webhook(&namespace, &CreateWebhook { url }).await.unwrap();
    publisher(&anna, &namespace).publish(&Package::new("acme/one", "1.0.0")).await.unwrap();
    let (headers, body) =
        eventually("the call", async || heard.calls.lock().unwrap().first().cloned()).await;
    assert!(verifies(&made.secret, &headers, &body));
    assert!(!verifies(&made.secret, &headers, &body.replace("1.0.0", "1.0.1")));
    let said: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(said["type"], "package.published");
    assert_eq!(
        (&said["data"]["package"], &said["data"]["version"]),
        (&"acme/one".into(), &"1.0.0".into())
    );
    let delivered = eventually("the log", async || {
        let list = anna.deliveries(&namespace, &made.info.id).await.unwrap().deliveries;
        list.into_iter().find(|delivery| delivery.state == DeliveryState::Delivered)
    });
    let delivered = delivered.await;
    assert_eq!((delivered.attempts, delivered.status), (1, Some(204)));
    assert_eq!(headers["webhook-id"].to_str().unwrap(), delivered.id);
    // Reading the key again is written down.
    assert_eq!(anna.webhook_secret(&namespace, &made.info.id).await.unwrap().secret, made.secret);
    let query = AuditQuery { namespace: Some("acme".into()), ..AuditQuery::default() };
    let newest = anna.audit(&query).await.unwrap().entries.remove(0);
    assert_eq!(newest.action, action::WEBHOOK_SECRET_READ);
}

#[tokio::test]
async fn a_receiver_that_fails_is_tried_again_after_a_restart_and_then_no_more() {
    let world = private().await;
    let (anna, namespace) = owner(&world).await;
    let (url, heard) = receiver(302).await;
    let made = anna.create_webhook(&namespace, &CreateWebhook { url }).await.unwrap();
    anna.ping_webhook(&namespace, &made.info.id).await.unwrap();
    eventually("the first attempt", async || {
        let list = anna.deliveries(&namespace, &made.info.id).await.unwrap().deliveries;
        list.into_iter().find(|delivery| delivery.attempts == 1 && delivery.status == Some(302))
    })
    .await;
    let world = world.restart().await;
    *heard.status.lock().unwrap() = 200;
    let done = world.anonymous().log_in(&crate::people::login("anna")).await.unwrap();
    let anna = world.client(done.session.as_deref());
    let again = eventually("the second attempt", async || {
        let list = anna.deliveries(&namespace, &made.info.id).await.unwrap().deliveries;
        list.into_iter().find(|delivery| delivery.state == DeliveryState::Delivered)
    });
    assert_eq!(again.await.attempts, 2);
    *heard.status.lock().unwrap() = 410;
    anna.ping_webhook(&namespace, &made.info.id).await.unwrap();
    eventually("the end", async || {
        let webhook = anna.webhooks(&namespace).await.unwrap().webhooks.remove(0);
        webhook.disabled_at
    })
    .await;
    let before = heard.calls.lock().unwrap().len();
    publisher(&anna, &namespace).publish(&Package::new("acme/one", "1.0.0")).await.unwrap();
    let deliveries = anna.deliveries(&namespace, &made.info.id).await.unwrap().deliveries;
    assert_eq!(deliveries.len(), 2, "a disabled webhook is not queued for");
    // A ping that arrives enables it.
    *heard.status.lock().unwrap() = 200;
    anna.ping_webhook(&namespace, &made.info.id).await.unwrap();
    eventually("enabled", async || {
        let webhook = anna.webhooks(&namespace).await.unwrap().webhooks.remove(0);
        webhook.disabled_at.is_none().then_some(())
    })
    .await;
    assert_eq!(heard.calls.lock().unwrap().len(), before + 1);
}

#[tokio::test]
async fn a_webhook_never_leads_inside() {
    let world = World::open().await;
    let (anna, namespace) = owner(&world).await;
    for url in
        ["http://hooks.example/", "https://127.0.0.1/", "https://[::1]/", "https://10.1.2.3/"]
    {
        let refused = anna.create_webhook(&namespace, &CreateWebhook { url: url.into() }).await;
        assert_eq!(refusal(refused), (400, "request.malformed".into()), "{url}");
    }
    // A name can be written down; what it resolves to is judged when it is called.
    let url = "https://localhost:9/".to_owned();
    let made = anna.create_webhook(&namespace, &CreateWebhook { url }).await.unwrap();
    anna.ping_webhook(&namespace, &made.info.id).await.unwrap();
    let problem = eventually("the attempt", async || {
        let list = anna.deliveries(&namespace, &made.info.id).await.unwrap().deliveries;
        list.into_iter().find_map(|delivery| delivery.problem)
    });
    assert!(problem.await.contains("no public address"));
    let bob = person(&world, "bob").await;
    assert_eq!(refusal(bob.webhooks(&namespace).await).0, 403);
    assert_eq!(refusal(bob.webhook_secret(&namespace, &made.info.id).await).0, 403);
}

#[tokio::test]
async fn feeds_tell_of_new_versions_and_are_not_sent_twice() {
    let world = World::open().await;
    let (anna, namespace) = owner(&world).await;
    let publisher = publisher(&anna, &namespace);
    publisher.publish(&Package::described("acme/one", "1.0.0", "Counts packets")).await.unwrap();
    publisher.publish(&Package::new("acme/two", "2.0.0")).await.unwrap();
    for (path, entries) in [
        ("/v1/feed.atom", 2),
        ("/v1/namespaces/acme/feed.atom", 2),
        ("/v1/packages/acme/one/feed.atom", 1),
    ] {
        let url = format!("{}{path}", world.address);
        let answer = get(&url).await.unwrap();
        assert_eq!(answer.headers()["content-type"], "application/atom+xml; charset=utf-8");
        let etag = answer.headers()["etag"].clone();
        let text = answer.text().await.unwrap();
        let feed = atom_syndication::Feed::read_from(text.as_bytes()).unwrap();
        assert_eq!((feed.entries.len(), feed.id.as_str()), (entries, url.as_str()), "{path}");
        assert_eq!(feed.updated, feed.entries[0].updated);
        let again = crate::world::http().get(&url).header("if-none-match", etag).send().await;
        assert_eq!(again.unwrap().status(), 304);
    }
    for path in ["/v1/namespaces/none/feed.atom", "/v1/packages/acme/none/feed.atom"] {
        assert_eq!(get(format!("{}{path}", world.address)).await.unwrap().status(), 404);
    }
}

#[tokio::test]
async fn a_full_namespace_takes_no_more_until_an_admin_says_so() {
    let world = World::open().await;
    let (anna, namespace) = owner(&world).await;
    let publisher = publisher(&anna, &namespace);
    let quota = Quota { packages: Some(1), versions_per_day: Some(2), bytes: None };
    assert_eq!(refusal(anna.change_quota(&namespace, &quota).await).0, 403);
    world.admin().change_quota(&namespace, &quota).await.unwrap();
    publisher.publish(&Package::new("acme/one", "1.0.0")).await.unwrap();
    let full = (403, "namespace.quota_exceeded".to_owned());
    let second = Package::new("acme/two", "1.0.0");
    assert_eq!(refusal(publisher.publish(&second).await), full);
    publisher.publish(&Package::new("acme/one", "1.1.0")).await.unwrap();
    assert_eq!(refusal(publisher.publish(&Package::new("acme/one", "1.2.0")).await), full);
    let held = anna.quota(&namespace).await.unwrap();
    assert_eq!((held.packages, held.versions_today, held.packages_max), (1, 2, 1));
    let small = Quota { bytes: Some(held.bytes), ..Quota::default() };
    world.admin().change_quota(&namespace, &small).await.unwrap();
    assert_eq!(refusal(publisher.publish(&second).await), full, "bytes");
    world.admin().change_quota(&namespace, &Quota::default()).await.unwrap();
    publisher.publish(&second).await.unwrap();
}
