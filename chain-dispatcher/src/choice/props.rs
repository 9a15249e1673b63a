//! Properties of the choice: whatever is asked for and found, nothing is chosen that a limit refuses,
//! and nothing is refused that was possible.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::sample::select;
use skep_artifact::hook::{Hook, Verdict, VerdictSet};

use super::{Kernel, Needs, Situation, choose};
use crate::chain::Foreign;
use crate::kinds::{Attachment, Backend, BackendChoice, Build};

/// A situation that owns what the real one borrows.
#[derive(Debug, Clone)]
struct Case {
    hook: Hook,
    choice: BackendChoice,
    foreign: Foreign,
    kernel: Kernel,
    live: Option<Attachment>,
    libxdp_others: Option<usize>,
    members: Vec<Needs>,
}

impl Case {
    fn situation(&self) -> Situation<'_> {
        Situation {
            hook: self.hook,
            choice: self.choice,
            foreign: self.foreign,
            kernel: &self.kernel,
            live: self.live,
            libxdp_others: self.libxdp_others,
            members: &self.members,
        }
    }

    /// Whether the chain can run with a backend, said once more and in other words.
    fn possible(&self, backend: Backend) -> bool {
        let tc =
            matches!(backend, Backend::Tcx | Backend::TcxFused | Backend::Tc | Backend::TcFused);
        let room = match backend.build() {
            Build::Slots => 32,
            Build::Fused => 64,
            Build::Libxdp => 10 - self.libxdp_others.unwrap_or(0).min(10),
        };
        let keeps_meaning = self.members.iter().all(|member| {
            let stops = member.proceed_on == VerdictSet::EMPTY;
            let pass = member.proceed_on == VerdictSet::of(&[Verdict::Pass]);
            !member.own_tail_calls && (stops || pass)
        });
        tc == (self.hook != Hook::Xdp)
            && self.members.len() <= room
            && (backend.build() != Build::Slots || self.kernel.tail_calls.is_ok())
            && (backend.attachment() != Attachment::Tcx || self.kernel.tcx.is_ok())
            && (backend != Backend::Libxdp || self.kernel.extensions.is_ok() && keeps_meaning)
    }
}

fn probed() -> impl Strategy<Value = Result<(), String>> {
    any::<bool>().prop_map(|can| if can { Ok(()) } else { Err("it cannot".to_owned()) })
}

fn members() -> impl Strategy<Value = Vec<Needs>> {
    let sets = [
        VerdictSet::of(&[Verdict::Pass]),
        VerdictSet::EMPTY,
        VerdictSet::of(&[Verdict::Pass, Verdict::Drop]),
    ];
    // Mostly members that go everywhere, so that limits of number are met, too.
    let needs = prop_oneof![
        9 => Just((sets[0], false)),
        1 => (select(sets.to_vec()), any::<bool>()),
    ];
    let length = prop_oneof![0usize..4, 9usize..12, 31usize..34, 63usize..66];
    length.prop_flat_map(move |length| vec(needs.clone(), length)).prop_map(|needs| {
        let named = |(number, (proceed_on, own_tail_calls))| Needs {
            member: format!("m{number}"),
            proceed_on,
            own_tail_calls,
        };
        needs.into_iter().enumerate().map(named).collect()
    })
}

fn case() -> impl Strategy<Value = Case> {
    let kernel = (probed(), probed(), probed()).prop_map(|(tail_calls, tcx, extensions)| Kernel {
        tail_calls,
        tcx,
        extensions,
    });
    let hook = select(vec![Hook::Xdp, Hook::TcIngress, Hook::TcEgress]);
    let choice = select(BackendChoice::ALL.to_vec());
    let there = (option::of(any::<bool>()), option::of(0usize..11), any::<bool>());
    (hook, choice, kernel, there, members()).prop_map(
        |(hook, choice, kernel, (live, others, take_over), members)| {
            let attachments = if hook == Hook::Xdp {
                [Attachment::XdpLink, Attachment::XdpNetlink]
            } else {
                [Attachment::Tcx, Attachment::Clsact]
            };
            let live = live.map(|second| attachments[usize::from(second)]);
            // A link and a libxdp chain exclude each other.
            let possible = hook == Hook::Xdp && live != Some(Attachment::XdpLink);
            Case {
                hook,
                choice,
                foreign: if take_over { Foreign::TakeOver } else { Foreign::Refuse },
                kernel,
                live,
                libxdp_others: others.filter(|_| possible),
                members,
            }
        },
    )
}

proptest! {
    #[test]
    fn nothing_is_chosen_that_a_limit_refuses(case in case()) {
        if let Ok(chosen) = choose(&case.situation()) {
            prop_assert!(case.possible(chosen.backend), "{chosen:?}");
            prop_assert!(!chosen.why.is_empty());
        }
    }

    #[test]
    fn a_refusal_names_a_backend_that_is_not_possible(case in case()) {
        if let Err((backend, why)) = choose(&case.situation()) {
            prop_assert!(!case.possible(backend), "{backend} was refused: {why}");
            prop_assert!(!why.to_string().is_empty());
        }
    }

    #[test]
    fn what_was_asked_for_by_name_is_what_is_chosen(case in case()) {
        if let Ok(chosen) = choose(&case.situation()) {
            let build = match case.choice {
                BackendChoice::Auto => return Ok(()),
                BackendChoice::Libxdp => Build::Libxdp,
                BackendChoice::Slots | BackendChoice::Tcx | BackendChoice::Tc => Build::Slots,
                BackendChoice::Fused | BackendChoice::TcxFused | BackendChoice::TcFused => Build::Fused,
            };
            prop_assert_eq!(chosen.backend.build(), build);
        }
    }

    #[test]
    fn auto_leaves_no_running_chain_s_attachment(case in case()) {
        let auto = Case { choice: BackendChoice::Auto, ..case };
        if let (Some(live), Ok(chosen)) = (auto.live, choose(&auto.situation())) {
            prop_assert_eq!(chosen.backend.attachment(), live);
        }
    }

    #[test]
    fn auto_finds_a_way_on_a_free_xdp_hook_if_slots_are_one(case in case()) {
        let free = Case {
            hook: Hook::Xdp, choice: BackendChoice::Auto, live: None, libxdp_others: None, ..case
        };
        if free.possible(Backend::Slots) {
            prop_assert!(choose(&free.situation()).is_ok());
        }
    }
}
