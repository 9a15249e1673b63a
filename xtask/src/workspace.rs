//! Where things are: the workspace, the target folder, the folder of tools that xtask installs for itself.
//! Knows folders and names; refuses to know what is done with them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The folders of one checkout.
pub(crate) struct Workspace {
    /// The folder of the root `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Cargo's target folder, wherever `CARGO_TARGET_DIR` or a configuration puts it.
    pub(crate) target: PathBuf,
    /// Tools built for this workspace, kept between checkouts: `${XDG_CACHE_HOME:-~/.cache}/skep/tools`.
    pub(crate) tools: PathBuf,
}

impl Workspace {
    /// Asks cargo where the workspace is. Needs no network: no dependency is resolved.
    pub(crate) fn locate() -> Result<Self> {
        let metadata = cargo_metadata::MetadataCommand::new().no_deps().exec().context(
            "cargo could not describe the workspace; run `cargo xtask` inside the checkout",
        )?;
        Ok(Self {
            root: metadata.workspace_root.into_std_path_buf(),
            target: metadata.target_directory.into_std_path_buf(),
            tools: cache_folder(|name| std::env::var_os(name))?.join("skep").join("tools"),
        })
    }

    /// The folder of the built programs of a profile: `debug`, `release`.
    pub(crate) fn programs(&self, profile: &str) -> PathBuf {
        self.target.join(profile)
    }

    /// The version of a package that Cargo.lock pins.
    pub(crate) fn locked_version(&self, package: &str) -> Result<String> {
        let path = self.root.join("Cargo.lock");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("{} could not be read", path.display()))?;
        locked_version_in(&text, package)
    }

    /// The wasm-bindgen program, installed by `cargo xtask setup` in exactly the version in Cargo.lock.
    pub(crate) fn wasm_bindgen(&self) -> PathBuf {
        self.tools.join("bin").join("wasm-bindgen")
    }
}

fn locked_version_in(lock: &str, package: &str) -> Result<String> {
    let lock: toml::Table = lock.parse().context("Cargo.lock is not TOML")?;
    let packages = lock
        .get("package")
        .and_then(toml::Value::as_array)
        .context("Cargo.lock lists no packages")?;
    for entry in packages {
        if entry.get("name").and_then(toml::Value::as_str) == Some(package) {
            let version = entry.get("version").and_then(toml::Value::as_str);
            return Ok(version.context("a package in Cargo.lock has no version")?.to_owned());
        }
    }
    bail!("Cargo.lock holds no package {package}")
}

fn cache_folder(lookup: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf> {
    if let Some(folder) = lookup("XDG_CACHE_HOME").filter(|folder| Path::new(folder).is_absolute())
    {
        return Ok(folder.into());
    }
    let home = lookup("HOME")
        .context("neither XDG_CACHE_HOME nor HOME is set; set one, so that tools can be kept")?;
    Ok(PathBuf::from(home).join(".cache"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_version_that_the_lock_file_pins() {
        let lock = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n[[package]]\nname = \"b\"\nversion = \"0.2.100\"\n";
        assert_eq!(locked_version_in(lock, "b").unwrap(), "0.2.100");
        assert!(locked_version_in(lock, "c").is_err());
    }

    #[test]
    fn prefers_the_cache_folder_of_the_environment_and_ignores_a_relative_one() {
        let from = |cache: &'static str| {
            cache_folder(move |name| {
                Some(OsString::from(if name == "HOME" { "/home/ada" } else { cache }))
            })
            .unwrap()
        };
        assert_eq!(from("/cache"), PathBuf::from("/cache"));
        assert_eq!(from("cache"), PathBuf::from("/home/ada/.cache"));
    }
}
