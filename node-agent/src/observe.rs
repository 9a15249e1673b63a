//! What the engine sees, in the words of the fleet and of the wire. Refuses to know what was wanted.

use crate::explain::explain;
use crate::ledger::{Ledger, Place};
use crate::reconcile::Running;
use skep_api::v1::chains::{ChainStatus, MemberCounters, MemberStatus, VerdictCount};
use skep_api::v1::nodes::Feature;
use skep_artifact::hook::Hook;
use skep_chain_dispatcher::{self as engine, Engine, ObserveError, XdpMode, features};
use skep_fleet::{AttachMode, Backend, How, ObservedChain, ObservedMember};
use std::collections::BTreeSet;

/// Everything on the hooks of this network namespace, as the kernel shows it.
#[derive(Debug, Default)]
pub struct Seen {
    /// Chains made of verified packages.
    pub running: Vec<Running>,
    /// Hooks that run something of ours no policy can mean: a person's local files, or a chain that another
    /// version of Skep described. Never touched by the agent.
    pub local: BTreeSet<Place>,
    /// Programs of others, one sentence each.
    pub foreign: Vec<String>,
    chains: Vec<engine::ObservedChain>,
}

/// Asks the kernel on which hooks it can run a chain, and with which backends.
#[must_use]
pub fn features() -> Vec<Feature> {
    let feature = |name: String, refused: Option<engine::Unsupported>| Feature {
        name,
        supported: refused.is_none(),
        reason: refused.as_ref().map(|refused| explain(refused)).unwrap_or_default(),
    };
    let hooks =
        Hook::ALL.map(|hook| feature(format!("{hook} chains"), features::probe(hook).err()));
    let backends = engine::Backend::ALL
        .map(|backend| feature(format!("backend {backend}"), features::offers(backend).err()));
    hooks.into_iter().chain(backends).collect()
}

/// Looks at pins and kernel.
///
/// # Errors
/// What the engine says.
pub fn look(engine: &Engine) -> Result<Seen, ObserveError> {
    let mut seen = Seen { chains: engine.observe()?, ..Seen::default() };
    for chain in &seen.chains {
        seen.foreign.extend(chain.foreign.iter().map(|program| foreign(chain, program)));
        if chain.dispatcher_id.is_none() {
            continue;
        }
        match in_fleet_words(chain) {
            Some(observed) => {
                seen.running.push(Running { chain: observed, generation: chain.generation });
            }
            None => {
                seen.local.insert(place_of(chain));
            }
        }
    }
    Ok(seen)
}

/// The chains as a report shows them, with their counters.
#[must_use]
pub fn statuses(engine: &Engine, seen: &Seen, ledger: &Ledger) -> Vec<ChainStatus> {
    let status = |chain: &engine::ObservedChain| status(engine, chain, ledger);
    seen.chains.iter().filter_map(status).collect()
}

fn place_of(chain: &engine::ObservedChain) -> Place {
    Place { interface: chain.at.interface.clone(), hook: chain.at.hook }
}

fn foreign(chain: &engine::ObservedChain, program: &engine::ForeignProgram) -> String {
    let name = if program.name.is_empty() { "without a name" } else { &program.name };
    format!(
        "{}: also runs program {} ({name}), which Skep did not attach.",
        chain.at, program.program_id
    )
}

/// `None` when nothing describes the chain, when a member comes from no package, or when one bears a name
/// no policy can have.
fn in_fleet_words(chain: &engine::ObservedChain) -> Option<ObservedChain> {
    chain.backend?;
    let member = |m: &engine::ObservedMember| {
        // A member whose program is no longer pinned is not what was put there.
        m.prog_id?;
        Some(ObservedMember {
            policy: m.policy.parse().ok()?,
            name: m.name.parse().ok()?,
            package: m.package.as_ref()?.parse().ok()?,
            version: m.version.as_ref()?.parse().ok()?,
            index: m.index_digest?,
            program: m.program.clone(),
            priority: m.priority,
            proceed_on: m.proceed_on,
            mode: m.mode,
            failure: m.failure,
            config: m.config_digest,
        })
    };
    Some(ObservedChain {
        interface: chain.at.interface.clone(),
        hook: chain.at.hook,
        members: chain.members.iter().map(member).collect::<Option<_>>()?,
        how: How {
            backend: chain.backend.and_then(|b| Backend::named(b.as_str())).unwrap_or_default(),
            mode: match chain.mode {
                Some(XdpMode::Native) => AttachMode::Native,
                Some(XdpMode::Generic) => AttachMode::Generic,
                Some(XdpMode::Offloaded) | None => AttachMode::Auto,
            },
            ..How::default()
        },
    })
}

fn status(engine: &Engine, chain: &engine::ObservedChain, ledger: &Ledger) -> Option<ChainStatus> {
    let backend = chain.backend?;
    let counted = engine.counters(&chain.at).unwrap_or_default();
    let member = |m: &engine::ObservedMember| {
        let counters = counted.iter().find(|c| c.policy == m.policy && c.name == m.name);
        Some(MemberStatus {
            policy: m.policy.clone(),
            name: m.name.clone(),
            package: m.package.as_ref()?.parse().ok()?,
            version: m.version.as_ref()?.parse().ok()?,
            index: m.index_digest?,
            program: m.program.clone(),
            program_id: m.prog_id.unwrap_or_default(),
            priority: m.priority,
            proceed_on: m.proceed_on,
            mode: m.mode,
            failure: m.failure,
            counters: counters.map(on_the_wire).unwrap_or_default(),
        })
    };
    let good = ledger.good.get(&place_of(chain));
    Some(ChainStatus {
        interface: chain.at.interface.clone(),
        hook: chain.at.hook,
        backend: backend.to_string(),
        backend_reason: chain.reason.clone(),
        attach_mode: chain.mode.map(mode).unwrap_or_default().to_owned(),
        generation: chain.generation,
        applied_at: good.map_or(0, |g| g.applied_at),
        members: chain.members.iter().map(member).collect::<Option<_>>()?,
    })
}

fn mode(mode: XdpMode) -> &'static str {
    match mode {
        XdpMode::Native => "native",
        XdpMode::Generic => "generic",
        XdpMode::Offloaded => "offloaded",
    }
}

fn on_the_wire(counted: &engine::MemberCounters) -> MemberCounters {
    let verdicts = counted.verdicts.iter().filter(|(_, packets)| *packets > 0);
    let one = |(verdict, packets): &(skep_artifact::Verdict, u64)| VerdictCount {
        verdict: verdict.as_str().to_owned(),
        packets: *packets,
    };
    MemberCounters {
        packets: counted.packets,
        bytes: counted.bytes,
        missed: counted.missed,
        ns: counted.ns,
        timed: counted.timed,
        verdicts: verdicts.map(one).collect(),
    }
}
