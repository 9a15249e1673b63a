//! A real issuer beside the registry: the certified `oidc-provider`, run by Node, installed once
//! into the folder of tools in the versions that `tests/issuer/package.json` pins.

use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use tempfile::TempDir;

/// How people's browsers reach the registry, as the issuer knows it.
pub(crate) const REGISTRY: &str = "https://registry.test";

/// A running issuer; it ends with this value.
pub(crate) struct Issuer {
    pub(crate) url: String,
    process: Child,
    /// Held open: a program that prints to nobody ends.
    _said: BufReader<ChildStdout>,
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/issuer")
}

fn tools() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    Some(cache.join("skep/tools"))
}

/// Says that the test of this name in `oidc.rs` could not run, where the run counts that.
fn skipped(test: &str, why: &str) {
    if let Some(path) = std::env::var_os("SKEP_SKIPPED_FILE") {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        writeln!(file, "skep-registry-server::oidc::{test}\t{why}").unwrap();
    }
}

/// The folder with the issuer's packages; installed by whoever comes first.
fn installed() -> Result<PathBuf, String> {
    let wanted = fs::read_to_string(sources().join("package.json")).unwrap();
    let folder = tools().ok_or("there is no cache folder")?.join("oidc-provider");
    fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
    let lock = fs::File::create(folder.join("lock")).map_err(|e| e.to_string())?;
    lock.lock().map_err(|e| e.to_string())?;
    let done = folder.join("installed.json");
    if fs::read_to_string(&done).unwrap_or_default() != wanted {
        fs::write(folder.join("package.json"), &wanted).map_err(|e| e.to_string())?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"]);
        let status = npm.current_dir(&folder).status().map_err(|e| format!("npm: {e}"))?;
        if !status.success() {
            return Err(format!("npm install ended with {status}"));
        }
        fs::write(&done, &wanted).map_err(|e| e.to_string())?;
    }
    // Node looks for packages beside the script.
    fs::copy(sources().join("issuer.mjs"), folder.join("issuer.mjs")).map_err(|e| e.to_string())?;
    Ok(folder)
}

impl Issuer {
    /// Starts one; `None` where Node or its packages cannot be had, which is counted.
    pub(crate) async fn start(test: &'static str) -> Option<Self> {
        let started = tokio::task::spawn_blocking(|| {
            let folder = installed()?;
            let mut process = Command::new("node")
                .arg("issuer.mjs")
                .arg(format!("{REGISTRY}/v1/oidc/corp/callback"))
                .current_dir(folder)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .map_err(|e| format!("node: {e}"))?;
            let mut url = String::new();
            let mut said = BufReader::new(process.stdout.take().unwrap());
            said.read_line(&mut url).unwrap();
            let url = url.trim().to_owned();
            assert!(url.starts_with("http://127.0.0.1:"), "the issuer did not start: '{url}'");
            Ok(Self { url, process, _said: said })
        });
        match started.await.unwrap() {
            Ok(issuer) => Some(issuer),
            Err(why) => {
                let why: String = why;
                skipped(test, &why);
                None
            }
        }
    }

    /// A token of a job, or a forged one.
    pub(crate) async fn sign(&self, wish: &Value) -> String {
        let answer =
            crate::world::http().post(format!("{}/sign", self.url)).json(wish).send().await;
        answer.unwrap().text().await.unwrap()
    }

    /// The registry's file of issuers that believes this one.
    pub(crate) fn file(&self, folder: &TempDir) -> String {
        let path = folder.path().join("oidc.toml");
        fs::write(folder.path().join("secret"), "s3cret-of-the-client\n").unwrap();
        let text = format!(
            "[[issuer]]\nname = \"corp\"\nurl = \"{}\"\nclient-id = \"skep\"\n\
             client-secret-file = \"secret\"\naudience = \"registry.test\"\nprovider = \"github\"\n",
            self.url
        );
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
