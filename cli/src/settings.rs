//! Which registry, as whom, with which key: flag, then environment, then configuration file.
//! Flags and environment are joined by the argument parser; this file adds the configuration file.
//! Refuses to know what the settings are used for.

use crate::exit::Exit;
use crate::limits::SMALL_FILE_BYTES_MAX;
use serde::{Deserialize, Serialize};
use skep_api::client::{Client, ClientConfig};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The context used when nobody named one.
const CONTEXT_DEFAULT: &str = "default";

/// What flags and environment say.
#[derive(clap::Args)]
pub(crate) struct Flags {
    /// Address of the registry, like `https://registry.example:7600`
    #[arg(long, global = true, env = "SKEP_SERVER", value_name = "URL", help_heading = "Registry")]
    server: Option<String>,
    /// API token
    #[arg(
        long,
        global = true,
        env = "SKEP_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true,
        help_heading = "Registry"
    )]
    token: Option<String>,
    /// File that holds the API token; keeps it out of process lists
    #[arg(
        long,
        global = true,
        env = "SKEP_TOKEN_FILE",
        value_name = "FILE",
        help_heading = "Registry"
    )]
    token_file: Option<PathBuf>,
    /// Certificate authority of the registry (PEM)
    #[arg(long, global = true, env = "SKEP_CA", value_name = "FILE", help_heading = "Registry")]
    ca: Option<PathBuf>,
    /// Context of the configuration file to use
    #[arg(
        long,
        global = true,
        env = "SKEP_CONTEXT",
        value_name = "NAME",
        help_heading = "Registry"
    )]
    context: Option<String>,
    /// Configuration file [default: ~/.config/skep/config.toml]
    #[arg(
        long,
        global = true,
        env = "SKEP_CONFIG",
        value_name = "FILE",
        help_heading = "Registry"
    )]
    config: Option<PathBuf>,
}

/// The configuration file.
#[derive(Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    /// Which context is used when nobody names one.
    current: Option<String>,
    #[serde(default, rename = "context")]
    contexts: BTreeMap<String, Context>,
}

/// One registry in the configuration file.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Context {
    server: Option<String>,
    token: Option<String>,
    ca: Option<PathBuf>,
    key: Option<PathBuf>,
}

/// Everything settled: what this run uses. No Debug, because it holds the token.
pub(crate) struct Settings {
    server: Option<String>,
    token: Option<String>,
    ca: Option<PathBuf>,
    key: Option<PathBuf>,
    /// Absent when nobody named one and there is no home folder.
    file: Option<PathBuf>,
    context: String,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error(
        "No registry is set. Pass --server URL, set SKEP_SERVER, or run `skep login --server URL --token-file FILE` once."
    )]
    NoServer,
    #[error("There is no home folder to keep settings in. Set HOME, or pass --config FILE.")]
    NoHome,
    #[error("{} cannot be read.", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is larger than {SMALL_FILE_BYTES_MAX} bytes, so it is not what it should be.", path.display())]
    TooLarge { path: PathBuf },
    #[error("{} cannot be written.", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("The configuration file {} cannot be understood. Correct it, or remove it and run `skep login` again.", path.display())]
    Parse { path: PathBuf, source: toml::de::Error },
    #[error("The configuration file {} cannot be put into words.", path.display())]
    Format { path: PathBuf, source: toml::ser::Error },
    #[error("The configuration file {} has no context '{name}'. It has: {has}.", path.display())]
    NoContext { path: PathBuf, name: String, has: String },
}

impl SettingsError {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::NoServer | Self::NoHome | Self::NoContext { .. } | Self::Parse { .. } => {
                Exit::Usage
            }
            Self::Read { .. }
            | Self::TooLarge { .. }
            | Self::Write { .. }
            | Self::Format { .. } => Exit::Failed,
        }
    }
}

impl Settings {
    /// Settles flags, environment and configuration file. `env` looks up HOME and XDG_CONFIG_HOME.
    ///
    /// # Errors
    /// [`SettingsError`] when the configuration file or a named file cannot be used.
    pub(crate) fn settle(
        flags: Flags,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        let path = flags.config.or_else(|| Some(config_folder(env)?.join("config.toml")));
        let file = match &path {
            Some(path) => read_config(path)?,
            None => ConfigFile::default(),
        };
        let named = flags.context.or_else(|| file.current.clone());
        let context = named.clone().unwrap_or_else(|| CONTEXT_DEFAULT.to_owned());
        // `login` makes contexts, so a missing one is an error only where it is asked for a server.
        let chosen = file.contexts.get(&context).cloned().unwrap_or_default();
        let token = match (flags.token, flags.token_file) {
            (Some(token), _) => Some(token),
            (None, Some(from)) => Some(read_small(&from)?.trim().to_owned()),
            (None, None) => chosen.token,
        };
        let settings = Self {
            server: flags.server.or(chosen.server),
            token,
            ca: flags.ca.or(chosen.ca),
            key: chosen.key,
            file: path,
            context,
        };
        match (named, &settings.file) {
            (Some(name), Some(path)) if settings.server.is_none() && !file.contexts.is_empty() => {
                let has: Vec<&str> = file.contexts.keys().map(String::as_str).collect();
                let (path, has) = (path.clone(), has.join(", "));
                Err(SettingsError::NoContext { path, name, has })
            }
            _ => Ok(settings),
        }
    }

    /// A client for the registry that was set.
    ///
    /// # Errors
    /// [`SettingsError::NoServer`], an unreadable certificate file, or an address that cannot be used.
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        let server = self.server.clone().ok_or(SettingsError::NoServer)?;
        let ca_pem = match &self.ca {
            Some(path) => Some(read_small(path)?.into_bytes()),
            None => None,
        };
        Ok(Client::new(ClientConfig { server, token: self.token.clone(), ca_pem })?)
    }

    /// The key of the chosen context, when it names one.
    pub(crate) fn key(&self) -> Option<&Path> {
        self.key.as_deref()
    }

    /// Where `key new` puts a key when nobody says where.
    ///
    /// # Errors
    /// [`SettingsError::NoHome`].
    pub(crate) fn key_default(&self) -> Result<PathBuf, SettingsError> {
        Ok(self.file()?.with_file_name("signing.key"))
    }

    /// Where the node policy lies that `skep run` trusts by when nobody names another.
    ///
    /// # Errors
    /// [`SettingsError::NoHome`].
    #[cfg(feature = "local")]
    pub(crate) fn trust_default(&self) -> Result<PathBuf, SettingsError> {
        Ok(self.file()?.with_file_name("trust.toml"))
    }

    /// Where what was seen of a registry's log is kept; nowhere without a home folder.
    pub(crate) fn log_state(&self, server: &str) -> Option<PathBuf> {
        let name = skep_artifact::Digest::of(server.as_bytes()).hex();
        Some(self.file.as_deref()?.with_file_name(format!("log-{}.json", &name[..16])))
    }

    fn file(&self) -> Result<&Path, SettingsError> {
        self.file.as_deref().ok_or(SettingsError::NoHome)
    }

    /// Writes server, token, CA and key into the chosen context, which becomes the current one.
    ///
    /// # Errors
    /// [`SettingsError`] when there is no server to remember or the file cannot be written.
    pub(crate) fn remember(&self, key: Option<PathBuf>) -> Result<&Path, SettingsError> {
        let server = self.server.clone().ok_or(SettingsError::NoServer)?;
        let path = self.file()?;
        let mut file = read_config(path)?;
        let ca = match &self.ca {
            Some(ca) => Some(absolute(ca)?),
            None => None,
        };
        let key = match key {
            Some(key) => Some(absolute(&key)?),
            None => self.key.clone(),
        };
        let context = Context { server: Some(server), token: self.token.clone(), ca, key };
        file.contexts.insert(self.context.clone(), context);
        file.current = Some(self.context.clone());
        write_config(path, &file)?;
        Ok(path)
    }

    /// The same settings with another token, as after a login.
    pub(crate) fn with_token(self, token: String) -> Self {
        Self { token: Some(token), ..self }
    }

    /// Removes the token from the chosen context; the rest of it stays.
    ///
    /// # Errors
    /// [`SettingsError`] when the file cannot be read or written.
    pub(crate) fn forget_token(&self) -> Result<&Path, SettingsError> {
        let path = self.file()?;
        let mut file = read_config(path)?;
        if let Some(context) = file.contexts.get_mut(&self.context) {
            context.token = None;
            write_config(path, &file)?;
        }
        Ok(path)
    }

    /// Whether there is a token to call with.
    pub(crate) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Name of the chosen context.
    pub(crate) fn context(&self) -> &str {
        &self.context
    }
}

fn absolute(path: &Path) -> Result<PathBuf, SettingsError> {
    fs::canonicalize(path).map_err(|source| SettingsError::Read { path: path.to_owned(), source })
}

fn config_folder(env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let set = |name: &str| env(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    set("XDG_CONFIG_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".config")))
        .map(|folder| folder.join("skep"))
}

fn read_config(path: &Path) -> Result<ConfigFile, SettingsError> {
    let text = match read_small(path) {
        Ok(text) => text,
        Err(SettingsError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(ConfigFile::default());
        }
        Err(e) => return Err(e),
    };
    toml::from_str(&text).map_err(|source| SettingsError::Parse { path: path.to_owned(), source })
}

fn write_config(path: &Path, file: &ConfigFile) -> Result<(), SettingsError> {
    let text = toml::to_string_pretty(file)
        .map_err(|source| SettingsError::Format { path: path.to_owned(), source })?;
    write_secret(path, &text)
        .map_err(|source| SettingsError::Write { path: path.to_owned(), source })
}

/// A small text file, whole.
fn read_small(path: &Path) -> Result<String, SettingsError> {
    let unreadable = |source| SettingsError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    let read = file.take(SMALL_FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if read as u64 > SMALL_FILE_BYTES_MAX {
        return Err(SettingsError::TooLarge { path: path.to_owned() });
    }
    Ok(text)
}

/// Replaces a file in one step; only its owner may read it.
pub(crate) fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    // A draft left by a killed run keeps its old mode.
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

#[cfg(test)]
mod tests;
