//! `skep bundle load`: what was verified goes into a registry, a namespace at a time.

use super::{Opened, Proven};
use crate::attesting;
use crate::cmd::Session;
use crate::exit::Ends;
use crate::render::{paint, units};
use crate::uploading;
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;
use skep_api::client::{Client, ClientError};
use skep_api::reason::code;
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
    let mut loaded = Vec::new();
    for (namespace, packages) in by_namespace {
        for batch in packages.chunks(ADOPT_VERSIONS_MAX) {
            let receipt = client.adopt(namespace, &request(batch)).await;
            let failed = || format!("The packages of {namespace} were not taken over.");
            let receipt = receipt.with_context(failed)?;
            let attestations = attest(&client, batch).await?;
            loaded.push(Loaded { receipt, attestations });
        }
    }
    session.out.result(&loaded, || text(&loaded))
}

/// What came of a batch.
#[derive(Serialize)]
struct Loaded {
    #[serde(flatten)]
    receipt: AdoptReceipt,
    /// Attestations that were not there before.
    attestations: usize,
}

/// Hands in what is said about the packages; the registry looks at each as if it came from whoever made it.
async fn attest(client: &Client, batch: &[&Proven]) -> anyhow::Result<usize> {
    let mut added = 0;
    for proven in batch {
        for said in &proven.attestations {
            let wanted = &proven.bundle.wanted;
            let answer = attesting::hand_in(client, wanted, &said.media_type, &said.content).await;
            let code = answer.as_ref().err().and_then(|error| error.downcast_ref::<ClientError>());
            match code.and_then(ClientError::code) {
                Some(code::ATTESTATION_EXISTS) => {}
                _ => {
                    answer?;
                    added += 1;
                }
            }
        }
    }
    Ok(added)
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
    let Some(signers) = &rule.signers else {
        return Err(Ends::usage(format!(
            "Your policy leaves the keys of {namespace} to a trusted root, so there are none to register. Name them with --key."
        ))
        .into());
    };
    let wish = ClaimNamespace {
        name: namespace.clone(),
        keys: signers.keys.clone(),
        threshold: u32::try_from(signers.threshold).unwrap_or(u32::MAX),
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

fn text(loaded: &[Loaded]) -> String {
    let mut text = String::new();
    for Loaded { receipt, attestations } in loaded {
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
        if *attestations > 0 {
            let count = units::plural(*attestations, "attestation", "attestations");
            text.push_str(&format!("  + {count}\n"));
        }
    }
    text
}
