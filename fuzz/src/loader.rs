//! An object on its way into the kernel: everything that the chain dispatcher reads before it makes
//! the first system call. The loader library may panic on a damaged object, which the dispatcher
//! contains; our own code may not.

use std::cell::Cell;
use std::sync::Once;

use skep_artifact::config::EncodedConfig;
use skep_artifact::hook::Hook;
use skep_chain_dispatcher::untrusted;

use crate::material::Material;

/// The program that inputs are asked for; [`seeds`] rename theirs.
const PROGRAM: &str = "fuzzed";

pub(crate) fn run(bytes: &[u8]) {
    for hook in [Hook::Xdp, Hook::TcIngress] {
        // The allocation is aligned as the reader of a file aligns it.
        read(bytes.to_vec().as_slice(), PROGRAM, hook, &EncodedConfig::default());
    }
}

thread_local! {
    /// A reader that contains panics is at work on this thread.
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
    /// Panics of our own code that it contained.
    static OURS: Cell<usize> = const { Cell::new(0) };
}

/// Reads the object and panics if our own code did, even where that was contained.
pub(crate) fn read(object: &[u8], program: &str, hook: Hook, config: &EncodedConfig) {
    quiet();
    CONTAINED.set(true);
    let read = untrusted::outline(object, program, hook, config);
    CONTAINED.set(false);
    assert_eq!(OURS.get(), 0, "our own code panicked");
    if let Ok(maps) = read {
        assert!(maps.len() <= object.len(), "more maps than bytes");
    }
}

/// A contained panic of the library is nothing to tell. Cargo builds members of the workspace by
/// relative paths and everything else by absolute ones, which tells the two apart.
fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let ours = panic.location().is_none_or(|place| !place.file().starts_with('/'));
            if CONTAINED.get() && !ours {
                return;
            }
            if CONTAINED.get() {
                OURS.set(OURS.get() + 1);
            }
            before(panic);
        }));
    });
}

pub(crate) fn seeds(material: &Material) -> Vec<Vec<u8>> {
    material
        .objects()
        .into_iter()
        .map(|(object, program, _)| renamed(object, program.as_bytes()))
        .collect()
}

/// The object with its program called [`PROGRAM`], wherever the name stands. Names only shrink, so
/// what follows a name stays where it is.
fn renamed(object: &[u8], program: &[u8]) -> Vec<u8> {
    assert!(program.len() >= PROGRAM.len(), "a seed's program has a shorter name");
    let mut bytes = object.to_vec();
    let zeroed = [program, b"\0"].concat();
    for at in 0..bytes.len() - zeroed.len() {
        if bytes[at..].starts_with(&zeroed) {
            bytes[at..at + zeroed.len()].fill(0);
            bytes[at..at + PROGRAM.len()].copy_from_slice(PROGRAM.as_bytes());
        }
    }
    bytes
}
