//! Others' programs on a hook: what the kernel names there that is not ours. Knows no pin and no
//! record; told what of ours is live.

use std::os::fd::AsFd;

use skep_artifact::hook::Hook;

use crate::backend::{tc, tcx};
use crate::error::ObserveError;
use crate::kernel::netlink::{Interface, XdpMode};
use crate::kernel::objects;
use crate::kernel::sys;
use crate::swap::{ForeignProgram, How, Live};

/// Others' programs on a hook.
pub(super) fn foreign(
    interface: &Interface,
    hook: Hook,
    live: Option<Live>,
) -> Result<Vec<ForeignProgram>, ObserveError> {
    let found: Vec<(Option<XdpMode>, u32, Option<u32>)> = match hook {
        Hook::Xdp => {
            let links =
                if interface.xdp.is_empty() { Vec::new() } else { xdp_links(interface.index)? };
            interface
                .xdp
                .iter()
                .map(|(mode, program)| {
                    let link = links.iter().find(|link| link.program_id == *program);
                    (Some(*mode), *program, link.map(|link| link.id))
                })
                .collect()
        }
        Hook::TcIngress | Hook::TcEgress => {
            let links = tcx::attached(interface.index, hook)
                .map_err(|source| ObserveError::Kernel { what: "the tcx hook", source })?;
            let filters = tc::attached(interface.index, hook)
                .map_err(|source| ObserveError::Kernel { what: "the tc filters", source })?;
            let link = |id: u32| (id != 0).then_some(id);
            let links =
                links.into_iter().map(|found| (None, found.program_id, link(found.link_id)));
            links.chain(filters.into_iter().map(|found| (None, found.program_id, None))).collect()
        }
    };
    Ok(found
        .into_iter()
        .filter(|(_, program, link_id)| {
            live.is_none_or(|ours| {
                let other_link = matches!(ours.how, How::Link { id } if link_id.is_some_and(|other| other != id));
                *program != ours.program_id || other_link
            })
        })
        .map(|(mode, program_id, link_id)| ForeignProgram {
            program_id,
            name: name_of(program_id),
            link_id,
            mode,
            run_priority: None,
        })
        .collect())
}

/// The XDP links of an interface.
pub(crate) fn xdp_links(ifindex: u32) -> Result<Vec<objects::LinkInfo>, ObserveError> {
    let refused = |source| ObserveError::Kernel { what: "the XDP links", source };
    let mut found = Vec::new();
    for id in sys::link_ids().map_err(refused)? {
        // A link may go away while we look.
        let Ok(link) = sys::link_by_id(id) else { continue };
        let info = sys::link_info(link.as_fd()).map_err(refused)?;
        if info.kind == sys::LINK_XDP && info.ifindex == ifindex {
            found.push(info);
        }
    }
    Ok(found)
}

fn name_of(program_id: u32) -> String {
    sys::prog_by_id(program_id)
        .and_then(|program| sys::prog_info(program.as_fd()))
        .map(|info| info.name)
        .unwrap_or_default()
}
