//! Collecting and scrubbing while the server runs, and beside it: what is found, what is repaired.

use crate::world::{Package, Publisher, World, eventually, refusal};
use skep_api::client::Client;
use skep_api::v1::maintenance::{StartTask, TaskInfo, TaskKind, TaskState};
use skep_api::v1::tokens::Scope;
use skep_artifact::digest::Digest;
use skep_registry_server::clock;
use skep_registry_server::jobs::collect_blobs::UNUSED_SECS;
use skep_registry_server::store::Store;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn file(data: &Path, digest: &Digest) -> PathBuf {
    data.join("blobs/sha256").join(&digest.hex()[..2]).join(digest.hex())
}

fn layer(package: &Package) -> Digest {
    let blobs = &package.blobs.others;
    blobs.iter().find(|blob| blob.media_type.ends_with("tar+gzip")).unwrap().digest
}

fn spoil(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

async fn run(client: &Client, kind: TaskKind, repair_from: Option<&str>) -> TaskInfo {
    let wish = StartTask { kind, repair_from: repair_from.map(str::to_owned) };
    let id = client.start_task(&wish).await.unwrap().id;
    eventually("the task ends", async || {
        let task = client.task(id).await.unwrap();
        (task.state != TaskState::Running).then_some(task)
    })
    .await
}

async fn published(world: &World) -> Package {
    let publisher = Publisher::new(world, "acme").await;
    let package = Package::new("acme/pass", "1.0.0");
    publisher.publish(&package).await.unwrap();
    package
}

#[tokio::test]
async fn what_nothing_names_is_collected_while_the_server_runs() {
    let world = World::start().await;
    let package = published(&world).await;
    let admin = world.admin();
    for bytes in [&b"old"[..], b"young"] {
        admin.put_blob(&Digest::of(bytes), bytes.to_vec(), bytes.len() as u64).await.unwrap();
    }
    let store = Store::open(&world.database.place(&world.data)).await.unwrap();
    let long_ago = clock::now() - UNUSED_SECS - 10;
    store.note_blob(&Digest::of(b"old"), 3, long_ago).await.unwrap();
    store.close().await;

    let task = run(&admin, TaskKind::Gc, None).await;
    assert_eq!((task.state, task.removed), (TaskState::Done, 1), "{task:?}");
    assert!(!file(&world.data, &Digest::of(b"old")).exists());
    assert!(admin.has_blob(&Digest::of(b"young")).await.unwrap());
    world.anonymous().blob(&package.name, &layer(&package), 1 << 20).await.unwrap();
    assert_eq!(admin.tasks().await.unwrap().tasks[0].id, task.id);
}

#[tokio::test]
async fn a_scrub_names_what_is_changed_gone_or_unknown() {
    let world = World::start().await;
    let package = published(&world).await;
    let admin = world.admin();
    admin.put_blob(&Digest::of(b"upload"), &b"upload"[..], 6).await.unwrap();
    let well = run(&admin, TaskKind::Scrub, None).await;
    let found = well.findings.unwrap();
    assert!(found.all_is_well() && found.intact == well.total, "{found:?}");
    assert_eq!((well.done, found.unknown.len()), (well.total, 0));

    let (changed, gone) = (layer(&package), package.blobs.manifest_json.digest);
    spoil(&file(&world.data, &changed));
    std::fs::remove_file(file(&world.data, &gone)).unwrap();
    std::fs::remove_file(file(&world.data, &Digest::of(b"upload"))).unwrap();
    let unknown = Digest::of(b"nobody knows");
    std::fs::write(file(&world.data, &unknown), b"nobody knows").unwrap();
    let found = run(&admin, TaskKind::Scrub, None).await.findings.unwrap();
    assert_eq!((found.changed, found.missing), (vec![changed], vec![gone]));
    assert_eq!((found.lost_uploads, found.unknown), (vec![Digest::of(b"upload")], vec![unknown]));
    assert_eq!(found.intact, well.total - 3);
}

#[tokio::test]
async fn a_scrub_repairs_from_another_registry_and_what_it_repaired_is_served_at_once() {
    let (world, mirror) = (World::start().await, World::start().await);
    let package = published(&world).await;
    // The same source gives the same bytes, whoever published them.
    published(&mirror).await;
    let (changed, gone) = (layer(&package), package.blobs.manifest_json.digest);
    spoil(&file(&world.data, &changed));
    std::fs::remove_file(file(&world.data, &gone)).unwrap();
    let anyone = world.anonymous();
    let served = anyone.blob(&package.name, &changed, 1 << 20).await.unwrap();
    assert_ne!(Digest::of(&served), changed, "the server has read the wrong bytes once");

    let admin = world.admin();
    let found = run(&admin, TaskKind::Scrub, Some(&mirror.address)).await.findings.unwrap();
    assert!(found.all_is_well(), "{found:?}");
    assert_eq!(found.repaired.len(), 2, "{found:?}");
    for digest in [changed, gone] {
        let served = anyone.blob(&package.name, &digest, 1 << 20).await.unwrap();
        assert_eq!(Digest::of(&served), digest);
    }
}

#[tokio::test]
async fn a_source_that_is_broken_itself_repairs_nothing() {
    let (world, mirror) = (World::start().await, World::start().await);
    let package = published(&world).await;
    published(&mirror).await;
    let changed = layer(&package);
    for data in [&world.data, &mirror.data] {
        spoil(&file(data, &changed));
    }
    let admin = world.admin();
    let found = run(&admin, TaskKind::Scrub, Some(&mirror.address)).await.findings.unwrap();
    assert_eq!((found.changed, found.repaired), (vec![changed], Vec::new()));
    let left = std::fs::read_dir(world.data.join("blobs/tmp")).unwrap().count();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn only_an_admin_starts_tasks_and_only_one_that_makes_sense() {
    let world = World::start().await;
    let wish = |kind, from: Option<&str>| StartTask { kind, repair_from: from.map(str::to_owned) };
    for scope in [Scope::Operate, Scope::ReadFleet] {
        let client = world.client(Some(&world.token(scope, None).await));
        assert_eq!(refusal(client.start_task(&wish(TaskKind::Gc, None)).await).0, 403);
        assert_eq!(refusal(client.tasks().await).0, 403);
    }
    let admin = world.admin();
    for wish in [
        wish(TaskKind::Gc, Some("https://mirror.example")),
        wish(TaskKind::Scrub, Some("http://mirror.example")),
        wish(TaskKind::Scrub, Some("nowhere")),
    ] {
        let refused = refusal(admin.start_task(&wish).await);
        assert_eq!(refused, (400, "request.malformed".into()), "{wish:?}");
    }
    assert_eq!(refusal(admin.task(7).await).0, 404);
}

pub(crate) fn offline(arguments: &[&str], data: &Path, database: Option<String>) -> Output {
    offline_with(arguments, data, database, &[])
}

pub(crate) fn offline_with(
    arguments: &[&str],
    data: &Path,
    database: Option<String>,
    variables: &[(&str, &str)],
) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skep-registry"));
    command.envs(variables.iter().copied());
    if let Some(url) = database {
        command.env("SKEP_DATABASE_URL", url);
    }
    command.args(arguments).arg("--data").arg(data).output().unwrap()
}

#[tokio::test]
async fn the_command_beside_a_running_server_finds_repairs_and_says_so_by_its_exit_code() {
    let (world, mirror) = (World::start().await, World::start().await);
    let package = published(&world).await;
    published(&mirror).await;
    let done = offline(&["scrub"], &world.data, world.database.url());
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let changed = layer(&package);
    spoil(&file(&world.data, &changed));
    let anyone = world.anonymous();
    let wrong = anyone.blob(&package.name, &changed, 1 << 20).await.unwrap();
    assert_ne!(Digest::of(&wrong), changed);
    let done = offline(&["scrub"], &world.data, world.database.url());
    assert_eq!(done.status.code(), Some(3), "{done:?}");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(said.contains(&format!("changed: {changed}")), "{said}");

    let address = mirror.address.clone();
    let data = world.data.clone();
    let database = world.database.url();
    let repairing = move || offline(&["scrub", "--repair-from", &address], &data, database.clone());
    let done = tokio::task::spawn_blocking(repairing).await.unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let served = anyone.blob(&package.name, &changed, 1 << 20).await.unwrap();
    assert_eq!(Digest::of(&served), changed, "served without a restart");
    // Collecting takes things away, so it stays with the server while there is one.
    let done = offline(&["gc"], &world.data, world.database.url());
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    let folder = world.stop().await;
    let done = offline(&["gc"], &folder.data(), folder.database.url());
    assert_eq!(done.status.code(), Some(0), "{done:?}");
}
