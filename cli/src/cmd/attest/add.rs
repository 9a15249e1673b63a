//! `skep attest add`: signs a statement about a version, or adds a document.

use super::{predicates, wanted};
use crate::attesting;
use crate::cmd::Session;
use crate::exit::Ends;
use crate::keys;
use crate::project::read_bytes;
use crate::render::attestations as render;
use crate::resolve::Reference;
use anyhow::Context as _;
use serde_json::Value;
use skep_api::client::Client;
use skep_api::v1::attestations::{CYCLONEDX_TYPE, DSSE_TYPE, SPDX_TYPE};
use skep_artifact::dsse::ENVELOPE_BYTES_MAX;
use skep_trust::attestation::{CYCLONEDX, SPDX};
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  skep attest add acme/ratelimit@1.4.2 --sbom ratelimit.spdx.json --key acme.key
  skep attest add acme/ratelimit@1.4.2 --type provenance --predicate provenance.json --key ci.key
  skep attest add acme/ratelimit@1.4.2 --envelope signed-elsewhere.json

The registry stores it as an OCI referrer of the version's index and logs it. Whom to believe is for each node's policy
to say. `skep publish --provenance` attests a build as it is published.")]
pub(crate) struct Args {
    /// A version of a package; the newest when none is named
    #[arg(value_name = "NAME[@VERSION]")]
    package: Reference,
    /// SPDX or CycloneDX document (JSON); with --key it is signed as a statement, too
    #[arg(long, value_name = "FILE", group = "what")]
    sbom: Option<PathBuf>,
    /// JSON file with the predicate of a statement
    #[arg(long, value_name = "FILE", group = "what", requires = "kind")]
    predicate: Option<PathBuf>,
    /// DSSE envelope that was signed elsewhere
    #[arg(long, value_name = "FILE", group = "what", conflicts_with = "keys")]
    envelope: Option<PathBuf>,
    /// provenance, verified-on, or the address of a predicate type
    #[arg(long = "type", value_name = "TYPE", requires = "predicate")]
    kind: Option<String>,
    /// Key file to sign with; give it once for every key
    #[arg(long = "key", value_name = "FILE", env = "SKEP_KEY")]
    keys: Vec<PathBuf>,
}

pub(super) async fn run(args: &Args, client: &Client, session: &Session) -> anyhow::Result<()> {
    let wanted = wanted(client, &args.package).await?;
    let mut added = Vec::new();
    if let Some(path) = &args.envelope {
        let envelope = read_bytes(path, ENVELOPE_BYTES_MAX)?;
        added.push(attesting::hand_in(client, &wanted, DSSE_TYPE, &envelope).await?);
    } else if let Some(path) = &args.sbom {
        let bytes = read_bytes(path, ENVELOPE_BYTES_MAX)?;
        let document: Value = serde_json::from_slice(&bytes)
            .with_context(|| format!("{} is not JSON.", path.display()))?;
        let (media_type, predicate_type) = if document.get("spdxVersion").is_some() {
            (SPDX_TYPE, SPDX)
        } else if document["bomFormat"] == "CycloneDX" {
            (CYCLONEDX_TYPE, CYCLONEDX)
        } else {
            let message =
                format!("{} is neither an SPDX nor a CycloneDX document.", path.display());
            return Err(Ends::usage(message).into());
        };
        added.push(attesting::hand_in(client, &wanted, media_type, &bytes).await?);
        if !args.keys.is_empty() {
            let keys = keys::to_sign_with(&args.keys, &session.settings)?;
            added.push(attesting::add(client, &wanted, predicate_type, document, &keys).await?);
        }
    } else if let (Some(path), Some(kind)) = (&args.predicate, &args.kind) {
        let predicate: Value = serde_json::from_slice(&read_bytes(path, ENVELOPE_BYTES_MAX)?)
            .with_context(|| format!("{} is not JSON.", path.display()))?;
        let types = predicates(kind)?;
        let [predicate_type] = &types[..] else {
            return Err(Ends::usage("For a document of contents use --sbom FILE.").into());
        };
        let keys = keys::to_sign_with(&args.keys, &session.settings)?;
        added.push(attesting::add(client, &wanted, predicate_type, predicate, &keys).await?);
    } else {
        let message =
            "Say what to add: --sbom FILE, --type TYPE --predicate FILE, or --envelope FILE.";
        return Err(Ends::usage(message).into());
    }
    session.out.result(&added, || {
        added.iter().map(|one| render::added(&wanted.to_string(), one)).collect()
    })
}
