//! Running programs: says what is run, runs it, turns a bad exit into a sentence.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::say;

/// Runs a command with its output on the terminal; a bad exit is an error that names the command.
pub(crate) fn shown(command: &mut Command) -> Result<()> {
    say::note(&format!("$ {}", line(command)));
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("{} could not be started", line(command)))?;
    if !status.success() {
        bail!("`{}` ended with {status}", line(command));
    }
    Ok(())
}

/// Runs a command and hands back its stdout, trimmed.
pub(crate) fn captured(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{} could not be started", line(command)))?;
    if !output.status.success() {
        bail!(
            "`{}` ended with {}: {}",
            line(command),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// `cargo`, the one that runs us, in the folder of the workspace.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// Finds a program on PATH and in the folders of system programs that a plain user's PATH leaves out.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

/// Whether this process may do what root may: namespaces, BPF, apt.
pub(crate) fn is_root() -> bool {
    captured(Command::new("id").arg("-u")).is_ok_and(|uid| uid == "0")
}

/// The command as a person would type it: the program by its short name.
fn line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut words =
        vec![program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}
