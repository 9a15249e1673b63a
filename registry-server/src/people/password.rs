//! Passwords: argon2id, a bounded number at a time, and the same work for an account that does not
//! exist. Refuses to know whose password it is.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Memory of one hashing in KiB, passes over it, and lanes: the second set of the OWASP password
/// storage cheat sheet (19 MiB, 2, 1). About 30 ms of one core, and memory enough that a graphics
/// card cannot try thousands side by side.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Hashings at the same time: two hold 38 MiB and the two cores of a small machine.
const HASHINGS_MAX: usize = 2;
/// How long a caller waits for its turn: a person waits no longer, and at 30 ms each some 600
/// others went before.
const TURN_TIMEOUT: Duration = Duration::from_secs(10);
/// Shortest password in characters: what NIST SP 800-63B asks for, and two more.
pub const CHARS_MIN: usize = 10;
/// Longest password in bytes: a long sentence, and no way to make the server hash megabytes.
pub const BYTES_MAX: usize = 256;

/// Why a password is not hashed or compared.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    #[error("a password has at least {CHARS_MIN} characters")]
    Short,
    #[error("a password has at most {BYTES_MAX} bytes")]
    Long,
    #[error("the password is the name")]
    Name,
    #[error("too many passwords are checked at the moment")]
    Busy,
    #[error("the password could not be hashed: {reason}")]
    Hash { reason: String },
}

/// Whether a password was right. No bool, so that nobody mixes it up with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Right,
    Wrong,
}

/// The hasher and its queue.
#[derive(Clone)]
pub struct Passwords {
    turns: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(HASHINGS_MAX)) }
    }
}

/// What is compared with when there is no account, so that both cases do the same work.
static NOBODY: LazyLock<Option<String>> = LazyLock::new(|| hash_now("nobody has this one").ok());

fn hasher() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None);
    let params = params.map_err(|e| PasswordError::Hash { reason: e.to_string() })?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash_now(password: &str) -> Result<String, PasswordError> {
    let hash = hasher()?.hash_password(password.as_bytes());
    Ok(hash.map_err(|e| PasswordError::Hash { reason: e.to_string() })?.to_string())
}

fn verify_now(password: &str, stored: Option<&str>) -> Outcome {
    let against = stored.or(NOBODY.as_deref());
    let parsed = against.and_then(|text| PasswordHash::new(text).ok());
    let right = parsed.is_some_and(|hash| {
        hasher().is_ok_and(|hasher| hasher.verify_password(password.as_bytes(), &hash).is_ok())
    });
    if right && stored.is_some() { Outcome::Right } else { Outcome::Wrong }
}

/// Refuses what is no password for this name.
///
/// # Errors
/// [`PasswordError`].
pub fn check_new(name: &str, password: &str) -> Result<(), PasswordError> {
    if password.chars().count() < CHARS_MIN {
        return Err(PasswordError::Short);
    }
    if password.len() > BYTES_MAX {
        return Err(PasswordError::Long);
    }
    if password.eq_ignore_ascii_case(name) {
        return Err(PasswordError::Name);
    }
    Ok(())
}

impl Passwords {
    /// The PHC string to store.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub async fn hash(&self, password: String) -> Result<String, PasswordError> {
        self.in_turn(move || hash_now(&password)).await?
    }

    /// Compares with what is stored; without anything stored it works as long and says wrong.
    ///
    /// # Errors
    /// [`PasswordError::Busy`].
    pub async fn verify(
        &self,
        password: String,
        stored: Option<String>,
    ) -> Result<Outcome, PasswordError> {
        if password.len() > BYTES_MAX {
            return Ok(Outcome::Wrong);
        }
        self.in_turn(move || verify_now(&password, stored.as_deref())).await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let turn = tokio::time::timeout(TURN_TIMEOUT, self.turns.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(PasswordError::Busy) };
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        done.await.map_err(|e| PasswordError::Hash { reason: e.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_right_only_for_its_own_hash() {
        let passwords = Passwords::default();
        let stored = passwords.hash("correct horse battery".to_owned()).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        let again = passwords.hash("correct horse battery".to_owned()).await.unwrap();
        assert_ne!(stored, again, "salted");
        let ask = async |text: &str, stored: Option<&String>| {
            passwords.verify(text.to_owned(), stored.cloned()).await.unwrap()
        };
        assert_eq!(ask("correct horse battery", Some(&stored)).await, Outcome::Right);
        assert_eq!(ask("correct horse batterz", Some(&stored)).await, Outcome::Wrong);
        assert_eq!(
            ask("correct horse battery", Some(&"nonsense".to_owned())).await,
            Outcome::Wrong
        );
        assert_eq!(ask("nobody has this one", None).await, Outcome::Wrong);
    }

    #[test]
    fn short_long_and_obvious_passwords_are_refused() {
        assert!(matches!(check_new("anna", "too short"), Err(PasswordError::Short)));
        assert!(matches!(check_new("anna", &"x".repeat(257)), Err(PasswordError::Long)));
        assert!(matches!(check_new("anna-banana", "Anna-Banana"), Err(PasswordError::Name)));
        assert!(check_new("anna", "äöüäöüäöüä").is_ok());
    }
}
