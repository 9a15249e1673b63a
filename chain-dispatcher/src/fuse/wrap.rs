//! The main around one member: calls it and gives back what it said, whatever type its function
//! declares. For extensions, which the kernel compares with the function they replace.

use skep_artifact::hook::Hook;

use super::asm::{Assembly, Callee};
use super::{Linkage, Main};

/// A global `int skep_wrap(struct xdp_md *ctx)` that calls the first entry of the first part.
pub(crate) fn wrap(hook: Hook) -> Main {
    let mut code = Assembly::default();
    code.call(Callee { part: 0, entry: 0 });
    code.exit();
    Main { name: "skep_wrap", hook, linkage: Linkage::Global, code }
}
