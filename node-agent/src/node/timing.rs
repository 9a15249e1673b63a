//! Which packets of the running chains are timed: what the agent's settings say, or what somebody on
//! this host asked for, for a while. Refuses to know who asks.

use super::Node;
use crate::ledger::Place;
use crate::reconcile::place_of;
use skep_artifact::hook::Hook;
use skep_chain_dispatcher::{HookPoint, Sampling, SeeingError, Until};
use std::time::Duration;

impl Node {
    /// Brings every chain to what the settings say: one packet in `one_in`, 0 for none. A chain that
    /// somebody looks at for a while is left alone until that is over.
    pub fn keep_timing(&self, one_in: u32) {
        let wanted = Sampling { one_in, until: Until::Changed };
        for at in self.running() {
            let engine = &self.parts.engine;
            let done = engine.seeing(&at).and_then(|seeing| match seeing.timing {
                Sampling { until: Until::After(_), .. } => Ok(()),
                now if now == wanted || (now.one_in, one_in) == (0, 0) => Ok(()),
                _ => engine.set_timing(&at, wanted),
            });
            // A chain of an older version cannot be timed until it is built anew.
            if let Err(error) = done {
                tracing::debug!(%at, "{}", crate::explain::explain(&error));
            }
        }
    }

    /// Times packets for a while, and says on which hooks.
    ///
    /// # Errors
    /// When nothing runs there, or it cannot be looked into.
    pub fn time_for(
        &self,
        interface: &str,
        hook: Option<Hook>,
        one_in: u32,
        time: Duration,
    ) -> Result<Vec<Place>, SeeingError> {
        let timing = Sampling { one_in, until: Until::After(time) };
        let mut timed = Vec::new();
        for at in self.running() {
            if at.interface == interface && hook.is_none_or(|hook| hook == at.hook) {
                self.parts.engine.set_timing(&at, timing)?;
                timed.push(Place { interface: at.interface, hook: at.hook });
            }
        }
        if timed.is_empty() {
            let hook = hook.unwrap_or(Hook::Xdp);
            let at = HookPoint { interface: interface.to_owned(), hook };
            return Err(SeeingError::NoChain { at });
        }
        Ok(timed)
    }

    fn running(&self) -> Vec<HookPoint> {
        let at = |place: Place| HookPoint { interface: place.interface, hook: place.hook };
        self.pass.seen.running.iter().map(|running| at(place_of(&running.chain))).collect()
    }
}
