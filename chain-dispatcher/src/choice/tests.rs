//! The choice of a backend as a table: what there is, what is asked for, what is chosen and why.

use skep_artifact::hook::{Hook, Verdict, VerdictSet};

use super::{Kernel, Needs, Situation, choose};
use crate::chain::Foreign;
use crate::kinds::{Attachment, BackendChoice};

/// One line: kernel, hook, wish, what is there, members → backend and words of the reason. A backend
/// with `!` is one that is refused.
const TABLE: &[(&str, &str, &str, &str, &str, &str, &str)] = &[
    // A kernel that offers everything.
    ("ext,tcx", "xdp", "auto", "", "2", "libxdp", "the kernel allows extension programs"),
    ("ext,tcx", "xdp", "auto", "", "11", "slots", "libxdp is not possible: it holds 10 members"),
    ("ext,tcx", "xdp", "auto", "", "2 tail-calls", "slots", "m0 makes tail calls of its own"),
    ("ext,tcx", "xdp", "auto", "", "2 on-drop", "slots", "only PASS keeps its meaning"),
    ("ext,tcx", "xdp", "auto", "", "2 never", "libxdp", "the kernel allows extension programs"),
    ("ext,tcx", "xdp", "auto", "", "33", "!slots", "it holds 32 members, and the chain has 33"),
    ("ext,tcx", "xdp", "slots", "", "2", "slots", "slots was asked for"),
    ("ext,tcx", "xdp", "fused", "", "64", "fused", "fused was asked for"),
    ("ext,tcx", "xdp", "fused", "", "65", "!fused", "it holds 64 members"),
    ("ext,tcx", "xdp", "libxdp", "", "11", "!libxdp", "it holds 10 members"),
    ("ext,tcx", "xdp", "libxdp", "", "2 on-drop", "!libxdp", "m0 lets the chain go on after"),
    // Others have a libxdp chain there.
    ("ext,tcx", "xdp", "auto", "others=3", "7", "libxdp", "ours joins it"),
    ("ext,tcx", "xdp", "auto", "others=3", "8", "!libxdp", "10 members, of which 3 are others'"),
    ("tcx", "xdp", "auto", "others=3", "1", "!libxdp", "EXT is refused"),
    ("tcx", "xdp", "auto", "others=3 takeover", "1", "slots", "libxdp is not possible: EXT"),
    // A chain of ours runs: its attachment is kept.
    ("ext,tcx", "xdp", "auto", "link", "2", "slots", "on an XDP link already"),
    ("ext,tcx", "xdp", "auto", "netlink", "2", "libxdp", "a libxdp chain already"),
    ("ext,tcx", "xdp", "auto", "netlink others=9", "2", "!libxdp", "of which 9 are others'"),
    ("ext,tcx", "xdp", "slots", "netlink", "2", "slots", "slots was asked for"),
    ("ext,tcx", "tc-ingress", "auto", "clsact", "2", "tc", "a clsact filter already"),
    ("ext", "tc-ingress", "auto", "tcx", "2", "!tcx", "no tcx"),
    // A kernel that refuses extensions, as many hosts do.
    ("tcx", "xdp", "auto", "", "2", "slots", "libxdp is not possible: EXT is refused"),
    ("tcx", "xdp", "libxdp", "", "2", "!libxdp", "EXT is refused"),
    // No tail calls in functions.
    ("no-tail-calls,tcx", "xdp", "auto", "", "2", "fused", "slots is not possible: no tail calls"),
    ("no-tail-calls,tcx", "xdp", "slots", "", "2", "!slots", "no tail calls"),
    ("no-tail-calls,tcx", "tc-egress", "auto", "", "2", "!tcx", "no tail calls"),
    // tc.
    ("tcx", "tc-ingress", "auto", "", "2", "tcx", "the kernel has tcx"),
    ("", "tc-ingress", "auto", "", "2", "tc", "tcx is not possible: no tcx"),
    ("", "tc-egress", "slots", "", "2", "tc", "slots was asked for, and tcx is not possible"),
    ("tcx", "tc-egress", "fused", "", "40", "tcx-fused", "fused was asked for, and the kernel has"),
    ("", "tc-egress", "fused", "", "2", "tc-fused", "fused was asked for"),
    ("tcx", "tc-egress", "tc", "", "2", "tc", "tc was asked for"),
    ("tcx", "tc-egress", "tc-fused", "", "2", "tc-fused", "tc-fused was asked for"),
    ("", "tc-egress", "tcx", "", "2", "!tcx", "no tcx"),
    ("tcx", "tc-egress", "auto", "", "33", "!tcx", "it holds 32 members"),
    ("tcx", "tc-egress", "libxdp", "", "2", "!libxdp", "another kind of hook than tc-egress"),
    ("tcx", "xdp", "tcx", "", "2", "!tcx", "another kind of hook than xdp"),
    ("tcx", "xdp", "tc", "", "2", "!tc", "another kind of hook than xdp"),
];

fn kernel(words: &str) -> Kernel {
    let has = |word: &str, why: &str| {
        if words.split(',').any(|w| w == word) { Ok(()) } else { Err(why.to_owned()) }
    };
    let no_tail_calls = has("no-tail-calls", "");
    Kernel {
        tail_calls: match no_tail_calls {
            Ok(()) => Err("no tail calls".to_owned()),
            Err(_) => Ok(()),
        },
        tcx: has("tcx", "no tcx"),
        extensions: has("ext", "EXT is refused"),
    }
}

fn members(words: &str) -> Vec<Needs> {
    let mut words = words.split(' ');
    let count: usize = words.next().unwrap().parse().unwrap();
    let kind = words.next().unwrap_or_default();
    let proceed_on = match kind {
        "on-drop" => VerdictSet::of(&[Verdict::Pass, Verdict::Drop]),
        "never" => VerdictSet::EMPTY,
        _ => VerdictSet::of(&[Verdict::Pass]),
    };
    let own_tail_calls = kind == "tail-calls";
    let needs = |n| Needs { member: format!("m{n}"), proceed_on, own_tail_calls };
    (0..count).map(needs).collect()
}

#[test]
fn the_backend_is_the_one_of_the_table() {
    for line in TABLE {
        let (on, hook, choice, there, wanted, chosen, words) = *line;
        let (kernel, members) = (kernel(on), members(wanted));
        let word = |word: &str| there.split(' ').any(|w| w == word);
        let situation = Situation {
            hook: hook.parse::<Hook>().unwrap(),
            choice: choice.parse::<BackendChoice>().unwrap(),
            foreign: if word("takeover") { Foreign::TakeOver } else { Foreign::Refuse },
            kernel: &kernel,
            live: match () {
                () if word("link") => Some(Attachment::XdpLink),
                () if word("netlink") => Some(Attachment::XdpNetlink),
                () if word("tcx") => Some(Attachment::Tcx),
                () if word("clsact") => Some(Attachment::Clsact),
                () => None,
            },
            libxdp_others: there
                .split(' ')
                .find_map(|w| w.strip_prefix("others="))
                .map(|count| count.parse().unwrap()),
            members: &members,
        };
        let (backend, why) = match choose(&situation) {
            Ok(chosen) => (chosen.backend.to_string(), chosen.why),
            Err((backend, why)) => (format!("!{backend}"), why.to_string()),
        };
        assert_eq!(backend, chosen, "{line:?}: {why}");
        assert!(why.contains(words), "{line:?}: {why}");
    }
}
