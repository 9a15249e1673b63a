//! Kernel modules of a downloaded kernel, unpacked and put in the order in which they load. Knows the layout of
//! `lib/modules` and the list of dependencies inside a module; refuses to know what the modules are for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// A module, ready to be loaded after those before it in the list.
pub(super) struct Module {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

/// The wanted modules and what they need, each after what it needs. A wanted one that the kernel has built in, or does
/// not have at all, is not in the list.
pub(super) fn in_order(folder: &Path, wanted: &[&str]) -> Result<Vec<Module>> {
    let mut files = BTreeMap::new();
    index(&folder.join("kernel"), &mut files)?;
    let mut found = Vec::new();
    for name in wanted {
        add(name, &files, &mut found)?;
    }
    Ok(found)
}

fn add(name: &str, files: &BTreeMap<String, PathBuf>, found: &mut Vec<Module>) -> Result<()> {
    if found.iter().any(|module| module.name == name) {
        return Ok(());
    }
    let Some(path) = files.get(name) else { return Ok(()) };
    let bytes = read(path)?;
    for needed in depends(&bytes) {
        add(&needed, files, found)?;
    }
    found.push(Module { name: name.to_owned(), bytes });
    Ok(())
}

/// Every module below a folder, by the name the kernel knows it by.
fn index(folder: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("{} could not be read", folder.display()))?;
    for entry in entries {
        let path = entry.with_context(|| format!("{} could not be read", folder.display()))?.path();
        if path.is_dir() {
            index(&path, files)?;
        } else if let Some(name) = path.file_name().and_then(|name| name.to_str())
            && let Some((name, _)) = name.split_once(".ko")
        {
            files.insert(name.replace('-', "_"), path);
        }
    }
    Ok(())
}

/// A module's bytes. 6.12 packs them with xz, which a guest's insmod does not read.
fn read(path: &Path) -> Result<Vec<u8>> {
    if path.extension().is_some_and(|extension| extension == "xz") {
        let unpacked = Command::new("xz").arg("-dc").arg(path).output();
        let unpacked = unpacked.context("xz could not be started")?;
        anyhow::ensure!(unpacked.status.success(), "{} could not be unpacked", path.display());
        return Ok(unpacked.stdout);
    }
    std::fs::read(path).with_context(|| format!("{} could not be read", path.display()))
}

/// What a module says it needs: the text after `depends=` among its strings.
fn depends(bytes: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(start) = bytes.windows(KEY.len()).position(|window| window == KEY) else {
        return Vec::new();
    };
    let rest = &bytes[start + KEY.len()..];
    let text = String::from_utf8_lossy(rest.split(|byte| *byte == 0).next().unwrap_or_default());
    text.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_module_needs() {
        assert_eq!(depends(b"\x7fELF\0depends=garp,mrp-x\0retpoline=Y\0"), ["garp", "mrp_x"]);
        assert!(depends(b"\x7fELF\0depends=\0retpoline=Y\0").is_empty());
        assert!(depends(b"\x7fELF").is_empty());
    }
}
