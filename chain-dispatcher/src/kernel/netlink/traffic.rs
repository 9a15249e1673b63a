//! clsact and its direct-action filters over rtnetlink: what is there, one filter added, replaced in
//! place, removed. Knows the kernel's messages; refuses to know chains and whose filters they are.

use std::io;

use skep_artifact::hook::Hook;

use super::{F_ACK, F_DUMP, F_REQUEST, attribute, attributes, header, replies, request};

const RTM_NEWQDISC: u16 = 36;
const RTM_DELQDISC: u16 = 37;
const RTM_GETQDISC: u16 = 38;
const RTM_NEWTFILTER: u16 = 44;
const RTM_DELTFILTER: u16 = 45;
const RTM_GETTFILTER: u16 = 46;
const F_EXCL: u16 = 0x200;
const F_CREATE: u16 = 0x400;

/// `struct tcmsg`: family, ifindex, handle, parent, info.
const TCMSG_BYTES: usize = 20;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_BPF_FD: u16 = 6;
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_FLAGS: u16 = 8;
const TCA_BPF_FLAGS_GEN: u16 = 9;
const TCA_BPF_ID: u16 = 11;
/// `TCA_BPF_FLAG_ACT_DIRECT`: the program's answer is the verdict.
const DIRECT_ACTION: u32 = 1;
/// `TCA_CLS_FLAGS_SKIP_HW`: no card runs a dispatcher.
const SKIP_HARDWARE: u32 = 1;
/// `TC_H_CLSACT`: the parent of clsact and of the older ingress discipline.
const PARENT_CLSACT: u32 = 0xffff_fff1;
const HANDLE_CLSACT: u32 = 0xffff_0000;
const PARENT_INGRESS: u32 = 0xffff_fff2;
const PARENT_EGRESS: u32 = 0xffff_fff3;
/// `ETH_P_ALL`, as it stands in `tcm_info`: network byte order.
const EVERY_PROTOCOL: u16 = 0x0003_u16.to_be();

/// Where a filter stands on a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FilterPlace {
    pub(crate) ifindex: u32,
    pub(crate) hook: Hook,
    /// Lower ones are asked first.
    pub(crate) preference: u16,
    pub(crate) handle: u32,
}

/// A filter that is one BPF program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BpfFilter {
    pub(crate) preference: u16,
    pub(crate) handle: u32,
    pub(crate) program_id: u32,
}

/// The queueing discipline that holds filters for the tc hooks of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Discipline {
    /// Both hooks.
    Clsact,
    /// The older one: ingress only. It takes the place of clsact.
    Ingress,
    /// None.
    Absent,
}

/// Which discipline an interface has.
pub(crate) fn discipline(ifindex: u32) -> io::Result<Discipline> {
    let mut message = header(RTM_GETQDISC, F_REQUEST | F_DUMP);
    message.extend_from_slice(&tcmsg(ifindex, 0, 0, 0));
    let mut found = Discipline::Absent;
    replies(&mut message, |kind, body| {
        let Some((tcm, attrs)) = body.split_first_chunk::<TCMSG_BYTES>() else { return };
        if kind != RTM_NEWQDISC || word(tcm, 4) != ifindex || word(tcm, 12) != PARENT_CLSACT {
            return;
        }
        found = match text(attrs, TCA_KIND).as_deref() {
            Some(b"clsact") => Discipline::Clsact,
            Some(b"ingress") => Discipline::Ingress,
            _ => found,
        };
    })?;
    Ok(found)
}

/// Gives an interface a clsact; refused with EEXIST where there is one.
pub(crate) fn add_clsact(ifindex: u32) -> io::Result<()> {
    let mut message = header(RTM_NEWQDISC, F_REQUEST | F_ACK | F_CREATE | F_EXCL);
    message.extend_from_slice(&tcmsg(ifindex, HANDLE_CLSACT, PARENT_CLSACT, 0));
    attribute(&mut message, TCA_KIND, b"clsact\0");
    request(&mut message)
}

/// Removes the clsact of an interface, with every filter it has.
pub(crate) fn remove_clsact(ifindex: u32) -> io::Result<()> {
    let mut message = header(RTM_DELQDISC, F_REQUEST | F_ACK);
    message.extend_from_slice(&tcmsg(ifindex, HANDLE_CLSACT, PARENT_CLSACT, 0));
    attribute(&mut message, TCA_KIND, b"clsact\0");
    request(&mut message)
}

/// The filters of a hook: those that are BPF programs, and how many others.
pub(crate) fn filters(ifindex: u32, hook: Hook) -> io::Result<(Vec<BpfFilter>, usize)> {
    let mut message = header(RTM_GETTFILTER, F_REQUEST | F_DUMP);
    message.extend_from_slice(&tcmsg(ifindex, 0, parent(hook), 0));
    let (mut found, mut others) = (Vec::new(), 0);
    let answered = replies(&mut message, |kind, body| {
        let Some((tcm, attrs)) = body.split_first_chunk::<TCMSG_BYTES>() else { return };
        if kind != RTM_NEWTFILTER || word(tcm, 4) != ifindex {
            return;
        }
        let (handle, info) = (word(tcm, 8), word(tcm, 16));
        // A preference is told once without any of its filters.
        let Some(options) = attributes(attrs).find(|(kind, _)| *kind == TCA_OPTIONS) else {
            return;
        };
        let id = attributes(options.1).find(|(kind, _)| *kind == TCA_BPF_ID);
        let id = id.and_then(|(_, value)| Some(u32::from_ne_bytes(value.try_into().ok()?)));
        match id {
            Some(program_id) => {
                let preference = u16::try_from(info >> 16).unwrap_or_default();
                found.push(BpfFilter { preference, handle, program_id });
            }
            None => others += 1,
        }
    });
    match answered {
        Ok(()) => Ok((found, others)),
        // The interface has no such discipline, or none of this kind.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOENT)) => {
            Ok((Vec::new(), 0))
        }
        Err(error) => Err(error),
    }
}

/// Adds a direct-action filter where none stands; refused with EEXIST where one does.
pub(crate) fn add_filter(place: FilterPlace, program: i32) -> io::Result<()> {
    change_filter(place, program, F_CREATE | F_EXCL)
}

/// Replaces the program of a filter that stands there, in one operation: the kernel swaps the entry
/// of its RCU list. Refused with ENOENT where none stands.
pub(crate) fn replace_filter(place: FilterPlace, program: i32) -> io::Result<()> {
    change_filter(place, program, 0)
}

/// Removes a filter.
pub(crate) fn remove_filter(place: FilterPlace) -> io::Result<()> {
    let mut message = filter_message(RTM_DELTFILTER, place, 0);
    attribute(&mut message, TCA_KIND, b"bpf\0");
    request(&mut message)
}

fn change_filter(place: FilterPlace, program: i32, flags: u16) -> io::Result<()> {
    let mut message = filter_message(RTM_NEWTFILTER, place, flags);
    attribute(&mut message, TCA_KIND, b"bpf\0");
    let mut options = Vec::new();
    attribute(&mut options, TCA_BPF_FD, &program.to_ne_bytes());
    attribute(&mut options, TCA_BPF_NAME, b"skep\0");
    attribute(&mut options, TCA_BPF_FLAGS, &DIRECT_ACTION.to_ne_bytes());
    attribute(&mut options, TCA_BPF_FLAGS_GEN, &SKIP_HARDWARE.to_ne_bytes());
    attribute(&mut message, TCA_OPTIONS, &options);
    request(&mut message)
}

fn filter_message(kind: u16, place: FilterPlace, flags: u16) -> Vec<u8> {
    let info = u32::from(place.preference) << 16 | u32::from(EVERY_PROTOCOL);
    let mut message = header(kind, F_REQUEST | F_ACK | flags);
    message.extend_from_slice(&tcmsg(place.ifindex, place.handle, parent(place.hook), info));
    message
}

fn parent(hook: Hook) -> u32 {
    if hook == Hook::TcEgress { PARENT_EGRESS } else { PARENT_INGRESS }
}

fn tcmsg(ifindex: u32, handle: u32, parent: u32, info: u32) -> [u8; TCMSG_BYTES] {
    let mut message = [0; TCMSG_BYTES];
    for (at, value) in [(4, ifindex), (8, handle), (12, parent), (16, info)] {
        message[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }
    message
}

fn word(message: &[u8; TCMSG_BYTES], at: usize) -> u32 {
    let bytes = message.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, u32::from_ne_bytes)
}

/// A text attribute without its closing zero.
fn text(attrs: &[u8], wanted: u16) -> Option<Vec<u8>> {
    let (_, value) = attributes(attrs).find(|(kind, _)| *kind == wanted)?;
    Some(value.strip_suffix(b"\0").unwrap_or(value).to_vec())
}
