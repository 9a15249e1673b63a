//! The parts of a policy file that ask for more than signatures: a log, attestations, kernels.
//! It refuses to know how they are checked.

use serde::Deserialize;
use skep_artifact::PublicKey;

use super::{PolicyError, Signers};
use crate::attestation::{
    AttestationRule, CYCLONEDX, PROVENANCE, SPDX, VERIFIED_ON, VerifiedOnRule, series_of,
};
use crate::log::LogPolicy;
use crate::note::NoteKey;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogTable {
    key: NoteKey,
    #[serde(default)]
    witnesses: Vec<NoteKey>,
    #[serde(default)]
    quorum: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AttestationTable {
    r#type: String,
    keys: Vec<PublicKey>,
    #[serde(default = "super::one")]
    threshold: usize,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum VerifiedOnTable {
    Here(bool),
    Series(Vec<String>),
}

impl LogTable {
    pub(super) fn read(self) -> Result<LogPolicy, PolicyError> {
        LogPolicy::new(self.key, self.witnesses, self.quorum).map_err(PolicyError::Log)
    }
}

impl AttestationTable {
    pub(super) fn read(self, namespace: &str) -> Result<AttestationRule, PolicyError> {
        let of = format!("{} attestations of {namespace}", self.r#type);
        let predicates: Vec<&str> = match self.r#type.as_str() {
            "provenance" => vec![PROVENANCE],
            "sbom" => vec![SPDX, CYCLONEDX],
            "verified-on" => vec![VERIFIED_ON],
            url if url.contains("://") => vec![url],
            _ => {
                let found = self.r#type.chars().take(100).collect();
                return Err(PolicyError::AttestationType { found });
            }
        };
        Ok(AttestationRule {
            predicates: predicates.into_iter().map(str::to_owned).collect(),
            signers: Signers::new(&of, self.keys, self.threshold)?,
        })
    }
}

impl VerifiedOnTable {
    /// `false` asks for nothing; `true` for the node's own kernel series.
    pub(super) fn read(
        self,
        keys: Vec<PublicKey>,
        namespace: &str,
    ) -> Result<Option<VerifiedOnRule>, PolicyError> {
        let series = match self {
            Self::Here(false) => return Ok(None),
            Self::Here(true) => Vec::new(),
            Self::Series(series) => series,
        };
        if let Some(found) = series.iter().find(|s| !is_series(s)) {
            return Err(PolicyError::KernelSeries { found: found.chars().take(40).collect() });
        }
        let of = format!("verified-on attestations of {namespace}");
        Ok(Some(VerifiedOnRule { series, signers: Signers::new(&of, keys, 1)? }))
    }
}

fn is_series(text: &str) -> bool {
    let number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    text.split('.').count() == 2 && text.split('.').all(number) && series_of(text) == text
}
