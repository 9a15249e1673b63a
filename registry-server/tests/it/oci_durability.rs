//! What survives of pushes: kill -9 at every point of one, and in the middle of a body. Acknowledged means there after a
//! restart, unacknowledged leaves nothing to be seen, and an upload goes on where it was. These run the real binary.

use crate::cluster::Database;
use crate::durability::Server;
use crate::registry_client::{IMAGE, Repository, image};
use reqwest::Method;
use skep_artifact::digest::Digest;
use skep_registry_server::faults::FaultPoint;

const WHOLE: &[u8] = b"hello wide world";
/// Where each part of it begins.
const PARTS: [usize; 3] = [0, 6, 11];

/// How far a push came, as its client knows.
#[derive(Debug, Default)]
struct Told {
    upload: Option<String>,
    parts: usize,
    blob: bool,
    manifest: bool,
}

/// One request; `None` when the line broke.
async fn tell(request: reqwest::RequestBuilder) -> Option<reqwest::Response> {
    request.send().await.ok()
}

/// Pushes a blob in parts and a manifest, until the server dies or all is done.
async fn push(repository: &Repository, manifest: &serde_json::Value) -> Told {
    let mut told = Told::default();
    let started = tell(repository.request(Method::POST, "blobs/uploads/")).await;
    let Some(started) = started else { return told };
    let location = started.headers()["location"].to_str().unwrap().to_owned();
    told.upload = Some(location.clone());
    for (i, start) in PARTS.iter().enumerate() {
        let end = PARTS.get(i + 1).copied().unwrap_or(WHOLE.len());
        let range = format!("{start}-{}", end - 1);
        let patch = repository.at(Method::PATCH, &location).header("content-range", range);
        let Some(done) = tell(patch.body(WHOLE[*start..end].to_vec())).await else { return told };
        assert_eq!(done.status(), 202);
        told.parts += 1;
    }
    if finish(repository, &location).await.is_none() {
        return told;
    }
    told.blob = true;
    let put = repository.request(Method::PUT, "manifests/v1").header("content-type", IMAGE);
    if let Some(done) = tell(put.body(manifest.to_string())).await {
        assert_eq!(done.status(), 201);
        told.manifest = true;
    }
    told
}

async fn finish(repository: &Repository, location: &str) -> Option<u16> {
    let place = format!("{location}?digest={}", Digest::of(WHOLE));
    tell(repository.at(Method::PUT, &place)).await.map(|done| done.status().as_u16())
}

/// Goes on with an upload from where the server says it is, and ends it.
async fn go_on(repository: &Repository, location: &str) {
    let status = repository.at(Method::GET, location).send().await.unwrap();
    assert_eq!(status.status(), 204);
    let range = status.headers()["range"].to_str().unwrap().strip_prefix("0-").unwrap();
    // An upload of nothing and one of a single byte read the same; ours have none or many.
    let at = range.parse::<usize>().unwrap();
    let at = if at == 0 { 0 } else { at + 1 };
    if at < WHOLE.len() {
        let range = format!("{at}-{}", WHOLE.len() - 1);
        let patch = repository.at(Method::PATCH, location).header("content-range", range);
        let done = patch.body(WHOLE[at..].to_vec()).send().await.unwrap();
        assert_eq!(done.status(), 202);
    }
    assert_eq!(finish(repository, location).await, Some(201));
}

#[tokio::test]
async fn killed_at_any_point_of_a_push_what_was_told_is_there_and_the_rest_goes_on() {
    for point in FaultPoint::PUSH {
        let (folder, database) = (tempfile::tempdir().unwrap(), Database::fresh());
        let (blob, config) = (Digest::of(WHOLE), Digest::of(b"{}"));
        let manifest = image(config, blob, WHOLE.len());
        let mut repository = {
            let server = Server::start(folder.path(), &database, None).await;
            let token = Some(server.publisher().await.secret);
            let address = server.address.clone();
            let repository = Repository { address, name: "acme/image".to_owned(), token };
            repository.push_blob(b"{}").await;
            repository
        };
        let mut server = Server::start(folder.path(), &database, Some(point)).await;
        repository.address = server.address.clone();
        let told = push(&repository, &manifest).await;
        let status = server.child.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{point:?}");
        assert!(!told.manifest, "{point:?}: {told:?}");

        let server = Server::start(folder.path(), &database, None).await;
        repository.address = server.address.clone();
        let left = std::fs::read_dir(server.data.join("blobs/tmp")).unwrap().count();
        assert_eq!(left, 0, "{point:?}");
        let there = async |rest: &str| repository.get(rest).await.status == 200;
        assert!(there(&format!("blobs/{config}")).await, "{point:?}");
        let blob_there = there(&format!("blobs/{blob}")).await;
        let expected = told.blob || point == FaultPoint::PushNamed;
        assert_eq!(blob_there, expected, "{point:?}: {told:?}");
        let manifest_there = there("manifests/v1").await;
        assert_eq!(manifest_there, point == FaultPoint::ManifestCommitted, "{point:?}: {told:?}");
        let listed = repository.get("tags/list").await.expect(200).json();
        assert_eq!(listed["tags"].as_array().unwrap().len(), usize::from(manifest_there));
        if !told.blob {
            go_on(&repository, told.upload.as_ref().unwrap()).await;
        }
        repository.put("v1", IMAGE, &manifest).await.expect(201);
        let got = repository.get(&format!("blobs/{blob}")).await.expect(200);
        assert_eq!(got.body, WHOLE, "{point:?}");
        let got = repository.get("manifests/v1").await.expect(200);
        assert_eq!(got.json(), manifest, "{point:?}");
    }
}

#[tokio::test]
async fn killed_in_the_middle_of_a_body_an_upload_goes_on_from_what_was_acknowledged() {
    use tokio::io::AsyncWriteExt as _;
    let (folder, database) = (tempfile::tempdir().unwrap(), Database::fresh());
    let mut server = Server::start(folder.path(), &database, None).await;
    let token = server.publisher().await.secret;
    let address = server.address.clone();
    let repository =
        Repository { address, name: "acme/image".to_owned(), token: Some(token.clone()) };
    let location = repository.start().await;
    let first = repository.at(Method::PATCH, &location).header("content-range", "0-5");
    assert_eq!(first.body(&WHOLE[..6]).send().await.unwrap().status(), 202);
    let host = server.address.strip_prefix("http://").unwrap();
    let mut line = tokio::net::TcpStream::connect(host).await.unwrap();
    let request = format!(
        "PATCH {location} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
         Content-Range: 6-15\r\nContent-Length: 10\r\n\r\nwide"
    );
    line.write_all(request.as_bytes()).await.unwrap();
    let temp = server.data.join("blobs/tmp");
    crate::world::eventually("the body is being written", async || {
        let mut files = std::fs::read_dir(&temp).unwrap();
        files.any(|file| file.unwrap().metadata().is_ok_and(|file| file.len() > 0)).then_some(())
    })
    .await;
    server.child.kill().unwrap();
    server.child.wait().unwrap();

    let server = Server::start(folder.path(), &database, None).await;
    let repository = Repository { address: server.address.clone(), ..repository };
    let status = repository.at(Method::GET, &location).send().await.unwrap();
    assert_eq!(status.headers()["range"], "0-5");
    go_on(&repository, &location).await;
    let got = repository.get(&format!("blobs/{}", Digest::of(WHOLE))).await.expect(200);
    assert_eq!(got.body, WHOLE);
}
