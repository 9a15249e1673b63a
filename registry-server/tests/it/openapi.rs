//! The API's description: committed, served, and true about who may call what.

use crate::world::World;
use serde_json::Value;
use skep_registry_server::router;
use std::path::Path;

/// Operations anybody may call. This list may only shrink.
const PUBLIC: &[&str] = &[
    "GET /v1/facets",
    "GET /v1/packages",
    "GET /v1/packages/{namespace}/{name}",
    "GET /v1/packages/{namespace}/{name}/stats",
    "GET /v1/packages/{namespace}/{name}/{version}",
    "GET /v1/packages/{namespace}/{name}/history",
    "GET /v1/namespaces",
    "GET /v1/namespaces/{namespace}",
    "GET /v1/namespaces/{namespace}/role",
    "GET /log/checkpoint",
    "GET /log/tile/{level}/{path}",
    "GET /v1/log",
    "GET /v1/log/checkpoint",
    "GET /v1/log/entries/{index}",
    "GET /v1/packages/{namespace}/{name}/{version}/attestations",
    "GET /v1/cosign.pub",
    "GET /v1/packages/{namespace}/{name}/{version}/cosign",
    "GET /v1/packages/{namespace}/{name}/{version}/log",
    "POST /v1/log/cosignatures",
    "GET /v1/revocations",
    "POST /v1/agent/enrol",
    "POST /v1/accounts",
    "POST /v1/sessions",
    "GET /v1/oidc",
    "GET /v1/oidc/{issuer}/login",
    "GET /v1/oidc/{issuer}/callback",
    "POST /v1/trusted-publishing/token",
    "GET /v1/feed.atom",
    "GET /v1/namespaces/{namespace}/feed.atom",
    "GET /v1/packages/{namespace}/{name}/feed.atom",
    "GET /v1/trust",
    "GET /tuf/{file}",
    "GET /tuf/targets/{namespace}/{name}/{file}",
    "GET /v2/token",
    "POST /v2/token",
    "GET /v2/{name}/blobs/{digest}",
    "GET /v2/{name}/manifests/{reference}",
    "GET /v2/{name}/referrers/{digest}",
    "GET /v2/{name}/tags/list",
];

/// Set SKEP_UPDATE_SNAPSHOTS=1 to write the committed document anew.
#[test]
fn the_committed_document_is_the_one_the_code_makes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let made = router::openapi_json();
    if std::env::var_os("SKEP_UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == made, "openapi.json is out of date; see SKEP_UPDATE_SNAPSHOTS");
}

/// Tools read the document as OpenAPI: every parameter of a path is one that is described, and whatever an operation
/// answers, errors of the request as such among them, is in its list.
#[test]
fn every_parameter_of_a_path_is_described_and_every_operation_may_answer_an_error() {
    let document: Value = serde_json::from_str(&router::openapi_json()).unwrap();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let described = operation["parameters"].as_array().cloned().unwrap_or_default();
            let described = described.iter().filter(|parameter| parameter["in"] == "path");
            let mut described: Vec<&str> =
                described.map(|parameter| parameter["name"].as_str().unwrap()).collect();
            let parts = path.split('{').skip(1);
            let mut named: Vec<&str> = parts.map(|part| part.split('}').next().unwrap()).collect();
            named.sort_unstable();
            described.sort_unstable();
            assert_eq!(named, described, "{method} {path}");
            assert!(operation["responses"]["default"].is_object(), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn every_operation_but_the_public_ones_asks_for_a_token() {
    let world = World::start().await;
    let http = crate::world::http();
    let document: Value = http
        .get(format!("{}/openapi.json", world.address))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let mut walked = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let method = method.to_uppercase();
            let name = format!("{method} {path}");
            let public = operation["security"] == serde_json::json!([{}]);
            assert_eq!(public, PUBLIC.contains(&name.as_str()), "{name}");
            if public {
                continue;
            }
            let url = path.replace("{digest}", &format!("sha256:{}", "0".repeat(64)));
            let url = url.replace(['{', '}'], "");
            for token in [None, Some("skep_0000"), Some("skepc_0000")] {
                let request =
                    http.request(method.parse().unwrap(), format!("{}{url}", world.address));
                let request = match token {
                    Some(token) => request.bearer_auth(token),
                    None => request,
                };
                assert_eq!(request.send().await.unwrap().status(), 401, "{name} with {token:?}");
            }
            walked += 1;
        }
    }
    assert!(walked >= 13, "{walked}");
}
