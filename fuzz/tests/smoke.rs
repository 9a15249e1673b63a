//! The short form of fuzzing, part of every test run: the seeds of each target, and for a few seconds
//! random changes of them. The long form is `cargo xtask fuzz`, which libFuzzer leads.

use std::time::{Duration, Instant};

use skep_fuzz::mutate::{Chance, mutated};

/// Long enough for some thousand changes of each target without optimisation.
const SECONDS: u64 = 4;

/// A number to start the changes from: another one in each run, told when something is found.
fn first_seed() -> u64 {
    let given = std::env::var("SKEP_FUZZ_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| u64::from(std::process::id()) << 20)
}

/// Names the input that broke something, once the panic is through.
struct Told<'a> {
    target: &'a str,
    seed: Option<u64>,
}

impl Drop for Told<'_> {
    #[expect(clippy::print_stderr, reason = "a finding is shown with what makes it again")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            match self.seed {
                Some(seed) => {
                    eprintln!("{}: make it again with SKEP_FUZZ_SEED={seed}", self.target)
                }
                None => eprintln!("{}: an unchanged seed breaks it", self.target),
            }
        }
    }
}

fn smoke(target: &str) {
    let seeds = skep_fuzz::seeds(target);
    assert!(!seeds.is_empty());
    for seed in &seeds {
        let told = Told { target, seed: None };
        skep_fuzz::run(target, seed);
        drop(told);
    }
    let (start, until) = (first_seed(), Instant::now() + Duration::from_secs(SECONDS));
    let mut tried = 0u64;
    while Instant::now() < until || tried < 50 {
        let told = Told { target, seed: Some(start + tried) };
        skep_fuzz::run(target, &mutated(&seeds, &mut Chance::new(start + tried)));
        drop(told);
        tried += 1;
    }
}

#[test]
fn changed_objects_are_read_or_refused() {
    smoke("facts");
}

#[test]
fn changed_type_information_is_read_or_refused() {
    smoke("btf");
}

#[test]
fn settings_are_written_only_where_they_fit() {
    smoke("config");
}

#[test]
fn changed_objects_on_their_way_to_the_kernel_are_read_or_refused() {
    smoke("loader");
}

#[test]
fn changed_programs_are_fused_or_refused() {
    smoke("fuse");
}

#[test]
fn changed_manifests_are_read_or_refused() {
    smoke("manifest");
}

#[test]
fn changed_policies_are_read_or_refused() {
    smoke("policy");
}

#[test]
fn every_target_has_its_test_here() {
    let here = include_str!("smoke.rs");
    for target in skep_fuzz::TARGETS {
        assert!(here.contains(&format!("smoke(\"{}\")", target.name)), "{}", target.name);
    }
}
