//! From seats to the members of one chain: each verified again, named apart, and what they ask for
//! together. Refuses to know which seats stay, and the kernel.

use super::POLICY;
use crate::exit::Ends;
use crate::local::content::Proven;
use crate::local::seat::{Seat, Stored, Wish};
use anyhow::Context as _;
use skep_chain_dispatcher::{BackendChoice, HookPoint, Member, XdpModeChoice};

/// What the seats of a chain ask for together: the newest that asks for something decides.
pub(super) fn wish_of(seats: &[&Seat]) -> Wish {
    let newest_first = || {
        let mut seats = seats.to_vec();
        // The newcomer stands last among those of one second.
        seats.reverse();
        seats.sort_by_key(|seat| std::cmp::Reverse(seat.since));
        seats.into_iter().map(|seat| seat.wish)
    };
    Wish {
        backend: newest_first()
            .map(|wish| wish.backend)
            .find(|backend| *backend != BackendChoice::Auto)
            .unwrap_or_default(),
        xdp_mode: newest_first()
            .map(|wish| wish.xdp_mode)
            .find(|mode| *mode != XdpModeChoice::Auto)
            .unwrap_or_default(),
    }
}

/// Verifies a seat again, and says how it is loaded.
pub(super) fn again(stored: &Stored) -> anyhow::Result<Member> {
    let seat = &stored.seat;
    let failed = || {
        format!(
            "{}, which runs already, cannot be loaded again beside others. `skep run --stop {} --name {}` takes it off.",
            seat.name, seat.interface, seat.name
        )
    };
    let (content, accepted_at) = stored.content().with_context(failed)?;
    let proven = content.prove(accepted_at).with_context(failed)?;
    member(seat, &proven).with_context(failed)
}

pub(super) fn member(seat: &Seat, proven: &Proven) -> anyhow::Result<Member> {
    Ok(Member {
        policy: POLICY.to_owned(),
        name: seat.name.clone(),
        program: seat.program.clone(),
        object: proven.loadable(),
        priority: seat.priority,
        proceed_on: seat.proceed_on,
        mode: seat.mode,
        failure: seat.failure,
        config: proven.encode(&seat.settings)?,
        migrations: proven.migrations(),
    })
}

/// The name that was asked for, or the next free one of its kind.
pub(super) fn free_name(
    wanted: &str,
    taken: &[&str],
    asked_for: bool,
    at: &HookPoint,
) -> Result<String, Ends> {
    if !taken.contains(&wanted) {
        return Ok(wanted.to_owned());
    }
    if asked_for {
        return Err(Ends::usage(format!(
            "{at} runs a member named {wanted} already. Choose another --name."
        )));
    }
    let numbered = (2..).map(|number: u32| format!("{wanted}-{number}"));
    let free = numbered.take(taken.len() + 1).find(|name| !taken.contains(&name.as_str()));
    // One of n + 1 names is not among n.
    Ok(free.unwrap_or_else(|| wanted.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_artifact::hook::Hook;

    #[test]
    fn a_second_one_gets_a_number_unless_its_name_was_asked_for() {
        let at = HookPoint { interface: "eth0".into(), hook: Hook::Xdp };
        assert_eq!(free_name("a", &["b"], false, &at).unwrap(), "a");
        assert_eq!(free_name("a", &["a", "a-2"], false, &at).unwrap(), "a-3");
        let error = free_name("a", &["a"], true, &at).unwrap_err();
        assert!(error.to_string().contains("eth0 xdp runs a member named a already"), "{error}");
    }
}
