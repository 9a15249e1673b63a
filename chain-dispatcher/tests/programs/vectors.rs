//! Every vector of every package holds, and every package keeps the promises all of them make.

use std::time::{Duration, Instant};

use skep_artifact::{Hook, Verdict};
use skep_chain_dispatcher::testrun::TestProgram;

use super::case::{Case, Step};
use super::package::Package;

/// How often a case that took longer than it may is started again. A pause of a second is rare even on a busy machine.
const ATTEMPTS_MAX: u32 = 20;

#[test]
fn every_vector_of_firewall_holds() {
    check("firewall");
}

#[test]
fn every_vector_of_ratelimit_holds() {
    check("ratelimit");
}

#[test]
fn every_vector_of_flowlog_holds() {
    check("flowlog");
}

/// All failures of a package are shown at once.
fn check(name: &str) {
    let package = Package::compile(name);
    let failures: Vec<_> = Case::all_of(&package.folder)
        .into_iter()
        .filter_map(|(file, case)| {
            let fault = run(&package, &case).err()?;
            Some(format!("{file} ({}): {fault}", case.about))
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn run(package: &Package, case: &Case) -> Result<(), String> {
    for _ in 0..ATTEMPTS_MAX {
        let start = Instant::now();
        let outcome = run_once(package, case);
        if case.within_ms.is_none_or(|most| start.elapsed() < Duration::from_millis(most)) {
            return outcome;
        }
    }
    Err(format!("never ran within its time, {ATTEMPTS_MAX} times over"))
}

fn run_once(package: &Package, case: &Case) -> Result<(), String> {
    let program = package.load(&case.config);
    let start = Instant::now();
    for (index, step) in case.steps.iter().enumerate() {
        run_step(package, &program, step, start)
            .map_err(|fault| format!("step {}, {}: {fault}", index + 1, step.packet))?;
    }
    for (name, wanted) in &case.metrics {
        let found = package.metric(&program, name);
        if found != *wanted {
            return Err(format!("metric {name} is {found}, not {wanted}"));
        }
    }
    Ok(())
}

fn run_step(
    package: &Package,
    program: &TestProgram,
    step: &Step,
    start: Instant,
) -> Result<(), String> {
    let wanted = Verdict::from_name(package.hook(), &step.verdict).map_err(|e| e.to_string())?;
    let packet = step.packet_bytes();
    let mut outcome = program.repeat(&packet, step.repeat).map_err(|e| format!("{e:?}"))?;
    if let Some(most) = step.await_ms {
        while outcome.verdict != Some(wanted) && start.elapsed() < Duration::from_millis(most) {
            outcome = program.run(&packet).map_err(|e| format!("{e:?}"))?;
        }
        if start.elapsed() < Duration::from_millis(step.not_before_ms) {
            return Err(format!("{} came after {:?}", step.verdict, start.elapsed()));
        }
    }
    if outcome.verdict != Some(wanted) {
        return Err(format!(
            "verdict {:?} ({}), not {}",
            outcome.verdict, outcome.code, step.verdict
        ));
    }
    if outcome.packet != step.expected_bytes() {
        return Err(format!("left {:02x?}", outcome.packet));
    }
    Ok(())
}

/// No frame of random octets, and no prefix of a real one, makes a program answer outside its two verdicts.
#[test]
fn every_frame_gets_one_of_the_documented_verdicts() {
    for (name, documented) in [
        ("firewall", [Verdict::Pass, Verdict::Drop]),
        ("ratelimit", [Verdict::Pass, Verdict::Drop]),
        ("flowlog", [Verdict::Unspec, Verdict::Unspec]),
    ] {
        let package = Package::compile(name);
        let program = package.load(&Default::default());
        let mut frames: Vec<Vec<u8>> = Vec::new();
        for (_, case) in Case::all_of(&package.folder) {
            for step in &case.steps {
                let whole = step.packet_bytes();
                frames.extend((14..=whole.len().min(200)).map(|length| whole[..length].to_vec()));
            }
        }
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..2000 {
            let mut frame = crate::packet::build("eth/ipv6/hopopts/tcp/payload(40)").unwrap();
            for _ in 0..4 {
                // Marsaglia's xorshift: the same frames each time.
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let octets = random.to_le_bytes();
                let place = 12 + usize::from(octets[0]) % (frame.len() - 12);
                frame[place] = octets[1];
            }
            frames.push(frame);
        }
        frames.retain(|frame| package.hook() == Hook::Xdp || has_whole_ip_header(frame));
        for frame in frames {
            let outcome = program
                .run(&frame)
                .unwrap_or_else(|error| panic!("{name}: {error:?} for {frame:02x?}"));
            assert!(
                outcome.verdict.is_some_and(|verdict| documented.contains(&verdict)),
                "{name}: {} for {frame:02x?}",
                outcome.code
            );
            assert_eq!(outcome.packet, frame, "{name} changed a packet");
        }
    }
}

/// The kernel makes a socket buffer of an IP frame for a test run only when its IP header is whole; behind a VLAN tag
/// it does not look, so cut IP headers reach tc programs that way.
fn has_whole_ip_header(frame: &[u8]) -> bool {
    match frame[12..14] {
        [0x08, 0x00] => frame.len() >= 14 + 20,
        [0x86, 0xdd] => frame.len() >= 14 + 40,
        _ => true,
    }
}
