//! DSSE envelopes: a payload, its type, and signatures over both.
//! It refuses to know what a payload means; a payload leaves this module only after its signatures verified.
//!
//! The signed bytes are the pre-authentication encoding of the DSSE specification 1.0 (secure-systems-lab/dsse, protocol.md).

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::json::{self, JsonError};
use crate::key::{KeyId, PublicKey, SecretKey};
use crate::limits::{MANIFEST_JSON_BYTES_MAX, SIGNATURES_MAX};

/// The payload type of an operator's policy revision.
pub const POLICY_PAYLOAD_TYPE: &str = "application/vnd.skep.policy-revision.v1+json";
/// The payload type of an operator's policy set.
pub const SET_PAYLOAD_TYPE: &str = "application/vnd.skep.policy-set.v1+json";
/// The payload type of an operator's approval of a wave.
pub const APPROVAL_PAYLOAD_TYPE: &str = "application/vnd.skep.approval.v1+json";
/// The payload type of a server's assignment.
pub const ASSIGNMENT_PAYLOAD_TYPE: &str = "application/vnd.skep.assignment.v1+json";
/// The payload type of a revocation.
pub const REVOCATION_PAYLOAD_TYPE: &str = "application/vnd.skep.revocation.v1+json";
/// The payload type of the lift of a revocation.
pub const REVOCATION_LIFT_PAYLOAD_TYPE: &str = "application/vnd.skep.revocation-lift.v1+json";

/// Bytes of an envelope: a payload of the largest JSON document in base64, and its signatures.
pub const ENVELOPE_BYTES_MAX: usize = MANIFEST_JSON_BYTES_MAX / 3 * 4 + 64 * 1024;

/// An envelope whose form is right; whether its signatures are is what [`Envelope::verify`] answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    payload_type: String,
    payload: Vec<u8>,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct EnvelopeSignature {
    key_id: KeyId,
    bytes: Vec<u8>,
}

/// What a verified envelope says, and who signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedPayload {
    payload: Vec<u8>,
    signed_by: Vec<KeyId>,
}

/// Why an envelope is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DsseError {
    /// Not strict JSON of the right shape.
    #[error("the envelope is not a DSSE document: {0}")]
    Json(JsonError),
    /// A payload or signature that is not base64.
    #[error("the envelope's {part} is not base64")]
    Base64 {
        /// `payload` or `signature`.
        part: &'static str,
    },
    /// More signatures than are read.
    #[error("the envelope carries {count} signatures; at most {SIGNATURES_MAX} are read")]
    TooManySignatures {
        /// How many there are.
        count: usize,
    },
    /// Two signatures by one key: an attempt to count one signer twice.
    #[error("the envelope carries two signatures by key {key_id}")]
    DuplicateKey {
        /// The key named twice.
        key_id: KeyId,
    },
    /// The payload is of another kind than the caller asked for.
    #[error("the envelope holds `{found}`, not `{expected}`")]
    PayloadType {
        /// What it holds.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// Too few accepted keys signed.
    #[error("{valid} of the accepted keys signed the envelope; {threshold} must")]
    Threshold {
        /// How many accepted keys signed it validly.
        valid: usize,
        /// How many must.
        threshold: usize,
        /// The keys the envelope names that are not accepted.
        untrusted: Vec<KeyId>,
    },
    /// A signature that names an accepted key does not verify: the envelope was changed after signing, or forged.
    #[error("the signature by key {key_id} does not verify")]
    BadSignature {
        /// The accepted key.
        key_id: KeyId,
    },
    /// The caller accepts nobody, or asks for no signature at all.
    #[error("no key is accepted, or the threshold {threshold} cannot be met by {keys} keys")]
    Unverifiable {
        /// Keys accepted.
        keys: usize,
        /// Signatures asked for.
        threshold: usize,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct EnvelopeJson {
    payload_type: String,
    payload: String,
    signatures: Vec<SignatureJson>,
}

#[derive(Serialize, Deserialize)]
struct SignatureJson {
    keyid: KeyId,
    sig: String,
}

/// Signs a payload with each key and returns the envelope's JSON.
pub fn sign(payload_type: &str, payload: &[u8], keys: &[SecretKey]) -> Result<Vec<u8>, DsseError> {
    let message = pre_authentication_encoding(payload_type, payload);
    let signature = |key: &SecretKey| SignatureJson {
        keyid: key.public().key_id(),
        sig: BASE64.encode(key.sign(&message)),
    };
    let envelope = EnvelopeJson {
        payload_type: payload_type.to_owned(),
        payload: BASE64.encode(payload),
        signatures: keys.iter().map(signature).collect(),
    };
    json::canonical(&envelope).map_err(DsseError::Json)
}

/// Adds signatures to an envelope: what the second operator does on another machine. A key that signed already is left as it is.
pub fn add_signatures(bytes: &[u8], keys: &[SecretKey]) -> Result<Vec<u8>, DsseError> {
    let Envelope { payload_type, payload, signatures } = Envelope::parse(bytes)?;
    let message = pre_authentication_encoding(&payload_type, &payload);
    let mut all: BTreeMap<KeyId, Vec<u8>> =
        signatures.into_iter().map(|signature| (signature.key_id, signature.bytes)).collect();
    for key in keys {
        all.entry(key.public().key_id()).or_insert_with(|| key.sign(&message).to_vec());
    }
    if all.len() > SIGNATURES_MAX {
        return Err(DsseError::TooManySignatures { count: all.len() });
    }
    let signature =
        |(keyid, bytes): (KeyId, Vec<u8>)| SignatureJson { keyid, sig: BASE64.encode(bytes) };
    let envelope = EnvelopeJson {
        payload_type,
        payload: BASE64.encode(payload),
        signatures: all.into_iter().map(signature).collect(),
    };
    json::canonical(&envelope).map_err(DsseError::Json)
}

/// Reads an envelope and verifies it: of `expected_type`, signed by at least `threshold` of `keys`.
pub fn verify(
    bytes: &[u8],
    expected_type: &str,
    keys: &[PublicKey],
    threshold: usize,
) -> Result<VerifiedPayload, DsseError> {
    Envelope::parse(bytes)?.verify(expected_type, keys, threshold)
}

impl Envelope {
    /// Reads an envelope's form. Nothing in it is true yet.
    pub fn parse(bytes: &[u8]) -> Result<Self, DsseError> {
        let read: EnvelopeJson =
            json::parse_into(bytes, ENVELOPE_BYTES_MAX).map_err(DsseError::Json)?;
        if read.signatures.len() > SIGNATURES_MAX {
            return Err(DsseError::TooManySignatures { count: read.signatures.len() });
        }
        let payload =
            BASE64.decode(&read.payload).map_err(|_| DsseError::Base64 { part: "payload" })?;
        let mut seen = BTreeSet::new();
        let mut signatures = Vec::with_capacity(read.signatures.len());
        for signature in read.signatures {
            if !seen.insert(signature.keyid) {
                return Err(DsseError::DuplicateKey { key_id: signature.keyid });
            }
            let bytes = BASE64
                .decode(&signature.sig)
                .map_err(|_| DsseError::Base64 { part: "signature" })?;
            signatures.push(EnvelopeSignature { key_id: signature.keyid, bytes });
        }
        Ok(Self { payload_type: read.payload_type, payload, signatures })
    }

    /// The keys the envelope says it was signed by; nothing is verified.
    pub fn claimed_signers(&self) -> Vec<KeyId> {
        self.signatures.iter().map(|signature| signature.key_id).collect()
    }

    /// What the payload says it is; nothing is verified.
    pub fn payload_type(&self) -> &str {
        &self.payload_type
    }

    /// The payload before any verification: for showing, never for acting.
    pub fn unverified_payload(&self) -> &[u8] {
        &self.payload
    }

    /// Verifies the envelope. A signature by an accepted key that does not verify refuses the whole envelope,
    /// even when enough others do: somebody tampered with it.
    pub fn verify(
        self,
        expected_type: &str,
        keys: &[PublicKey],
        threshold: usize,
    ) -> Result<VerifiedPayload, DsseError> {
        if self.payload_type != expected_type {
            let found = self.payload_type.chars().take(100).collect();
            return Err(DsseError::PayloadType { found, expected: expected_type.to_owned() });
        }
        let message = pre_authentication_encoding(&self.payload_type, &self.payload);
        let signatures =
            self.signatures.iter().map(|signature| (signature.key_id, signature.bytes.as_slice()));
        let signed_by = crate::threshold::verify(&message, signatures, keys, threshold)?;
        Ok(VerifiedPayload { payload: self.payload, signed_by })
    }
}

impl VerifiedPayload {
    /// The signed bytes.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The signed bytes, owned.
    pub fn into_payload(self) -> Vec<u8> {
        self.payload
    }

    /// The accepted keys that signed.
    pub fn signed_by(&self) -> &[KeyId] {
        &self.signed_by
    }
}

impl From<crate::threshold::ThresholdError> for DsseError {
    fn from(error: crate::threshold::ThresholdError) -> Self {
        use crate::threshold::ThresholdError as E;
        match error {
            E::Unverifiable { keys, threshold } => Self::Unverifiable { keys, threshold },
            E::BadSignature { key_id } => Self::BadSignature { key_id },
            E::TooFew { valid, threshold, untrusted } => {
                Self::Threshold { valid, threshold, untrusted }
            }
        }
    }
}

/// The bytes that are signed: `DSSEv1 len(type) type len(payload) payload`, lengths in decimal.
pub fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut message =
        format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    message.extend_from_slice(payload);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed([seed; 32])
    }

    #[test]
    fn encoding_is_that_of_the_specification() {
        let message = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world");
        assert_eq!(message, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    #[test]
    fn a_signed_payload_verifies_and_says_by_whom() {
        let bytes = sign("t", b"payload", &[key(1), key(2), key(9)]).unwrap();
        let keys = [key(1).public(), key(2).public(), key(3).public()];
        let verified = verify(&bytes, "t", &keys, 2).unwrap();
        assert_eq!(verified.payload(), b"payload");
        let mut wanted = vec![keys[0].key_id(), keys[1].key_id()];
        wanted.sort_unstable();
        assert_eq!(verified.signed_by(), wanted);
    }

    #[test]
    fn a_signature_added_elsewhere_counts_and_changes_nothing_signed() {
        let keys = [key(1).public(), key(2).public()];
        let first = sign("t", b"payload", &[key(1)]).unwrap();
        let both = add_signatures(&first, &[key(2), key(1)]).unwrap();
        assert_eq!(verify(&both, "t", &keys, 2).unwrap().payload(), b"payload");
        assert_eq!(add_signatures(&both, &[key(1)]).unwrap(), both);
        assert!(matches!(add_signatures(b"{}", &[]), Err(DsseError::Json(_))));
        let crowd: Vec<_> =
            (0..=SIGNATURES_MAX).map(|seed| key(u8::try_from(seed).unwrap())).collect();
        let refused = add_signatures(&first, &crowd);
        assert!(matches!(refused, Err(DsseError::TooManySignatures { count: 33 })));
    }

    #[test]
    fn refuses_forged_thin_duplicated_and_mistyped_envelopes() {
        let bytes = sign("t", b"payload", &[key(1)]).unwrap();
        let keys = [key(1).public(), key(2).public()];
        assert!(matches!(verify(&bytes, "u", &keys, 1), Err(DsseError::PayloadType { .. })));
        assert!(matches!(
            verify(&bytes, "t", &keys, 2),
            Err(DsseError::Threshold { valid: 1, threshold: 2, .. })
        ));
        assert!(matches!(
            verify(&bytes, "t", &keys[1..], 1),
            Err(DsseError::Threshold { valid: 0, .. })
        ));
        assert!(matches!(verify(&bytes, "t", &keys, 0), Err(DsseError::Unverifiable { .. })));
        assert!(matches!(verify(&bytes, "t", &[], 1), Err(DsseError::Unverifiable { .. })));
        let twice = [keys[0].clone(), keys[0].clone()];
        assert!(matches!(
            verify(&bytes, "t", &twice, 2),
            Err(DsseError::Unverifiable { keys: 1, threshold: 2 })
        ));

        let text = String::from_utf8(bytes).unwrap();
        let other = text.replace(&BASE64.encode("payload"), &BASE64.encode("Payload"));
        assert!(matches!(
            verify(other.as_bytes(), "t", &keys, 1),
            Err(DsseError::BadSignature { .. })
        ));

        let doubled = sign("t", b"payload", &[key(1), key(1)]).unwrap();
        assert!(matches!(verify(&doubled, "t", &keys, 2), Err(DsseError::DuplicateKey { .. })));
        let crowd: Vec<_> =
            (0..=SIGNATURES_MAX).map(|seed| key(u8::try_from(seed).unwrap())).collect();
        let crowded = sign("t", b"payload", &crowd).unwrap();
        assert!(matches!(
            verify(&crowded, "t", &keys, 1),
            Err(DsseError::TooManySignatures { .. })
        ));
        assert!(matches!(verify(b"{}", "t", &keys, 1), Err(DsseError::Json(_))));
    }
}
