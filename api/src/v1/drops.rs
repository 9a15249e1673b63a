//! Dropped packets as an agent tells them on its local socket, one line of JSON each. They never leave
//! the node: a packet's first bytes are somebody's data.

use serde::{Deserialize, Serialize};
use skep_artifact::hook::{Hook, Verdict};
use std::net::IpAddr;

/// One line of the answer to `{"op":"drops", …}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum DropLine {
    /// The stream is open; drops are told from now on.
    Open {
        /// One drop in so many is told.
        one_in: u32,
    },
    /// A packet was dropped.
    Drop(Box<DropEvent>),
    /// About once a second, also while nothing is dropped.
    Tally {
        /// Drops told since the stream was opened.
        told: u64,
        /// Drops since then that would have been told, but nobody read fast enough.
        lost: u64,
    },
    /// Nothing more follows.
    End {
        /// Stable code, like `drops.taken`.
        code: String,
        /// One or two sentences.
        message: String,
    },
}

/// One dropped packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropEvent {
    /// When, in microseconds since 1970 by the node's clock.
    pub time_us: u64,
    /// The interface.
    pub interface: String,
    /// The hook.
    pub hook: Hook,
    /// The place in the chain of the member that dropped it, from 0.
    pub place: u32,
    /// That member; `None` when the chain was replaced before it could be named.
    pub member: Option<DroppedBy>,
    /// The member could not run and is closed; otherwise the verdict is its own.
    pub missed: bool,
    /// What became of the packet; `None` for an answer the hook does not know.
    pub verdict: Option<Verdict>,
    /// Length of the packet in bytes.
    pub length: u32,
    /// This event stands for so many drops.
    pub one_in: u32,
    /// EtherType of what the VLAN tags enclose, if there is an Ethernet header.
    pub ether_type: Option<u16>,
    /// VLAN identifiers, outermost first.
    pub vlans: Vec<u16>,
    /// The 5-tuple of an IPv4 or IPv6 packet.
    pub flow: Option<Flow>,
    /// The packet's first bytes in hexadecimal, at most 128 bytes.
    pub head: String,
}

/// A member, as people know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedBy {
    pub policy: String,
    pub name: String,
    /// `None` for a local file.
    pub package: Option<String>,
    pub version: Option<String>,
}

/// Whose packet it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    pub source: IpAddr,
    pub destination: IpAddr,
    /// IANA's number of what follows the IP headers: 6 TCP, 17 UDP, 1 ICMP, 58 ICMPv6.
    pub protocol: u8,
    /// TCP and UDP only.
    pub source_port: Option<u16>,
    /// TCP and UDP only.
    pub destination_port: Option<u16>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_back_and_says_what_it_is() {
        let event = DropEvent {
            time_us: 1_790_000_000_000_000,
            interface: "eth0".to_owned(),
            hook: Hook::Xdp,
            place: 1,
            member: None,
            missed: false,
            verdict: Some(Verdict::Drop),
            length: 60,
            one_in: 8,
            ether_type: Some(0x0800),
            vlans: vec![42],
            flow: None,
            head: "0200".to_owned(),
        };
        for (line, start) in [
            (DropLine::Open { one_in: 8 }, r#"{"line":"open","one_in":8}"#),
            (DropLine::Drop(Box::new(event)), r#"{"line":"drop","time_us":1790000000000000,"#),
            (DropLine::Tally { told: 1, lost: 2 }, r#"{"line":"tally","told":1,"lost":2}"#),
        ] {
            let text = serde_json::to_string(&line).unwrap();
            assert!(text.starts_with(start), "{text}");
            assert_eq!(serde_json::from_str::<DropLine>(&text).unwrap(), line);
        }
    }
}
