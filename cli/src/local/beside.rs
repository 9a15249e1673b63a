//! What came with a package beside its content, kept in a seat: a policy that asks for a place in the log or for
//! attestations asks again whenever the chain is put together. Refuses to judge it.

use crate::project;
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use skep_artifact::digest::Digest;
use skep_artifact::dsse::ENVELOPE_BYTES_MAX;
use skep_trust::attestation::ATTESTATIONS_MAX;
use skep_trust::{Beside, LogEvidence, LogMemory};
use std::path::Path;

/// The file's name in a seat.
pub(crate) const FILE: &str = "beside.json";
/// Bytes of the file: every envelope in base64, which takes a third more; the proof fits into the rest.
const BYTES_MAX: usize = ATTESTATIONS_MAX * ENVELOPE_BYTES_MAX * 3 / 2;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    log: Option<Evidence>,
    memory: LogMemory,
    /// Envelopes, base64.
    attestations: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Evidence {
    index: u64,
    /// Base64.
    entry: String,
    inclusion: Vec<Digest>,
    checkpoint: String,
}

/// The file's bytes.
///
/// # Errors
/// When it cannot be written as JSON.
pub(crate) fn written(beside: &Beside) -> anyhow::Result<Vec<u8>> {
    let log = beside.log.as_ref().map(|evidence| Evidence {
        index: evidence.index,
        entry: BASE64.encode(&evidence.entry),
        inclusion: evidence.inclusion.clone(),
        checkpoint: evidence.checkpoint.clone(),
    });
    let attestations = beside.attestations.iter().map(|envelope| BASE64.encode(envelope));
    let memory = beside.memory.clone();
    let kept = Kept { log, memory, attestations: attestations.collect() };
    serde_json::to_vec(&kept).context("What came with a package cannot be written.")
}

/// Reads the file of a seat again. Seats of older versions have none.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn read_from(seat: &Path) -> anyhow::Result<Beside> {
    let file = seat.join(FILE);
    if !file.exists() {
        return Ok(Beside::default());
    }
    read(&project::read_bytes(&file, BYTES_MAX)?)
}

fn read(bytes: &[u8]) -> anyhow::Result<Beside> {
    let broken = || "What came with a package cannot be read.";
    let kept: Kept = serde_json::from_slice(bytes).with_context(broken)?;
    let log = kept.log.map(|evidence| {
        Ok::<_, base64::DecodeError>(LogEvidence {
            index: evidence.index,
            entry: BASE64.decode(&evidence.entry)?,
            inclusion: evidence.inclusion,
            checkpoint: evidence.checkpoint,
        })
    });
    let attestations = kept.attestations.iter().map(|text| BASE64.decode(text));
    Ok(Beside {
        log: log.transpose().with_context(broken)?,
        memory: kept.memory,
        attestations: attestations.collect::<Result<_, _>>().with_context(broken)?,
        ..Beside::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_back() {
        let log = LogEvidence {
            index: 7,
            entry: b"entry".to_vec(),
            inclusion: vec![Digest::of(b"hash")],
            checkpoint: "note".to_owned(),
        };
        let beside = Beside {
            log: Some(log),
            attestations: vec![b"one".to_vec(), b"two".to_vec()],
            ..Beside::default()
        };
        let back = read(&written(&beside).unwrap()).unwrap();
        assert_eq!((back.log, back.attestations), (beside.log, beside.attestations));
        assert!(read(b"{}").is_err());
        let text = String::from_utf8(written(&Beside::default()).unwrap()).unwrap();
        assert!(read(text.as_bytes()).is_ok());
        assert!(read(text.replace("[]", "[\"*\"]").as_bytes()).is_err());
    }
}
