//! A log in memory and a node that asks for its proofs. The tree is another library's than the one that verifies.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use sha2::Sha256;
use skep_artifact::Digest;
use skep_artifact::log::{Entry, Event};
use skep_trust::log::LogPolicy;
use skep_trust::note::{NoteAlgorithm, NoteKey, cosign, sign};
use skep_trust::{LogEvidence, LogMemory, NodePolicy};

use crate::world::{NOW, World, key};

pub(crate) const ORIGIN: &str = "registry.example/log";

/// A log in memory.
#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) entries: Vec<Vec<u8>>,
}

impl Log {
    pub(crate) fn with(entries: Vec<Vec<u8>>) -> Self {
        Self { entries }
    }

    pub(crate) fn tree(&self, size: usize) -> MemoryBackedTree<Sha256, Vec<u8>> {
        let mut tree = MemoryBackedTree::new();
        self.entries[..size].iter().for_each(|entry| tree.push(entry.clone()));
        tree
    }

    pub(crate) fn root(&self, size: usize) -> Digest {
        if size == 0 {
            return Digest::of(b"");
        }
        Digest::from_bytes(self.tree(size).root().as_bytes().as_slice().try_into().unwrap())
    }

    pub(crate) fn inclusion(&self, size: usize, index: usize) -> Vec<Digest> {
        hashes(self.tree(size).prove_inclusion(index).as_bytes())
    }

    pub(crate) fn consistency(&self, from: usize, size: usize) -> Vec<Digest> {
        if from == 0 || from == size {
            return Vec::new();
        }
        hashes(self.tree(size).prove_consistency(size - from).as_bytes())
    }

    pub(crate) fn text(&self, origin: &str, size: usize) -> String {
        checkpoint_text(origin, &size.to_string(), self.root(size))
    }

    /// A checkpoint signed by key 5 as this log.
    pub(crate) fn checkpoint(&self, size: usize) -> String {
        let text = self.text(ORIGIN, size);
        let signature = sign(ORIGIN, &key(5), text.as_bytes()).unwrap();
        note(&text, &[signature])
    }
}

pub(crate) fn checkpoint_text(origin: &str, size: &str, root: Digest) -> String {
    use base64::Engine as _;
    let root = base64::engine::general_purpose::STANDARD.encode(root.as_bytes());
    format!("{origin}\n{size}\n{root}\n")
}

pub(crate) fn note(text: &str, signatures: &[signed_note::Signature]) -> String {
    let lines: String =
        signatures.iter().map(|s| String::from_utf8(s.to_bytes()).unwrap()).collect();
    format!("{text}\n{lines}")
}

pub(crate) fn hashes(bytes: &[u8]) -> Vec<Digest> {
    bytes.chunks(32).map(|hash| Digest::from_bytes(hash.try_into().unwrap())).collect()
}

pub(crate) fn published(package: &str, version: &str, index: Digest) -> Vec<u8> {
    let event = Event::Publish {
        package: package.parse().unwrap(),
        version: version.parse().unwrap(),
        index,
        release: 9,
        role_version: 5,
        role: None,
        signed_by: vec![key(1).public().key_id()],
    };
    Entry { at: NOW, event }.to_bytes().unwrap()
}

pub(crate) fn log_key(origin: &str, seed: u8) -> NoteKey {
    NoteKey::new(origin, NoteAlgorithm::Ed25519, key(seed).public()).unwrap()
}

pub(crate) fn witness_key(name: &str, seed: u8) -> NoteKey {
    NoteKey::new(name, NoteAlgorithm::Cosignature, key(seed).public()).unwrap()
}

/// A node whose policy asks for a proof, and a log that has one: entry 3 of 6.
pub(crate) struct Desk {
    pub(crate) world: World,
    pub(crate) log: Log,
}

pub(crate) const INDEX: usize = 3;
pub(crate) const SIZE: usize = 6;

impl Desk {
    pub(crate) fn good() -> Self {
        let mut world = World::good();
        world.policy = format!(
            "require-log = true\n{}[log]\nkey = \"{}\"\n",
            world.policy,
            log_key(ORIGIN, 5)
        );
        let other = |n: u8| published("acme/other", &format!("0.0.{n}"), Digest::of(&[n]));
        let this = published("acme/limiter", "1.4.2", world.wanted.index);
        let older = published("acme/limiter", "1.4.1", Digest::of(b"an older index"));
        let log = Log::with(vec![other(0), older, other(2), this, other(4), other(5)]);
        let mut desk = Self { world, log };
        desk.prove(SIZE, INDEX);
        desk.remember(SIZE);
        desk
    }

    /// Hands out the proof of an entry, as an honest log would.
    pub(crate) fn prove(&mut self, size: usize, index: usize) {
        self.world.beside.log = Some(LogEvidence {
            index: index as u64,
            entry: self.log.entries[index].clone(),
            inclusion: self.log.inclusion(size, index),
            checkpoint: self.log.checkpoint(size),
        });
    }

    /// Has the node see the log as it is at this size.
    pub(crate) fn remember(&mut self, size: usize) {
        let policy = self.policy();
        let checkpoint = policy.verify(&self.log.checkpoint(size)).unwrap();
        self.world.beside.memory = LogMemory::default().advance(&checkpoint, &[]).unwrap();
    }

    pub(crate) fn policy(&self) -> LogPolicy {
        NodePolicy::parse(&self.world.policy).unwrap().log().unwrap().clone()
    }

    pub(crate) fn evidence(&mut self) -> &mut LogEvidence {
        self.world.beside.log.as_mut().unwrap()
    }

    /// Signs another text as the log's checkpoint.
    pub(crate) fn sign(&mut self, text: &str, origin: &str, seed: u8) {
        let signature = sign(origin, &key(seed), text.as_bytes()).unwrap();
        self.evidence().checkpoint = note(text, &[signature]);
    }

    pub(crate) fn text(&self) -> String {
        self.log.text(ORIGIN, SIZE)
    }

    pub(crate) fn edit(&mut self, from: &str, to: &str) {
        let evidence = self.evidence();
        assert!(evidence.checkpoint.contains(from), "{from}");
        evidence.checkpoint = evidence.checkpoint.replacen(from, to, 1);
    }

    /// The policy asks for two of two witnesses: keys 21 and 22.
    pub(crate) fn two_witnesses(&mut self) {
        let (one, two) = (witness_key("w1", 21), witness_key("w2", 22));
        self.world.policy += &format!("witnesses = [\"{one}\", \"{two}\"]\nquorum = 2\n");
    }

    pub(crate) fn cosigned(&mut self, by: &[(&str, u8)]) {
        let text = self.text();
        let mut lines = vec![sign(ORIGIN, &key(5), text.as_bytes()).unwrap()];
        lines.extend(
            by.iter().map(|(name, seed)| cosign(name, &key(*seed), text.as_bytes(), NOW).unwrap()),
        );
        self.evidence().checkpoint = note(&text, &lines);
    }
}
