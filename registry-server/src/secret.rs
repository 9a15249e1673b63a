//! Secrets we hand out: 256 random bits behind a recognisable prefix, kept only as a hash.
//! Refuses to know what a secret allows.

use skep_artifact::digest::Digest;

/// What a secret is for; decides its prefix, so that a leaked one can be recognised by scanners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An API token of a person or a program.
    Api,
    /// Lets nodes enrol.
    NodeToken,
    /// Identifies one node.
    NodeCredential,
    /// A person who logged in.
    Session,
    /// Lets one account join a namespace, or sign up.
    Invite,
}

impl Kind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Api => "skep_",
            Self::NodeToken => "skepn_",
            Self::NodeCredential => "skepc_",
            Self::Session => "skeps_",
            Self::Invite => "skepi_",
        }
    }
}

/// Digits of 256 random bits.
const RANDOM_CHARS: usize = 64;
/// Digits of the CRC-32 behind them, by which a scanner of leaked secrets, and we, tell a secret
/// from a text that only looks like one, without asking the database.
const CHECKSUM_CHARS: usize = 8;

/// A secret in the clear. Has no Debug and no Display on purpose.
pub struct Secret(String);

/// sha256 of a secret: what the database holds.
#[derive(Clone, Copy)]
pub struct SecretHash([u8; 32]);

/// The operating system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct NoRandomness(#[from] getrandom::Error);

impl Secret {
    /// Draws a fresh secret.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn draw(kind: Kind) -> Result<Self, NoRandomness> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        let body = format!("{}{}", kind.prefix(), hex::encode(bytes));
        let checksum = checksum(&body);
        Ok(Self(body + &checksum))
    }

    /// The text to show once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What to store.
    #[must_use]
    pub fn hash(&self) -> SecretHash {
        SecretHash(*Digest::of(self.0.as_bytes()).as_bytes())
    }
}

impl SecretHash {
    /// The hash of a text that claims to be a secret of this kind; `None` when it cannot be one.
    #[must_use]
    pub fn of_text(kind: Kind, text: &str) -> Option<Self> {
        let digits = text.strip_prefix(kind.prefix())?;
        let fits = match digits.len() {
            // Drawn before secrets had a checksum.
            RANDOM_CHARS => true,
            length if length == RANDOM_CHARS + CHECKSUM_CHARS => {
                let (body, found) = text.split_at_checked(text.len() - CHECKSUM_CHARS)?;
                found == checksum(body)
            }
            _ => false,
        };
        fits.then(|| Self::of_bytes(text.as_bytes()))
    }

    /// The hash of a random value that is no secret of a [`Kind`], like the state of a login.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(*Digest::of(bytes).as_bytes())
    }

    /// The hash of the number by which a host tells itself from another of the same name.
    #[must_use]
    pub fn of_instance(text: &str) -> Self {
        Self(*Digest::of(text.as_bytes()).as_bytes())
    }

    /// A hash read from the database.
    #[must_use]
    pub fn from_stored(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The 32 bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The public name of the secret: the first eight bytes of its hash in hexadecimal digits.
    /// Looking a secret up by it tells nothing about the other 24 bytes.
    #[must_use]
    pub fn id(&self) -> String {
        hex::encode(&self.0[..8])
    }

    /// Compares in a time that does not depend on where the two differ.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        openssl::memcmp::eq(&self.0, &other.0)
    }
}

fn checksum(body: &str) -> String {
    let mut crc = flate2::Crc::new();
    crc.update(body.as_bytes());
    format!("{:08x}", crc.sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_again_by_its_text_only_under_its_own_kind() {
        let secret = Secret::draw(Kind::Api).unwrap();
        let hash = SecretHash::of_text(Kind::Api, secret.reveal()).unwrap();
        assert!(hash.same_as(&secret.hash()));
        assert!(SecretHash::of_text(Kind::NodeToken, secret.reveal()).is_none());
        assert!(SecretHash::of_text(Kind::Api, &format!("skep_{}", "0".repeat(500))).is_none());
        assert!(SecretHash::of_text(Kind::Api, &format!("skep_{}é", "0".repeat(70))).is_none());
        assert!(!hash.same_as(&Secret::draw(Kind::Api).unwrap().hash()));
    }

    #[test]
    fn a_mistyped_secret_is_known_by_its_checksum_and_an_old_one_has_none() {
        let text = Secret::draw(Kind::Session).unwrap().reveal().to_owned();
        let last = if text.ends_with('0') { "1" } else { "0" };
        let mistyped = format!("{}{last}", &text[..text.len() - 1]);
        assert!(SecretHash::of_text(Kind::Session, &mistyped).is_none());
        let old = format!("skep_{}", "ab".repeat(32));
        assert!(SecretHash::of_text(Kind::Api, &old).is_some());
    }
}
