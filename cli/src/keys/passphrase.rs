//! Passphrases: from SKEP_KEY_PASSPHRASE, else from the terminal. Refuses to keep them.

use super::KeyFileError;
use age::secrecy::SecretString;
use std::io::IsTerminal as _;
use std::path::Path;

/// The variable for scripts and tests. It is in the environment of every program started from here.
const VARIABLE: &str = "SKEP_KEY_PASSPHRASE";

/// The passphrase of a key file.
pub(super) fn of(path: &Path) -> Result<SecretString, KeyFileError> {
    match given() {
        Some(passphrase) => Ok(passphrase),
        None => ask(&format!("Passphrase of {}: ", path.display())),
    }
}

/// A passphrase for a new file, typed twice.
pub(super) fn new(path: &Path) -> Result<SecretString, KeyFileError> {
    use age::secrecy::ExposeSecret as _;
    if let Some(passphrase) = given() {
        return Ok(passphrase);
    }
    let first = ask(&format!("New passphrase for {}: ", path.display()))?;
    let second = ask("The same again: ")?;
    if first.expose_secret() == second.expose_secret() {
        Ok(first)
    } else {
        Err(KeyFileError::PassphrasesDiffer)
    }
}

fn given() -> Option<SecretString> {
    let given = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
    given.map(SecretString::from)
}

fn ask(prompt: &str) -> Result<SecretString, KeyFileError> {
    if !std::io::stdin().is_terminal() {
        return Err(KeyFileError::NoPassphrase);
    }
    let typed = rpassword::prompt_password(prompt).map_err(|_| KeyFileError::NoPassphrase)?;
    if typed.is_empty() { Err(KeyFileError::NoPassphrase) } else { Ok(SecretString::from(typed)) }
}
