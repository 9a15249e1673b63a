//! Logs that shrink or fork, proofs of every shape, and keys that would weaken a policy.

use skep_artifact::Digest;
use skep_trust::log::PINNED_MAX;
use skep_trust::{LogMemory, LogRefusal, NodePolicy};

use crate::log_world::{Desk, Log, ORIGIN, log_key, published, witness_key};
use crate::world::World;

/// Every pair of sizes and every entry: the library that verifies agrees with the one that proves.
#[test]
fn every_proof_of_another_library_is_accepted_and_none_that_is_off_by_one() {
    use skep_artifact::log::{check_consistency, check_inclusion};
    let entries = (0u8..20).map(|n| vec![n; 3]).collect();
    let log = Log::with(entries);
    for size in 1..=20 {
        let tip = (size as u64, log.root(size));
        for index in 0..size {
            let proof = log.inclusion(size, index);
            let entry = &log.entries[index];
            assert_eq!(check_inclusion(tip, index as u64, entry, &proof), Ok(()));
            if size > 1 {
                let other = (index + 1) % size;
                assert!(check_inclusion(tip, other as u64, entry, &proof).is_err());
            }
        }
        for from in 1..=size {
            let (old, proof) = ((from as u64, log.root(from)), log.consistency(from, size));
            assert_eq!(check_consistency(old, tip, &proof), Ok(()), "{from} to {size}");
            let forged = (from as u64, Digest::of(b"fork"));
            assert!(check_consistency(forged, tip, &proof).is_err());
            if from < size {
                assert!(check_consistency((from as u64 + 1, old.1), tip, &proof).is_err());
            }
        }
    }
}

fn advance(log: &Log, from: usize, size: usize) -> Result<LogMemory, LogRefusal> {
    let policy = Desk::good().policy();
    let before = Desk::good().log;
    let seen = policy.verify(&before.checkpoint(from)).unwrap();
    let memory = LogMemory::default().advance(&seen, &[]).unwrap();
    let next = policy.verify(&log.checkpoint(size)).unwrap();
    memory.advance(&next, &log.consistency(from.min(size), size))
}

fn code(result: Result<LogMemory, LogRefusal>) -> &'static str {
    result.map_or_else(|refusal| refusal.code(), |_| "accepted")
}

#[test]
fn a_log_that_shrinks_or_forks_is_refused_and_the_memory_stays() {
    let honest = Desk::good().log;
    assert_eq!(code(advance(&honest, 4, 6)), "accepted");
    assert_eq!(code(advance(&honest, 6, 6)), "accepted");
    assert_eq!(code(advance(&honest, 6, 5)), "log.shrunk");
    assert_eq!(code(advance(&honest, 6, 0)), "log.shrunk");
    let mut forked = honest.clone();
    forked.entries[2] = published("acme/other", "6.6.6", Digest::of(b"fork"));
    assert_eq!(code(advance(&forked, 4, 6)), "log.forked");
    assert_eq!(code(advance(&forked, 6, 6)), "log.forked");
    let mut continued = honest.clone();
    continued.entries.truncate(5);
    let more = (0u8..9).map(|n| published("acme/other", &format!("9.0.{n}"), Digest::of(&[n])));
    continued.entries.extend(more);
    assert_eq!(
        code(advance(&continued, 6, 14)),
        "log.forked",
        "restored and continued differently"
    );
    assert_eq!(code(advance(&continued, 5, 14)), "accepted", "who saw less cannot tell");
}

#[test]
fn a_consistency_proof_must_be_the_one_of_these_two_trees() {
    let policy = Desk::good().policy();
    let log = Desk::good().log;
    let seen = policy.verify(&log.checkpoint(3)).unwrap();
    let memory = LogMemory::default().advance(&seen, &[]).unwrap();
    let next = policy.verify(&log.checkpoint(6)).unwrap();
    let good = log.consistency(3, 6);
    assert!(memory.advance(&next, &good).is_ok());
    let mut more = good.clone();
    more.push(Digest::of(b"x"));
    for wrong in [Vec::new(), log.consistency(4, 6), log.consistency(3, 5), more] {
        assert_eq!(memory.advance(&next, &wrong).map_err(|r| r.code()), Err("log.forked"));
    }
}

#[test]
fn an_accepted_proof_stays_good_while_the_log_grows() {
    let mut desk = Desk::good();
    desk.world.beside.memory = desk.world.beside.memory.pin();
    for n in 0..10u8 {
        desk.log.entries.push(published("acme/other", &format!("8.0.{n}"), Digest::of(&[n])));
        let size = desk.log.entries.len();
        let next = desk.policy().verify(&desk.log.checkpoint(size)).unwrap();
        let proof = desk.log.consistency(size - 1, size);
        desk.world.beside.memory = desk.world.beside.memory.advance(&next, &proof).unwrap();
    }
    assert!(desk.world.verify().is_ok(), "{:?}", desk.world.verify());
    let mut memory = desk.world.beside.memory.clone();
    memory.pinned.extend((0..2000u64).map(|n| (n + 100, Digest::of(b"x"))));
    assert_eq!(memory.pin().pinned.len(), PINNED_MAX);
}

#[test]
fn keys_that_would_weaken_a_log_policy_are_refused() {
    let base = World::good().policy;
    let refused = |rest: &str| {
        NodePolicy::parse(&format!("{rest}{base}")).map_or_else(|e| e.to_string(), |_| "ok".into())
    };
    let with = |table: &str| {
        NodePolicy::parse(&format!("{base}{table}")).map_or_else(|e| e.to_string(), |_| "ok".into())
    };
    let (log, witness) = (log_key(ORIGIN, 5), witness_key("w1", 21));
    assert!(refused("require-log = true\n").contains("names no log"));
    assert_eq!(with(&format!("[log]\nkey = \"{log}\"\n")), "ok");
    assert!(with(&format!("[log]\nkey = \"{witness}\"\n")).contains("that of a witness"));
    let table = |rest: &str| with(&format!("[log]\nkey = \"{log}\"\n{rest}"));
    assert!(table(&format!("witnesses = [\"{log}\"]\n")).contains("not one for cosignatures"));
    let renamed = witness_key("w2", 21);
    assert!(table(&format!("witnesses = [\"{witness}\", \"{renamed}\"]\n")).contains("same key"));
    let own = witness_key("w1", 5);
    assert!(table(&format!("witnesses = [\"{own}\"]\n")).contains("same key"));
    assert!(table("quorum = 1\n").contains("quorum is 1 of 0"));
    assert!(table("witness = []\n").contains("unknown field"));
}
