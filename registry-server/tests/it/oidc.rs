//! Logging in by a real issuer, and publishing with what it says about a job.

use crate::issuer::{Issuer, REGISTRY};
use crate::people::{claim, person};
use crate::world::{Package, Publisher, World, client, refusal};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use skep_api::client::Client;
use skep_api::v1::publishers::{AddPublisher, ExchangeToken};
use skep_artifact::key::SecretKey;
use skep_artifact::name::Namespace;
use std::collections::BTreeMap;

async fn world(issuer: &Issuer, folder: &tempfile::TempDir) -> World {
    let file = issuer.file(folder);
    World::with(&[
        ("SKEP_REGISTRY_SIGN_UP", "open"),
        ("SKEP_REGISTRY_OIDC", &file),
        ("SKEP_REGISTRY_URL", REGISTRY),
    ])
    .await
}

/// As much of a browser as a login takes: cookies, and no redirects by itself.
struct Browser {
    http: reqwest::Client,
    /// By name and path, as browsers keep them apart.
    cookies: BTreeMap<(String, String), String>,
}

impl Browser {
    fn new() -> Self {
        let http =
            reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { http, cookies: BTreeMap::new() }
    }

    async fn send(&mut self, request: reqwest::RequestBuilder) -> Response {
        let mut request = request.build().unwrap();
        let at = request.url().path().to_owned();
        let fitting = self.cookies.iter().filter(|((_, path), _)| at.starts_with(path.as_str()));
        let held: Vec<String> =
            fitting.map(|((name, _), value)| format!("{name}={value}")).collect();
        request.headers_mut().insert("cookie", held.join("; ").parse().unwrap());
        let answer = self.http.execute(request).await.unwrap();
        for cookie in answer.headers().get_all("set-cookie") {
            let mut parts = cookie.to_str().unwrap().split(';').map(str::trim);
            let (name, value) = parts.next().unwrap().split_once('=').unwrap();
            let path = parts
                .find_map(|part| part.to_lowercase().strip_prefix("path=").map(|_| &part[5..]));
            let key = (name.to_owned(), path.unwrap_or("/").to_owned());
            if value.is_empty() {
                self.cookies.remove(&key);
            } else {
                self.cookies.insert(key, value.to_owned());
            }
        }
        answer
    }

    async fn get(&mut self, url: &str) -> Response {
        let request = self.http.get(url);
        self.send(request).await
    }

    async fn post(&mut self, url: &str, body: &'static str) -> Response {
        let request = self.http.post(url);
        let kind = "application/x-www-form-urlencoded";
        self.send(request.header("content-type", kind).body(body)).await
    }

    /// Walks through the issuer's pages as `anna` and returns where it sends the browser back to.
    async fn through(&mut self, issuer: &Issuer, begin: &str) -> String {
        let mut url = begin.to_owned();
        for _ in 0..12 {
            let answer = self.get(&url).await;
            let next = match answer.headers().get("location") {
                Some(location) => location.to_str().unwrap().to_owned(),
                // A page: first of the login, then of the consent.
                None => {
                    let page = answer.text().await.unwrap();
                    let form = if page.contains("name=\"login\"") {
                        "prompt=login&login=subject-of-anna&password=any"
                    } else {
                        "prompt=consent"
                    };
                    let answer = self.post(&url, form).await;
                    let location = answer.headers().get("location").cloned();
                    let Some(location) = location else {
                        panic!("{url} showed {page} and answered {:?}", answer.text().await)
                    };
                    location.to_str().unwrap().to_owned()
                }
            };
            if next.starts_with(REGISTRY) {
                return next;
            }
            url = if next.starts_with('/') { format!("{}{next}", issuer.url) } else { next };
        }
        panic!("the issuer does not come to an end");
    }
}

fn at(world: &World, url: &str) -> String {
    url.replace(REGISTRY, &world.address)
}

#[tokio::test]
async fn somebody_logs_in_by_an_issuer_and_is_the_same_the_next_time() {
    let Some(issuer) =
        Issuer::start("somebody_logs_in_by_an_issuer_and_is_the_same_the_next_time").await
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let world = world(&issuer, &folder).await;
    let mut names = Vec::new();
    for _ in 0..2 {
        let mut browser = Browser::new();
        let left = browser.get(&format!("{}/v1/oidc/corp/login", world.address)).await;
        assert_eq!(left.status(), StatusCode::SEE_OTHER);
        let begin = left.headers()["location"].to_str().unwrap().to_owned();
        for part in ["state=", "nonce=", "code_challenge=", "code_challenge_method=S256"] {
            assert!(begin.contains(part), "{begin}");
        }
        let back = browser.through(&issuer, &begin).await;
        // Another browser that is given the address is not logged in by it.
        let stolen = Browser::new().get(&at(&world, &back)).await;
        assert_eq!(stolen.status(), StatusCode::BAD_REQUEST);
        let done = browser.get(&at(&world, &back)).await;
        assert_eq!(done.status(), StatusCode::SEE_OTHER, "{:?}", done.text().await);
        assert_eq!(done.headers()["location"], "/");
        let who = browser.get(&format!("{}/v1/whoami", world.address)).await;
        let who: Value = who.json().await.unwrap();
        names.push(who["account"]["name"].as_str().unwrap().to_owned());
        // The address is used up.
        assert_eq!(browser.get(&at(&world, &back)).await.status(), StatusCode::BAD_REQUEST);
    }
    assert_eq!(names, ["anna", "anna"]);
}

#[tokio::test]
async fn an_identity_is_known_by_issuer_and_subject_and_never_by_a_name() {
    let Some(issuer) =
        Issuer::start("an_identity_is_known_by_issuer_and_subject_and_never_by_a_name").await
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let world = world(&issuer, &folder).await;
    // Somebody here is called as the person at the issuer: another account, until it says so.
    let anna = person(&world, "anna").await;
    let mut browser = Browser::new();
    let left = browser.get(&format!("{}/v1/oidc/corp/login", world.address)).await;
    let begin = left.headers()["location"].to_str().unwrap().to_owned();
    let back = browser.through(&issuer, &begin).await;
    assert_eq!(browser.get(&at(&world, &back)).await.status(), StatusCode::SEE_OTHER);
    let who: Value =
        browser.get(&format!("{}/v1/whoami", world.address)).await.json().await.unwrap();
    let name = who["account"]["name"].as_str().unwrap();
    assert!(name.starts_with("user-"), "{name}");
    assert!(anna.whoami().await.unwrap().account.unwrap().namespaces.is_empty());
}

async fn trusted(world: &World) -> (Client, Namespace) {
    let anna = person(world, "anna").await;
    let namespace: Namespace = "acme".parse().unwrap();
    anna.claim_namespace(&claim("acme")).await.unwrap();
    let claims = [("repository", "acme/ebpf"), ("workflow", "release.yml")];
    let wish = AddPublisher {
        issuer: "corp".into(),
        package: Some("acme/one".into()),
        claims: claims.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
    };
    anna.add_publisher(&namespace, &wish).await.unwrap();
    (anna, namespace)
}

fn job(jti: &str) -> Value {
    json!({
        "sub": "repo:acme/ebpf:ref:refs/tags/v1",
        "aud": "registry.test",
        "jti": jti,
        "repository": "acme/ebpf",
        "workflow_ref": "acme/ebpf/.github/workflows/release.yml@refs/tags/v1",
        "event_name": "push",
        "ref": "refs/tags/v1",
    })
}

fn with(mut job: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        job[name] = value.clone();
    }
    job
}

#[tokio::test]
async fn a_job_publishes_what_it_is_trusted_with_once_for_each_of_its_tokens() {
    let Some(issuer) =
        Issuer::start("a_job_publishes_what_it_is_trusted_with_once_for_each_of_its_tokens").await
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let world = world(&issuer, &folder).await;
    let (anna, namespace) = trusted(&world).await;
    let token = issuer.sign(&json!({ "claims": job("1") })).await;
    let wish = |token: &str, pattern: &str| ExchangeToken {
        token: token.to_owned(),
        pattern: pattern.to_owned(),
    };
    let refused = refusal(world.anonymous().exchange_token(&wish(&token, "acme")).await);
    assert_eq!(refused.0, 403, "trusted with one package");
    let given = world.anonymous().exchange_token(&wish(&token, "acme/one")).await.unwrap();
    let replayed = refusal(world.anonymous().exchange_token(&wish(&token, "acme/one")).await);
    assert_eq!(replayed, (403, "trusted_publishing.token_replayed".into()));
    let publisher = Publisher {
        client: client(&world.address, Some(&given.token)),
        namespace: namespace.clone(),
        key: SecretKey::from_seed([7; 32]),
        secret: given.token.clone(),
    };
    publisher.publish(&Package::new("acme/one", "1.0.0")).await.unwrap();
    let other = refusal(publisher.publish(&Package::new("acme/two", "1.0.0")).await);
    assert_eq!(other, (403, "auth.not_allowed".into()));
    // Trusted no longer.
    let listed = anna.publishers(&namespace).await.unwrap().publishers;
    anna.remove_publisher(&namespace, &listed[0].id).await.unwrap();
    let late = issuer.sign(&json!({ "claims": job("2") })).await;
    assert_eq!(refusal(world.anonymous().exchange_token(&wish(&late, "acme/one")).await).0, 403);
}

#[tokio::test]
async fn tokens_that_are_forged_stale_or_meant_for_others_are_refused() {
    let Some(issuer) =
        Issuer::start("tokens_that_are_forged_stale_or_meant_for_others_are_refused").await
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let world = world(&issuer, &folder).await;
    trusted(&world).await;
    let now = skep_registry_server::clock::now();
    let cases = [
        ("alg none", json!({ "how": "none", "claims": job("a") })),
        ("HS256 by the public key", json!({ "how": "hmac-with-public-key", "claims": job("b") })),
        ("another key under the same id", json!({ "how": "stranger", "claims": job("c") })),
        ("an unknown key id", json!({ "header": { "kid": "unknown" }, "claims": job("d") })),
        (
            "claims changed after signing",
            json!({ "how": "changed", "claims": with(job("e"), json!({ "repository": "evil/fork" })) }),
        ),
        ("another audience", json!({ "claims": with(job("f"), json!({ "aud": "other" })) })),
        (
            "another audience besides",
            json!({ "claims": with(job("g"), json!({ "aud": ["registry.test", "other"] })) }),
        ),
        ("expired", json!({ "claims": with(job("h"), json!({ "exp": now - 1 })) })),
        ("not valid yet", json!({ "claims": with(job("i"), json!({ "nbf": now + 200 })) })),
        ("issued in the future", json!({ "claims": with(job("j"), json!({ "iat": now + 200 })) })),
        (
            "valid for a year",
            json!({ "claims": with(job("k"), json!({ "exp": now + 31_536_000 })) }),
        ),
        ("no id", json!({ "claims": with(job("l"), json!({ "jti": null })) })),
        (
            "another issuer",
            json!({ "claims": with(job("m"), json!({ "iss": "https://evil.example" })) }),
        ),
        (
            "another repository",
            json!({ "claims": with(job("n"), json!({ "repository": "acme/ebpf2" })) }),
        ),
        (
            "another workflow",
            json!({ "claims": with(job("o"), json!({
                "workflow_ref": "acme/ebpf/.github/workflows/test.yml@refs/heads/main" })) }),
        ),
        (
            "a pull request",
            json!({ "claims": with(job("p"), json!({ "event_name": "pull_request" })) }),
        ),
        (
            "a pull request with rights",
            json!({ "claims": with(job("q"), json!({ "event_name": "pull_request_target" })) }),
        ),
        (
            "the ref of a pull request",
            json!({ "claims": with(job("r"), json!({ "ref": "refs/pull/1/merge" })) }),
        ),
        ("oversized", json!({ "claims": with(job("s"), json!({ "pad": "x".repeat(20_000) })) })),
    ];
    for (name, wish) in cases {
        let token = issuer.sign(&wish).await;
        let wish = ExchangeToken { token, pattern: "acme/one".into() };
        let (status, code) = refusal(world.anonymous().exchange_token(&wish).await);
        assert!(matches!(status, 400 | 403), "{name}: {status} {code}");
        assert_ne!(code, "trusted_publishing.token_replayed", "{name}");
    }
    // The same job, as it should be, is taken: none of the above was refused for another reason.
    let token = issuer.sign(&json!({ "claims": job("z") })).await;
    let wish = ExchangeToken { token, pattern: "acme/one".into() };
    world.anonymous().exchange_token(&wish).await.unwrap();
}
