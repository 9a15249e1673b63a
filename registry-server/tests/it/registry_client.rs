//! Requests to one repository, as an OCI client makes them, with the token of its namespace.

use crate::world::{World, http};
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use skep_artifact::digest::Digest;

pub(crate) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// One repository, and who calls.
#[derive(Clone)]
pub(crate) struct Repository {
    pub(crate) address: String,
    pub(crate) name: String,
    pub(crate) token: Option<String>,
}

/// What an answer said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    async fn of(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, body: response.bytes().await.unwrap().to_vec() }
    }

    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).unwrap_or_else(|| panic!("no {name}: {self:?}"));
        value.to_str().unwrap()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Status and code of a refusal.
    #[track_caller]
    pub(crate) fn refusal(&self) -> (u16, String) {
        let code = self.json()["errors"][0]["code"].as_str().unwrap_or_default().to_owned();
        (self.status, code)
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "{text}");
        self
    }
}

impl Repository {
    /// A repository whose namespace is claimed, called with a token of it.
    pub(crate) async fn new(world: &World, name: &str) -> Self {
        let namespace = name.split('/').next().unwrap();
        let publisher = crate::world::Publisher::new(world, namespace).await;
        Self::of(world, name, &publisher.secret)
    }

    pub(crate) fn of(world: &World, name: &str, token: &str) -> Self {
        let (address, token) = (world.address.clone(), Some(token.to_owned()));
        Self { address, name: name.to_owned(), token }
    }

    pub(crate) fn named(&self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self.clone() }
    }

    pub(crate) fn anonymous(&self) -> Self {
        Self { token: None, ..self.clone() }
    }

    pub(crate) fn request(&self, method: Method, rest: &str) -> RequestBuilder {
        self.at(method, &format!("/v2/{}/{rest}", self.name))
    }

    /// A request to a place that an answer named.
    pub(crate) fn at(&self, method: Method, location: &str) -> RequestBuilder {
        let request = http().request(method, format!("{}{location}", self.address));
        match &self.token {
            Some(token) => request.basic_auth("anybody", Some(token)),
            None => request,
        }
    }

    pub(crate) async fn send(&self, method: Method, rest: &str) -> Answer {
        answer(self.request(method, rest)).await
    }

    pub(crate) async fn get(&self, rest: &str) -> Answer {
        self.send(Method::GET, rest).await
    }

    /// Begins an upload; returns its place.
    pub(crate) async fn start(&self) -> String {
        let started = self.send(Method::POST, "blobs/uploads/").await.expect(202);
        started.header("location").to_owned()
    }

    /// Pushes a blob in one request.
    pub(crate) async fn push_blob(&self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        let request = self.request(Method::POST, &format!("blobs/uploads/?digest={digest}"));
        answer(request.body(bytes.to_vec())).await.expect(201);
        digest
    }

    pub(crate) async fn put(&self, reference: &str, kind: &str, manifest: &Value) -> Answer {
        self.put_bytes(reference, kind, manifest.to_string().into_bytes()).await
    }

    pub(crate) async fn put_bytes(&self, reference: &str, kind: &str, bytes: Vec<u8>) -> Answer {
        let request = self.request(Method::PUT, &format!("manifests/{reference}"));
        answer(request.header("content-type", kind).body(bytes)).await
    }

    /// Pushes a whole image of one layer; returns the manifest.
    pub(crate) async fn push_image(&self, tag: &str, layer: &[u8]) -> Value {
        let image = image(self.push_blob(b"{}").await, self.push_blob(layer).await, layer.len());
        self.put(tag, IMAGE, &image).await.expect(201);
        image
    }
}

pub(crate) async fn answer(request: RequestBuilder) -> Answer {
    Answer::of(request.send().await.unwrap()).await
}

/// An image with an empty config and one layer.
pub(crate) fn image(config: Digest, layer: Digest, size: usize) -> Value {
    json!({
        "schemaVersion": 2, "mediaType": IMAGE,
        "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2 },
        "layers": [{ "mediaType": "application/octet-stream", "digest": layer, "size": size }],
    })
}

/// The digest of a manifest as it is sent.
pub(crate) fn digest_of(manifest: &Value) -> Digest {
    Digest::of(manifest.to_string().as_bytes())
}

/// What a descriptor says of a manifest.
pub(crate) fn descriptor(manifest: &Value) -> Value {
    let text = manifest.to_string();
    json!({ "mediaType": manifest["mediaType"], "digest": digest_of(manifest), "size": text.len() })
}
