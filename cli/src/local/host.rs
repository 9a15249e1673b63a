//! Taking a seat in a chain of this host and giving it back: every other seat is verified and loaded
//! again around it, and the chain is switched in one operation. The agent's chains are never touched.
//! Refuses to know command lines and what is shown.

mod line_up;

use crate::exit::Ends;
use crate::local::Places;
use crate::local::content::{Content, Proven};
use crate::local::interface::{self, Interface};
use crate::local::seat::{Held, Place, Seat, Seats, Standing, Stored, Wish};
use anyhow::Context as _;
use line_up::{again, free_name, member, wish_of};
use skep_artifact::hook::Hook;
use skep_chain_dispatcher::{
    ApplyError, Chain, Engine, EngineConfig, Foreign, Gap, HookPoint, LibxdpVersion, LostState,
    Member, MemberCounters, ObservedChain, Observer, Sampling, libxdp_root,
};

/// What stands for the policy in the name of a member: nobody's, a person's at the keyboard.
pub(crate) const POLICY: &str = "run";

/// This host, as far as `skep run` may change it.
pub(crate) struct Host {
    engine: Engine,
    seats: Seats,
    agent: Observer,
    netns: u64,
}

/// Somebody who wants a seat.
pub(crate) struct Newcomer<'a> {
    pub interface: &'a Interface,
    pub hook: Hook,
    /// Its name may be changed to one that is free, unless it was asked for.
    pub seat: Seat,
    pub name_asked_for: bool,
    pub content: &'a Content,
    pub proven: &'a Proven,
    pub liberties: Liberties,
}

/// What a change of a chain may cost others, or packets.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Liberties {
    pub foreign: Foreign,
    pub gap: Gap,
    pub lost_state: LostState,
}

/// A seat that was taken.
pub(crate) struct Joined {
    pub place: Place,
    pub at: HookPoint,
    pub seat: Seat,
    /// Of a seat in the foreground: let go of when this process ends.
    pub _held: Option<Held>,
    pub chain: ObservedChain,
    /// Members that a killed process had left over, and that were removed on this occasion.
    pub removed: Vec<String>,
    /// Whether the agent has a chain on the same hook, beside this one.
    pub beside_agent: bool,
}

/// What became of a hook when seats were given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Left {
    /// Names of the seats.
    pub names: Vec<String>,
    /// How many members run on.
    pub remaining: usize,
}

/// Which seats are given back. Those that were left over always are.
#[derive(Debug, Clone, Copy)]
enum Going<'a> {
    LeftOver,
    Named(&'a [String]),
    All,
}

impl Host {
    /// Opens pins and seats, for changing them.
    ///
    /// # Errors
    /// When the kernel, or the rights of this process, do not allow it.
    pub(crate) fn open(places: &Places) -> anyhow::Result<Self> {
        if places.run_pin_root == places.agent_pin_root {
            let message = "--run-pin-root and --agent-pin-root are the same folder. The agent would take off what `skep run` puts there; name two.";
            return Err(Ends::usage(message).into());
        }
        let seats = Seats::open(&places.run_state)?;
        let config = EngineConfig {
            libxdp_root: libxdp_root(&places.libxdp_bpffs),
            libxdp_version: LibxdpVersion::installed().unwrap_or_default(),
            ..EngineConfig::new(places.run_pin_root.clone())
        };
        let engine = Engine::open(config).context("This host cannot run chains.")?;
        let agent = places.observe(&places.agent_pin_root);
        Ok(Self { engine, seats, agent, netns: interface::netns()? })
    }

    /// Puts a newcomer into the chain of its hook.
    ///
    /// # Errors
    /// Whatever is in the way; what ran before runs on.
    pub(crate) fn join(&self, newcomer: Newcomer<'_>) -> anyhow::Result<Joined> {
        let Newcomer { interface, hook, mut seat, name_asked_for, content, proven, liberties } =
            newcomer;
        let at = HookPoint { interface: interface.name.clone(), hook };
        let place = Place { netns: self.netns, ifindex: interface.index, hook };
        let _locked = self.seats.lock()?;
        let beside_agent = self.beside_agent(&at)?;
        let (left_over, staying): (Vec<Stored>, Vec<Stored>) =
            self.seats.at(place)?.into_iter().partition(|s| Going::LeftOver.takes(s));
        let mut removed: Vec<String> = left_over.into_iter().map(|s| s.seat.name).collect();
        removed.extend(self.unseated(place, &at)?);
        let taken: Vec<&str> = staying.iter().map(|s| s.seat.name.as_str()).collect();
        seat.name = free_name(&seat.name, &taken, name_asked_for, &at)?;
        let mut members = staying.iter().map(again).collect::<anyhow::Result<Vec<_>>>()?;
        members.push(member(&seat, proven)?);
        let seated: Vec<&Seat> = staying.iter().map(|s| &s.seat).chain([&seat]).collect();
        let wish = wish_of(&seated);
        // What a killed process left over goes in the same switch; the newcomer may have its name.
        self.seats.forget(place, &seat.name)?;
        let held = self.seats.take(place, &seat, content)?;
        let chain = match self.apply(&at, members, wish, liberties) {
            Ok(chain) => chain,
            Err(error) => {
                self.seats.forget(place, &seat.name)?;
                return Err(error);
            }
        };
        for name in removed.iter().filter(|name| **name != seat.name) {
            self.seats.forget(place, name)?;
        }
        Ok(Joined { place, at, seat, _held: held, chain, removed, beside_agent })
    }

    /// Gives seats of a hook back, those that were left over with them.
    ///
    /// # Errors
    /// When the rest of the chain cannot be put together again; then all of it runs on.
    pub(crate) fn leave(&self, place: Place, names: &[String]) -> anyhow::Result<Left> {
        let _locked = self.seats.lock()?;
        self.leave_locked(place, Going::Named(names))
    }

    /// Gives seats back on the hooks of an interface: one of a name, or all that there is, whatever state
    /// it is in.
    ///
    /// # Errors
    /// As [`Host::leave`].
    pub(crate) fn stop(
        &self,
        interface: &Interface,
        hook: Option<Hook>,
        name: Option<&str>,
    ) -> anyhow::Result<Vec<(HookPoint, Left)>> {
        let _locked = self.seats.lock()?;
        let mut stopped = Vec::new();
        for hook in Hook::ALL.into_iter().filter(|h| hook.is_none_or(|hook| hook == *h)) {
            let place = Place { netns: self.netns, ifindex: interface.index, hook };
            let left = match name {
                None => self.leave_locked(place, Going::All)?,
                Some(name) if self.seats.names(place)?.iter().any(|seat| seat == name) => {
                    self.leave_locked(place, Going::Named(&[name.to_owned()]))?
                }
                Some(_) => continue,
            };
            if !left.names.is_empty() {
                stopped.push((HookPoint { interface: interface.name.clone(), hook }, left));
            }
        }
        Ok(stopped)
    }

    fn leave_locked(&self, place: Place, going: Going<'_>) -> anyhow::Result<Left> {
        let Some(at) = current(place)? else {
            // The interface took the chain along; what is left is to clear away.
            let names = self.seats.names(place)?;
            self.engine.sweep().context("The pins of a vanished interface cannot be removed.")?;
            self.seats.forget_all(place)?;
            return Ok(Left { names, remaining: 0 });
        };
        let mut names = self.unseated(place, &at)?;
        let staying = match going {
            Going::All => {
                names.extend(self.seats.names(place)?);
                Vec::new()
            }
            Going::LeftOver | Going::Named(_) => {
                let (goes, stays): (Vec<Stored>, Vec<Stored>) =
                    self.seats.at(place)?.into_iter().partition(|stored| going.takes(stored));
                names.extend(goes.into_iter().map(|stored| stored.seat.name));
                stays
            }
        };
        let left = Left { names, remaining: staying.len() };
        if left.names.is_empty() {
            return Ok(left);
        }
        if staying.is_empty() {
            self.engine.detach(&at).with_context(|| format!("{at} runs on."))?;
        } else {
            let members = staying.iter().map(again).collect::<anyhow::Result<Vec<_>>>()?;
            let seated: Vec<&Seat> = staying.iter().map(|s| &s.seat).collect();
            self.apply(&at, members, wish_of(&seated), Liberties::default())?;
        }
        for name in &left.names {
            self.seats.forget(place, name)?;
        }
        Ok(left)
    }

    /// Members that run and whose seats were lost, with the folder perhaps: nothing can load them again.
    fn unseated(&self, place: Place, at: &HookPoint) -> anyhow::Result<Vec<String>> {
        let seated = self.seats.names(place)?;
        let running = self.engine.observe_hook(at)?.members.into_iter().map(|m| m.name);
        Ok(running.filter(|name| !seated.contains(name)).collect())
    }

    /// Whether a seat is still taken.
    pub(crate) fn holds(&self, joined: &Joined) -> bool {
        self.seats.holds(joined.place, &joined.seat.name)
    }

    /// What the hook of a seat runs now, with its counters; `None` when the interface is gone.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub(crate) fn look(
        &self,
        joined: &Joined,
    ) -> anyhow::Result<Option<(ObservedChain, Vec<MemberCounters>)>> {
        let Some(at) = current(joined.place)? else { return Ok(None) };
        let chain = self.engine.observe_hook(&at)?;
        let counters = self.engine.counters(&at)?;
        Ok(Some((chain, counters)))
    }

    /// Measures the time that packets take in the members of a hook's chain.
    ///
    /// # Errors
    /// When the chain is gone or the kernel refuses.
    pub(crate) fn time(&self, at: &HookPoint, timing: Sampling) -> anyhow::Result<()> {
        self.engine.set_timing(at, timing).with_context(|| format!("{at} cannot be timed."))
    }

    /// Refuses an XDP hook that the agent runs a chain on; on tc both have their place.
    fn beside_agent(&self, at: &HookPoint) -> anyhow::Result<bool> {
        let chain = self.agent.observe_hook(at)?;
        if chain.dispatcher_id.is_none() {
            return Ok(false);
        }
        if at.hook.is_tc() {
            return Ok(true);
        }
        let members = chain.members.len();
        Err(Ends::refusal(format!(
            "The agent of this host runs a chain of {members} on {at}, and an interface has room for one XDP chain. Put the package into a policy (`skep apply`), use --hook tc-ingress if it has a program for it, or take the agent's chain off first (`skep node detach --all`). Nothing was changed."
        ))
        .into())
    }

    fn apply(
        &self,
        at: &HookPoint,
        members: Vec<Member>,
        wish: Wish,
        liberties: Liberties,
    ) -> anyhow::Result<ObservedChain> {
        let generation = self.engine.observe_hook(at)?.generation + 1;
        let chain = Chain {
            foreign: liberties.foreign,
            backend: wish.backend,
            xdp_mode: wish.xdp_mode,
            gap: liberties.gap,
            lost_state: liberties.lost_state,
            ..Chain::new(at.clone(), generation, members)
        };
        match self.engine.apply(&chain) {
            Ok(applied) => Ok(applied.chain),
            Err(ApplyError::Foreign { at, program }) => {
                let name = if program.name.is_empty() { "without a name" } else { &program.name };
                Err(Ends::refusal(format!(
                    "{at} runs program {} ({name}), which Skep did not attach. Whoever attached it should take it off; --takeover takes it off for them, and packets pass unseen for a moment. Nothing was changed.",
                    program.program_id
                ))
                .into())
            }
            Err(error @ ApplyError::GapRefused { .. }) => Err(Ends::refused(
                format!(
                    "{at} was not changed. --allow-gap allows packets to pass unseen for a moment."
                ),
                error,
            )
            .into()),
            Err(error) => Err(error).with_context(|| format!("{at} was not changed.")),
        }
    }
}

impl Going<'_> {
    fn takes(self, stored: &Stored) -> bool {
        stored.standing == Standing::LeftOver
            || match self {
                Self::LeftOver => false,
                Self::Named(names) => names.contains(&stored.seat.name),
                Self::All => true,
            }
    }
}

/// A place by the name that its interface has now; none when it is gone.
fn current(place: Place) -> anyhow::Result<Option<HookPoint>> {
    let found = interface::all()?.into_iter().find(|i| i.index == place.ifindex);
    Ok(found.map(|interface| HookPoint { interface: interface.name, hook: place.hook }))
}
