//! What a chain costs: nanoseconds a packet for each way and length, and the goals beside the figures.

use anyhow::{Context, Result};
use serde_json::Value;

use super::{number, parsed};
use crate::pages::Machine;
use crate::workspace::Workspace;
use crate::{run, say};

/// The lengths that have goals; one member alone has none.
const GOAL_LENGTHS: [u64; 4] = [2, 5, 10, 32];
const TAIL_CALLS_LENGTH: u64 = 10;

pub(super) fn measure(workspace: &Workspace, rounds: usize) -> Result<String> {
    say::step("chain", "nanoseconds a packet for several lengths and ways; minutes");
    let machine = Machine::look(&workspace.root)?;
    let mut bench = run::cargo(&workspace.root);
    // The kernel takes the time: how our own code is compiled does not matter.
    bench.args(["bench", "--profile", "dev", "--package", "skep-chain-dispatcher"]);
    bench.args(["--bench", "chain", "--", "--json"]);
    let chain = run::captured(bench.args(["--rounds", &rounds.to_string()]))?;
    section(&machine, &parsed(&chain)?)
}

const LEGEND: &str = "One packet through N members with a realistic body each (parse Ethernet and IPv4, look a per-CPU counter up, add); \
`BPF_PROG_TEST_RUN`, measured in turn in every round of one run. A ratio is the median over \
the rounds of the ratio to `by-hand` of the same hook and length in the same round, and so is every figure of a goal: what slows the machine for a \
while slows both.\n\n\
- `by-hand`: the same bodies in one C program, each a function of its own, as one writes them. `by-hand-merged` lets the compiler melt \
the equal bodies into one, which programs loaded one by one cannot have. `returns`: as `by-hand`, but each function does nothing and returns.\n\
- `fused`, `slots`: ours, with counters off; `+counts` with counters on, as agents run them; `+timing` with the time of one packet in \
100 taken in every member, `+timing-all` of every packet; `+drops` with somebody reading the stream of drops (these packets are not dropped).\n\
- `tail-calls`: each program jumps to the next one by an index that the verifier does not know, as L3AF's programs do; \
`tail-calls-constant` by one that it knows. Such programs must be written for it.\n\
- `tc …`: the same on tc: ours on a tcx link.\n";

/// The section of the page. Pure.
fn section(machine: &Machine, chain: &Value) -> Result<String> {
    let mitigations = machine.mitigations();
    let rows = chain["rows"].as_array().context("the chain bench has no rows")?;
    let mut text = format!(
        "## The chain\n\nMade by `cargo xtask bench chain --write` {machine}; {} rounds of {} runs. \
         Mitigations of the kernel: {mitigations}.\n\n{LEGEND}\n### Goals\n\n\
         | goal | N | figure | |\n| --- | ---: | ---: | --- |\n",
        chain["rounds"], chain["repeat"]
    );
    for goal in goals(rows)? {
        let met = if goal.figure <= goal.most { "met" } else { "**missed**" };
        text += &format!("| {} | {} | {:.2} | {met} |\n", goal.what, goal.members, goal.figure);
    }
    text += &floor(rows)?;
    text += "\n### Figures\n\n| members | way | median ns a packet | fastest quarter | ratio |\n| ---: | --- | ---: | ---: | ---: |\n";
    for row in rows {
        text += &format!(
            "| {} | {} | {:.0} | {:.1} | {:.2} |\n",
            row["members"],
            row["way"].as_str().unwrap_or("?"),
            number(row, "median_ns")?,
            number(row, "fastest_quarter_ns")?,
            number(row, "ratio_to_by_hand")?
        );
    }
    Ok(text)
}

/// What the goal against tail calls leaves no room for, said in figures.
fn floor(rows: &[Value]) -> Result<String> {
    let of = |way: &str, members: u64| {
        let row = rows.iter().find(|row| row["way"] == way && row["members"] == members);
        number(row.with_context(|| format!("{way} was not measured"))?, "median_ns")
    };
    let n = TAIL_CALLS_LENGTH;
    let (jumps, returns, by_hand) = (of("tail-calls", n)?, of("returns", n)?, of("by-hand", n)?);
    Ok(format!(
        "\nWhat bounds the goals against tail calls: at N = {n}, functions that do nothing and return, called one after the other by one C \
         program, are {:.2} × tail-calls ({returns:.0} of {jumps:.0} ns, {:.1} ns for each more), and the realistic bodies so called \
         {:.2} × ({by_hand:.0} ns). Where the kernel guards returns, each of them goes through a thunk; a tail call never returns. Members of \
         `slots` stay ordinary programs, which end with a return: no walk along them can be below `returns`. Members of `fused` stand in \
         one function: the chain returns once.\n",
        returns / jumps,
        (returns - of("returns", 1)?) / (n - 1) as f64,
        by_hand / jumps
    ))
}

/// A goal beside its figure.
struct Goal {
    what: &'static str,
    members: u64,
    figure: f64,
    most: f64,
}

/// Median over the rounds of what two ways of one length took in the same round.
fn together(
    rows: &[Value],
    members: u64,
    ways: [&str; 2],
    figure: impl Fn(f64, f64) -> f64,
) -> Result<f64> {
    let rounds = |way: &str| -> Result<Vec<f64>> {
        let row = rows.iter().find(|row| row["way"] == way && row["members"] == members);
        let row = row.with_context(|| format!("{way} was not measured with {members} members"))?;
        let rounds = row["rounds_ns"].as_array().context("a way has no rounds")?;
        rounds.iter().map(|ns| ns.as_f64().context("a round is no number")).collect()
    };
    let [one, other] = ways;
    let pairs = rounds(one)?.into_iter().zip(rounds(other)?);
    let mut figures: Vec<f64> = pairs.map(|(one, other)| figure(one, other)).collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().context("nothing was measured")
}

fn goals(rows: &[Value]) -> Result<Vec<Goal>> {
    let ratio = |members, one, other| together(rows, members, [one, other], |a, b| a / b);
    let mut goals = Vec::new();
    for members in GOAL_LENGTHS {
        let (fused, slots) =
            (ratio(members, "fused", "by-hand")?, ratio(members, "slots", "by-hand")?);
        goals.push(Goal { what: "fused ≤ 1.05 × by-hand", members, figure: fused, most: 1.05 });
        goals.push(Goal { what: "slots ≤ 1.5 × by-hand", members, figure: slots, most: 1.5 });
    }
    let members = TAIL_CALLS_LENGTH;
    let (fused, slots) =
        (ratio(members, "fused", "tail-calls")?, ratio(members, "slots", "tail-calls")?);
    goals.push(Goal { what: "fused ≤ 0.3 × tail-calls", members, figure: fused, most: 0.3 });
    goals.push(Goal { what: "slots ≤ 0.3 × tail-calls", members, figure: slots, most: 0.3 });
    for (counting, plain, what) in [
        ("fused+counts", "fused", "counters of fused ≤ 1.5 ns a member"),
        ("slots+counts", "slots", "counters of slots ≤ 1.5 ns a member"),
    ] {
        let members = TAIL_CALLS_LENGTH;
        let extra = together(rows, members, [counting, plain], |a, b| a - b)?;
        goals.push(Goal { what, members, figure: extra / members as f64, most: 1.5 });
    }
    Ok(goals)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(slots_at_5: f64) -> Value {
        let mut rows = Vec::new();
        for members in GOAL_LENGTHS {
            for (way, median) in [("by-hand", 100.0), ("fused", 103.0), ("slots", 140.0)] {
                let median = if way == "slots" && members == 5 { slots_at_5 } else { median };
                rows.push(row(way, members, median));
            }
        }
        for (way, median) in [
            ("tail-calls", 400.0),
            ("fused+counts", 113.0),
            ("slots+counts", 160.0),
            ("returns", 90.0),
        ] {
            rows.push(row(way, 10, median));
        }
        rows.push(row("returns", 1, 18.0));
        serde_json::json!({"rows": rows, "rounds": 3, "repeat": 10})
    }

    fn row(way: &str, members: u64, median: f64) -> Value {
        serde_json::json!({"members": members, "way": way, "median_ns": median, "fastest_quarter_ns": median,
            "ratio_to_by_hand": median / 100.0, "rounds_ns": [median]})
    }

    #[test]
    fn a_goal_is_met_or_missed_and_said_so() {
        let section = section(&Machine::example(), &rows(151.0)).unwrap();
        assert!(section.contains("| slots ≤ 1.5 × by-hand | 2 | 1.40 | met |"), "{section}");
        assert!(section.contains("| slots ≤ 1.5 × by-hand | 5 | 1.51 | **missed** |"), "{section}");
        assert!(section.contains("| fused ≤ 0.3 × tail-calls | 10 | 0.26 | met |"), "{section}");
        assert!(
            section.contains("| slots ≤ 0.3 × tail-calls | 10 | 0.35 | **missed** |"),
            "{section}"
        );
        assert!(
            section.contains("| counters of slots ≤ 1.5 ns a member | 10 | 2.00 | **missed** |")
        );
        assert!(section.contains("are 0.23 × tail-calls (90 of 400 ns, 8.0 ns for each more)"));
        assert!(section.contains("| 10 | tail-calls | 400 | 400.0 | 4.00 |"));
    }

    #[test]
    fn a_goal_without_its_figure_is_an_error() {
        assert!(section(&Machine::example(), &serde_json::json!({"rows": []})).is_err());
    }
}
