//! Dropped packets, a line each. Refuses to know where they come from.

use crate::render::{paint, units};
use skep_api::v1::drops::{DropEvent, Flow};
use skep_artifact::hook::Hook;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

/// Bytes in a line of a dump.
const DUMP_BYTES: usize = 16;
/// Where lines below the first begin: under what stands behind the time.
const INDENT: &str = "                 ";

/// What was told in all.
pub(crate) struct Tally {
    pub told: u64,
    pub lost: u64,
    pub one_in: u32,
}

/// The first remark.
pub(crate) fn opened(interface: &str, hook: Hook, one_in: u32) -> String {
    let which = match one_in {
        1 => "every drop".to_owned(),
        many => format!("about one drop in {}", units::count(many.into())),
    };
    format!("Listening to {interface} {hook}: {which} is told, with the time in UTC.")
}

/// One drop.
pub(crate) fn line(event: &DropEvent, with_bytes: bool) -> String {
    let mut text = format!("{}  {}  {}", time(event.time_us), who(event), what(event));
    if let [_, ..] = event.vlans[..] {
        let tags: Vec<String> = event.vlans.iter().map(ToString::to_string).collect();
        // Writing into a String cannot fail.
        let _ = write!(text, "  vlan {}", tags.join("."));
    }
    let _ = write!(text, "  {}", packet(event));
    let _ = writeln!(text, "  {}", paint::dim(&format!("{} B", event.length)));
    if with_bytes {
        text.push_str(&dump(&event.head));
    }
    text
}

/// The remark when drops were told faster than they were read.
pub(crate) fn losing(lost: u64) -> String {
    format!(
        "{} not told: nobody read fast enough. --one-in tells fewer.",
        units::plural(usize::try_from(lost).unwrap_or(usize::MAX), "drop was", "drops were")
    )
}

/// The last remark.
pub(crate) fn summary(tally: &Tally, time: Duration) -> String {
    let secs = time.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let dropped = (tally.told + tally.lost) as f64 * f64::from(tally.one_in);
    let about = if tally.one_in == 1 { "" } else { "about " };
    let rate = if secs > 0.0 { units::rate(dropped / secs) } else { "no time".to_owned() };
    format!(
        "{} told, {} lost, in {secs:.1} s: {about}{rate} dropped.",
        units::plural(usize::try_from(tally.told).unwrap_or(usize::MAX), "drop", "drops"),
        units::count(tally.lost),
    )
}

/// Time of day in UTC with microseconds: `14:03:12.000042`.
fn time(us: u64) -> String {
    let (secs, us) = (us / 1_000_000, us % 1_000_000);
    let of_day = secs % 86_400;
    format!("{:02}:{:02}:{:02}.{us:06}", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

fn who(event: &DropEvent) -> String {
    let Some(by) = &event.member else {
        return format!("member {} of a chain that was replaced", event.place + 1);
    };
    let package = match (&by.package, &by.version) {
        (Some(package), Some(version)) => format!("{package} {version}"),
        _ => "a local file".to_owned(),
    };
    format!(
        "{}  {package}  {}",
        paint::bold(&by.name),
        paint::slate(&format!("policy {}", by.policy))
    )
}

fn what(event: &DropEvent) -> String {
    let verdict = event.verdict.map_or("unknown", |verdict| verdict.as_str());
    if event.missed {
        return paint::clay(&format!("{verdict} (could not run)"));
    }
    paint::clay(verdict)
}

fn packet(event: &DropEvent) -> String {
    match (&event.flow, event.ether_type) {
        (Some(flow), _) => tuple(flow),
        (None, Some(0x0806)) => "ARP".to_owned(),
        (None, Some(other)) => format!("EtherType 0x{other:04x}"),
        (None, None) => "no Ethernet header".to_owned(),
    }
}

fn tuple(flow: &Flow) -> String {
    let protocol = match flow.protocol {
        1 => "ICMP".to_owned(),
        6 => "TCP".to_owned(),
        17 => "UDP".to_owned(),
        58 => "ICMPv6".to_owned(),
        132 => "SCTP".to_owned(),
        other => format!("protocol {other}"),
    };
    let source = end(flow.source, flow.source_port);
    let destination = end(flow.destination, flow.destination_port);
    format!("{protocol} {source} → {destination}")
}

fn end(address: IpAddr, port: Option<u16>) -> String {
    match (address, port) {
        (address, None) => address.to_string(),
        (IpAddr::V4(address), Some(port)) => format!("{address}:{port}"),
        (IpAddr::V6(address), Some(port)) => format!("[{address}]:{port}"),
    }
}

/// The first bytes, sixteen a line, with their offsets.
fn dump(head: &str) -> String {
    let mut text = String::new();
    let digits: Vec<char> = head.chars().filter(char::is_ascii_hexdigit).collect();
    for (number, bytes) in digits.chunks(2 * DUMP_BYTES).enumerate() {
        let pairs: Vec<String> = bytes.chunks(2).map(|pair| pair.iter().collect()).collect();
        let offset = paint::dim(&format!("{:04x}", number * DUMP_BYTES));
        let _ = writeln!(text, "{INDENT}{offset}  {}", pairs.join(" "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::plain;
    use skep_api::v1::drops::DroppedBy;
    use skep_artifact::hook::Verdict;

    fn event() -> DropEvent {
        DropEvent {
            time_us: 1_790_000_592_000_042,
            interface: "eth0".into(),
            hook: Hook::Xdp,
            place: 0,
            member: Some(DroppedBy {
                policy: "edge-firewall".into(),
                name: "guard".into(),
                package: Some("skep/firewall".into()),
                version: Some("1.4.2".into()),
            }),
            missed: false,
            verdict: Some(Verdict::Drop),
            length: 56,
            one_in: 1,
            ether_type: Some(0x0800),
            vlans: vec![],
            flow: Some(Flow {
                source: "10.0.0.2".parse().unwrap(),
                destination: "10.0.0.1".parse().unwrap(),
                protocol: 17,
                source_port: Some(4000),
                destination_port: Some(53),
            }),
            head: "020000000001020000000002080045000038".into(),
        }
    }

    #[test]
    fn every_kind_of_drop_has_its_line() {
        let tagged = DropEvent {
            vlans: vec![100, 42],
            ether_type: Some(0x86dd),
            flow: Some(Flow {
                source: "fd77::2".parse().unwrap(),
                destination: "fd77::1".parse().unwrap(),
                protocol: 6,
                source_port: Some(40_000),
                destination_port: Some(443),
            }),
            ..event()
        };
        let missed = DropEvent { missed: true, ..event() };
        let ping = DropEvent {
            flow: event().flow.map(|flow| Flow {
                protocol: 1,
                source_port: None,
                destination_port: None,
                ..flow
            }),
            ..event()
        };
        let arp = DropEvent { flow: None, ether_type: Some(0x0806), ..event() };
        let local = DropEvent {
            member: event().member.map(|by| DroppedBy { package: None, version: None, ..by }),
            ..event()
        };
        let nobody = DropEvent { member: None, flow: None, ether_type: None, ..event() };
        let text: String = [event(), tagged, missed, ping, arp, local, nobody]
            .iter()
            .map(|event| line(event, false))
            .chain([line(&event(), true)])
            .collect();
        insta::assert_snapshot!("drops", plain(&text));
    }

    #[test]
    fn the_summary_says_what_was_dropped_and_what_was_not_told() {
        let all = Tally { told: 20, lost: 0, one_in: 1 };
        assert_eq!(
            summary(&all, Duration::from_secs(10)),
            "20 drops told, 0 lost, in 10.0 s: 2 /s dropped."
        );
        let some = Tally { told: 1, lost: 1_999, one_in: 100 };
        assert_eq!(
            summary(&some, Duration::from_secs(10)),
            "1 drop told, 1,999 lost, in 10.0 s: about 20.0 k/s dropped."
        );
        assert!(losing(1).starts_with("1 drop was not told"));
    }
}
