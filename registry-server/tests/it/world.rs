//! A running registry, publishers with keys, and packages made from a real object.

use crate::cluster::Database;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use skep_api::client::{Client, ClientConfig, ClientError, Piece};
use skep_api::v1::namespaces::ClaimNamespace;
use skep_api::v1::packages::{PublishReceipt, PublishRequest};
use skep_api::v1::tokens::{CreateToken, Scope};
use skep_artifact::digest::Digest;
use skep_artifact::key::SecretKey;
use skep_artifact::layout::{self, PackageBlobs};
use skep_artifact::manifest::Manifest;
use skep_artifact::name::{Namespace, PackageName, Version};
use skep_artifact::role::{Role, Target};
use skep_registry_server::app;
use skep_registry_server::config::{ServeFlags, Settings};
use skep_registry_server::storage::{Storage, StorageFlags};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const EXPIRES: &str = "2036-01-01T00:00:00Z";
const ROLE_BYTES: usize = 1 << 20;

/// A small XDP program, compiled once.
static OBJECT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let source = "__attribute__((section(\"xdp\"), used)) int pass_all(void *ctx) { return 2; }\n\
         char _license[] __attribute__((section(\"license\"), used)) = \"GPL\";\n";
    let mut clang = Command::new("clang")
        .args(["-O2", "-g", "-target", "bpf", "-c", "-x", "c", "-", "-o", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("clang runs");
    std::io::Write::write_all(&mut clang.stdin.take().unwrap(), source.as_bytes()).unwrap();
    let output = clang.wait_with_output().unwrap();
    assert!(output.status.success());
    output.stdout
});

/// A server inside this process.
pub(crate) struct World {
    pub(crate) address: String,
    pub(crate) data: PathBuf,
    pub(crate) database: Database,
    folder: TempDir,
    variables: Vec<(String, String)>,
    stopping: CancellationToken,
    serving: JoinHandle<()>,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::listen("127.0.0.1:0").await
    }

    pub(crate) async fn listen(address: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stopped = Stopped { folder, database: Database::fresh(), variables: Vec::new() };
        Self::start_in(stopped, address, &[]).await
    }

    /// A server that keeps the cosignatures of these witnesses.
    pub(crate) async fn witnessed(witnesses: &[String]) -> Self {
        Self::start_in(Stopped::fresh(Database::fresh()), "127.0.0.1:0", witnesses).await
    }

    /// With these variables set, as an operator would.
    pub(crate) async fn with(variables: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let variables = variables.iter().map(owned).collect();
        let stopped = Stopped { variables, ..Stopped::fresh(Database::fresh()) };
        Self::start_in(stopped, "127.0.0.1:0", &[]).await
    }

    /// Where anybody may sign up.
    pub(crate) async fn open() -> Self {
        Self::with(&[("SKEP_REGISTRY_SIGN_UP", "open")]).await
    }

    async fn start_in(stopped: Stopped, listen: &str, witnesses: &[String]) -> Self {
        let Stopped { folder, database, variables } = stopped;
        let data = folder.path().join("data");
        let flags = ServeFlags {
            data: Some(data.display().to_string()),
            listen: Some(listen.to_owned()),
            witnesses: witnesses.to_vec(),
            storage: StorageFlags { database_url: database.url(), blob_store: None },
            ..ServeFlags::default()
        };
        let lookup = |name: &str| {
            let found = variables.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.clone())
        };
        let settings = Settings::read(&flags, &lookup).unwrap();
        let bound = app::bind(&settings).await.unwrap();
        let (address, stopping) = (bound.address.clone(), bound.app.stopping.clone());
        let serving = tokio::spawn(async move { bound.serve().await.unwrap() });
        Self { address, data, database, folder, variables, stopping, serving }
    }

    /// Starts on what another server left.
    pub(crate) async fn go_on(stopped: Stopped) -> Self {
        Self::start_in(stopped, "127.0.0.1:0", &[]).await
    }

    /// Stops as SIGTERM does and starts again on the same folder.
    pub(crate) async fn restart(self) -> Self {
        Self::go_on(self.stop().await).await
    }

    /// Stops as SIGTERM does and leaves folder and database.
    pub(crate) async fn stop(self) -> Stopped {
        self.stopping.cancel();
        self.serving.await.unwrap();
        Stopped { folder: self.folder, database: self.database, variables: self.variables }
    }

    pub(crate) fn client(&self, token: Option<&str>) -> Client {
        client(&self.address, token)
    }

    pub(crate) fn admin(&self) -> Client {
        self.client(Some(&admin_token(&self.data)))
    }

    pub(crate) fn anonymous(&self) -> Client {
        self.client(None)
    }

    pub(crate) async fn token(&self, scope: Scope, namespace: Option<&str>) -> String {
        token(&self.admin(), scope, namespace).await
    }
}

/// What a server leaves.
pub(crate) struct Stopped {
    folder: TempDir,
    pub(crate) database: Database,
    variables: Vec<(String, String)>,
}

impl Stopped {
    /// A folder in which no server ever was.
    pub(crate) fn fresh(database: Database) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), database, variables: Vec::new() }
    }

    /// The same once more, as from a copy of the disks.
    pub(crate) fn copy(&mut self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let copied = Command::new("cp").arg("-a").arg(self.data()).arg(folder.path()).status();
        assert!(copied.unwrap().success());
        let database = match &mut self.database {
            Database::Sqlite => Database::Sqlite,
            Database::Postgres(cluster) => Database::Postgres(cluster.copy()),
        };
        Self { folder, database, variables: self.variables.clone() }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn storage(&self) -> Storage {
        let data = self.data();
        Storage { database: self.database.place(&data), data, bucket: None }
    }

    /// Every file that holds what is in the database.
    pub(crate) fn database_files(&self) -> Vec<PathBuf> {
        match &self.database {
            Database::Sqlite => {
                let files = ["registry.sqlite", "registry.sqlite-wal"];
                files.map(|file| self.data().join(file)).to_vec()
            }
            Database::Postgres(cluster) => cluster.files(),
        }
    }
}

pub(crate) fn client(address: &str, token: Option<&str>) -> Client {
    let config =
        ClientConfig { server: address.to_owned(), token: token.map(str::to_owned), ca_pem: None };
    Client::new(config).unwrap()
}

pub(crate) fn admin_token(data: &Path) -> String {
    std::fs::read_to_string(data.join("admin.token")).unwrap().trim().to_owned()
}

pub(crate) async fn token(admin: &Client, scope: Scope, namespace: Option<&str>) -> String {
    let wish = CreateToken {
        name: "test".to_owned(),
        scope,
        namespace: namespace.map(str::to_owned),
        valid_secs: 3600,
    };
    admin.create_token(&wish).await.unwrap().secret
}

/// Somebody with a namespace and its key.
pub(crate) struct Publisher {
    pub(crate) client: Client,
    pub(crate) namespace: Namespace,
    pub(crate) key: SecretKey,
    /// The API token of the client; empty for a client that logged in.
    pub(crate) secret: String,
}

impl Publisher {
    pub(crate) async fn new(world: &World, namespace: &str) -> Self {
        Self::with(&world.address, &world.admin(), namespace).await
    }

    pub(crate) async fn with(address: &str, admin: &Client, namespace: &str) -> Self {
        let key = SecretKey::from_seed([7; 32]);
        let namespace: Namespace = namespace.parse().unwrap();
        let claim =
            ClaimNamespace { name: namespace.clone(), keys: vec![key.public()], threshold: 1 };
        admin.claim_namespace(&claim).await.unwrap();
        let secret = token(admin, Scope::Publish, Some(namespace.as_str())).await;
        Self { client: client(address, Some(&secret)), namespace, key, secret }
    }

    /// The same person at a server that started again.
    pub(crate) fn of(world: &World, before: &Self) -> Self {
        let client = world.client(Some(&before.secret));
        let (namespace, key) = (before.namespace.clone(), before.key.clone());
        Self { client, namespace, key, secret: before.secret.clone() }
    }

    pub(crate) async fn upload(&self, blobs: &PackageBlobs) -> Result<(), ClientError> {
        for blob in blobs.all() {
            let (body, len) = (blob.bytes.clone(), blob.bytes.len() as u64);
            self.client.put_blob(&blob.digest, body, len).await?;
        }
        Ok(())
    }

    /// The same in two pieces each, as a large blob travels.
    pub(crate) async fn upload_in_pieces(&self, blobs: &PackageBlobs) -> Result<(), ClientError> {
        for blob in blobs.all() {
            let (of, mut at) = (blob.bytes.len(), 0);
            for end in [of / 2, of] {
                let piece = Piece { offset: at as u64, bytes: (end - at) as u64, of: of as u64 };
                self.client.upload_piece(&blob.digest, piece, blob.bytes[at..end].to_vec()).await?;
                at = end;
            }
        }
        Ok(())
    }

    /// The namespace's role with this package added, as its owner would write it.
    pub(crate) async fn next_role(&self, package: &Package) -> Role {
        let current = self.client.role(&self.namespace, ROLE_BYTES).await.unwrap();
        let mut role = match current {
            Some(bytes) => {
                Role::read_unverified(&bytes, &self.namespace).unwrap().next(EXPIRES).unwrap()
            }
            None => Role::new(self.namespace.clone(), 1, EXPIRES).unwrap(),
        };
        let release = role.next_release(&package.name);
        role.add(package.target(release)).unwrap();
        role
    }

    pub(crate) fn request(&self, package: &Package, role: &Role) -> PublishRequest {
        package.request(&role.sign(std::slice::from_ref(&self.key)).unwrap())
    }

    pub(crate) async fn publish(&self, package: &Package) -> Result<PublishReceipt, ClientError> {
        self.upload(&package.blobs).await?;
        let role = self.next_role(package).await;
        self.client.publish(&package.name, &self.request(package, &role)).await
    }
}

/// A built package.
pub(crate) struct Package {
    pub(crate) name: PackageName,
    pub(crate) version: Version,
    pub(crate) blobs: PackageBlobs,
}

impl Package {
    pub(crate) fn new(name: &str, version: &str) -> Self {
        Self::described(name, version, "Lets every packet pass")
    }

    pub(crate) fn described(name: &str, version: &str, description: &str) -> Self {
        Self::written(name, version, description, "keywords = [\"sample\"]", "\"amd64\", \"arm64\"")
    }

    /// With these further words about the package, for these machines.
    pub(crate) fn written(
        name: &str,
        version: &str,
        description: &str,
        more: &str,
        arch: &str,
    ) -> Self {
        let text = format!(
            r#"
[package]
name = "{name}"
version = "{version}"
license = "GPL-2.0-only"
description = "{description}"
readme = "README.md"
{more}
[[object]]
path = "pass.bpf.o"
arch = [{arch}]
[[program]]
name = "pass_all"
type = "xdp"
"#
        );
        let manifest = Manifest::parse(&text).unwrap();
        let readme = "# Pass\n\n<script>alert(1)</script>\n";
        let blobs = layout::build(&manifest, &[("pass.bpf.o", &OBJECT)], Some(readme)).unwrap();
        Self { name: name.parse().unwrap(), version: version.parse().unwrap(), blobs }
    }

    /// The object in every package.
    pub(crate) fn object() -> Vec<u8> {
        OBJECT.clone()
    }

    pub(crate) fn index(&self) -> Digest {
        self.blobs.index.digest
    }

    pub(crate) fn target(&self, release: u64) -> Target {
        Target {
            package: self.name.clone(),
            version: self.version.clone(),
            index: self.index(),
            length: self.blobs.index.bytes.len() as u64,
            release,
            hooks: vec![skep_artifact::hook::Hook::Xdp],
            arch: Vec::new(),
        }
    }

    pub(crate) fn request(&self, role: &[u8]) -> PublishRequest {
        PublishRequest {
            version: self.version.clone(),
            index: self.index(),
            blobs: self.blobs.all().iter().map(|blob| blob.digest).collect(),
            role: BASE64.encode(role),
        }
    }
}

/// A data folder whose server has stopped, for running its jobs at another time.
pub(crate) async fn open_app(stopped: &Stopped) -> app::App {
    let (people, storage) = (Default::default(), stopped.storage());
    app::App::open(&storage, skep_registry_server::faults::Faults::default(), people, Vec::new())
        .await
        .unwrap()
}

/// A plain HTTP client with a time limit, for what the typed one does not do.
pub(crate) fn http() -> reqwest::Client {
    reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap()
}

/// One GET.
pub(crate) async fn get(url: impl reqwest::IntoUrl) -> reqwest::Result<reqwest::Response> {
    http().get(url).send().await
}

/// The status and code of a refusal.
#[track_caller]
pub(crate) fn refusal<T>(result: Result<T, ClientError>) -> (u16, String) {
    match result {
        Err(ClientError::Refused { status, body }) => (status, body.code),
        Err(other) => panic!("not a refusal: {other:?}"),
        Ok(_) => panic!("it was accepted"),
    }
}

/// Asks again until the answer is there; a bounded wait on a predicate.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "not within 30 s: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
