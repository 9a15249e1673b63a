//! Rollouts under everything that goes wrong, in virtual time and with one thread: servers that die between any two steps
//! and disagree about the time, agents that are slow, refuse or are cut off, a network that loses, delays, doubles and
//! reorders, and operators who do not talk to each other. After each step the promises are checked; then everything is
//! healed, and all must come to rest.
//!
//! `SKEP_SIM_SEED=17` replays one seed and says what happens; `SKEP_SIM_SEEDS=100000` runs as many, and so does
//! `cargo xtask soak --simulation 100000`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

mod agent;
mod checks;
mod database;
mod operators;
mod policies;
mod random;
mod server;
mod world;

use world::{Size, World};

/// Seeds of every test run: as many as fit into ten seconds without optimisation.
const SEEDS: u64 = 120;

#[expect(clippy::disallowed_methods, reason = "a test is told which seeds to run")]
fn told(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn run(seed: u64, size: Size) {
    let mut world = World::new(seed, size);
    world.say(told("SKEP_SIM_SEED").is_some());
    world.trouble();
    world.heal();
}

#[test]
fn whatever_goes_wrong_rollouts_keep_their_promises_and_come_to_rest() {
    match told("SKEP_SIM_SEED") {
        Some(seed) => run(seed, Size::Small),
        None => {
            (0..told("SKEP_SIM_SEEDS").unwrap_or(SEEDS)).for_each(|seed| run(seed, Size::Small))
        }
    }
}

#[test]
fn a_thousand_agents_keep_them_too() {
    run(told("SKEP_SIM_SEED").unwrap_or(1), Size::Thousand);
}
