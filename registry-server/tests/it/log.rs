//! The transparency log of a running server, read as a stranger reads it: from its tiles and checkpoint.

use crate::fleet::{enrolled, now, report};
use crate::world::{Package, Publisher, World, client, get, refusal};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use skep_api::client::Client;
use skep_api::v1::log::{CheckpointQuery, Cosigned, LogProof, LogSeen};
use skep_api::v1::namespaces::ClaimNamespace;
use skep_api::v1::nodes::Refused;
use skep_api::v1::sync::Report;
use skep_artifact::digest::Digest;
use skep_artifact::key::SecretKey;
use skep_artifact::log::{Entry, Event, check_inclusion};
use skep_trust::log::{LogMemory, LogPolicy, VerifiedCheckpoint};
use skep_trust::note::{NoteAlgorithm, NoteKey, cosign};
use skep_trust::tiles::{
    ENTRY_TILE_BYTES_MAX, FromTiles, HASH_TILE_BYTES_MAX, TILE_WIDTH, Tiles, entries_of, entry_tile,
};

/// Follows a log by the key the server names, with no witnesses.
pub(crate) async fn policy(client: &Client) -> LogPolicy {
    LogPolicy::new(client.log().await.unwrap().key.parse().unwrap(), Vec::new(), 0).unwrap()
}

/// Reads every entry from the tiles and proves each to be in the newest checkpoint.
pub(crate) async fn whole_log(client: &Client) -> (VerifiedCheckpoint, Vec<Entry>) {
    let note = client.log_file("checkpoint", 1 << 20).await.unwrap();
    let checkpoint = policy(client).await.verify(std::str::from_utf8(&note).unwrap()).unwrap();
    let (size, mut tiles, mut all) = (checkpoint.size(), Tiles::of(checkpoint.size()), Vec::new());
    let mut first = 0;
    while let Some((path, count)) = entry_tile(size, first) {
        let bytes = client.log_file(&path, ENTRY_TILE_BYTES_MAX).await.unwrap();
        for (index, entry) in (first..).zip(entries_of(&path, &bytes, count).unwrap()) {
            prove(client, &checkpoint, &mut tiles, index, &entry).await;
            all.push(Entry::read(&entry).unwrap());
        }
        first += TILE_WIDTH;
    }
    (checkpoint, all)
}

async fn prove(
    client: &Client,
    checkpoint: &VerifiedCheckpoint,
    tiles: &mut Tiles,
    index: u64,
    entry: &[u8],
) {
    loop {
        match tiles.check_entry(checkpoint, index, entry).unwrap() {
            FromTiles::Known(()) => return,
            FromTiles::Needs(paths) => {
                for path in paths {
                    let bytes = client.log_file(&path, HASH_TILE_BYTES_MAX).await.unwrap();
                    tiles.add(&path, bytes.to_vec()).unwrap();
                }
            }
        }
    }
}

fn verify(policy: &LogPolicy, proof: &LogProof) -> Entry {
    let checkpoint = policy.verify(&proof.checkpoint).unwrap();
    let entry = BASE64.decode(&proof.entry).unwrap();
    let tip = (checkpoint.size(), checkpoint.root());
    check_inclusion(tip, proof.index, &entry, &proof.inclusion).unwrap();
    Entry::read(&entry).unwrap()
}

#[tokio::test]
async fn a_publish_is_answered_with_its_proof_and_every_version_has_one() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    let anyone = world.anonymous();
    let policy = policy(&anyone).await;
    for n in 0..3u64 {
        let package = Package::new("acme/pass", &format!("1.{n}.0"));
        let receipt = publisher.publish(&package).await.unwrap();
        let entry = verify(&policy, &receipt.log);
        let Event::Publish { package: name, version, index, role, .. } = entry.event else {
            panic!("{entry:?}")
        };
        assert_eq!((name, version, index), (package.name, package.version.clone(), receipt.index));
        let signed = anyone.role(&publisher.namespace, 1 << 20).await.unwrap().unwrap();
        assert_eq!(role, Some(Digest::of(&signed)));
        let detail = anyone.version(&receipt.name, &package.version).await.unwrap();
        // Entry 0 is the namespace's delegation.
        assert_eq!(detail.summary.log_index, Some(n + 1));
        assert_eq!(receipt.log.index, n + 1);
        let query = CheckpointQuery { from: n + 1, witnesses: 0 };
        let proof = anyone.log_proof(&receipt.name, &package.version, &query).await.unwrap();
        verify(&policy, &proof);
        assert_eq!(proof.index, n + 1);
    }
    let (checkpoint, all) = whole_log(&anyone).await;
    assert_eq!((checkpoint.size(), all.len()), (4, 4));
    assert_eq!(all[0].kind(), "delegation");
    let missing = "9.9.9".parse().unwrap();
    let query = CheckpointQuery::default();
    let name = "acme/pass".parse().unwrap();
    assert_eq!(refusal(anyone.log_proof(&name, &missing, &query).await).0, 404);
}

#[tokio::test]
async fn versions_that_are_older_than_the_log_are_put_into_it_at_start_in_their_order() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    let packages = [("acme/pass", "1.0.0"), ("acme/drop", "1.0.0"), ("acme/pass", "1.1.0")]
        .map(|(name, version)| Package::new(name, version));
    for package in &packages {
        publisher.publish(package).await.unwrap();
    }
    // As a registry that had no log left it.
    let stopped = world.stop().await;
    let forget = [
        "UPDATE versions SET log_position = NULL",
        "DELETE FROM log_hashes",
        "DELETE FROM log_entries",
        "UPDATE log_state SET size = 0",
    ];
    stopped.database.execute(&stopped.data(), &forget).await;
    let mut world = World::go_on(stopped).await;
    for _ in 0..2 {
        let anyone = world.anonymous();
        let (checkpoint, entries) = whole_log(&anyone).await;
        assert_eq!((checkpoint.size(), entries.len()), (3, 3), "each once, whatever starts again");
        let policy = policy(&anyone).await;
        for (at, package) in (0..).zip(&packages) {
            let query = CheckpointQuery::default();
            let proof = anyone.log_proof(&package.name, &package.version, &query).await.unwrap();
            assert_eq!(proof.index, at);
            let Event::Publish { package: name, version, index, role, signed_by, .. } =
                verify(&policy, &proof).event
            else {
                panic!("no publish")
            };
            assert_eq!((name, version), (package.name.clone(), package.version.clone()));
            assert_eq!((index, role), (package.index(), None));
            assert_eq!(signed_by, [publisher.key.public().key_id()]);
        }
        world = world.restart().await;
    }
    // And the next one goes behind them.
    let publisher = Publisher::of(&world, &publisher);
    let receipt = publisher.publish(&Package::new("acme/pass", "1.2.0")).await.unwrap();
    assert_eq!(receipt.log.index, 3);
}

#[tokio::test]
async fn tiles_are_those_of_the_specification_and_never_change() {
    let world = World::start().await;
    let admin = world.admin();
    let key = SecretKey::from_seed([1; 32]).public();
    let claim = async |n: u32| {
        let name = format!("n{n}").parse().unwrap();
        let claim = ClaimNamespace { name, keys: vec![key.clone()], threshold: 1 };
        admin.claim_namespace(&claim).await.unwrap();
    };
    for n in 0..259 {
        claim(n).await;
    }
    let at = |path: &str| format!("{}/log/{path}", world.address);
    let whole = get(at("tile/0/000")).await.unwrap();
    assert_eq!(whole.headers()["cache-control"], "public, max-age=31536000, immutable");
    let whole = whole.bytes().await.unwrap();
    assert_eq!(whole.len(), 256 * 32);
    let part = get(at("tile/0/000.p/7")).await.unwrap().bytes().await.unwrap();
    assert_eq!(part, whole[..7 * 32]);
    assert_eq!(get(at("tile/1/000.p/1")).await.unwrap().bytes().await.unwrap().len(), 32);
    assert_eq!(get(at("tile/entries/001.p/3")).await.unwrap().status(), 200);
    let note = get(at("checkpoint")).await.unwrap();
    assert_eq!(note.headers()["cache-control"], "no-cache");
    for missing in
        ["tile/0/001", "tile/0/001.p/4", "tile/0/002", "tile/2/000", "tile/0/000.p/0", "tile/0/0"]
    {
        assert_eq!(get(at(missing)).await.unwrap().status(), 404, "{missing}");
    }
    let anyone = world.anonymous();
    let (before, entries) = whole_log(&anyone).await;
    assert_eq!((before.size(), entries.len()), (259, 259));
    claim(259).await;
    let (after, _) = whole_log(&anyone).await;
    let query = CheckpointQuery { from: before.size(), witnesses: 0 };
    let answer = anyone.log_checkpoint(&query).await.unwrap();
    let old = (before.size(), before.root());
    let new = (after.size(), after.root());
    skep_artifact::log::check_consistency(old, new, &answer.consistency).unwrap();
    let again = get(at("tile/0/000")).await.unwrap().bytes().await.unwrap();
    assert_eq!(again, whole);
}

#[tokio::test]
async fn many_publishers_at_once_leave_no_gap() {
    let world = World::start().await;
    let mut publishers = Vec::new();
    for n in 0..6 {
        publishers.push(Publisher::new(&world, &format!("team{n}")).await);
    }
    let publish = |publisher: Publisher| async move {
        for n in 0..4 {
            let name = format!("{}/pass", publisher.namespace);
            publisher.publish(&Package::new(&name, &format!("1.{n}.0"))).await.unwrap();
        }
    };
    futures::future::join_all(publishers.into_iter().map(publish)).await;
    let (checkpoint, all) = whole_log(&world.anonymous()).await;
    assert_eq!((checkpoint.size(), all.len()), (6 + 24, 30));
    assert_eq!(all.iter().filter(|entry| entry.kind() == "publish").count(), 24);
}

#[tokio::test]
async fn the_log_goes_on_under_its_key_after_a_restart_and_not_under_another() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    publisher.publish(&Package::new("acme/pass", "1.0.0")).await.unwrap();
    let before = world.anonymous().log().await.unwrap();
    let secret = world.data.join("log.key");
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&secret).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    let told = std::fs::read_to_string(world.data.join("log.pub")).unwrap();
    assert_eq!(told.trim(), before.key);
    let world = world.restart().await;
    assert_eq!(world.anonymous().log().await.unwrap(), before);
    let stopped = world.stop().await;
    std::fs::remove_file(stopped.data().join("log.key")).unwrap();
    let serve = ["serve", "--listen", "127.0.0.1:0"];
    let output = crate::maintenance::offline(&serve, &stopped.data(), stopped.database.url());
    assert!(!output.status.success());
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.contains("put the right file there"), "{words}");
}

#[tokio::test]
async fn cosignatures_of_known_witnesses_are_kept_and_served() {
    let secret = SecretKey::from_seed([21; 32]);
    let witness =
        NoteKey::new("witness.example/w", NoteAlgorithm::Cosignature, secret.public()).unwrap();
    let world = World::witnessed(&[witness.to_string()]).await;
    let publisher = Publisher::new(&world, "acme").await;
    publisher.publish(&Package::new("acme/pass", "1.0.0")).await.unwrap();
    let anyone = world.anonymous();
    let asked = CheckpointQuery { from: 0, witnesses: 1 };
    let none = refusal(anyone.log_checkpoint(&asked).await);
    assert_eq!(none, (404, "log.not_witnessed".to_owned()));

    let bytes = anyone.log_file("checkpoint", 1 << 20).await.unwrap();
    let note = String::from_utf8(bytes.to_vec()).unwrap();
    let text = format!("{}\n", note.split("\n\n").next().unwrap());
    let line = |key: &SecretKey, text: &str| {
        let made = cosign("witness.example/w", key, text.as_bytes(), 1_800_000_000).unwrap();
        String::from_utf8(made.to_bytes()).unwrap()
    };
    let hand_in = async |checkpoint: String| anyone.cosign(&Cosigned { checkpoint }).await;
    let plain = refusal(hand_in(note.clone()).await);
    assert_eq!(plain, (422, "log.no_cosignature".to_owned()));
    let stranger = line(&SecretKey::from_seed([22; 32]), &text);
    assert_eq!(refusal(hand_in(format!("{note}{stranger}")).await).1, "log.no_cosignature");
    let forged = line(&secret, &text.replace("\n2\n", "\n3\n"));
    assert_eq!(refusal(hand_in(format!("{note}{forged}")).await).1, "log.signature_invalid");
    hand_in(format!("{note}{}", line(&secret, &text))).await.unwrap();

    let served = anyone.log_checkpoint(&asked).await.unwrap().checkpoint;
    let key = anyone.log().await.unwrap().key.parse().unwrap();
    let policy = LogPolicy::new(key, vec![witness], 1).unwrap();
    let verified = policy.verify(&served).unwrap();
    assert_eq!(verified.size(), 2);
    assert_eq!(verified.cosignatures()[0].0, "witness.example/w");
    // A newer checkpoint has none yet: who asks for witnesses still gets the older one.
    publisher.publish(&Package::new("acme/pass", "1.1.0")).await.unwrap();
    let still = anyone.log_checkpoint(&asked).await.unwrap().checkpoint;
    assert_eq!(policy.verify(&still).unwrap().size(), 2);
    let (name, version) = ("acme/pass".parse().unwrap(), "1.1.0".parse().unwrap());
    let newer = anyone.log_proof(&name, &version, &asked);
    assert_eq!(refusal(newer.await), (404, "log.not_witnessed".to_owned()));
}

fn seen(checkpoint: &VerifiedCheckpoint) -> LogSeen {
    LogSeen {
        origin: checkpoint.origin().to_owned(),
        size: checkpoint.size(),
        root: checkpoint.root(),
        checkpoint: checkpoint.note().to_owned(),
        refused: None,
    }
}

#[tokio::test]
async fn a_node_that_sees_another_log_raises_an_alarm_until_it_sees_this_one() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    publisher.publish(&Package::new("acme/pass", "1.0.0")).await.unwrap();
    let node = enrolled(&world, "edge-1", "edge").await;
    let (checkpoint, _) = whole_log(&world.anonymous()).await;
    let honest = seen(&checkpoint);
    let desired = now(&node).await;
    let say = async |log: LogSeen| {
        let report = Report { log: Some(log), ..report(&desired, None, None) };
        node.report(&report).await.unwrap();
    };
    let admin = world.admin();
    let standing = async || {
        let alarms = admin.log_alarms().await.unwrap().alarms;
        alarms.into_iter().map(|alarm| (alarm.node.to_string(), alarm.code)).collect::<Vec<_>>()
    };
    say(honest.clone()).await;
    assert_eq!(standing().await, []);
    let edge = |code: &str| [("edge-1".to_owned(), code.to_owned())];
    say(LogSeen { root: Digest::of(b"fork"), ..honest.clone() }).await;
    assert_eq!(standing().await, edge("log.split_view"));
    say(LogSeen { size: honest.size + 1, ..honest.clone() }).await;
    assert_eq!(standing().await, edge("log.node_ahead"));
    say(LogSeen { origin: "evil.example/log".to_owned(), ..honest.clone() }).await;
    assert_eq!(standing().await, edge("log.other_origin"));
    let refused = Refused { code: "log.forked".to_owned(), message: "Refused.".to_owned() };
    say(LogSeen { refused: Some(refused), ..honest.clone() }).await;
    assert_eq!(standing().await, edge("log.forked"));
    let metrics = async || {
        let text = get(format!("{}/metrics", world.address)).await.unwrap().text().await.unwrap();
        text.lines()
            .find_map(|line| line.strip_prefix("skep_registry_log_alarms "))
            .map(str::to_owned)
    };
    assert_eq!(metrics().await.as_deref(), Some("1"));
    say(honest).await;
    assert_eq!(standing().await, []);
    assert_eq!(metrics().await.as_deref(), Some("0"));
}

#[tokio::test]
async fn a_registry_restored_from_a_copy_and_continued_differently_is_found_out() {
    let world = World::start().await;
    let publisher = Publisher::new(&world, "acme").await;
    publisher.publish(&Package::new("acme/pass", "1.0.0")).await.unwrap();
    let node = enrolled(&world, "edge-1", "edge").await;
    let policy = policy(&world.anonymous()).await;
    drop(node);
    let mut stopped = world.stop().await;
    let copy = stopped.copy();
    let token = |world: &World| crate::world::admin_token(&world.data);
    let publish = async |world: &World, version: &str| {
        let publisher = Publisher {
            client: client(&world.address, Some(&token(world))),
            namespace: "acme".parse().unwrap(),
            key: SecretKey::from_seed([7; 32]),
            secret: token(world),
        };
        publisher.publish(&Package::new("acme/pass", version)).await.unwrap();
    };
    let world = World::go_on(stopped).await;
    publish(&world, "1.1.0").await;
    let (first, _) = whole_log(&world.anonymous()).await;
    let memory = LogMemory::default().advance(&first, &[]).unwrap();
    world.stop().await;

    let forked = World::go_on(copy).await;
    let anyone = forked.anonymous();
    let shown = async || {
        let query = CheckpointQuery { from: first.size(), witnesses: 0 };
        let answer = anyone.log_checkpoint(&query).await.unwrap();
        let next = policy.verify(&answer.checkpoint).unwrap();
        memory.advance(&next, &answer.consistency).map(|_| ()).map_err(|refusal| refusal.code())
    };
    assert_eq!(shown().await, Err("log.shrunk"));
    publish(&forked, "2.0.0").await;
    assert_eq!(shown().await, Err("log.forked"));
    publish(&forked, "2.1.0").await;
    assert_eq!(shown().await, Err("log.forked"));
}
