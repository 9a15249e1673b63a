//! Statements about a package that the node policy asks for: who built it, what is in it, on which kernels it was
//! verified. It refuses to know where envelopes come from, and what a predicate says beyond what a rule asks.

use serde::Deserialize;
use sigstore_types::Statement;
use skep_artifact::dsse::{DsseError, ENVELOPE_BYTES_MAX, Envelope};
use skep_artifact::{Digest, KeyId};

use crate::policy::Signers;
use crate::verify::Wanted;

/// The payload type of an in-toto statement.
pub const STATEMENT_PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// SLSA provenance, version 1.
pub const PROVENANCE: &str = "https://slsa.dev/provenance/v1";
/// An SPDX document.
pub const SPDX: &str = "https://spdx.dev/Document";
/// A CycloneDX document.
pub const CYCLONEDX: &str = "https://cyclonedx.org/bom";
/// That a kernel's verifier accepted every program of a package.
pub const VERIFIED_ON: &str = "https://skep.dev/attestations/verified-on/v1";

/// Envelopes that are looked at for one package. One for each kernel of the last ten years, and a few of each other kind.
pub const ATTESTATIONS_MAX: usize = 64;

/// What a policy asks for beside the publisher's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttestationRule {
    /// The predicate types, any of which will do.
    pub predicates: Vec<String>,
    /// Who must have signed.
    pub signers: Signers,
}

/// On which kernels a package must have been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedOnRule {
    /// Kernel series, like `6.1`; empty means that of the node.
    pub series: Vec<String>,
    /// Who must have signed.
    pub signers: Signers,
}

/// A statement whose signature a rule's keys made and whose subject is the package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedStatement {
    /// Its predicate type.
    pub predicate_type: String,
    /// Its predicate.
    pub predicate: serde_json::Value,
    /// The accepted keys that signed.
    pub signed_by: Vec<KeyId>,
}

/// What a kernel's verifier said of a package: the predicate of [`VERIFIED_ON`].
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedOn {
    /// The kernel's release, as `uname -r` says it.
    pub kernel: String,
    /// The machine, as `uname -m` says it.
    pub machine: String,
    /// Whether every program was accepted.
    pub accepted: bool,
    /// Seconds since 1970 when it was loaded.
    pub at: i64,
    /// What was loaded.
    pub programs: Vec<VerifiedProgram>,
}

/// One program that was loaded.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedProgram {
    /// Its name, and the hook it was loaded for.
    pub name: String,
    /// Whether the verifier accepted it.
    pub accepted: bool,
    /// The last lines of the verifier's log, when it refused.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub log: String,
}

/// Why no statement satisfies a rule. Of several envelopes, the one that came closest speaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttestationRefusal {
    /// There is none.
    #[error("no attestation came with it")]
    Missing,
    /// Longer than an envelope may be.
    #[error("its attestation has {bytes} bytes; at most {ENVELOPE_BYTES_MAX} are read")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// More than are looked at.
    #[error("{count} attestations came with it; at most {ATTESTATIONS_MAX} are looked at")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// No DSSE envelope, or no in-toto statement in it.
    #[error("its attestation cannot be read: {reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
    /// An envelope of another kind of payload.
    #[error("its attestation holds `{found}`, not an in-toto statement")]
    OtherPayload {
        /// What it holds.
        found: String,
    },
    /// A statement of another kind.
    #[error("its attestation says {found}")]
    OtherPredicate {
        /// Its predicate type.
        found: String,
    },
    /// A statement about something else.
    #[error("its attestation is about other content than the package's index")]
    OtherSubject,
    /// None of the rule's keys signed.
    #[error("its attestation is signed by none of the keys the node policy accepts for it")]
    SignatureUntrusted,
    /// Some did, not enough.
    #[error(
        "its attestation is signed by {valid} of the keys the node policy accepts, which asks for {threshold}"
    )]
    Threshold {
        /// How many did.
        valid: usize,
        /// How many must.
        threshold: usize,
    },
    /// A signature under an accepted key's id that does not verify, or one twice.
    #[error("its attestation was changed after signing, or forged")]
    SignatureInvalid,
    /// Accepted on other kernels, or refused on this one.
    #[error("nobody whom the node policy trusts for it verified it on Linux {series}")]
    KernelNotVerified {
        /// The series.
        series: String,
    },
}

impl AttestationRefusal {
    /// A stable code for programs. It never changes its meaning.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "attestation.missing",
            Self::TooLarge { .. } => "attestation.too_large",
            Self::TooMany { .. } => "attestation.too_many",
            Self::Malformed { .. } => "attestation.malformed",
            Self::OtherPayload { .. } => "attestation.payload_of_other_type",
            Self::OtherPredicate { .. } => "attestation.other_predicate",
            Self::OtherSubject => "attestation.other_subject",
            Self::SignatureUntrusted => "attestation.signature_untrusted",
            Self::Threshold { .. } => "attestation.threshold_not_met",
            Self::SignatureInvalid => "attestation.signature_invalid",
            Self::KernelNotVerified { .. } => "attestation.kernel_not_verified",
        }
    }

    /// How close the envelope came, and how much it should alarm.
    fn closeness(&self) -> u8 {
        match self {
            Self::Missing => 0,
            // Said about something nobody asked: every other envelope is.
            Self::OtherPredicate { .. } => 1,
            Self::TooMany { .. } | Self::TooLarge { .. } => 2,
            Self::Malformed { .. } => 3,
            Self::OtherPayload { .. } => 4,
            Self::OtherSubject => 5,
            Self::SignatureUntrusted => 6,
            Self::Threshold { .. } => 7,
            Self::SignatureInvalid => 8,
            Self::KernelNotVerified { .. } => 9,
        }
    }
}

impl AttestationRule {
    /// The statements of the rule's kind about this package, signed as the rule asks.
    ///
    /// # Errors
    /// The [`AttestationRefusal`] of the envelope that came closest.
    pub fn verify(
        &self,
        wanted: &Wanted,
        envelopes: &[Vec<u8>],
    ) -> Result<Vec<VerifiedStatement>, AttestationRefusal> {
        if envelopes.len() > ATTESTATIONS_MAX {
            return Err(AttestationRefusal::TooMany { count: envelopes.len() });
        }
        let (mut good, mut closest) = (Vec::new(), AttestationRefusal::Missing);
        for bytes in envelopes {
            match self.verify_one(wanted, bytes) {
                Ok(statement) => good.push(statement),
                Err(refusal) if refusal.closeness() > closest.closeness() => closest = refusal,
                Err(_) => {}
            }
        }
        if good.is_empty() { Err(closest) } else { Ok(good) }
    }

    fn verify_one(
        &self,
        wanted: &Wanted,
        bytes: &[u8],
    ) -> Result<VerifiedStatement, AttestationRefusal> {
        let read = read_unverified(bytes)?;
        // What it claims to be only says which rule it is for; nothing is believed before its signature.
        if !self.predicates.contains(&read.statement.predicate_type) {
            let found = read.statement.predicate_type.chars().take(200).collect();
            return Err(AttestationRefusal::OtherPredicate { found });
        }
        if !read.is_about(&wanted.index) {
            return Err(AttestationRefusal::OtherSubject);
        }
        let Signers { keys, threshold } = &self.signers;
        let verified =
            read.envelope.verify(STATEMENT_PAYLOAD_TYPE, keys, *threshold).map_err(|error| {
                match error {
                    DsseError::Threshold { valid: 0, .. } => AttestationRefusal::SignatureUntrusted,
                    DsseError::Threshold { valid, threshold, .. } => {
                        AttestationRefusal::Threshold { valid, threshold }
                    }
                    _ => AttestationRefusal::SignatureInvalid,
                }
            })?;
        Ok(VerifiedStatement {
            predicate_type: read.statement.predicate_type,
            predicate: read.statement.predicate,
            signed_by: verified.signed_by().to_vec(),
        })
    }
}

impl VerifiedOnRule {
    /// Whether every kernel series that is asked for was verified.
    ///
    /// # Errors
    /// The [`AttestationRefusal`] that names what is missing.
    pub fn verify(
        &self,
        wanted: &Wanted,
        envelopes: &[Vec<u8>],
        kernel: &str,
    ) -> Result<(), AttestationRefusal> {
        let predicates = vec![VERIFIED_ON.to_owned()];
        let rule = AttestationRule { predicates, signers: self.signers.clone() };
        let statements = rule.verify(wanted, envelopes)?;
        let accepted: Vec<String> = statements
            .into_iter()
            .filter_map(|statement| accepted_series(statement.predicate))
            .collect();
        let own = [series_of(kernel)];
        let wanted = if self.series.is_empty() { &own[..] } else { &self.series };
        match wanted.iter().find(|series| !accepted.contains(series)) {
            Some(series) => Err(AttestationRefusal::KernelNotVerified { series: series.clone() }),
            None => Ok(()),
        }
    }
}

/// The kernel series on which every program was accepted, if the predicate says so.
fn accepted_series(predicate: serde_json::Value) -> Option<String> {
    let on: VerifiedOn = serde_json::from_value(predicate).ok()?;
    let all = on.accepted && !on.programs.is_empty() && on.programs.iter().all(|p| p.accepted);
    all.then(|| series_of(&on.kernel))
}

/// The series of a kernel release: `6.1` of `6.1.0-18-amd64`.
pub fn series_of(release: &str) -> String {
    let number = |part: &str| -> String { part.chars().take_while(char::is_ascii_digit).collect() };
    let mut parts = release.splitn(3, '.');
    match (parts.next(), parts.next()) {
        (Some(major), Some(minor)) => format!("{}.{}", number(major), number(minor)),
        _ => release.chars().take(20).collect(),
    }
}

/// An envelope with a statement in it, of which nothing is verified.
#[derive(Debug, Clone)]
pub struct UnverifiedStatement {
    envelope: Envelope,
    statement: Statement,
}

/// Reads an envelope's form: for storing and showing, never for acting.
///
/// # Errors
/// [`AttestationRefusal`] for what is no in-toto statement in a DSSE envelope.
pub fn read_unverified(bytes: &[u8]) -> Result<UnverifiedStatement, AttestationRefusal> {
    if bytes.len() > ENVELOPE_BYTES_MAX {
        return Err(AttestationRefusal::TooLarge { bytes: bytes.len() });
    }
    let malformed = |reason: String| AttestationRefusal::Malformed { reason };
    let envelope = Envelope::parse(bytes).map_err(|error| match error {
        DsseError::DuplicateKey { .. } => AttestationRefusal::SignatureInvalid,
        other => malformed(other.to_string()),
    })?;
    if envelope.payload_type() != STATEMENT_PAYLOAD_TYPE {
        let found = envelope.payload_type().chars().take(100).collect();
        return Err(AttestationRefusal::OtherPayload { found });
    }
    // Not the strict reader: documents of others hold numbers with a fraction. The parser bounds the nesting itself.
    let statement: Statement = serde_json::from_slice(envelope.unverified_payload())
        .map_err(|error| malformed(error.to_string()))?;
    if statement.type_ != Statement::TYPE_V1 {
        return Err(malformed("it is no in-toto statement of version 1".to_owned()));
    }
    Ok(UnverifiedStatement { envelope, statement })
}

impl UnverifiedStatement {
    /// What it says it is.
    pub fn predicate_type(&self) -> &str {
        &self.statement.predicate_type
    }

    /// Who it says signed it.
    pub fn claimed_signers(&self) -> Vec<KeyId> {
        self.envelope.claimed_signers()
    }

    /// The kernel series on which it says every program was accepted, when that is what it is about.
    pub fn claimed_series(&self) -> Option<String> {
        let about = self.statement.predicate_type == VERIFIED_ON;
        about.then(|| accepted_series(self.statement.predicate.clone())).flatten()
    }

    /// Whether one of its subjects is this content.
    pub fn is_about(&self, index: &Digest) -> bool {
        let sha256 = |subject: &sigstore_types::Subject| {
            subject.digest.sha256.as_ref().is_some_and(|hash| hash.as_bytes() == index.as_bytes())
        };
        self.statement.subject.iter().any(sha256)
    }
}

/// An in-toto statement about a package's index, ready to be signed.
///
/// # Errors
/// When the predicate cannot be written as JSON.
pub fn statement(
    wanted: &Wanted,
    predicate_type: &str,
    predicate: serde_json::Value,
) -> Result<Vec<u8>, serde_json::Error> {
    use sigstore_types::{Sha256Hash, Subject};
    let digest = sigstore_types::Digest::sha256(Sha256Hash::new(*wanted.index.as_bytes()));
    let subject = vec![Subject::new(format!("{}@{}", wanted.name, wanted.version), digest)];
    serde_json::to_vec(&Statement::new(subject, predicate_type, predicate))
}
