//! `cargo xtask web`: builds the browser program and writes it to `frontend/dist` under names that hold the
//! content's hash, so that browsers may keep every file for ever. Refuses to know what the pages show.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;
use crate::{run, say};

const PACKAGE: &str = "skep-frontend";
const TARGET: &str = "wasm32-unknown-unknown";
/// The profile that makes few bytes.
const PROFILE: &str = "web";
/// Compressed bytes of the first program we want to stay under: it is what a reader waits for on a slow line.
const FIRST_WASM_GOAL_BYTES: usize = 450 * 1024;

/// Older releases write every exported table as table 0 (binaryen issue 4711), and wasm-bindgen exports table 1.
const BINARYEN_RELEASE_MIN: u32 = 110;

#[derive(clap::Args)]
pub(crate) struct WebArguments {}

pub(crate) fn perform(workspace: &Workspace, _: &WebArguments) -> Result<ExitCode> {
    build(workspace)?;
    Ok(ExitCode::SUCCESS)
}

/// A program of the front: what cargo calls it, and what browsers do.
struct Program {
    binary: &'static str,
    name: &'static str,
}

/// The pages, and what verifies: that is loaded when it is needed.
const PROGRAMS: [Program; 2] = [
    Program { binary: "skep-frontend", name: "app" },
    Program { binary: "skep-frontend-check", name: "check" },
];

/// Builds the browser programs into `frontend/dist`.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    let compiled = compile(workspace)?;
    let glue = tempfile::tempdir().context("no temporary folder could be made")?;
    for program in &PROGRAMS {
        let wasm = compiled.join(program.binary).with_extension("wasm");
        bind(workspace, program.name, &wasm, glue.path())?;
        shrink(&glue.path().join(format!("{}_bg.wasm", program.name)))?;
    }
    let mut files = dist(&workspace.root.join("frontend"), glue.path())?;
    report(&files)?;
    let packed: Result<Vec<WebFile>> = files.iter().map(packed).collect();
    files.extend(packed?);
    let folder = workspace.root.join("frontend").join("dist");
    replace(&folder, &files)?;
    say::note("Written to frontend/dist.");
    Ok(())
}

/// One file of the result.
struct WebFile {
    name: String,
    bytes: Vec<u8>,
}

fn compile(workspace: &Workspace) -> Result<PathBuf> {
    let mut cargo = run::cargo(&workspace.root);
    cargo.args(["build", "--package", PACKAGE, "--target", TARGET, "--profile", PROFILE]);
    run::shown(&mut cargo)?;
    Ok(workspace.target.join(TARGET).join(PROFILE))
}

fn bind(workspace: &Workspace, name: &str, wasm: &Path, out: &Path) -> Result<()> {
    let mut bindgen = Command::new(bindgen_program(workspace)?);
    bindgen.args(["--target", "web", "--no-typescript", "--out-name", name]);
    bindgen.args(["--remove-name-section", "--remove-producers-section", "--out-dir"]);
    bindgen.arg(out).arg(wasm);
    run::shown(&mut bindgen)
}

/// wasm-bindgen of exactly the crate's version: the one `cargo xtask setup` installed, or one on PATH.
fn bindgen_program(workspace: &Workspace) -> Result<PathBuf> {
    let wanted = workspace.locked_version("wasm-bindgen")?;
    let found = [Some(workspace.wasm_bindgen()), run::find("wasm-bindgen")];
    let fits = |program: &PathBuf| {
        let version = run::captured(Command::new(program).arg("--version"));
        version.is_ok_and(|text| text.split_whitespace().nth(1) == Some(&wanted))
    };
    match found.into_iter().flatten().find(fits) {
        Some(program) => Ok(program),
        None => bail!("wasm-bindgen {wanted} is not installed; run `cargo xtask setup`"),
    }
}

/// Makes the program smaller, where a fit binaryen is installed; without it the program works and is larger.
fn shrink(wasm: &Path) -> Result<()> {
    let Some(program) = run::find("wasm-opt") else {
        say::note("wasm-opt is not installed, so the program stays larger; install binaryen.");
        return Ok(());
    };
    let version = run::captured(Command::new(&program).arg("--version"))?;
    if binaryen_release(&version).is_none_or(|release| release < BINARYEN_RELEASE_MIN) {
        say::note(&format!(
            "{version} would break the program, so it is left alone and larger; binaryen {BINARYEN_RELEASE_MIN} or newer makes it smaller."
        ));
        return Ok(());
    }
    let mut optimise = Command::new(program);
    // The features that rustc uses for this target; older releases of binaryen want them named.
    optimise.args([
        "-Oz",
        "--enable-bulk-memory",
        "--enable-mutable-globals",
        "--enable-nontrapping-float-to-int",
        "--enable-reference-types",
        "--enable-sign-ext",
        "--enable-multivalue",
        "-o",
    ]);
    optimise.arg(wasm).arg(wasm);
    run::shown(&mut optimise)
}

/// The release in `wasm-opt version 108` or `wasm-opt version 123 (version_123)`.
fn binaryen_release(version: &str) -> Option<u32> {
    version.split_whitespace().nth(2)?.parse().ok()
}

/// The files of the result, with their final names: `style-….css`, `app-….js`, `app-…_bg.wasm`. The registry's pages
/// find them by these names.
fn dist(frontend: &Path, glue: &Path) -> Result<Vec<WebFile>> {
    let style = read(&frontend.join("assets").join("style.css"))?;
    let mut files = vec![
        WebFile { name: format!("style-{}.css", hash(&style)?), bytes: style },
        WebFile {
            name: "favicon.svg".into(),
            bytes: read(&frontend.join("assets").join("favicon.svg"))?,
        },
    ];
    for Program { name, .. } in &PROGRAMS {
        let wasm = read(&glue.join(format!("{name}_bg.wasm")))?;
        let script = String::from_utf8(read(&glue.join(format!("{name}.js")))?)
            .context("wasm-bindgen wrote a script that is not text")?;
        // The script names the wasm file, so its own hash follows from the wasm's.
        let wasm_name = format!("{name}-{}_bg.wasm", hash(&wasm)?);
        let script = format!(
            "{}\n__wbg_init({{ module_or_path: new URL('{wasm_name}', import.meta.url) }});\n",
            script.replace(&format!("{name}_bg.wasm"), &wasm_name)
        );
        let script_name = format!("{name}-{}.js", hash(script.as_bytes())?);
        files.push(WebFile { name: script_name, bytes: script.into_bytes() });
        files.push(WebFile { name: wasm_name, bytes: wasm });
    }
    Ok(files)
}

/// Writes all files into a fresh folder and puts it in the place of the old one, so that a server that is
/// compiled meanwhile embeds one whole build.
fn replace(folder: &Path, files: &[WebFile]) -> Result<()> {
    let fresh = folder.with_extension("new");
    remove(&fresh)?;
    fs::create_dir_all(&fresh).with_context(|| format!("{} cannot be made", fresh.display()))?;
    for file in files {
        let path = fresh.join(&file.name);
        fs::write(&path, &file.bytes)
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    remove(folder)?;
    fs::rename(&fresh, folder)
        .with_context(|| format!("{} cannot be put in place", folder.display()))
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} cannot be removed", folder.display()))
        }
        _ => Ok(()),
    }
}

fn report(files: &[WebFile]) -> Result<()> {
    for file in files {
        let small = packed(file)?.bytes.len();
        say::note(&format!(
            "  {:32} {:>9} bytes, {:>8} with brotli, {:>8} with gzip",
            file.name,
            file.bytes.len(),
            small,
            gzip(&file.bytes)?.len()
        ));
        let first = file.name.starts_with("app-") && file.name.ends_with(".wasm");
        if first && small > FIRST_WASM_GOAL_BYTES {
            say::note(&format!(
                "  The program is larger than the goal of {FIRST_WASM_GOAL_BYTES} bytes."
            ));
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("{} cannot be read", path.display()))
}

/// The first 16 hexadecimal digits of the sha256: enough to tell builds apart, short enough to read.
fn hash(bytes: &[u8]) -> Result<String> {
    let out = piped(&mut Command::new("sha256sum"), bytes)?;
    let text = String::from_utf8_lossy(&out);
    Ok(text.chars().take(16).collect())
}

/// A file as browsers get it over TLS, under the name by which the registry finds it.
fn packed(file: &WebFile) -> Result<WebFile> {
    let bytes = piped(Command::new("brotli").args(["-q", "11", "-w", "24", "-c"]), &file.bytes)?;
    Ok(WebFile { name: format!("{}.br", file.name), bytes })
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    piped(Command::new("gzip").args(["-9", "-c", "-n"]), bytes)
}

/// What a program answers on its stdout to bytes on its stdin.
fn piped(command: &mut Command, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut input = tempfile::tempfile().context("no temporary file could be made")?;
    std::io::Write::write_all(&mut input, bytes)?;
    std::io::Seek::rewind(&mut input)?;
    let output = command.stdin(Stdio::from(input)).output();
    let name = command.get_program().to_string_lossy().into_owned();
    let output = output.with_context(|| format!("{name} could not be started"))?;
    if !output.status.success() {
        bail!("`{name}` ended with {}", output.status);
    }
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_content() {
        let place = tempfile::tempdir().unwrap();
        let (frontend, glue) = (place.path().join("frontend"), place.path().join("glue"));
        fs::create_dir_all(frontend.join("assets")).unwrap();
        fs::create_dir_all(&glue).unwrap();
        let write = |path: PathBuf, text: &str| fs::write(path, text).unwrap();
        write(frontend.join("assets/style.css"), "a{}");
        write(frontend.join("assets/favicon.svg"), "<svg/>");
        for name in ["app", "check"] {
            let script = format!("new URL('{name}_bg.wasm', import.meta.url)");
            write(glue.join(format!("{name}.js")), &script);
            write(glue.join(format!("{name}_bg.wasm")), "one");
        }
        let names = |files: &[WebFile]| -> Vec<String> {
            files.iter().map(|file| file.name.clone()).collect()
        };

        let first = dist(&frontend, &glue).unwrap();
        let script = String::from_utf8(first[2].bytes.clone()).unwrap();
        assert!(!script.contains("'app_bg.wasm'"), "{script}");
        assert!(script.contains("\n__wbg_init("), "{script}");
        let check = String::from_utf8(first[4].bytes.clone()).unwrap();
        assert!(check.contains("\n__wbg_init("), "{check}");

        write(glue.join("app_bg.wasm"), "two");
        let second = dist(&frontend, &glue).unwrap();
        assert_ne!(names(&first)[2..4], names(&second)[2..4]);
        assert_eq!(names(&first)[..2], names(&second)[..2]);
        assert_eq!(names(&first)[4..], names(&second)[4..]);
    }

    #[test]
    fn reads_the_release_of_binaryen() {
        assert_eq!(binaryen_release("wasm-opt version 108"), Some(108));
        assert_eq!(binaryen_release("wasm-opt version 123 (version_123)"), Some(123));
        assert_eq!(binaryen_release("wasm-opt"), None);
    }

    #[test]
    fn an_older_build_is_replaced_whole() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("dist");
        let file = |name: &str| WebFile { name: name.into(), bytes: b"x".to_vec() };
        replace(&folder, &[file("old.js")]).unwrap();
        replace(&folder, &[file("new.js")]).unwrap();
        assert!(folder.join("new.js").is_file());
        assert!(!folder.join("old.js").exists());
    }
}
