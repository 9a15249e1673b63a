//! Backups: made while the server runs, put back into either database, refused when damaged.

use crate::cluster::Database;
use crate::fleet::{enrolment, now, revision, signed};
use crate::world::{Package, Publisher, Stopped, World, client};
use skep_api::v1::nodes::CreateNodeToken;
use skep_fleet::selector::Labels;
use skep_registry_server::backup::{self, BackupError, Counts};
use skep_registry_server::blob::BlobStore;
use skep_registry_server::faults::Faults;
use skep_registry_server::jobs::scrub;
use skep_registry_server::maintenance::Progress;
use skep_registry_server::storage::Storage;
use skep_registry_server::store::Store;
use std::path::Path;
use tempfile::TempDir;

async fn write(storage: &Storage, to: &Path) -> Result<Counts, BackupError> {
    let store = Store::open(&storage.database).await.unwrap();
    let blobs = BlobStore::at(&storage.data.join("blobs"), storage.bucket.as_ref()).unwrap();
    let counts = backup::write(&store, &blobs, &storage.data, to, 1).await;
    store.close().await;
    counts
}

async fn restore(storage: &Storage, from: &Path) -> Result<Counts, BackupError> {
    std::fs::create_dir_all(&storage.data).unwrap();
    let store = Store::open(&storage.database).await.unwrap();
    let blobs = BlobStore::open_with(
        &storage.data.join("blobs"),
        storage.bucket.as_ref(),
        Faults::default(),
    )
    .unwrap();
    let counts = backup::restore(&store, &blobs, &storage.data, from).await;
    store.close().await;
    counts
}

/// A world with a bit of everything, and the credential of a node in it.
async fn furnished() -> (World, Package, String) {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    let package = Package::new("acme/pass", "1.0.0");
    publisher.publish(&package).await.unwrap();
    let labels = Labels::from([("role".to_owned(), "edge".to_owned())]);
    let wish = CreateNodeToken { labels, uses: 2, valid_secs: 600 };
    let secret = world.admin().create_node_token(&wish).await.unwrap().secret;
    let node = world.anonymous().enrol(&enrolment(&secret, "web-1", 1)).await.unwrap();
    world.admin().apply(&signed(&revision("guard", 1, "edge", &package))).await.unwrap();
    (world, package, node.credential)
}

/// What a table's file says, whatever the order of its rows.
fn sorted(folder: &Path, table: &str) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join(format!("tables/{table}.jsonl"))).unwrap();
    let mut rows: Vec<String> = text.lines().map(str::to_owned).collect();
    rows.sort();
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_running_server_moves_into_the_other_database_and_back() {
    let (world, package, credential) = furnished().await;
    let folder = TempDir::new().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let storage =
        Storage { database: world.database.place(&world.data), ..Storage::in_folder(&world.data) };
    let written = write(&storage, &first).await.unwrap();
    assert!(written.blobs > 0 && written.rows > written.blobs, "{written:?}");
    let known = now(&world.client(Some(&credential))).await;
    drop(world.stop().await);

    let other = match Database::fresh() {
        Database::Sqlite => Database::Postgres(crate::cluster::Cluster::start()),
        Database::Postgres(_) => Database::Sqlite,
    };
    let moved = Stopped::fresh(other);
    assert_eq!(restore(&moved.storage(), &first).await.unwrap(), written);
    assert_eq!(write(&moved.storage(), &second).await.unwrap(), written);
    for entry in std::fs::read_dir(first.join("tables")).unwrap() {
        let name = entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned();
        assert_eq!(sorted(&first, &name), sorted(&second, &name), "{name}");
    }
    let store = Store::open(&moved.storage().database).await.unwrap();
    let blobs = BlobStore::at(&moved.data().join("blobs"), None).unwrap();
    let found = scrub::run(&store, &blobs, None, &Progress::default()).await.unwrap();
    assert!(found.all_is_well(), "{found:?}");
    store.close().await;

    // Whoever knew the old place finds everything in the new one, and can go on.
    let world = World::go_on(moved).await;
    let node = world.client(Some(&credential));
    assert_eq!(now(&node).await, known);
    let anyone = world.anonymous();
    let index = anyone.manifest(&package.name, &package.index(), 1 << 20).await.unwrap();
    assert_eq!(index, package.blobs.index.bytes);
    let query =
        skep_api::v1::packages::PackageQuery { q: Some("packet".to_owned()), ..Default::default() };
    assert_eq!(anyone.packages(&query).await.unwrap().total, 1);
    let secret = crate::world::admin_token(&world.data);
    let publisher = Publisher {
        client: client(&world.address, Some(&secret)),
        namespace: "acme".parse().unwrap(),
        key: skep_artifact::key::SecretKey::from_seed([7; 32]),
        secret: secret.clone(),
    };
    publisher.publish(&Package::new("acme/other", "1.0.0")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_unfinished_or_foreign_backup_restores_nothing() {
    let (world, _, _) = furnished().await;
    let folder = TempDir::new().unwrap();
    let backup = folder.path().join("backup");
    let storage =
        Storage { database: world.database.place(&world.data), ..Storage::in_folder(&world.data) };
    write(&storage, &backup).await.unwrap();
    assert!(matches!(restore(&storage, &backup).await, Err(BackupError::NotEmpty)));

    let fresh = Stopped::fresh(Database::fresh());
    let check = async |what: &str, damage: &dyn Fn(&Path), expected: &str| {
        let copy = TempDir::new().unwrap();
        let copied = std::process::Command::new("cp")
            .arg("-a")
            .arg(&backup)
            .arg(copy.path().join("b"))
            .status();
        assert!(copied.unwrap().success());
        damage(&copy.path().join("b"));
        let refused = restore(&fresh.storage(), &copy.path().join("b")).await.unwrap_err();
        assert!(refused.to_string().contains(expected), "{what}: {refused}");
    };
    let edit = |file: &Path, from: &str, to: &str| {
        let text = std::fs::read_to_string(file).unwrap();
        assert!(text.contains(from), "{from}");
        std::fs::write(file, text.replacen(from, to, 1)).unwrap();
    };
    let no_index = |b: &Path| std::fs::remove_file(b.join("backup.json")).unwrap();
    check("killed before the end", &no_index, "not a whole backup").await;
    let edited = |b: &Path| edit(&b.join("tables/namespaces.jsonl"), "acme", "evil");
    check("an edited row", &edited, "damaged").await;
    let cut = |b: &Path| {
        let file = b.join("tables/versions.jsonl");
        let text = std::fs::read(&file).unwrap();
        std::fs::write(&file, &text[..text.len() - 5]).unwrap();
    };
    check("a cut table", &cut, "damaged").await;
    let format = |b: &Path| edit(&b.join("backup.json"), "\"format\": 1", "\"format\": 2");
    check("another form", &format, "form 2").await;
    let schema = |b: &Path| edit(&b.join("backup.json"), "\"schema\": 2026", "\"schema\": 3026");
    check("another schema", &schema, "schema 3026").await;
    let blob = |b: &Path| {
        let folders = std::fs::read_dir(b.join("blobs/sha256")).unwrap().flatten();
        let file = folders.flat_map(|f| std::fs::read_dir(f.path()).unwrap().flatten()).next();
        std::fs::write(file.unwrap().path(), b"other").unwrap();
    };
    check("other bytes", &blob, "damaged").await;
    // After all that the database is still empty, and the whole backup goes in.
    restore(&fresh.storage(), &backup).await.unwrap();
}
