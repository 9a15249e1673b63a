//! The file of issuers (TOML), read once at start: all its faults at once. Refuses to know what an
//! issuer answers.

use super::Issuers;
use super::http::{Http, HttpError};
use super::issuer::Issuer;
use super::provider::{Provider, ProviderError};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Largest file in bytes: some hundred issuers.
const FILE_BYTES_MAX: u64 = 256 << 10;

/// One issuer, as written in the file.
///
/// | key | needed | meaning |
/// | --- | --- | --- |
/// | `name` | yes | what people and commands call it: `corp`, `github` |
/// | `url` | yes | the issuer, exactly as its tokens write it |
/// | `client-id` | for logins | the client this registry is to the issuer |
/// | `client-secret-file` | no | file with the client's secret |
/// | `audience` | for trusted publishing | what tokens of jobs must be made for |
/// | `provider` | no | whose claims they are: `github`, `gitlab` or `generic` |
/// | `ca` | no | PEM of the authority behind its certificate |
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct IssuerSettings {
    pub name: String,
    pub url: String,
    pub client_id: Option<String>,
    pub client_secret_file: Option<PathBuf>,
    pub audience: Option<String>,
    #[serde(default = "generic")]
    pub provider: String,
    pub ca: Option<PathBuf>,
}

fn generic() -> String {
    "generic".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IssuersFile {
    #[serde(default)]
    issuer: Vec<IssuerSettings>,
}

/// What is wrong with the file.
#[derive(Debug, thiserror::Error)]
pub enum IssuersError {
    #[error("{} cannot be read", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} is larger than {FILE_BYTES_MAX} bytes", path.display())]
    TooLarge { path: PathBuf },
    #[error("{} is not a file of issuers", path.display())]
    Parse { path: PathBuf, source: toml::de::Error },
    #[error("there are two issuers called {name}")]
    Twice { name: String },
    #[error("issuer {name}: a name is made of a-z, 0-9 and hyphens")]
    Name { name: String },
    #[error("issuer {name}: '{url}' is not https (or http on this machine)")]
    Url { name: String, url: String },
    #[error("issuer {name}: {source}")]
    Provider { name: String, source: ProviderError },
    #[error("issuer {name}: neither client-id nor audience says what it is for")]
    Useless { name: String },
    #[error("issuer {name}: no HTTP client can be made for it")]
    Http { name: String, source: HttpError },
}

fn read_file(path: &Path) -> Result<String, IssuersError> {
    let failed = |source| IssuersError::Read { path: path.to_owned(), source };
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > FILE_BYTES_MAX {
        return Err(IssuersError::TooLarge { path: path.to_owned() });
    }
    std::fs::read_to_string(path).map_err(failed)
}

impl Issuers {
    /// Reads the file; paths in it are seen from its folder.
    ///
    /// # Errors
    /// [`IssuersError`].
    pub fn read(path: &Path) -> Result<Self, IssuersError> {
        let file: IssuersFile = toml::from_str(&read_file(path)?)
            .map_err(|source| IssuersError::Parse { path: path.to_owned(), source })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut issuers = Vec::with_capacity(file.issuer.len());
        for settings in file.issuer {
            let name = settings.name.clone();
            if issuers.iter().any(|other: &Issuer| other.settings.name == name) {
                return Err(IssuersError::Twice { name });
            }
            issuers.push(open(settings, folder)?);
        }
        Ok(Self(issuers))
    }
}

fn open(settings: IssuerSettings, folder: &Path) -> Result<Issuer, IssuersError> {
    let name = settings.name.clone();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > 39 || !name.chars().all(plain) {
        return Err(IssuersError::Name { name });
    }
    if !is_safe(&settings.url) {
        return Err(IssuersError::Url { name, url: settings.url });
    }
    if settings.client_id.is_none() && settings.audience.is_none() {
        return Err(IssuersError::Useless { name });
    }
    let provider = Provider::named(&settings.provider)
        .map_err(|source| IssuersError::Provider { name: name.clone(), source })?;
    let text = |path: &Option<PathBuf>| match path {
        None => Ok(None),
        Some(path) => read_file(&folder.join(path)).map(Some),
    };
    let secret = text(&settings.client_secret_file)?.map(|text| text.trim().to_owned());
    let ca = text(&settings.ca)?;
    let http = Http::new(ca.as_deref().map(str::as_bytes))
        .map_err(|source| IssuersError::Http { name, source })?;
    Ok(Issuer::new(settings, secret, provider, http))
}

/// Tokens and keys travel by TLS, except on this machine.
fn is_safe(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    match url.scheme() {
        "https" => true,
        "http" => matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Issuers, IssuersError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("oidc.toml");
        std::fs::write(&path, text).unwrap();
        std::fs::write(folder.path().join("secret"), "s3cret\n").unwrap();
        Issuers::read(&path)
    }

    #[test]
    fn a_file_says_who_is_believed_about_what() {
        let issuers = read(
            "[[issuer]]\nname = \"corp\"\nurl = \"https://login.example\"\nclient-id = \"skep\"\n\
             client-secret-file = \"secret\"\n[[issuer]]\nname = \"github\"\n\
             url = \"https://token.actions.githubusercontent.com\"\naudience = \"skep\"\n\
             provider = \"github\"\n",
        )
        .unwrap();
        assert_eq!(issuers.iter().count(), 2);
        assert!(issuers.named("corp").is_some() && issuers.named("nobody").is_none());
    }

    #[test]
    fn a_file_that_would_be_unsafe_or_useless_is_refused() {
        let one = |rest: &str| read(&format!("[[issuer]]\nname = \"a\"\n{rest}\n")).err().unwrap();
        assert!(matches!(
            one("url = \"http://login.example\"\naudience = \"x\""),
            IssuersError::Url { .. }
        ));
        assert!(matches!(one("url = \"https://login.example\""), IssuersError::Useless { .. }));
        let provider = one("url = \"https://l.example\"\naudience = \"x\"\nprovider = \"hub\"");
        assert!(matches!(provider, IssuersError::Provider { .. }));
        assert!(matches!(
            one("url = \"https://l.example\"\nclientid = \"x\""),
            IssuersError::Parse { .. }
        ));
        let twice = "[[issuer]]\nname = \"a\"\nurl = \"https://l.example\"\naudience = \"x\"\n";
        assert!(matches!(read(&twice.repeat(2)).err().unwrap(), IssuersError::Twice { .. }));
    }
}
