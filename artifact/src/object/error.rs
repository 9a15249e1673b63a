//! Why bytes are not an object.

use crate::limits::OBJECT_BYTES_MAX;

/// Why bytes are not an object we can say anything true about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// Larger than any object may be.
    #[error("the object has {bytes} bytes; at most {OBJECT_BYTES_MAX} are read")]
    TooLarge {
        /// Its size in bytes.
        bytes: usize,
    },
    /// It does not begin like an ELF file.
    #[error("the file is not an ELF object; build it with clang -target bpf")]
    NotElf,
    /// An ELF file of 32 bits or of a class that does not exist.
    #[error("the ELF file is of class {class}; BPF objects are 64-bit (class 2)")]
    NotElf64 {
        /// `EI_CLASS`.
        class: u8,
    },
    /// A byte order that does not exist.
    #[error(
        "the ELF file's byte order is {found}, which is neither little-endian (1) nor big-endian (2)"
    )]
    ByteOrder {
        /// `EI_DATA`.
        found: u8,
    },
    /// Compiled for another machine.
    #[error(
        "the ELF file is for machine {machine}, not for BPF (247); build it with clang -target bpf"
    )]
    NotBpf {
        /// `e_machine`.
        machine: u16,
    },
    /// An executable or shared library.
    #[error("the ELF file is of type {kind}, not a relocatable object (1); do not link it")]
    NotRelocatable {
        /// `e_type`.
        kind: u16,
    },
    /// Cut off, or with offsets that point outside.
    #[error("the object is cut short or damaged: {what} cannot be read; build it again")]
    Damaged {
        /// The part that cannot be read.
        what: &'static str,
    },
    /// A section or symbol name that is not short printable UTF-8.
    #[error("the object has a name that is too long or not printable text")]
    Name,
    /// More of something than is read.
    #[error("the object has {count} {what}; at most {limit} are read")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many there are, or how many were counted before giving up.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// A function whose bounds are not whole instructions inside its section.
    #[error("the function `{name}` does not stand wholly inside its section")]
    Function {
        /// The function.
        name: String,
    },
    /// A call to a place where no function begins: what it does cannot be known.
    #[error("`{function}` calls, at byte {offset}, a place where no function begins")]
    CallNowhere {
        /// The calling function.
        function: String,
        /// Offset of the call in the function, in bytes.
        offset: u64,
    },
    /// A map definition that cannot be read.
    #[error("the map `{name}` is not defined as libbpf expects")]
    Map {
        /// The map.
        name: String,
    },
    /// BTF maps without BTF.
    #[error("the object defines maps in `.maps` but carries no BTF; compile it with -g")]
    MapsWithoutBtf,
    /// Two things of one name, so that nobody can say which is meant.
    #[error("the object has two {what}s named `{name}`")]
    Twice {
        /// `program` or `map`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// No entry point at all.
    #[error("the object has no program: no global function stands in a section of its own")]
    NoProgram,
}
