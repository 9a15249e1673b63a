//! A registry of ours for a suite to talk to: built, started with an empty data folder, ended when dropped. Refuses to know
//! which suite.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::build::{self, Profile};
use crate::workspace::Workspace;
use crate::{run, say};

/// A claimed namespace needs a key. Nothing is signed with this one: it is from the first test vector of RFC 8032.
const KEY: &str = "skep-ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
/// How long the registry may take to start.
const STARTING: Duration = Duration::from_secs(60);

/// A registry of ours, ended when dropped.
pub(super) struct Registry {
    child: Child,
    data: PathBuf,
    program: PathBuf,
    /// `127.0.0.1:port`.
    pub(super) host: String,
}

impl Registry {
    /// Builds it, and starts it with an empty data folder.
    pub(super) fn start(workspace: &Workspace, folder: &Path) -> Result<Self> {
        say::step("registry", "built, and started with an empty data folder");
        build::programs(workspace, Profile::Development)?;
        let program = workspace.programs(Profile::Development.folder()).join("skep-registry");
        let (data, address) = (folder.join("data"), folder.join("address"));
        let log = std::fs::File::create(folder.join("log")).context("no log could be made")?;
        let mut serve = Command::new(&program);
        serve.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&data);
        serve.arg("--address-file").arg(&address);
        serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = serve.spawn().context("skep-registry could not be started")?;
        let mut registry = Self { child, data, program, host: String::new() };
        let begun = Instant::now();
        while begun.elapsed() < STARTING {
            if let Ok(text) = std::fs::read_to_string(&address) {
                text.trim().trim_start_matches("http://").clone_into(&mut registry.host);
                return Ok(registry);
            }
            if let Some(status) = registry.child.try_wait().context("it cannot be asked")? {
                bail!("skep-registry ended with {status}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("skep-registry did not start within {} seconds", STARTING.as_secs())
    }

    /// The token it made for its first administrator.
    pub(super) fn admin(&self) -> Result<String> {
        let admin = std::fs::read_to_string(self.data.join("admin.token"))
            .context("the admin's token could not be read")?;
        Ok(admin.trim().to_owned())
    }

    /// Claims a namespace.
    pub(super) fn claim(&self, namespace: &str) -> Result<()> {
        let admin = self.admin()?;
        let body = serde_json::json!({ "name": namespace, "keys": [KEY], "threshold": 1 });
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail-with-body", "--output", "/dev/null"]);
        curl.arg("--header").arg(format!("Authorization: Bearer {admin}"));
        curl.args(["--header", "Content-Type: application/json", "--data"]).arg(body.to_string());
        run::captured(curl.arg(format!("http://{}/v1/namespaces", self.host))).map(drop)
    }

    /// A token that publishes in a namespace.
    pub(super) fn token(&self, namespace: &str) -> Result<String> {
        let mut make = Command::new(&self.program);
        make.args([
            "token",
            "create",
            "--name",
            "conformance",
            "--scope",
            "publish",
            "--namespace",
        ]);
        run::captured(make.arg(namespace).arg("--data").arg(&self.data))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // Either may fail because it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
