//! A TUF repository in which everything is right, a node that read it once, and the tools of those who own the registry.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use skep_artifact::Digest;
use skep_trust::tuf::{
    Answer, Answers, DelegationDraft, Delegations, Outcome, Pin, RoleKeysDraft, RootDraft, Session,
    Stored, TargetsDraft, snapshot, timestamp,
};
use skep_trust::{Beside, Floors, NodePolicy, verify_package};

use crate::world::{NOW, World, hex, key};

pub(crate) const DAY: i64 = 86_400;
/// What the node's policy says: keys come from the offline role.
pub(crate) const POLICY: &str = "[trust]\nroot = \"root.json\"\n[[namespace]]\nname = \"acme\"\nhooks = [\"xdp\", \"tc-egress\"]\n";

/// One document: what is signed, and by the keys of which seeds.
#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) signed: Value,
    pub(crate) seeds: Vec<u8>,
}

/// What the registry serves. Keys: root 20 to 22 and targets 30 to 32, two of three each; snapshot 40, timestamp 41,
/// self-service 42; acme 1 and 2, its neighbour skep 5; 9 is Mallory's.
#[derive(Clone)]
pub(crate) struct Repo {
    pub(crate) parts: BTreeMap<&'static str, Part>,
    /// Later roots, by file name.
    pub(crate) roots: BTreeMap<String, Part>,
    /// What snapshot and timestamp say of a file instead of the truth; `null` leaves it out.
    pub(crate) pins: BTreeMap<&'static str, Value>,
    /// Files served instead of the right ones; `None` is not there.
    pub(crate) served: BTreeMap<String, Option<Vec<u8>>>,
    pub(crate) policy: String,
    pub(crate) now: i64,
}

pub(crate) fn keys(seeds: &[u8], threshold: usize) -> RoleKeysDraft {
    RoleKeysDraft { keys: seeds.iter().map(|seed| key(*seed).public()).collect(), threshold }
}

pub(crate) fn root(version: u64, root: &[u8], timestamp: u8) -> Value {
    let draft = RootDraft {
        version,
        expires_at: NOW + 365 * DAY,
        root: keys(root, 2),
        targets: keys(&[30, 31, 32], 2),
        snapshot: keys(&[40], 1),
        timestamp: keys(&[timestamp], 1),
    };
    draft.document().unwrap().signed().clone()
}

pub(crate) fn delegate(name: &str, seeds: &[u8]) -> DelegationDraft {
    DelegationDraft { namespace: name.parse().unwrap(), signers: keys(seeds, 1) }
}

pub(crate) fn targets(version: u64, offline: Vec<DelegationDraft>) -> Value {
    let draft = TargetsDraft {
        version,
        expires_at: NOW + 200 * DAY,
        namespaces: offline,
        selfservice: Some(key(42).public()),
    };
    draft.document().unwrap().signed().clone()
}

pub(crate) fn self_service(version: u64, claimed: Vec<DelegationDraft>) -> Value {
    let draft =
        TargetsDraft { version, expires_at: NOW + 7 * DAY, namespaces: claimed, selfservice: None };
    draft.document().unwrap().signed().clone()
}

impl Part {
    pub(crate) fn new(signed: Value, seeds: &[u8]) -> Self {
        Self { signed, seeds: seeds.to_vec() }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let message = skep_artifact::json::canonical(&self.signed).unwrap();
        let signature = |seed: &u8| {
            let key = key(*seed);
            json!({ "keyid": key.public().key_id(), "sig": hex(&key.sign(&message)) })
        };
        let signatures: Vec<_> = self.seeds.iter().map(signature).collect();
        let file = json!({ "signed": self.signed, "signatures": signatures });
        skep_artifact::json::canonical(&file).unwrap()
    }
}

impl Repo {
    /// The repository as the node read it first.
    pub(crate) fn first() -> Self {
        let dummy = Pin { version: 1, length: 0, digest: Digest::of(b"") };
        let acme = World::good().signed();
        let mut skep =
            skep_artifact::role::Role::new("skep".parse().unwrap(), 3, crate::world::EXPIRES)
                .unwrap();
        skep.add(crate::world::target("skep/firewall", "1.0.0", 1, b"x")).unwrap();
        let skep: Value = serde_json::from_slice(&skep.sign(&[key(5)]).unwrap()).unwrap();
        let snapshot = snapshot(5, NOW + 7 * DAY, &BTreeMap::new()).unwrap();
        let timestamp = timestamp(5, NOW - 60, NOW + DAY, &dummy).unwrap();
        let offline = vec![delegate("acme", &[1, 2]), delegate("skep", &[5])];
        let parts = [
            ("root", Part::new(root(1, &[20, 21, 22], 41), &[20, 21])),
            ("targets", Part::new(targets(5, offline), &[30, 31])),
            ("selfservice", Part::new(self_service(5, vec![delegate("newcomer", &[6])]), &[42])),
            ("acme", Part::new(acme, &[1])),
            ("skep", Part::new(skep["signed"].clone(), &[5])),
            ("snapshot", Part::new(snapshot.signed().clone(), &[40])),
            ("timestamp", Part::new(timestamp.signed().clone(), &[41])),
        ];
        Self {
            parts: parts.into(),
            roots: BTreeMap::new(),
            pins: BTreeMap::new(),
            served: BTreeMap::new(),
            policy: POLICY.to_owned(),
            now: NOW,
        }
    }

    /// The repository some time later: everything the server signs is newer.
    pub(crate) fn good() -> Self {
        let mut repo = Self::first();
        for role in ["targets", "selfservice", "snapshot", "timestamp"] {
            repo.part(role).signed["version"] = 6.into();
        }
        repo.part("timestamp").signed["x-skep-signed-at"] = "2027-01-15T08:00:00Z".into();
        repo
    }

    pub(crate) fn part(&mut self, role: &'static str) -> &mut Part {
        self.parts.get_mut(role).unwrap()
    }

    /// Serves other bytes under a name.
    pub(crate) fn serve(&mut self, file: &str, bytes: Vec<u8>) {
        self.served.insert(file.to_owned(), Some(bytes));
    }

    /// A later root.
    pub(crate) fn add_root(&mut self, number: u64, signed: Value, seeds: &[u8]) {
        self.roots.insert(format!("{number}.root.json"), Part::new(signed, seeds));
    }

    fn pin(&self, role: &'static str, bytes: &[u8]) -> Value {
        let truth = json!({ "version": self.parts[role].signed["version"], "length": bytes.len(),
            "hashes": { "sha256": Digest::of(bytes).hex() } });
        self.pins.get(role).cloned().unwrap_or(truth)
    }

    /// Every file by its name, signed bottom up.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut parts = self.parts.clone();
        let mut files = BTreeMap::new();
        let mut meta = serde_json::Map::new();
        for role in ["targets", "selfservice", "acme", "skep"] {
            let bytes = parts[role].bytes();
            let pin = self.pin(role, &bytes);
            files.insert(format!("{}.{role}.json", pin["version"]), bytes);
            if !pin.is_null() {
                meta.insert(format!("{role}.json"), pin);
            }
        }
        let snapshot = parts.get_mut("snapshot").unwrap();
        snapshot.signed["meta"] = meta.into();
        let snapshot = snapshot.bytes();
        let pin = self.pin("snapshot", &snapshot);
        files.insert(format!("{}.snapshot.json", pin["version"]), snapshot);
        let timestamp = parts.get_mut("timestamp").unwrap();
        timestamp.signed["meta"] = json!({ "snapshot.json": pin });
        files.insert("timestamp.json".to_owned(), timestamp.bytes());
        files.extend(self.roots.iter().map(|(name, part)| (name.clone(), part.bytes())));
        for (name, bytes) in &self.served {
            match bytes {
                Some(bytes) => drop(files.insert(name.clone(), bytes.clone())),
                None => drop(files.remove(name)),
            }
        }
        files
    }
}

/// A node: what it remembers.
#[derive(Clone)]
pub(crate) struct Reader {
    pub(crate) root: Vec<u8>,
    pub(crate) stored: Stored,
}

impl Reader {
    /// A node that has read the first repository.
    pub(crate) fn new() -> Self {
        let first = Repo::first();
        let mut reader = Self { root: first.parts["root"].bytes(), stored: Stored::default() };
        reader.read(&first).unwrap();
        reader
    }

    /// Runs sessions as an agent does, until there is a verdict. Gives the code of what was refused.
    pub(crate) fn read(&mut self, repo: &Repo) -> Result<(), String> {
        let files = repo.files();
        let mut answers = Answers::new();
        let stored = self.stored.clone();
        let refreshed = run(&files, &mut answers, |answers| {
            Session { root: &self.root, stored: &stored, answers, now: repo.now }.refresh()
        });
        self.stored = refreshed.1;
        refreshed.0?;
        let stored = self.stored.clone();
        let found = run(&files, &mut answers, |answers| {
            Session { root: &self.root, stored: &stored, answers, now: repo.now }.find("acme/-/-")
        });
        found.0?;
        self.stored = found.1;
        Ok(())
    }

    pub(crate) fn policy(&self, repo: &Repo) -> NodePolicy {
        let delegations = Delegations::read(&self.stored).unwrap();
        NodePolicy::parse(&repo.policy).unwrap().with_delegations(Arc::new(delegations))
    }

    /// Reads a repository and accepts the package for the first time.
    pub(crate) fn accept(&mut self, repo: &Repo) -> Result<(), String> {
        self.read(repo)?;
        self.verify(repo, repo.now)
    }

    /// Verifies the package by what is remembered.
    pub(crate) fn verify(&self, repo: &Repo, now: i64) -> Result<(), String> {
        let world = World::good();
        let get = |digest: &Digest| world.blobs.get(digest).cloned();
        let role = repo.parts["acme"].bytes();
        let floors = Floors::default();
        let verified = verify_package(
            &self.policy(repo),
            &role,
            &get,
            &world.wanted,
            &floors,
            now,
            &Beside::default(),
        );
        verified.map(drop).map_err(|refusal| {
            assert!(refusal.to_string().starts_with("Refused: "), "{refusal}");
            refusal.code().to_owned()
        })
    }
}

fn run<T>(
    files: &BTreeMap<String, Vec<u8>>,
    answers: &mut Answers,
    session: impl Fn(&Answers) -> (Outcome<T>, Stored),
) -> (Result<T, String>, Stored) {
    for _ in 0..100 {
        match session(answers) {
            (Outcome::Done(done), stored) => return (Ok(done), stored),
            (Outcome::Refused(error), stored) => return (Err(error.code().to_owned()), stored),
            (Outcome::Fetch(request), _) => {
                let answer = match files.get(&request.file) {
                    None => Answer::Missing,
                    Some(bytes) if bytes.len() as u64 > request.bytes_max => Answer::TooLarge,
                    Some(bytes) => Answer::Bytes(bytes.clone()),
                };
                answers.insert(request.file, answer);
            }
        }
    }
    panic!("the session asks for ever");
}

/// A key nobody has.
pub(crate) fn weak_key_hex() -> String {
    let mut identity = [0; 32];
    identity[0] = 1;
    hex(&identity)
}

/// One attack: its name, what it changes, the code it must be refused with.
pub(crate) type RepoAttack = (&'static str, fn(&mut Repo), &'static str);

/// Runs a table of attacks and collects every surprise.
pub(crate) fn check(attacks: &[RepoAttack]) {
    assert_eq!(Reader::new().accept(&Repo::good()), Ok(()));
    let surprises: Vec<_> = attacks
        .iter()
        .filter_map(|(name, attack, wanted)| {
            let mut repo = Repo::good();
            attack(&mut repo);
            let got = Reader::new().accept(&repo).err().unwrap_or_else(|| "accepted".to_owned());
            (got != *wanted).then(|| format!("{name}: {got} instead of {wanted}"))
        })
        .collect();
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
}

/// Gives a document another number.
pub(crate) fn version(repo: &mut Repo, role: &'static str, version: u64) {
    repo.part(role).signed["version"] = version.into();
}

/// Gives a document another expiry.
pub(crate) fn expires(repo: &mut Repo, role: &'static str, at: &str) {
    repo.part(role).signed["expires"] = at.into();
}

/// The delegation of acme in the offline role.
pub(crate) fn acme(repo: &mut Repo) -> &mut Value {
    &mut repo.part("targets").signed["delegations"]["roles"][0]
}
