//! Scenes with packets: what policies do to them, and an upgrade that none of them notices.

use anyhow::{Context, Result};

use super::tell::Teller;
use super::{FIREWALL_NEW, edge_guard};
use crate::kernel::{self, HeldCounters};
use crate::node::{BLOCKED, GOOD, INTERFACE, LISTENS_AT, NOISY};
use crate::stage::{LIMIT_BURST, LIMIT_RATE, Stage};
use crate::traffic::{Receiver, Stream, send};
use crate::{chain, wait};

const GOOD_PACKETS: u64 = 2_000;
const BLOCKED_PACKETS: u64 = 500;
const NOISY_PACKETS: u64 = 3_000;
const ALL_PACKETS: u64 = GOOD_PACKETS + BLOCKED_PACKETS + NOISY_PACKETS;
/// Fast enough that the noisy sender is far over its limit, slow enough for a busy machine.
const PACE: u32 = 3_000;

pub(super) fn treated_as_policies_say(teller: &mut Teller, stage: &Stage) -> Result<()> {
    teller.scene("Packets");
    teller.line(&format!(
        "To edge-1: {GOOD_PACKETS} from {GOOD}, which is exempt from the limit; {BLOCKED_PACKETS} from {BLOCKED}, which is \
         on the block list; {NOISY_PACKETS} from {NOISY} at {PACE}/s, with {LIMIT_RATE}/s allowed after a burst of {LIMIT_BURST}."
    ));
    let (operator, node) = (&stage.world.operator, &stage.world.nodes[0]);
    let receiver = Receiver::listen(&node.namespace, LISTENS_AT)?;
    send(&node.peer, GOOD, LISTENS_AT, GOOD_PACKETS, PACE)?;
    send(&node.peer, BLOCKED, LISTENS_AT, BLOCKED_PACKETS, PACE)?;
    send(&node.peer, NOISY, LISTENS_AT, NOISY_PACKETS, PACE)?;
    let xdp = wait::until("the chain has met every packet", wait::PATIENCE, || {
        let xdp = node.chain(operator, "xdp")?;
        Ok((chain::packets(&xdp, "guard")? >= ALL_PACKETS).then_some(xdp))
    })?;
    let limited = chain::verdicts(&xdp, "limiter", "drop")?;
    let heard = receiver.heard_of(NOISY, NOISY_PACKETS.saturating_sub(limited))?;
    let socket = node.socket();
    let socket = socket.to_str().context("a path is text")?;
    let drawn = operator.skep(&["node", "chain", "--once", "--socket", socket])?;
    teller.shown("skep node chain --socket AGENT.SOCK", &drawn);
    teller.expect(
        &format!("passed: every one of the {GOOD_PACKETS} from {GOOD} arrived"),
        heard.missing(GOOD, GOOD_PACKETS).is_none(),
    );
    let dropped = chain::verdicts(&xdp, "guard", "drop")?;
    teller.expect(
        &format!("dropped: none of the {BLOCKED_PACKETS} from {BLOCKED} arrived, and guard counted {dropped} drops"),
        heard.count(BLOCKED) == 0 && dropped == BLOCKED_PACKETS,
    );
    let arrived = heard.count(NOISY);
    teller.expect(
        &format!("limited: {arrived} of {NOISY_PACKETS} from {NOISY} arrived, and limiter counted {limited} drops"),
        arrived + limited == NOISY_PACKETS && arrived >= u64::from(LIMIT_BURST) && limited > 0,
    );
    let flows = chain::packets(&node.chain(operator, "tc-ingress")?, "flows")?;
    teller.expect(
        &format!("logged: flows met the {flows} packets that went on to the stack"),
        flows == GOOD_PACKETS + arrived,
    );
    teller.expect("no packet passed a member that could not run", chain::missed(&xdp) == 0);
    Ok(())
}

pub(super) fn upgrade_without_a_gap(teller: &mut Teller, stage: &Stage) -> Result<()> {
    teller.scene("An upgrade under traffic");
    let published = stage.publish_version("firewall", FIREWALL_NEW)?;
    teller.shown("skep publish programs/firewall --key publisher.key", &published);
    let (operator, node) = (&stage.world.operator, &stage.world.nodes[0]);
    let receiver = Receiver::listen(&node.namespace, LISTENS_AT)?;
    let received_before = kernel::received_packets(&node.namespace, INTERFACE)?;
    let old = HeldCounters::hold(&node.namespace, INTERFACE, stage.world.bpffs())?;
    let counted_before = old.packets(0)?;
    let old_program = kernel::attached_xdp(&node.namespace, INTERFACE)?;
    teller.line(
        "Numbered packets leave all the time; meanwhile the operator applies the new version.",
    );
    let stream = Stream::start(&node.peer, GOOD, LISTENS_AT, PACE)?;
    stream.wait_for(u64::from(PACE))?;
    let applied = stage.apply("edge-guard.yaml", &edge_guard(FIREWALL_NEW))?;
    teller.shown("skep apply -f edge-guard.yaml --key operator.key", &applied);
    for index in [0, 1] {
        stage.converged(index)?;
    }
    stream.wait_for(stream.sent() + u64::from(PACE))?;
    let sent = stream.stop()?;

    let heard = receiver.heard_of(GOOD, sent)?;
    let new = HeldCounters::hold(&node.namespace, INTERFACE, stage.world.bpffs())?;
    let (by_old, by_new) = (old.packets(0)? - counted_before, new.packets(0)?);
    let received = kernel::received_packets(&node.namespace, INTERFACE)? - received_before;
    teller.fact("sent", &format!("{sent} packets, numbered"));
    teller.fact("received", &format!("{received} by the driver's count"));
    teller.fact(
        "inspected",
        &format!("{by_old} by the old chain, {by_new} by the new one: {}", by_old + by_new),
    );
    teller.fact("arrived", &format!("{} at the receiver", heard.count(GOOD)));
    teller.expect(
        "the kernel runs another dispatcher now",
        kernel::attached_xdp(&node.namespace, INTERFACE)? != old_program,
    );
    teller.expect("no packet was lost", heard.missing(GOOD, sent).is_none() && heard.repeated == 0);
    teller.expect("no packet passed uninspected", received == sent && by_old + by_new == sent);
    teller.expect("both chains saw traffic", by_old > 0 && by_new > 0);
    let version = node.chain(operator, "xdp")?;
    teller
        .expect("edge-1 runs the new version", chain::version(&version, "guard")? == FIREWALL_NEW);
    Ok(())
}
