//! One signed document on its way between machines: a `signed` part and the signatures collected so far.
//! It refuses to know which signatures are enough: whoever accepts it knows that.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use skep_artifact::json::{self, JsonError};
use skep_artifact::limits::SIGNATURES_MAX;
use skep_artifact::{KeyId, PublicKey, SecretKey};

use super::{TARGETS_BYTES_MAX, VERSION_MAX};

/// A document with the signatures it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    signed: Value,
    signatures: Vec<SignatureJson>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SignatureJson {
    keyid: KeyId,
    sig: String,
}

/// Why a file is no such document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Not strict JSON of the form `{"signed": …, "signatures": […]}`.
    #[error("the file is not a signed document")]
    Json(#[source] JsonError),
    /// The `signed` part lacks what every role has.
    #[error("the document has no usable {field}")]
    Field {
        /// `_type`, `version` or `expires`.
        field: &'static str,
    },
    /// More signatures than are read.
    #[error("the document has {count} signatures; at most {SIGNATURES_MAX} are read")]
    TooManySignatures {
        /// How many it has.
        count: usize,
    },
    /// Two files that are not copies of one document.
    #[error("the two files are different documents: their signed parts differ")]
    Other,
}

impl Document {
    /// A document nobody has signed yet.
    pub fn unsigned(signed: Value) -> Self {
        Self { signed, signatures: Vec::new() }
    }

    /// Reads a document and looks whether it has what every role has. Signatures are not checked.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        let document: Self =
            json::parse_into(bytes, TARGETS_BYTES_MAX).map_err(DocumentError::Json)?;
        let count = document.signatures.len();
        if count > SIGNATURES_MAX {
            return Err(DocumentError::TooManySignatures { count });
        }
        let known = ["root", "targets", "snapshot", "timestamp"];
        if !known.contains(&document.kind()) {
            return Err(DocumentError::Field { field: "_type" });
        }
        if !(1..=VERSION_MAX).contains(&document.version()) {
            return Err(DocumentError::Field { field: "version" });
        }
        if document.expires().parse::<jiff::Timestamp>().is_err() {
            return Err(DocumentError::Field { field: "expires" });
        }
        Ok(document)
    }

    /// The file's bytes: canonical JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>, DocumentError> {
        json::canonical(self).map_err(DocumentError::Json)
    }

    /// Adds the signature of a key, or renews it.
    pub fn sign(&mut self, key: &SecretKey) -> Result<(), DocumentError> {
        let keyid = key.public().key_id();
        let sig = hex::encode(key.sign(&self.message()?));
        self.put(SignatureJson { keyid, sig })
    }

    /// Takes over what another copy of the same document was signed with.
    pub fn merge(&mut self, other: &Self) -> Result<(), DocumentError> {
        if self.signed != other.signed {
            return Err(DocumentError::Other);
        }
        other.signatures.iter().try_for_each(|signature| self.put(signature.clone()))
    }

    fn put(&mut self, signature: SignatureJson) -> Result<(), DocumentError> {
        self.signatures.retain(|there| there.keyid != signature.keyid);
        self.signatures.push(signature);
        self.signatures.sort_by_key(|there| there.keyid);
        let count = self.signatures.len();
        if count > SIGNATURES_MAX {
            return Err(DocumentError::TooManySignatures { count });
        }
        Ok(())
    }

    fn message(&self) -> Result<Vec<u8>, DocumentError> {
        json::canonical(&self.signed).map_err(DocumentError::Json)
    }

    /// Which of some keys signed it, each once.
    pub fn signed_by(&self, keys: &[PublicKey]) -> Vec<KeyId> {
        let Ok(message) = self.message() else { return Vec::new() };
        let signed = |key: &&PublicKey| {
            self.signatures.iter().any(|there| {
                there.keyid == key.key_id()
                    && hex::decode(&there.sig).is_ok_and(|sig| key.verify(&message, &sig).is_ok())
            })
        };
        let mut ids: Vec<KeyId> = keys.iter().filter(signed).map(PublicKey::key_id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// The key ids that are named as signers, whether or not their signatures hold.
    pub fn claimed_signers(&self) -> Vec<KeyId> {
        self.signatures.iter().map(|signature| signature.keyid).collect()
    }

    /// The part that is signed.
    pub fn signed(&self) -> &Value {
        &self.signed
    }

    /// `root`, `targets`, `snapshot` or `timestamp`.
    pub fn kind(&self) -> &str {
        self.signed["_type"].as_str().unwrap_or_default()
    }

    /// The version number.
    pub fn version(&self) -> u64 {
        self.signed["version"].as_u64().unwrap_or_default()
    }

    /// When it expires, as written.
    pub fn expires(&self) -> &str {
        self.signed["expires"].as_str().unwrap_or_default()
    }

    /// When it expires, in seconds since 1970.
    pub fn expires_at(&self) -> i64 {
        self.expires().parse::<jiff::Timestamp>().map_or(i64::MIN, |time| time.as_second())
    }
}
