//! Keys and signatures of C2SP signed notes: the log's own, and the cosignatures of witnesses.
//! It refuses to know what a note says. Verification is always the strict one of `artifact`.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use signed_note::{Signature, Verifier, is_key_name_valid, key_id};
use skep_artifact::{PublicKey, SecretKey};

use crate::UnixSeconds;

/// Characters of a key's name: a host name and a path.
const KEY_NAME_CHARS_MAX: usize = 300;

/// What a key signs: plain notes, or cosignatures with a time (`cosignature/v1`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoteAlgorithm {
    /// The note's text itself.
    Ed25519 = 1,
    /// The text behind a line with the time.
    Cosignature = 4,
}

/// The key of a log or a witness, written as one line: name, key id, base64 of algorithm and key, with `+` between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteKey {
    name: String,
    id: u32,
    algorithm: NoteAlgorithm,
    key: PublicKey,
}

/// Why a text is no key of a log or a witness.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteKeyError {
    /// Not of the form `NAME+ID+BASE64`.
    #[error("a log key is written NAME+ID+BASE64, as `skep log key` prints it")]
    Form,
    /// The id is not that of the name and the key: a letter was lost.
    #[error("the log key's id does not belong to its name and key; copy it again")]
    Id,
    /// Not ed25519, or not what is wanted here.
    #[error("the log key is of an algorithm that is not accepted here")]
    Algorithm,
    /// No point of the curve, or a weak one.
    #[error("the log key is not a valid ed25519 key")]
    Key,
}

impl NoteKey {
    /// A key by its parts.
    ///
    /// # Errors
    /// [`NoteKeyError::Form`] for a name that cannot stand in a note.
    pub fn new(name: &str, algorithm: NoteAlgorithm, key: PublicKey) -> Result<Self, NoteKeyError> {
        if !is_key_name_valid(name)
            || name.chars().any(char::is_control)
            || name.chars().count() > KEY_NAME_CHARS_MAX
        {
            return Err(NoteKeyError::Form);
        }
        let id = key_id(name, &encoded(algorithm, &key));
        Ok(Self { name: name.to_owned(), id, algorithm, key })
    }

    /// The name it signs by; a log's is its origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it signs.
    pub fn algorithm(&self) -> NoteAlgorithm {
        self.algorithm
    }

    /// The bare key.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The id that stands before its signatures.
    pub fn id(&self) -> u32 {
        self.id
    }
}

/// Cosigns a note's text as a witness does at `now`: `cosignature/v1`.
///
/// # Errors
/// [`NoteKeyError::Form`] for a name that cannot stand in a note.
pub fn cosign(
    name: &str,
    key: &SecretKey,
    text: &[u8],
    now: UnixSeconds,
) -> Result<Signature, NoteKeyError> {
    let id = NoteKey::new(name, NoteAlgorithm::Cosignature, key.public())?.id;
    let time = u64::try_from(now).unwrap_or(0);
    let signature = key.sign(&cosigned(time, text));
    let bytes = [time.to_be_bytes().as_slice(), &signature].concat();
    Signature::new(name.to_owned(), id, bytes).map_err(|_| NoteKeyError::Form)
}

/// Signs a note's text as a log does.
///
/// # Errors
/// [`NoteKeyError::Form`] for a name that cannot stand in a note.
pub fn sign(name: &str, key: &SecretKey, text: &[u8]) -> Result<Signature, NoteKeyError> {
    let id = NoteKey::new(name, NoteAlgorithm::Ed25519, key.public())?.id;
    Signature::new(name.to_owned(), id, key.sign(text).to_vec()).map_err(|_| NoteKeyError::Form)
}

fn cosigned(time: u64, text: &[u8]) -> Vec<u8> {
    [format!("cosignature/v1\ntime {time}\n").as_bytes(), text].concat()
}

fn encoded(algorithm: NoteAlgorithm, key: &PublicKey) -> Vec<u8> {
    [[algorithm as u8].as_slice(), &key.to_bytes()].concat()
}

impl Verifier for NoteKey {
    fn name(&self) -> &str {
        &self.name
    }

    fn key_id(&self) -> u32 {
        self.id
    }

    fn verify(&self, text: &[u8], signature: &[u8]) -> bool {
        match self.algorithm {
            NoteAlgorithm::Ed25519 => self.key.verify(text, signature).is_ok(),
            NoteAlgorithm::Cosignature => {
                let Some((time, signature)) = signature.split_first_chunk::<8>() else {
                    return false;
                };
                let message = cosigned(u64::from_be_bytes(*time), text);
                self.key.verify(&message, signature).is_ok()
            }
        }
    }
}

impl fmt::Display for NoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = BASE64.encode(encoded(self.algorithm, &self.key));
        write!(f, "{}+{:08x}+{key}", self.name, self.id)
    }
}

impl FromStr for NoteKey {
    type Err = NoteKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteKeyError::Form);
        };
        let bytes = BASE64.decode(key).map_err(|_| NoteKeyError::Form)?;
        let (algorithm, key) = bytes.split_first().ok_or(NoteKeyError::Form)?;
        let algorithm = match algorithm {
            1 => NoteAlgorithm::Ed25519,
            4 => NoteAlgorithm::Cosignature,
            _ => return Err(NoteKeyError::Algorithm),
        };
        let key: &[u8; 32] = key.try_into().map_err(|_| NoteKeyError::Key)?;
        let key = PublicKey::from_bytes(key).map_err(|_| NoteKeyError::Key)?;
        let read = Self::new(name, algorithm, key)?;
        if format!("{:08x}", read.id) != id {
            return Err(NoteKeyError::Id);
        }
        Ok(read)
    }
}

impl<'de> serde::Deserialize<'de> for NoteKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use signed_note::StandardVerifier;

    fn secret() -> SecretKey {
        SecretKey::from_seed([3; 32])
    }

    #[test]
    fn a_key_reads_back_and_the_library_reads_it_as_well() {
        for algorithm in [NoteAlgorithm::Ed25519, NoteAlgorithm::Cosignature] {
            let key = NoteKey::new("log.example/a", algorithm, secret().public()).unwrap();
            assert_eq!(key.to_string().parse(), Ok(key.clone()));
        }
        let key = NoteKey::new("log.example/a", NoteAlgorithm::Ed25519, secret().public()).unwrap();
        let theirs = StandardVerifier::new(&key.to_string()).unwrap();
        let signature = sign("log.example/a", &secret(), b"text\n").unwrap();
        assert!(theirs.verify(b"text\n", signature.signature()));
        assert!(!theirs.verify(b"other\n", signature.signature()));
        assert_eq!(theirs.key_id(), signature.id());
    }

    #[test]
    fn a_cosignature_is_of_its_time_and_text() {
        let key = NoteKey::new("w", NoteAlgorithm::Cosignature, secret().public()).unwrap();
        let made = cosign("w", &secret(), b"text\n", 1_700_000_000).unwrap();
        assert_eq!(made.id(), key.id());
        assert!(key.verify(b"text\n", made.signature()));
        assert!(!key.verify(b"texT\n", made.signature()));
        let mut later = made.signature().to_vec();
        later[7] ^= 1;
        assert!(!key.verify(b"text\n", &later));
        assert!(!key.verify(b"text\n", &later[..5]));
    }

    #[test]
    fn damaged_keys_are_refused_by_name() {
        let good =
            NoteKey::new("log", NoteAlgorithm::Ed25519, secret().public()).unwrap().to_string();
        assert_eq!("log".parse::<NoteKey>(), Err(NoteKeyError::Form));
        assert_eq!(good.replacen("log", "lag", 1).parse::<NoteKey>(), Err(NoteKeyError::Id));
        assert_eq!(format!("lo g{}", &good[3..]).parse::<NoteKey>(), Err(NoteKeyError::Form));
        assert_eq!("log+00000000+Ag==".parse::<NoteKey>(), Err(NoteKeyError::Algorithm));
        assert_eq!("log+00000000+AQ==".parse::<NoteKey>(), Err(NoteKeyError::Key));
    }
}
