//! What survives: kill -9 at every point of a publish, a full disk, taking the schema down and up.
//! These run the real binary as a child.

use crate::cluster::Database;
use crate::world::{Package, Publisher, World, admin_token, client, eventually, refusal};
use skep_api::client::ClientError;
use skep_registry_server::faults::FaultPoint;
use skep_registry_server::store::Store;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) address: String,
    pub(crate) data: PathBuf,
}

impl Server {
    pub(crate) async fn start(
        folder: &Path,
        database: &Database,
        fault: Option<FaultPoint>,
    ) -> Self {
        Self::with(folder, database, fault, &[]).await
    }

    /// The same with these variables set.
    pub(crate) async fn with(
        folder: &Path,
        database: &Database,
        fault: Option<FaultPoint>,
        variables: &[(&str, &str)],
    ) -> Self {
        let (data, address_file) = (folder.join("data"), folder.join("address"));
        let _ = std::fs::remove_file(&address_file);
        let mut command = Command::new(env!("CARGO_BIN_EXE_skep-registry"));
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(&data)
            .arg("--address-file")
            .arg(&address_file)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(url) = database.url() {
            command.env("SKEP_DATABASE_URL", url);
        }
        command.envs(variables.iter().copied());
        if let Some(point) = fault {
            command.env("SKEP_FAULT_POINT", point.name());
        }
        let child = command.spawn().unwrap();
        let address = eventually("the server writes its address", async || {
            std::fs::read_to_string(&address_file).ok()
        })
        .await;
        Self { child, address, data }
    }

    pub(crate) async fn publisher(&self) -> Publisher {
        let admin = client(&self.address, Some(&admin_token(&self.data)));
        Publisher::with(&self.address, &admin, "acme").await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn killed_at_any_point_of_a_publish_the_version_is_there_or_not_and_never_half() {
    for point in FaultPoint::ALL {
        let (folder, database) = (tempfile::tempdir().unwrap(), Database::fresh());
        let package = Package::new("acme/pass", "1.0.0");
        let publisher = Server::start(folder.path(), &database, None).await.publisher().await;

        let mut server = Server::start(folder.path(), &database, Some(point)).await;
        let secret = admin_token(&server.data);
        let cut = Publisher {
            client: client(&server.address, Some(&secret)),
            namespace: publisher.namespace.clone(),
            key: publisher.key.clone(),
            secret: secret.clone(),
        };
        // One road in pieces, one whole: the points of both are passed.
        let pieces = cut.upload_in_pieces(&package.blobs).await;
        let result = match pieces {
            Ok(()) => cut.publish(&package).await.map(drop),
            broken => broken,
        };
        assert!(matches!(result, Err(ClientError::Unreachable { .. })), "{point:?}: {result:?}");
        let status = server.child.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{point:?}");

        let server = Server::start(folder.path(), &database, None).await;
        let anyone = client(&server.address, None);
        let there = anyone.version(&package.name, &package.version).await.is_ok();
        let committed = [FaultPoint::PublishCommitted, FaultPoint::PublishProved];
        assert_eq!(there, committed.contains(&point), "{point:?}");
        // Entry 0 is the namespace's delegation; the version is in the log exactly when it is there.
        let (_, logged) = crate::log::whole_log(&anyone).await;
        assert_eq!(logged.len(), 1 + usize::from(there), "{point:?}");
        assert_eq!(anyone.packages(&Default::default()).await.unwrap().total, u64::from(there));
        let left = std::fs::read_dir(server.data.join("blobs/tmp")).unwrap().count();
        assert_eq!(left, 0, "{point:?}");
        // The same publish again ends in the version being there, whatever happened before.
        let again = Publisher { client: client(&server.address, Some(&secret)), ..publisher };
        match again.publish(&package).await {
            Ok(receipt) => assert_eq!(receipt.index, package.index()),
            refused => assert_eq!(refusal(refused), (409, "package.version_exists".into())),
        }
        let (_, logged) = crate::log::whole_log(&anyone).await;
        assert_eq!(logged.len(), 2, "{point:?}");
        let role = anyone.role(&again.namespace, 1 << 20).await.unwrap().unwrap();
        let keys = [again.key.public()];
        let role = skep_artifact::role::Role::verify(&role, &again.namespace, &keys, 1).unwrap();
        assert_eq!(role.role().version(), 1, "{point:?}");
    }
}

#[tokio::test]
async fn an_acknowledged_publish_survives_kill_9() {
    let (folder, database) = (tempfile::tempdir().unwrap(), Database::fresh());
    let package = Package::new("acme/pass", "1.0.0");
    {
        let server = Server::start(folder.path(), &database, None).await;
        server.publisher().await.publish(&package).await.unwrap();
    }
    let server = Server::start(folder.path(), &database, None).await;
    let anyone = client(&server.address, None);
    let index = anyone.manifest(&package.name, &package.index(), 1 << 20).await.unwrap();
    assert_eq!(index, package.blobs.index.bytes);
}

/// A small file system of its own, gone at the end of the test.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(folder.path())
            .status();
        mounted.is_ok_and(|status| status.success()).then_some(Self { folder })
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.folder.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_the_upload_in_words_and_what_is_there_is_still_served() {
    let database = Database::fresh();
    let disk = SmallDisk::mount("6m").expect("this test needs root to mount a small tmpfs");
    let server = Server::start(disk.folder.path(), &database, None).await;
    let publisher = server.publisher().await;
    let package = Package::new("acme/pass", "1.0.0");
    publisher.publish(&package).await.unwrap();
    let large = vec![7u8; 8 << 20];
    let digest = skep_artifact::digest::Digest::of(&large);
    let refused = refusal(publisher.client.put_blob(&digest, large.clone(), 8 << 20).await);
    assert_eq!(refused, (507, "server.storage_full".into()));
    let left = std::fs::read_dir(server.data.join("blobs/tmp")).unwrap().count();
    assert_eq!(left, 0);
    let anyone = client(&server.address, None);
    anyone.manifest(&package.name, &package.index(), 1 << 20).await.unwrap();
    // Nothing was lost: with room again, the next publish goes through.
    publisher.publish(&Package::new("acme/pass", "1.1.0")).await.unwrap();
}

#[tokio::test]
async fn migrations_go_up_down_and_up_again() {
    let (folder, database) = (tempfile::tempdir().unwrap(), Database::fresh());
    let place = database.place(folder.path());
    let store = Store::open(&place).await.unwrap();
    store.undo_all().await.unwrap();
    store.close().await;
    let store = Store::open(&place).await.unwrap();
    assert!(store.tokens().await.unwrap().is_empty());
    store.close().await;
}

#[tokio::test]
async fn a_folder_in_use_is_not_opened_twice() {
    let world = World::start().await;
    let second = Command::new(env!("CARGO_BIN_EXE_skep-registry"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(&world.data)
        .output()
        .unwrap();
    assert!(!second.status.success());
    let words = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(words.contains("another server uses"), "{words}");
}
