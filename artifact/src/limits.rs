//! The named limits of everything that crosses from the network into this crate, each with its reason.
//! It refuses to know who reads them: parsers and packers state which one was exceeded.

/// Bytes of one BPF object file. The largest objects in public use are 2 to 5 MiB with full debug data; bpfman caps at the same figure.
pub const OBJECT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of all blobs of one package together: two objects of the largest size.
pub const PACKAGE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Bytes of any JSON document of a package: manifest, index, image manifest, config, role, envelope.
pub const MANIFEST_JSON_BYTES_MAX: usize = 1024 * 1024;

/// Programs in one object. A chain has ten slots; 64 leaves room for tracepoints and tail calls beside them.
pub const PROGRAMS_MAX: usize = 64;

/// Maps in one object. The kernel's own limit of maps used by one program is 64.
pub const MAPS_MAX: usize = 256;

/// Global variables in one object; each is one entry of a `.rodata`, `.data` or `.bss` section.
pub const GLOBALS_MAX: usize = 4096;

/// Bytes of a README. Longer text belongs on a site of its own.
pub const README_BYTES_MAX: usize = 512 * 1024;

/// How many times larger a layer may become when it is unpacked. BPF objects compress about 3 to 5 times.
pub const UNPACK_RATIO_MAX: usize = 8;

/// Bytes an unpacked layer may take at least, whatever its ratio: a small tar is mostly zero padding and compresses 50 times.
pub const UNPACK_FLOOR_BYTES: usize = 64 * 1024;

/// Bytes an unpacked layer may take at most.
pub const UNPACK_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Nesting of JSON values. Our deepest document (an image index) nests 5 levels.
pub const JSON_DEPTH_MAX: usize = 32;

/// Image manifests in one index, and objects in one `skep.toml`: one for each processor Linux runs BPF on, with room.
pub const OBJECTS_MAX: usize = 16;

/// Settings in one `skep.toml`; each is a global or a map, and maps are limited to `MAPS_MAX`.
pub const SETTINGS_MAX: usize = 256;

/// Characters of a one-line text (description, about, unit). It must fit a list on a screen.
pub const LINE_CHARS_MAX: usize = 300;

/// Characters of a namespace or of a package's short name; the same bound as a DNS-safe account name elsewhere.
pub const NAME_CHARS_MAX: usize = 39;

/// Keys one namespace or operator may be verified with, and signatures one document may carry.
pub const SIGNATURES_MAX: usize = 32;

/// Versions a namespace's role file may list: at 250 bytes each this stays below `MANIFEST_JSON_BYTES_MAX`.
pub const TARGETS_MAX: usize = 4096;

/// Entries of one map setting an operator may write: 65,536 rules are the size of the largest common blocklists.
pub const MAP_ENTRIES_MAX: usize = 65_536;

/// Sections in one ELF file. clang writes about 30 for a package of 64 programs.
pub const ELF_SECTIONS_MAX: usize = 4096;

/// Types in one BTF blob. An object that includes the whole of vmlinux.h unpruned has about 150,000.
pub const BTF_TYPES_MAX: usize = 262_144;

/// Members of one BTF structure, and the length of a chain of typedefs and qualifiers that is followed.
pub const BTF_MODIFIER_DEPTH_MAX: usize = 32;

/// Priority of a program in a chain: lower runs earlier.
pub const PRIORITY_MAX: u32 = 1000;

/// Symbols in one ELF file. An object with full debug data has a few thousand.
pub const ELF_SYMBOLS_MAX: usize = 65_536;

/// Relocations of executable sections in one ELF file, all together. Each belongs to an instruction.
pub const ELF_RELOCATIONS_MAX: usize = INSTRUCTIONS_MAX;

/// Functions in one object, programs and subprograms together.
pub const FUNCTIONS_MAX: usize = 4096;

/// Instructions of all functions of one object. The kernel loads at most 1,000,000 for one program; counting each function
/// once also bounds what overlapping symbols could make us read.
pub const INSTRUCTIONS_MAX: usize = 1_000_000;
