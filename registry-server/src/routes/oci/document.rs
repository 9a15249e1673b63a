//! What the OpenAPI document says about the addresses below `/v2/`. One route serves them all, because a name
//! may have slashes; the functions here are only read by the document.

use super::token::AccessToken;
use utoipa::OpenApi;

/// The operations of repositories.
#[derive(OpenApi)]
#[openapi(
    paths(
        manifest,
        put_manifest,
        delete_manifest,
        blob,
        delete_blob,
        start_upload,
        upload,
        append,
        finish,
        cancel,
        tags,
        referrers
    ),
    components(schemas(AccessToken))
)]
pub struct Document;

/// A manifest or index, by tag or digest
#[utoipa::path(get, path = "/v2/{name}/manifests/{reference}", tag = "oci", security(()),
    params(("name" = String, Path, description = "of any depth; slashes may be sent as %2F"),
        ("reference" = String, Path, description = "tag or digest")),
    responses((status = 200), (status = 206), (status = 304), (status = 400), (status = 404), (status = 416)))]
pub const fn manifest() {}

/// Push a manifest
///
/// What it names must be in the repository. Tags of published versions cannot be set.
#[utoipa::path(put, path = "/v2/{name}/manifests/{reference}", tag = "oci", security(("basic" = []), ("token" = [])),
    params(("name" = String, Path), ("reference" = String, Path),
        ("tag" = Option<Vec<String>>, Query, description = "more tags, for one pushed by digest")),
    request_body(content = String, content_type = "application/vnd.oci.image.manifest.v1+json"),
    responses((status = 201), (status = 400), (status = 401), (status = 403), (status = 404),
        (status = 413)))]
pub const fn put_manifest() {}

/// Take a tag away, or a manifest with all its tags
///
/// Published versions stay.
#[utoipa::path(delete, path = "/v2/{name}/manifests/{reference}", tag = "oci", security(("basic" = []), ("token" = [])),
    params(("name" = String, Path), ("reference" = String, Path)),
    responses((status = 202), (status = 400), (status = 401), (status = 403), (status = 404),
        (status = 405)))]
pub const fn delete_manifest() {}

/// A blob by digest
#[utoipa::path(get, path = "/v2/{name}/blobs/{digest}", tag = "oci", security(()),
    params(("name" = String, Path), ("digest" = String, Path)),
    responses((status = 200), (status = 206), (status = 304), (status = 400), (status = 404), (status = 416)))]
pub const fn blob() {}

/// Take a blob away that no manifest names
#[utoipa::path(delete, path = "/v2/{name}/blobs/{digest}", tag = "oci", security(("basic" = []), ("token" = [])),
    params(("name" = String, Path), ("digest" = String, Path)),
    responses((status = 202), (status = 400), (status = 401), (status = 403), (status = 404),
        (status = 405)))]
pub const fn delete_blob() {}

/// Begin an upload, mount a blob of another repository, or push one whole
#[utoipa::path(post, path = "/v2/{name}/blobs/uploads/", tag = "oci", security(("basic" = []), ("token" = [])),
    params(("name" = String, Path), ("mount" = Option<String>, Query), ("from" = Option<String>, Query),
        ("digest" = Option<String>, Query), ("digest-algorithm" = Option<String>, Query)),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201), (status = 202), (status = 400), (status = 401), (status = 403),
        (status = 404), (status = 413)))]
pub const fn start_upload() {}

/// How far an upload is
#[utoipa::path(get, path = "/v2/{name}/blobs/uploads/{id}", tag = "oci", security(("basic" = []), ("token" = [])),
    params(("name" = String, Path), ("id" = String, Path)),
    responses((status = 204), (status = 400), (status = 401), (status = 403), (status = 404)))]
pub const fn upload() {}

/// Send a part of a blob
#[utoipa::path(patch, path = "/v2/{name}/blobs/uploads/{id}", tag = "oci", security(("basic" = []), ("token" = [])),
    params(("name" = String, Path), ("id" = String, Path)),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 202), (status = 400), (status = 401), (status = 403), (status = 404),
        (status = 413), (status = 416)))]
pub const fn append() {}

/// Send the last part, if any, and end the upload
#[utoipa::path(put, path = "/v2/{name}/blobs/uploads/{id}", tag = "oci", security(("basic" = []), ("token" = [])),
    params(("name" = String, Path), ("id" = String, Path), ("digest" = String, Query)),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201), (status = 400), (status = 401), (status = 403), (status = 404),
        (status = 413), (status = 416)))]
pub const fn finish() {}

/// Take an upload back
#[utoipa::path(delete, path = "/v2/{name}/blobs/uploads/{id}", tag = "oci", security(("basic" = []), ("token" = [])),
    params(("name" = String, Path), ("id" = String, Path)),
    responses((status = 204), (status = 400), (status = 401), (status = 403), (status = 404)))]
pub const fn cancel() {}

/// The tags of a repository: versions of a package, and what was pushed
#[utoipa::path(get, path = "/v2/{name}/tags/list", tag = "oci", security(()),
    params(("name" = String, Path), ("n" = Option<u64>, Query), ("last" = Option<String>, Query)),
    responses((status = 200), (status = 400), (status = 404)))]
pub const fn tags() {}

/// What refers to a digest: manifest JSON, README, attestations, and what was pushed
#[utoipa::path(get, path = "/v2/{name}/referrers/{digest}", tag = "oci", security(()),
    params(("name" = String, Path), ("digest" = String, Path),
        ("artifactType" = Option<String>, Query)),
    responses((status = 200), (status = 400)))]
pub const fn referrers() {}
