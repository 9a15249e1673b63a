//! ed25519 keys and their identities. Verification is always the strict one.
//! It refuses to know where a secret key is stored and who a key belongs to.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

const PUBLIC_PREFIX: &str = "skep-ed25519:";
const SECRET_PREFIX: &str = "skep-ed25519-secret:";

/// A public key, written on one line as `skep-ed25519:` and the base64 of its 32 bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey(VerifyingKey);

/// A key's identity: sha256 of its canonical TUF key object, written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 32]);

/// A secret key. It has no Debug and no serde on purpose.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

/// Why a text is not a key or key id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The public key's prefix is missing.
    #[error("a public key is written `skep-ed25519:` and base64")]
    PublicPrefix,
    /// The secret key's prefix is missing.
    #[error("a secret key is written `skep-ed25519-secret:` and base64")]
    SecretPrefix,
    /// What follows is not the base64 of 32 bytes.
    #[error("the key's base64 does not hold exactly 32 bytes")]
    Base64,
    /// The bytes are no point of the curve, or not in their only accepted encoding.
    #[error("the key's bytes are not a valid ed25519 key")]
    NotAPoint,
    /// A key of small order: signatures by it verify for many messages.
    #[error("the key is of small order; anybody can sign for it")]
    Weak,
    /// Not 64 lower-case hexadecimal digits.
    #[error("a key id is 64 lower-case hexadecimal digits")]
    KeyId,
}

/// A signature that does not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

impl PublicKey {
    /// A key from its 32 bytes; refuses points that are not on the curve, not canonical or of small order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotAPoint)?;
        if key.is_weak() {
            return Err(KeyError::Weak);
        }
        if key.to_edwards().compress().as_bytes() != bytes {
            return Err(KeyError::NotAPoint);
        }
        Ok(Self(key))
    }

    /// The 32 bytes.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The key's identity.
    pub fn key_id(&self) -> KeyId {
        let public = hex::encode(self.to_bytes());
        // Canonical JSON of the TUF key object (TUF specification 1.0, section 4.2): sorted keys, no spaces.
        let object = format!(
            r#"{{"keytype":"ed25519","keyval":{{"public":"{public}"}},"scheme":"ed25519"}}"#
        );
        KeyId(Sha256::digest(object.as_bytes()).into())
    }

    /// Verifies a signature of 64 bytes strictly: no small-order points, no malleable scalars.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let signature = Signature::from_slice(signature).map_err(|_| BadSignature)?;
        self.0.verify_strict(message, &signature).map_err(|_| BadSignature)
    }
}

impl SecretKey {
    /// A key from 32 random bytes, which the caller draws.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&seed))
    }

    /// The text a key file holds: `skep-ed25519-secret:` and base64. Keep it out of logs.
    pub fn to_text(&self) -> String {
        format!("{SECRET_PREFIX}{}", BASE64.encode(self.0.to_bytes()))
    }

    /// Reads what [`SecretKey::to_text`] wrote; white space around it is ignored.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        let encoded = text.trim().strip_prefix(SECRET_PREFIX).ok_or(KeyError::SecretPrefix)?;
        decode_32(encoded).map(Self::from_seed)
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs a message.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl KeyId {
    /// The 64 hexadecimal digits.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    /// The first digits, for people: `7c1f…`.
    pub fn short(&self) -> String {
        format!("{}…", &self.hex()[..8])
    }
}

fn decode_32(encoded: &str) -> Result<[u8; 32], KeyError> {
    if encoded.len() > 64 {
        return Err(KeyError::Base64);
    }
    let bytes = BASE64.decode(encoded).map_err(|_| KeyError::Base64)?;
    bytes.try_into().map_err(|_| KeyError::Base64)
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC_PREFIX}{}", BASE64.encode(self.to_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let encoded = text.strip_prefix(PUBLIC_PREFIX).ok_or(KeyError::PublicPrefix)?;
        Self::from_bytes(&decode_32(encoded)?)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for KeyId {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(KeyError::KeyId);
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| KeyError::KeyId)?;
        Ok(Self(bytes))
    }
}

macro_rules! serde_as_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
serde_as_text!(PublicKey);
serde_as_text!(KeyId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_ids_read_back() {
        let secret = SecretKey::from_seed([7; 32]);
        let public = secret.public();
        assert_eq!(public.to_string().parse(), Ok(public.clone()));
        assert_eq!(public.key_id().to_string().parse(), Ok(public.key_id()));
        let again = SecretKey::from_text(&format!(" {}\n", secret.to_text())).unwrap();
        assert_eq!(again.public(), public);
        assert_eq!(public.verify(b"m", &again.sign(b"m")), Ok(()));
        assert_eq!(public.verify(b"n", &again.sign(b"m")), Err(BadSignature));
        assert_eq!(public.verify(b"m", &again.sign(b"m")[..63]), Err(BadSignature));
    }

    #[test]
    fn malleable_signatures_are_refused() {
        // s + L (the group order) verifies under lax rules; strict ones refuse it.
        const L: [u8; 32] = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9,
            0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ];
        let secret = SecretKey::from_seed([9; 32]);
        let mut signature = secret.sign(b"m");
        let mut carry = 0u16;
        for (byte, order) in signature[32..].iter_mut().zip(L) {
            let sum = u16::from(*byte) + u16::from(order) + carry;
            *byte = sum.to_le_bytes()[0];
            carry = sum >> 8;
        }
        assert_eq!(secret.public().verify(b"m", &signature), Err(BadSignature));
    }

    #[test]
    fn keys_of_small_order_are_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(PublicKey::from_bytes(&identity), Err(KeyError::Weak));
        assert_eq!(PublicKey::from_bytes(&[0; 32]), Err(KeyError::Weak));
        assert_eq!("ed25519:AA".parse::<PublicKey>(), Err(KeyError::PublicPrefix));
        assert_eq!("skep-ed25519:AA==".parse::<PublicKey>(), Err(KeyError::Base64));
    }
}
