//! What a package may do, from the facts of its objects and never from its claims.
//! It refuses to judge whether that is too much: node policies do.

use crate::words;
use skep_artifact::object::{ObjectFacts, ProgramFacts};

/// How much attention a permission deserves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Every program of its kind can do it.
    Ordinary,
    /// It changes or moves packets, or shares what it sees.
    Notable,
    /// It reaches beyond packets: memory of the kernel or of processes.
    Grave,
}

/// One thing the package may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    pub weight: Weight,
    pub what: &'static str,
    /// What in the object gives it away.
    pub because: String,
    /// Names of the programs that may.
    pub programs: Vec<String>,
}

/// A group of helpers that means one thing to people.
struct Meaning {
    weight: Weight,
    what: &'static str,
    helpers: &'static [&'static str],
}

const MEANINGS: &[Meaning] = &[
    Meaning {
        weight: Weight::Grave,
        what: words::MAY_WRITE_USER_MEMORY,
        helpers: &["bpf_probe_write_user"],
    },
    Meaning {
        weight: Weight::Grave,
        what: words::MAY_READ_MEMORY,
        helpers: &[
            "bpf_probe_read",
            "bpf_probe_read_kernel",
            "bpf_probe_read_kernel_str",
            "bpf_probe_read_str",
            "bpf_probe_read_user",
            "bpf_probe_read_user_str",
            "bpf_copy_from_user",
        ],
    },
    Meaning {
        weight: Weight::Grave,
        what: words::MAY_STEER_PROCESSES,
        helpers: &["bpf_override_return", "bpf_send_signal", "bpf_send_signal_thread"],
    },
    Meaning {
        weight: Weight::Notable,
        what: words::MAY_REPORT,
        helpers: &[
            "bpf_perf_event_output",
            "bpf_ringbuf_output",
            "bpf_ringbuf_reserve",
            "bpf_ringbuf_submit",
            "bpf_skb_output",
            "bpf_xdp_output",
        ],
    },
    Meaning {
        weight: Weight::Notable,
        what: words::MAY_LOG,
        helpers: &["bpf_trace_printk", "bpf_trace_vprintk"],
    },
    Meaning { weight: Weight::Notable, what: words::MAY_TAIL_CALL, helpers: &["bpf_tail_call"] },
    Meaning {
        weight: Weight::Ordinary,
        what: words::MAY_WRITE_MAPS,
        helpers: &[
            "bpf_map_delete_elem",
            "bpf_map_pop_elem",
            "bpf_map_push_elem",
            "bpf_map_update_elem",
        ],
    },
    Meaning {
        weight: Weight::Ordinary,
        what: words::MAY_READ_MAPS,
        helpers: &["bpf_map_lookup_elem", "bpf_map_lookup_percpu_elem", "bpf_map_peek_elem"],
    },
    Meaning {
        weight: Weight::Ordinary,
        what: words::MAY_LOOK_UP_ROUTES,
        helpers: &["bpf_fib_lookup", "bpf_sk_lookup_tcp", "bpf_sk_lookup_udp"],
    },
    Meaning {
        weight: Weight::Ordinary,
        what: words::MAY_READ_CLOCK,
        helpers: &[
            "bpf_jiffies64",
            "bpf_ktime_get_boot_ns",
            "bpf_ktime_get_coarse_ns",
            "bpf_ktime_get_ns",
            "bpf_ktime_get_tai_ns",
        ],
    },
];

/// Everything the objects may do, gravest first.
#[must_use]
pub fn of(facts: &[ObjectFacts]) -> Vec<Permission> {
    let programs: Vec<&ProgramFacts> = facts.iter().flat_map(|f| &f.programs).collect();
    let mut found: Vec<Permission> =
        MEANINGS.iter().filter_map(|m| by_helpers(m, &programs)).collect();
    let flags = [
        (words::MAY_REWRITE, programs_where(&programs, |p| p.writes_packets), Weight::Notable),
        (words::MAY_REDIRECT, programs_where(&programs, |p| p.redirects), Weight::Notable),
        (
            words::MAY_DROP,
            programs_where(&programs, |p| !p.kind.hooks().is_empty()),
            Weight::Ordinary,
        ),
        (
            words::MAY_CALL_KERNEL,
            programs_where(&programs, |p| !p.kfuncs.is_empty()),
            Weight::Notable,
        ),
    ];
    for (what, who, weight) in flags {
        if who.is_empty() {
            continue;
        }
        let because = match what {
            words::MAY_DROP => words::BECAUSE_VERDICT.to_owned(),
            words::MAY_CALL_KERNEL => listed(programs.iter().flat_map(|p| &p.kfuncs)),
            _ => words::BECAUSE_HELPER.to_owned(),
        };
        found.push(Permission { weight, what, because, programs: who });
    }
    found.sort_by_key(|p| std::cmp::Reverse(p.weight));
    found
}

fn by_helpers(meaning: &Meaning, programs: &[&ProgramFacts]) -> Option<Permission> {
    let called = |p: &ProgramFacts| {
        p.helpers.iter().any(|helper| meaning.helpers.contains(&helper.as_str()))
    };
    let who = programs_where(programs, called);
    let helpers = programs.iter().flat_map(|p| &p.helpers);
    let because = listed(helpers.filter(|h| meaning.helpers.contains(&h.as_str())));
    let (weight, what) = (meaning.weight, meaning.what);
    (!who.is_empty()).then_some(Permission { weight, what, because, programs: who })
}

fn programs_where(
    programs: &[&ProgramFacts],
    holds: impl Fn(&ProgramFacts) -> bool,
) -> Vec<String> {
    let mut names: Vec<String> =
        programs.iter().filter(|p| holds(p)).map(|p| p.name.clone()).collect();
    names.sort();
    names.dedup();
    names
}

fn listed<'t>(texts: impl Iterator<Item = &'t String>) -> String {
    let mut all: Vec<&str> = texts.map(String::as_str).collect();
    all.sort_unstable();
    all.dedup();
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    #[test]
    fn the_gravest_permission_stands_first_and_names_its_helper() {
        let mut facts = samples::facts();
        facts.programs[0].helpers.push("bpf_probe_write_user".into());
        let found = of(&[facts]);
        assert_eq!(found[0].what, words::MAY_WRITE_USER_MEMORY);
        assert_eq!(found[0].because, "bpf_probe_write_user");
        assert_eq!(found[0].programs, ["xdp_ratelimit"]);
        assert!(found.is_sorted_by_key(|p| std::cmp::Reverse(p.weight)));
    }

    #[test]
    fn rewriting_and_redirecting_come_from_the_facts() {
        let mut facts = samples::facts();
        let has = |facts: &ObjectFacts, what| {
            of(std::slice::from_ref(facts)).iter().any(|p| p.what == what)
        };
        assert!(!has(&facts, words::MAY_REWRITE));
        assert!(!has(&facts, words::MAY_REDIRECT));
        facts.programs[0].writes_packets = true;
        facts.programs[0].redirects = true;
        assert!(has(&facts, words::MAY_REWRITE));
        assert!(has(&facts, words::MAY_REDIRECT));
    }

    #[test]
    fn two_objects_with_the_same_program_name_it_once() {
        let found = of(&[samples::facts(), samples::facts()]);
        assert!(found.iter().all(|p| p.programs == ["xdp_ratelimit"]));
    }

    #[test]
    fn no_objects_may_nothing() {
        assert_eq!(of(&[]), []);
    }
}
