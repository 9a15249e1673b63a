//! Digests as OCI clients write them: sha256 or sha512. Inside the registry bytes are known by their
//! sha256 alone; a sha512 is one more name that a repository has for them.

use skep_artifact::digest::Digest;
use std::fmt;
use std::str::FromStr;

/// Bytes of a sha512.
const SHA512_BYTES: usize = 64;

/// Which hash a digest is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    Sha256,
    Sha512,
}

/// A digest in one of the algorithms the registry takes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OciDigest {
    Sha256(Digest),
    Sha512([u8; SHA512_BYTES]),
}

/// Why a text is not a digest this registry takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OciDigestError {
    #[error("the digest's algorithm is neither sha256 nor sha512")]
    Algorithm,
    #[error("what follows the algorithm is not its number of lower-case hexadecimal digits")]
    Hex,
}

impl OciDigest {
    /// Which hash this is.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256(_) => Algorithm::Sha256,
            Self::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// The digest of bytes at hand.
    #[must_use]
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        match algorithm {
            Algorithm::Sha256 => Self::Sha256(Digest::of(bytes)),
            Algorithm::Sha512 => Self::Sha512(sha2::Sha512::digest(bytes).into()),
        }
    }
}

impl From<Digest> for OciDigest {
    fn from(digest: Digest) -> Self {
        Self::Sha256(digest)
    }
}

impl FromStr for Algorithm {
    type Err = OciDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "sha256" => Ok(Self::Sha256),
            "sha512" => Ok(Self::Sha512),
            _ => Err(OciDigestError::Algorithm),
        }
    }
}

impl FromStr for OciDigest {
    type Err = OciDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (algorithm, digits) = text.split_once(':').ok_or(OciDigestError::Algorithm)?;
        match algorithm.parse()? {
            Algorithm::Sha256 => text.parse().map(Self::Sha256).map_err(|_| OciDigestError::Hex),
            Algorithm::Sha512 => {
                if digits.bytes().any(|b| b.is_ascii_uppercase()) {
                    return Err(OciDigestError::Hex);
                }
                let mut bytes = [0; SHA512_BYTES];
                hex::decode_to_slice(digits, &mut bytes).map_err(|_| OciDigestError::Hex)?;
                Ok(Self::Sha512(bytes))
            }
        }
    }
}

impl fmt::Display for OciDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(digest) => fmt::Display::fmt(digest, f),
            Self::Sha512(bytes) => write!(f, "sha512:{}", hex::encode(bytes)),
        }
    }
}

impl fmt::Debug for OciDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_algorithms_are_read_back_as_they_are_written() {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let digest = OciDigest::of(algorithm, b"abc");
            assert_eq!(digest.to_string().parse(), Ok(digest.clone()));
            assert_eq!(digest.algorithm(), algorithm);
        }
        // FIPS 180-4, the example of one block.
        let known = OciDigest::of(Algorithm::Sha512, b"abc").to_string();
        assert!(known.starts_with("sha512:ddaf35a193617abacc417349ae204131"), "{known}");
    }

    #[test]
    fn other_algorithms_wrong_lengths_and_upper_case_are_refused() {
        let (a256, a512) = ("a".repeat(64), "a".repeat(128));
        for (text, expected) in [
            (format!("md5:{a256}"), OciDigestError::Algorithm),
            (a256.clone(), OciDigestError::Algorithm),
            (format!("sha256:{a512}"), OciDigestError::Hex),
            (format!("sha512:{a256}"), OciDigestError::Hex),
            (format!("sha512:{}", a512.to_uppercase()), OciDigestError::Hex),
            ("sha256:baddigeststring".to_owned(), OciDigestError::Hex),
            ("sha256:../../etc/passwd".to_owned(), OciDigestError::Hex),
            ("sha512:".to_owned(), OciDigestError::Hex),
        ] {
            assert_eq!(text.parse::<OciDigest>(), Err(expected), "{text}");
        }
    }
}
