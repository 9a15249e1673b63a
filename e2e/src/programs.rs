//! Where the finished programs are. Refuses to build them: `cargo xtask build` does.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

/// A finished program by name: from the folder that `SKEP_BIN_DIR` names, else from the target folder we were built in.
///
/// # Errors
/// When the program was not built.
pub fn find(name: &str) -> Result<PathBuf> {
    let folder = match std::env::var_os("SKEP_BIN_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => target_folder()?,
    };
    let program = folder.join(name);
    if !program.is_file() {
        bail!("{} is not built; run `cargo xtask build` first", program.display());
    }
    Ok(program)
}

/// `target/debug` for `target/debug/skep-demo` and for `target/debug/deps/fleet-0123`.
fn target_folder() -> Result<PathBuf> {
    let us = std::env::current_exe().context("this process does not know its own program")?;
    let folder = us.parent().context("a program has a folder")?;
    let above = if folder.ends_with("deps") { folder.parent() } else { Some(folder) };
    Ok(above.context("a program's folder has a parent")?.to_path_buf())
}

/// The folder of the checkout, where `programs/` is.
#[must_use]
pub fn checkout() -> PathBuf {
    let ours = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    ours.parent().map(std::path::Path::to_path_buf).unwrap_or(ours)
}
