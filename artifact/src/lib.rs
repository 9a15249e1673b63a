//! What a package is: its manifest, the facts of its ELF object, its OCI form, digests and signatures.
//! It refuses to know sockets, files, clocks, randomness, the kernel, databases, and whether anybody may run what it describes.

pub mod claims;
pub mod config;
pub mod digest;
pub mod dsse;
pub mod hook;
pub mod json;
pub mod key;
pub mod layout;
pub mod limits;
pub mod log;
pub mod manifest;
pub mod name;
pub mod object;
pub mod role;
mod threshold;

pub use digest::Digest;
pub use hook::{Failure, Hook, Mode, Verdict, VerdictSet};
pub use key::{KeyId, PublicKey, SecretKey};
pub use manifest::{Arch, Manifest};
pub use name::{Namespace, PackageName, Version};
pub use object::ObjectFacts;
