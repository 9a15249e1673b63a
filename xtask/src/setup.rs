//! `cargo xtask setup`: says what is missing, installs it, and looks again. A second run does nothing.
//! Knows apt, rustup and `cargo install`; refuses to know what the tools are used for.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;
use crate::{needs, run, say, tools};

const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// Linters that are built from source when asked for; together they take several minutes on two cores.
const LINTERS: &[(&str, &str)] =
    &[("cargo-deny", "cargo-deny"), ("cargo-machete", "cargo-machete"), ("typos", "typos-cli")];

#[derive(clap::Args)]
pub(crate) struct SetupArguments {
    /// Also build cargo-deny, cargo-machete and typos from source. Takes about ten minutes on two cores.
    #[arg(long)]
    linters: bool,
}

pub(crate) fn perform(workspace: &Workspace, arguments: &SetupArguments) -> Result<ExitCode> {
    let missing = install(workspace)?;
    if arguments.linters {
        install_linters(workspace)?;
    }
    Ok(if missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Installs what is missing and may be installed. Returns what is still missing, each with what to do.
pub(crate) fn install(workspace: &Workspace) -> Result<Vec<String>> {
    let mut left = install_packages()?;
    left.extend(install_wasm_target(workspace)?);
    install_wasm_bindgen(workspace)?;
    left.extend(tools::install(workspace));
    if left.is_empty() {
        say::note("Everything that is needed is here.");
    }
    Ok(left)
}

fn install_packages() -> Result<Vec<String>> {
    let missing = needs::missing();
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let mut packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    packages.dedup();
    say::note("Missing on this machine:");
    for need in &missing {
        say::note(&format!("  {:16} {}", need.package, need.purpose));
    }
    let by_hand = format!("sudo apt-get install {}", packages.join(" "));
    if !run::is_root() {
        say::note(&format!("Only root may install them. Run `{by_hand}`."));
        return Ok(packages.iter().map(|package| format!("the package {package}")).collect());
    }
    if run::find("apt-get").is_none() {
        bail!(
            "apt-get is not on this machine; install by hand what Debian calls {}",
            packages.join(", ")
        );
    }
    say::note("They are installed now with apt-get.");
    run::shown(Command::new("apt-get").args(["-qq", "update"]))?;
    let mut install = Command::new("apt-get");
    install.env("DEBIAN_FRONTEND", "noninteractive");
    install.args(["-qq", "-y", "--no-install-recommends", "install"]).args(&packages);
    run::shown(&mut install)?;
    let still = needs::missing();
    if let Some(need) = still.first() {
        bail!("apt-get installed {} but what it should bring is still not found", need.package);
    }
    Ok(Vec::new())
}

fn install_wasm_target(workspace: &Workspace) -> Result<Option<String>> {
    let mut rustc = Command::new("rustc");
    rustc.current_dir(&workspace.root).args(["--print", "target-libdir", "--target", WASM_TARGET]);
    let folder = run::captured(&mut rustc).context("rustc could not say where its targets are")?;
    if std::path::Path::new(&folder).exists() {
        return Ok(None);
    }
    if run::find("rustup").is_none() {
        return Ok(Some(format!("the Rust target {WASM_TARGET} (rustup is not here to add it)")));
    }
    say::note(&format!("The Rust target {WASM_TARGET} is missing; rustup adds it now."));
    run::shown(Command::new("rustup").current_dir(&workspace.root).args([
        "target",
        "add",
        WASM_TARGET,
    ]))?;
    Ok(None)
}

/// wasm-bindgen's program must have exactly the version of the crate, so another version is replaced.
fn install_wasm_bindgen(workspace: &Workspace) -> Result<()> {
    let version = workspace.locked_version("wasm-bindgen")?;
    let found =
        run::captured(Command::new(workspace.wasm_bindgen()).arg("--version")).unwrap_or_default();
    if found.split_whitespace().last() == Some(&version) {
        return Ok(());
    }
    say::note(&format!(
        "wasm-bindgen {version} is missing; cargo builds it now, once, in about three minutes."
    ));
    let mut install = cargo_install(workspace, "wasm-bindgen-cli");
    install.args(["--force", "--version", &version, "--root"]).arg(&workspace.tools);
    run::shown(&mut install)
}

fn install_linters(workspace: &Workspace) -> Result<()> {
    for (program, package) in LINTERS {
        if linter(workspace, program).is_none() {
            let mut install = cargo_install(workspace, package);
            install.arg("--root").arg(&workspace.tools);
            run::shown(&mut install)?;
        }
    }
    Ok(())
}

/// Where a linter is, if it is on PATH or was installed by `setup --linters`.
pub(crate) fn linter(workspace: &Workspace, program: &str) -> Option<std::path::PathBuf> {
    run::find(program)
        .or_else(|| Some(workspace.tools.join("bin").join(program)).filter(|path| path.is_file()))
}

/// Where cargo-fuzz is; built when it is not there, in about a minute.
pub(crate) fn cargo_fuzz(workspace: &Workspace) -> Result<std::path::PathBuf> {
    if let Some(path) = linter(workspace, "cargo-fuzz") {
        return Ok(path);
    }
    let mut install = cargo_install(workspace, "cargo-fuzz");
    run::shown(install.arg("--root").arg(&workspace.tools))?;
    linter(workspace, "cargo-fuzz").context("cargo-fuzz was built and is not where it should be")
}

/// Where cargo-mutants is, in exactly this version; built when it is not there, in some minutes.
pub(crate) fn cargo_mutants(workspace: &Workspace, version: &str) -> Result<std::path::PathBuf> {
    let path = workspace.tools.join("bin").join("cargo-mutants");
    let found =
        run::captured(Command::new(&path).args(["mutants", "--version"])).unwrap_or_default();
    if found.split_whitespace().last() == Some(version) {
        return Ok(path);
    }
    say::note(&format!("cargo-mutants {version} is missing; cargo builds it now, once."));
    let mut install = cargo_install(workspace, "cargo-mutants");
    install.args(["--force", "--version", version, "--root"]).arg(&workspace.tools);
    run::shown(&mut install)?;
    Ok(path)
}

/// Puts a program of somebody else's where tests look for it, in exactly this version; built when it is not there.
pub(crate) fn foreign(
    workspace: &Workspace,
    package: &str,
    version: &str,
    features: &str,
) -> Result<()> {
    let path = workspace.tools.join("bin").join(package);
    let found = run::captured(Command::new(&path).arg("--version")).unwrap_or_default();
    if found.split_whitespace().last() == Some(version) {
        return Ok(());
    }
    say::note(&format!("{package} {version} is missing; cargo builds it now, once."));
    let mut install = cargo_install(workspace, package);
    // A test's neighbour need not be fast, and is built in half the time.
    install.args(["--debug", "--force", "--version", version, "--features", features, "--root"]);
    run::shown(install.arg(&workspace.tools))
}

/// `cargo install` away from our own target folder and our own lints, so that neither rebuilds the other.
fn cargo_install(workspace: &Workspace, package: &str) -> Command {
    let mut install = run::cargo(&workspace.root);
    install.env("CARGO_TARGET_DIR", workspace.tools.join("build")).env_remove("RUSTFLAGS");
    // Not `--locked`: a mirror that lags behind its registry lacks the newest locked patch releases.
    install.args(["install", "--quiet", package]);
    install
}
