//! The bytes in a bucket: a real S3 server beside ours (`s3s-fs`, which others wrote), and everything that is done with
//! bytes done over it. Where that server is not installed, the test says so and is counted as skipped.

use crate::cluster::{Cluster, Database};
use crate::durability::Server;
use crate::maintenance::offline_with;
use crate::registry_client::Repository;
use crate::world::{Package, admin_token, client, eventually, refusal};
use reqwest::Method;
use skep_artifact::digest::Digest;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

const KEYS: [&str; 2] = ["skep-test", "a-secret-of-nobody"];
const BUCKET: &str = "skep-blobs";

/// A running S3 server; it ends with this value.
struct S3 {
    process: Child,
    endpoint: String,
    folder: TempDir,
    program: PathBuf,
    port: u16,
}

fn program() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    Some(cache.join("skep/tools/bin/s3s-fs")).filter(|path| path.is_file())
}

impl S3 {
    /// `None` when there is no such program, which is noted for the run's table.
    async fn start(test: &str) -> Option<Self> {
        let Some(program) = program() else {
            if let Some(path) = std::env::var_os("SKEP_SKIPPED_FILE") {
                let opened = std::fs::OpenOptions::new().append(true).create(true).open(path);
                let why = "s3s-fs is not installed; cargo xtask setup does it";
                writeln!(opened.unwrap(), "skep-registry-server::it::s3::{test}\t{why}").unwrap();
            }
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = spawn(&program, port, &folder);
        let endpoint = format!("http://127.0.0.1:{port}");
        let s3 = Self { process, endpoint, folder, program, port };
        s3.answers().await;
        Some(s3)
    }

    async fn answers(&self) {
        eventually("the S3 server listens", async || {
            tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.ok()
        })
        .await;
    }

    async fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    async fn go_on(&mut self) {
        self.process = spawn(&self.program, self.port, &self.folder);
        self.answers().await;
    }

    /// What tells a server of ours to use it.
    fn variables(&self) -> [(&str, &str); 6] {
        [
            ("SKEP_BLOB_STORE", "s3://skep-blobs/registry"),
            ("AWS_ENDPOINT", &self.endpoint),
            ("AWS_ACCESS_KEY_ID", KEYS[0]),
            ("AWS_SECRET_ACCESS_KEY", KEYS[1]),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ALLOW_HTTP", "true"),
        ]
    }

    fn file(&self, digest: &Digest) -> PathBuf {
        let digits = digest.hex();
        let folder = self.folder.path().join(BUCKET).join("registry/sha256");
        folder.join(&digits[..2]).join(digits)
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(program: &PathBuf, port: u16, folder: &TempDir) -> Child {
    Command::new(program)
        .args(["--host", "127.0.0.1", "--port", &port.to_string()])
        .args(["--access-key", KEYS[0], "--secret-key", KEYS[1]])
        .arg(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_on_postgresql_and_a_bucket_keep_nothing_but_keys_on_their_disks() {
    let test = "two_servers_on_postgresql_and_a_bucket_keep_nothing_but_keys_on_their_disks";
    let Some(s3) = S3::start(test).await else { return };
    let database = Database::Postgres(Cluster::start());
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let first = Server::with(folders[0].path(), &database, None, &s3.variables()).await;
    crate::replicas::share_keys(&first.data, &folders[1].path().join("data"));
    let second = Server::with(folders[1].path(), &database, None, &s3.variables()).await;
    let publisher = first.publisher().await;
    let package = Package::new("acme/pass", "1.0.0");
    publisher.publish(&package).await.unwrap();
    assert!(s3.file(&package.index()).is_file());
    assert!(!first.data.join("blobs/sha256").exists());
    let elsewhere = client(&second.address, None);
    let index = elsewhere.manifest(&package.name, &package.index(), 1 << 20).await.unwrap();
    assert_eq!(index, package.blobs.index.bytes);

    // An upload goes on at the other server, and more than one request's worth of bytes comes back as it went.
    let large: Vec<u8> = (0..20_u32 << 20).map(|n| (n >> 3).to_le_bytes()[0]).collect();
    let at = |server: &Server| Repository {
        address: server.address.clone(),
        name: "acme/image".to_owned(),
        token: Some(publisher.secret.clone()),
    };
    let (here, there) = (at(&first), at(&second));
    let location = here.start().await;
    let half = large.len() / 2;
    for (repository, range) in [(&here, 0..half), (&there, half..large.len())] {
        let header = format!("{}-{}", range.start, range.end - 1);
        let patch = repository.at(Method::PATCH, &location).header("content-range", header);
        let sent = patch.body(large[range].to_vec()).send().await.unwrap();
        assert_eq!(sent.status(), 202);
    }
    let digest = Digest::of(&large);
    let end = format!("{location}?digest={digest}");
    assert_eq!(here.at(Method::PUT, &end).send().await.unwrap().status(), 201);
    let got = there.get(&format!("blobs/{digest}")).await.expect(200);
    assert!(got.body == large);
    let part = there.at(Method::GET, &format!("/v2/acme/image/blobs/{digest}"));
    let part = part.header("range", "bytes=10485755-10485764").send().await.unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(part.bytes().await.unwrap()[..], large[half - 5..half + 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_in_a_bucket_are_scrubbed_collected_backed_up_and_missed_in_words() {
    let test = "bytes_in_a_bucket_are_scrubbed_collected_backed_up_and_missed_in_words";
    let Some(mut s3) = S3::start(test).await else { return };
    let (folder, database) = (tempfile::tempdir().unwrap(), Database::fresh());
    let server = Server::with(folder.path(), &database, None, &s3.variables()).await;
    let publisher = server.publisher().await;
    let package = Package::new("acme/pass", "1.0.0");
    publisher.publish(&package).await.unwrap();
    let unused = Digest::of(b"unused");
    publisher.client.put_blob(&unused, &b"unused"[..], 6).await.unwrap();

    // Without its bucket a server says so, stores nothing, and goes on when it is back.
    s3.stop().await;
    let other = Package::new("acme/pass", "1.1.0");
    let refused = refusal(publisher.upload(&other.blobs).await);
    assert_eq!(refused, (503, "server.blob_store_down".into()));
    s3.go_on().await;
    eventually("an upload goes through", async || publisher.upload(&other.blobs).await.ok()).await;
    publisher.publish(&other).await.unwrap();

    let data = server.data.clone();
    let secret = admin_token(&data);
    drop(server);
    let run = |arguments: &[&str]| offline_with(arguments, &data, database.url(), &s3.variables());
    let done = run(&["scrub"]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let backup = folder.path().join("backup");
    let done = run(&["backup", "--to", backup.to_str().unwrap()]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let layer = package.blobs.all().into_iter().max_by_key(|blob| blob.bytes.len()).unwrap();
    std::fs::write(s3.file(&layer.digest), b"other bytes").unwrap();
    let done = run(&["scrub"]);
    assert_eq!(done.status.code(), Some(3), "{done:?}");
    assert!(String::from_utf8_lossy(&done.stdout).contains(&layer.digest.to_string()));
    let done = run(&["gc"]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert!(s3.file(&unused).is_file(), "it is not a day old");

    // The backup goes into a folder as well as into a bucket.
    let restored = tempfile::tempdir().unwrap();
    let fresh = Database::fresh();
    let from = ["restore", "--from", backup.to_str().unwrap()];
    let place = restored.path().join("data");
    let done = offline_with(&from, &place, fresh.url(), &[]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let again = Server::start(restored.path(), &fresh, None).await;
    let anyone = client(&again.address, Some(&secret));
    let bytes = anyone.blob(&package.name, &layer.digest, 1 << 20).await.unwrap();
    assert_eq!(bytes, layer.bytes);
}
