//! What the documents of operators and servers share: an envelope of one type, enough signatures, strict JSON of one form.
//! It refuses to know what any of them says.

use std::fmt;

use serde::de::DeserializeOwned;
use skep_artifact::dsse::{self, DsseError, Envelope};
use skep_artifact::limits::MANIFEST_JSON_BYTES_MAX;
use skep_artifact::{Digest, KeyId, PublicKey, json};

/// Why a document is refused before anything it says is acted on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSigned {
    /// This node accepts nobody's signature on such a document.
    #[error("this node accepts nobody's signature on it; it is signed by {}", Keys(untrusted))]
    Nobody {
        /// The keys that are named as signers.
        untrusted: Vec<KeyId>,
    },
    /// None of the accepted keys signed.
    #[error("it is signed by {}, which this node does not accept for it", Keys(untrusted))]
    Untrusted {
        /// The keys that are named as signers.
        untrusted: Vec<KeyId>,
    },
    /// Some accepted keys signed, but not enough.
    #[error("{valid} of the accepted keys signed it, and {threshold} must")]
    Threshold {
        /// Accepted keys that signed.
        valid: usize,
        /// How many must.
        threshold: usize,
    },
    /// The envelope is refused for another reason.
    #[error("{why}")]
    Envelope {
        /// Why.
        why: Box<DsseError>,
    },
    /// The signed bytes are not the document they should be.
    #[error("it cannot be read: {reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
}

/// The stable codes of one kind of document.
#[derive(Debug)]
pub(crate) struct Codes {
    pub(crate) nobody: &'static str,
    pub(crate) untrusted: &'static str,
    pub(crate) threshold: &'static str,
    pub(crate) invalid: &'static str,
    pub(crate) duplicated: &'static str,
    pub(crate) other_type: &'static str,
    pub(crate) malformed: &'static str,
}

/// The codes of a kind of document by its first word.
macro_rules! codes {
    ($kind:literal) => {
        crate::signed::Codes {
            nobody: concat!($kind, ".nobody_accepted"),
            untrusted: concat!($kind, ".signature_untrusted"),
            threshold: concat!($kind, ".threshold_not_met"),
            invalid: concat!($kind, ".signature_invalid"),
            duplicated: concat!($kind, ".signature_duplicated"),
            other_type: concat!($kind, ".payload_of_other_type"),
            malformed: concat!($kind, ".malformed"),
        }
    };
}
pub(crate) use codes;

impl NotSigned {
    pub(crate) fn code(&self, codes: &Codes) -> &'static str {
        match self {
            Self::Nobody { .. } => codes.nobody,
            Self::Untrusted { .. } => codes.untrusted,
            Self::Threshold { .. } => codes.threshold,
            Self::Malformed { .. } => codes.malformed,
            Self::Envelope { why } => match **why {
                DsseError::BadSignature { .. } => codes.invalid,
                DsseError::DuplicateKey { .. } => codes.duplicated,
                DsseError::PayloadType { .. } => codes.other_type,
                DsseError::Threshold { .. } | DsseError::Unverifiable { .. } => codes.untrusted,
                DsseError::Json(_)
                | DsseError::Base64 { .. }
                | DsseError::TooManySignatures { .. } => codes.malformed,
            },
        }
    }
}

impl From<DsseError> for NotSigned {
    fn from(error: DsseError) -> Self {
        match error {
            DsseError::Threshold { valid: 0, untrusted, .. } => Self::Untrusted { untrusted },
            DsseError::Threshold { valid, threshold, .. } => Self::Threshold { valid, threshold },
            why => Self::Envelope { why: Box::new(why) },
        }
    }
}

/// A document whose signatures count, the digest of its signed bytes, and who signed.
#[derive(Debug)]
pub(crate) struct Opened<T> {
    pub(crate) document: T,
    pub(crate) digest: Digest,
    pub(crate) signed_by: Vec<KeyId>,
}

/// Opens an envelope: of `payload_type`, signed by `threshold` of `keys`, holding a `T` in strict JSON.
pub(crate) fn open<T: DeserializeOwned>(
    envelope: &[u8],
    payload_type: &str,
    keys: &[PublicKey],
    threshold: usize,
) -> Result<Opened<T>, NotSigned> {
    if keys.is_empty() {
        let untrusted = Envelope::parse(envelope)?.claimed_signers();
        return Err(NotSigned::Nobody { untrusted });
    }
    let verified = dsse::verify(envelope, payload_type, keys, threshold)?;
    let document = read(verified.payload())?;
    let digest = Digest::of(verified.payload());
    Ok(Opened { document, digest, signed_by: verified.signed_by().to_vec() })
}

/// Reads the signed bytes of a document.
pub(crate) fn read<T: DeserializeOwned>(payload: &[u8]) -> Result<T, NotSigned> {
    json::parse_into(payload, MANIFEST_JSON_BYTES_MAX)
        .map_err(|error| NotSigned::Malformed { reason: error.to_string() })
}

/// A name or a sentence that may be shown: of 1 to `chars_max` characters, none of which steers a terminal.
pub(crate) fn check_text(what: &str, text: &str, chars_max: usize) -> Result<(), NotSigned> {
    let chars = text.chars().count();
    if chars == 0 || chars > chars_max || text.chars().any(char::is_control) {
        let reason = format!("its {what} has {chars} characters or a control character");
        return Err(NotSigned::Malformed { reason });
    }
    Ok(())
}

/// Key ids as people read them.
pub(crate) struct Keys<'a>(pub(crate) &'a [KeyId]);

impl fmt::Display for Keys<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("nobody"),
            [key] => write!(f, "key {}", key.short()),
            keys => {
                let shown: Vec<_> = keys.iter().take(5).map(KeyId::short).collect();
                write!(f, "keys {}", shown.join(", "))
            }
        }
    }
}
