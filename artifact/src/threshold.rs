//! m-of-n: how many distinct accepted keys signed a message. DSSE envelopes and role files share this one answer.
//! It refuses to know what the message is.

use std::collections::{BTreeMap, BTreeSet};

use crate::key::{KeyId, PublicKey};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ThresholdError {
    Unverifiable { keys: usize, threshold: usize },
    BadSignature { key_id: KeyId },
    TooFew { valid: usize, threshold: usize, untrusted: Vec<KeyId> },
}

/// The accepted keys that signed, sorted. Each key counts once, however often it is listed or signs;
/// a threshold of 0, or one that the accepted keys cannot meet, verifies nothing.
pub(crate) fn verify<'a>(
    message: &[u8],
    signatures: impl Iterator<Item = (KeyId, &'a [u8])>,
    keys: &[PublicKey],
    threshold: usize,
) -> Result<Vec<KeyId>, ThresholdError> {
    let accepted: BTreeMap<_, _> = keys.iter().map(|key| (key.key_id(), key)).collect();
    if threshold == 0 || threshold > accepted.len() {
        return Err(ThresholdError::Unverifiable { keys: accepted.len(), threshold });
    }
    let (mut valid, mut untrusted) = (BTreeSet::new(), Vec::new());
    for (key_id, signature) in signatures {
        match accepted.get(&key_id) {
            None => untrusted.push(key_id),
            Some(key) => {
                key.verify(message, signature)
                    .map_err(|_| ThresholdError::BadSignature { key_id })?;
                valid.insert(key_id);
            }
        }
    }
    if valid.len() < threshold {
        return Err(ThresholdError::TooFew { valid: valid.len(), threshold, untrusted });
    }
    Ok(valid.into_iter().collect())
}
