//! `skep bundle load`: what was verified goes into a registry, a namespace at a time.

use super::{Opened, Proven};
use crate::cmd::Session;
use crate::exit::Ends;
use crate::render::{paint, units};
use crate::uploading;
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use skep_api::client::{Client, ClientError};
use skep_api::v1::adopt::{ADOPT_VERSIONS_MAX, AdoptReceipt, AdoptRequest, AdoptedVersion};
use skep_api::v1::namespaces::ClaimNamespace;
use skep_artifact::digest::Digest;
use skep_artifact::layout::Blob;
use skep_artifact::name::Namespace;
use std::collections::BTreeMap;

pub(super) async fn run(opened: &Opened, claim: bool, session: &Session) -> anyhow::Result<()> {
    let client = session.settings.client()?;
    let mut by_namespace: BTreeMap<&Namespace, Vec<&Proven>> = BTreeMap::new();
    for proven in &opened.packages {
        by_namespace.entry(proven.package.name().namespace()).or_default().push(proven);
    }
    // Refusals that need no upload come before it.
    for namespace in by_namespace.keys() {
        registered(&client, namespace, opened, claim).await?;
    }
    upload(&client, &opened.packages, session).await?;
    let mut receipts = Vec::new();
    for (namespace, packages) in by_namespace {
        for batch in packages.chunks(ADOPT_VERSIONS_MAX) {
            let receipt = client.adopt(namespace, &request(batch)).await;
            let failed = || format!("The packages of {namespace} were not taken over.");
            receipts.push(receipt.with_context(failed)?);
        }
    }
    session.out.result(&receipts, || text(&receipts))
}

/// Makes sure that the registry knows the namespace, by claiming it when that was asked for.
async fn registered(
    client: &Client,
    namespace: &Namespace,
    opened: &Opened,
    claim: bool,
) -> anyhow::Result<()> {
    match client.namespace(namespace).await {
        Ok(_) => return Ok(()),
        Err(ClientError::Refused { status: 404, .. }) => {}
        Err(error) => return Err(error.into()),
    }
    if !claim {
        return Err(Ends::not_found(format!(
            "The registry has no namespace {namespace}. Pass --claim to register it with the keys you trust, or ask an admin to."
        ))
        .into());
    }
    let rule = opened.trust.policy.namespace(namespace);
    let rule = rule.ok_or_else(|| Ends::refusal(format!("You trust no keys of {namespace}.")))?;
    let wish = ClaimNamespace {
        name: namespace.clone(),
        keys: rule.signers.keys.clone(),
        threshold: u32::try_from(rule.signers.threshold).unwrap_or(u32::MAX),
    };
    client.claim_namespace(&wish).await?;
    Ok(())
}

async fn upload(client: &Client, packages: &[Proven], session: &Session) -> anyhow::Result<()> {
    let mut missing: BTreeMap<Digest, Blob> = BTreeMap::new();
    for (digest, bytes) in packages.iter().flat_map(|proven| proven.bundle.blobs.all()) {
        if !missing.contains_key(digest) && !client.has_blob(digest).await? {
            let media_type = "application/octet-stream";
            missing.insert(*digest, Blob { media_type, digest: *digest, bytes: bytes.clone() });
        }
    }
    let total = missing.values().map(|blob| blob.bytes.len() as u64).sum();
    let bar = session.out.transfer("uploading", total);
    for blob in missing.values() {
        uploading::upload(client, blob, &bar, session.out)
            .await
            .with_context(|| format!("{} was not uploaded.", blob.digest))?;
    }
    bar.finish_and_clear();
    Ok(())
}

fn request(batch: &[&Proven]) -> AdoptRequest {
    let role = batch.first().map(|proven| BASE64.encode(&proven.bundle.role)).unwrap_or_default();
    let version = |proven: &&Proven| {
        let wanted = &proven.bundle.wanted;
        let blobs = proven.bundle.blobs.all().map(|(digest, _)| *digest);
        AdoptedVersion {
            name: wanted.name.clone(),
            version: wanted.version.clone(),
            index: wanted.index,
            blobs: blobs.filter(|digest| *digest != wanted.index).collect(),
        }
    };
    AdoptRequest { role, versions: batch.iter().map(version).collect() }
}

fn text(receipts: &[AdoptReceipt]) -> String {
    let mut text = String::new();
    for receipt in receipts {
        text.push_str(&format!(
            "{} {} of {}  {}\n",
            paint::moss("Loaded"),
            units::plural(receipt.added.len(), "version", "versions"),
            receipt.namespace,
            paint::dim(&format!("· role version {}", receipt.role_version))
        ));
        for word in &receipt.added {
            text.push_str(&format!("  + {word}\n"));
        }
        for word in &receipt.present {
            text.push_str(&format!("  {} {word}\n", paint::dim("= here already:")));
        }
    }
    text
}
