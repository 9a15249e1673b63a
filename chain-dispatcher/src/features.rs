//! Probes: what this kernel can do is asked, never guessed from a version.

use std::collections::BTreeMap;
use std::io;

use skep_artifact::config::EncodedConfig;
use skep_artifact::hook::Hook;

use crate::backend::{slots, tcx};
use crate::chain::Counting;
use crate::error::Unsupported;
use crate::kinds::Attachment;
use crate::layout;
use crate::load::{self, Frags, LoadError, Request};

/// The loopback interface, which every network namespace has.
const LOOPBACK: u32 = 1;

/// Whether the kernel can run a chain on a hook: asks whether it knows the hook, loads the real
/// dispatcher, empty, and lets go of it.
pub fn probe(hook: Hook) -> Result<(), Unsupported> {
    if hook.is_tc() {
        tcx::probe(LOOPBACK, hook)?;
    }
    let attachment = if hook.is_tc() { Attachment::Tcx } else { Attachment::XdpLink };
    let (bytes, program) = slots::dispatcher(attachment);
    let block = layout::chain_block(hook, &[], Counting::On);
    let config = EncodedConfig {
        globals: BTreeMap::from([(layout::CHAIN_GLOBAL.to_owned(), block)]),
        maps: BTreeMap::new(),
    };
    let request = Request {
        bytes,
        program,
        hook,
        config: &config,
        carried: BTreeMap::new(),
        frags: Frags::Without,
    };
    match load::load(request) {
        Ok(_) => Ok(()),
        Err(LoadError::Verifier { source, .. } | LoadError::CreateMap { source, .. }) => {
            Err(unsupported(source))
        }
        Err(error) => Err(unsupported(io::Error::other(error))),
    }
}

fn unsupported(source: io::Error) -> Unsupported {
    let advice = if source.kind() == io::ErrorKind::PermissionDenied {
        "run as root, or with CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_SYS_ADMIN"
    } else {
        "a newer kernel with its JIT compiler on (sysctl net.core.bpf_jit_enable=1) has it"
    };
    Unsupported { feature: "tail calls out of functions", since: "5.10", advice, source }
}
