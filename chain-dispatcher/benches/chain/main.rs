//! What a chain costs per packet: N members by every way there is, in one run. `BPF_PROG_TEST_RUN`
//! repeats each over one packet and the kernel takes the time; the ways of one length are measured in
//! turn, round by round, so that what disturbs one disturbs all. Needs root and clang. `--json` prints one object
//! instead of the table; `--rounds N` sets how many.

#![expect(clippy::print_stdout, reason = "a measurement is printed")]
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on says where it stopped")]

mod place;
mod programs;
mod ways;

use place::Place;
use ways::Way;

/// Runs per sample; the kernel's mean is in whole nanoseconds, so rounds give the finer picture.
const REPEAT: u32 = 100_000;
const ROUNDS: usize = 31;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let json = arguments.iter().any(|argument| argument == "--json");
    let rounds = arguments
        .iter()
        .position(|argument| argument == "--rounds")
        .and_then(|at| arguments.get(at + 1)?.parse().ok())
        .unwrap_or(ROUNDS);
    let place = Place::new();
    let mut ways = Vec::new();
    for group in ways::groups() {
        let mut group = ways::of(&place, group);
        for _ in 0..rounds {
            group.iter_mut().for_each(|way| way.sample(REPEAT));
        }
        ways.extend(group.into_iter().map(Way::unloaded));
        place.clear();
    }
    if json { print_json(&ways, rounds) } else { print_table(&ways, rounds) }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn median_ns(way: &Way) -> f64 {
    median(way.samples.iter().map(|ns| f64::from(*ns)))
}

/// Mean of the fastest quarter: finer than the median, whose unit is a whole nanosecond.
fn fastest_quarter(way: &Way) -> f64 {
    let mut samples = way.samples.clone();
    samples.sort_unstable();
    let quarter = &samples[..(samples.len() / 4).max(1)];
    quarter.iter().map(|ns| f64::from(*ns)).sum::<f64>()
        / f64::from(u32::try_from(quarter.len()).unwrap())
}

/// Median over the rounds of the ratio to the same bodies by hand in the same round: what slows a
/// machine for a while slows both.
fn ratio(way: &Way, ways: &[Way]) -> f64 {
    let base = ways.iter().find(|base| base.name == way.base && base.members == way.members);
    let rounds = way.samples.iter().zip(&base.unwrap().samples);
    median(rounds.map(|(ns, base)| f64::from(*ns) / f64::from(*base)))
}

fn print_table(ways: &[Way], rounds: usize) {
    println!("ns per packet, {rounds} rounds of {REPEAT} runs each, interleaved");
    println!(
        "{:>7}  {:<20} {:>8} {:>16} {:>9}",
        "members", "way", "median", "fastest quarter", "ratio"
    );
    for way in ways {
        println!(
            "{:>7}  {:<20} {:>8.1} {:>16.1} {:>9.2}",
            way.members,
            way.name,
            median_ns(way),
            fastest_quarter(way),
            ratio(way, ways)
        );
    }
}

fn print_json(ways: &[Way], rounds: usize) {
    let rows: Vec<_> = ways
        .iter()
        .map(|way| {
            serde_json::json!({
                "members": way.members, "way": way.name, "median_ns": median_ns(way),
                "fastest_quarter_ns": fastest_quarter(way), "ratio_to_by_hand": ratio(way, ways),
                "rounds_ns": way.samples,
            })
        })
        .collect();
    let report = serde_json::json!({
        "measure": "chain", "unit": "ns per packet", "rounds": rounds, "repeat": REPEAT, "rows": rows,
    });
    println!("{report}");
}
