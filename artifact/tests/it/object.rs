//! What is read from real objects, and from damaged ones.

use proptest::prelude::*;
use skep_artifact::ObjectFacts;
use skep_artifact::object::{Endian, IntType, KernelVersion, ObjectError, ProgramKind};

use crate::clang::{compile, limiter};

fn read(bytes: &[u8]) -> ObjectFacts {
    ObjectFacts::read(bytes).unwrap()
}

#[test]
fn programs_are_found_by_section_with_kind_and_lowest_kernel() {
    let facts = read(&limiter());
    let found: Vec<_> = facts
        .programs
        .iter()
        .map(|p| {
            (
                p.name.as_str(),
                p.kind,
                p.frags,
                p.lowest_kernel.unwrap().to_string(),
                p.because.as_str(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("xdp_limiter", ProgramKind::Xdp, false, "5.8".into(), "helper bpf_ktime_get_boot_ns"),
            ("xdp_plain", ProgramKind::Xdp, true, "5.18".into(), "section xdp.frags"),
            ("tc_mirror", ProgramKind::Tc, false, "4.4".into(), "helper bpf_redirect"),
            ("tcx_out", ProgramKind::Tc, false, "6.6".into(), "section tcx/egress"),
            (
                "on_switch",
                ProgramKind::Tracepoint,
                false,
                "4.7".into(),
                "section tracepoint/sched/sched_switch"
            ),
        ]
    );
    assert_eq!(facts.endian, Endian::Little);
    assert!(facts.has_btf);
    assert_eq!(facts.license.as_deref(), Some("GPL"));
}

#[test]
fn helpers_and_instructions_of_called_functions_count() {
    let facts = read(&limiter());
    let limiter = facts.program("xdp_limiter").unwrap();
    assert_eq!(limiter.helpers, ["bpf_ktime_get_boot_ns", "bpf_map_lookup_elem"]);
    assert!(!limiter.writes_packets && !limiter.redirects);
    let mirror = facts.program("tc_mirror").unwrap();
    assert!(mirror.writes_packets && mirror.redirects);
    assert_eq!(facts.program("xdp_plain").unwrap().insns, 2);
    let alone = |name: &str| GOOD_FUNCTIONS.iter().find(|(n, _)| n == name).unwrap().1;
    assert_eq!(u64::from(limiter.insns), alone("xdp_limiter") + alone("count") + alone("cost"));
}

#[test]
fn maps_and_globals_carry_their_types() {
    let facts = read(&limiter());
    let maps: Vec<_> = facts
        .maps
        .iter()
        .map(|m| {
            (
                m.name.as_str(),
                m.kind.as_str(),
                m.key_size,
                m.value_size,
                m.max_entries,
                m.flags,
                m.legacy,
            )
        })
        .collect();
    assert_eq!(
        maps,
        [
            ("blocklist", "lpm_trie", 20, 1, 1024, 1, false),
            ("counters", "per_cpu_array", 4, 8, 4, 0, false)
        ]
    );
    let globals: Vec<_> = facts
        .globals
        .iter()
        .map(|g| (g.name.as_str(), g.ty, g.section.as_str(), g.constant))
        .collect();
    assert_eq!(
        globals,
        [
            ("seen", Some(IntType::U64), ".bss", false),
            ("burst", Some(IntType::U64), ".rodata", true),
            ("log_drops", Some(IntType::Bool), ".rodata", true),
            ("offset", None, ".rodata", true),
            ("rate_per_second", Some(IntType::U32), ".rodata", true),
        ]
    );
}

#[test]
fn legacy_maps_are_read_without_btf() {
    let facts = read(&compile("legacy.bpf.c", &[]));
    assert!(!facts.has_btf);
    let map = facts.map("hits").unwrap();
    assert_eq!(
        (map.kind.as_str(), map.key_size, map.value_size, map.max_entries, map.legacy),
        ("hash", 4, 8, 64, true)
    );
    let program = facts.program("count_hits").unwrap();
    assert_eq!(program.kind, ProgramKind::Tc);
    assert_eq!(program.helpers, ["bpf_map_lookup_elem"]);
    assert_eq!(program.lowest_kernel, Some(KernelVersion::new(4, 1)));
    assert_eq!(facts.license.as_deref(), Some("Dual MIT/GPL"));
}

#[test]
fn relocations_kernel_functions_callbacks_and_atomics_are_seen() {
    let facts = read(&compile("core.bpf.c", &["-g", "-mcpu=v3"]));
    let program = facts.program("xdp_core").unwrap();
    assert_eq!(program.core_relocations, 2);
    assert_eq!(program.kfuncs, ["bpf_xdp_metadata_rx_hash"]);
    assert!(program.helpers.contains(&"bpf_loop".to_owned()));
    assert_eq!(program.lowest_kernel, Some(KernelVersion::new(5, 17)));
    assert_eq!(program.because, "helper bpf_loop");
}

#[test]
fn big_endian_objects_tell_the_same_story() {
    let mut big = read(&compile("limiter.bpf.c", &["-g", "-mbig-endian"]));
    let little = read(&limiter());
    // The compiler loads some constants differently, so counts of instructions are close, not equal.
    for (big, little) in big.programs.iter_mut().zip(&little.programs) {
        assert!(big.insns.abs_diff(little.insns) < 5);
        big.insns = little.insns;
    }
    assert_eq!(big.endian, Endian::Big);
    assert_eq!(big.programs, little.programs);
    assert_eq!(big.maps, little.maps);
    assert_eq!(big.globals, little.globals);
}

#[test]
fn facts_survive_json() {
    let facts = read(&limiter());
    let json = serde_json::to_string(&facts).unwrap();
    assert_eq!(serde_json::from_str::<ObjectFacts>(&json).unwrap(), facts);
}

#[test]
fn what_is_not_a_bpf_object_is_refused_by_name() {
    let good = limiter();
    let changed = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        ObjectFacts::read(&bytes)
    };
    assert_eq!(ObjectFacts::read(b""), Err(ObjectError::NotElf));
    assert_eq!(ObjectFacts::read(b"#!/bin/sh"), Err(ObjectError::NotElf));
    assert_eq!(
        ObjectFacts::read(&good[..20]),
        Err(ObjectError::Damaged { what: "the file header" })
    );
    assert_eq!(changed(4, 1), Err(ObjectError::NotElf64 { class: 1 }));
    assert_eq!(changed(5, 3), Err(ObjectError::ByteOrder { found: 3 }));
    assert_eq!(changed(18, 62), Err(ObjectError::NotBpf { machine: 62 }));
    assert_eq!(changed(16, 2), Err(ObjectError::NotRelocatable { kind: 2 }));
    // The header of a little-endian file read as big-endian: its machine is 247 << 8.
    assert_eq!(changed(5, 2), Err(ObjectError::NotBpf { machine: 247 << 8 }));
    let mut huge = good.clone();
    huge.resize(skep_artifact::limits::OBJECT_BYTES_MAX + 1, 0);
    assert!(matches!(ObjectFacts::read(&huge), Err(ObjectError::TooLarge { .. })));
    let empty = compile("empty.bpf.c", &["-g"]);
    assert_eq!(ObjectFacts::read(&empty), Err(ObjectError::NoProgram));
}

#[test]
fn every_truncation_is_refused() {
    let good = limiter();
    // The section headers stand at the end of what clang writes, so nothing shorter can be whole.
    for length in (0..good.len()).step_by(97) {
        assert!(ObjectFacts::read(&good[..length]).is_err(), "{length} bytes were accepted");
    }
}

#[test]
fn overlapping_symbols_cannot_multiply_the_work() {
    use object::write::{Object, Symbol, SymbolSection};
    use object::{
        Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope,
    };
    let mut elf = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    let section = elf.add_section(Vec::new(), b"xdp".to_vec(), SectionKind::Text);
    elf.append_section_data(section, &vec![0x95; 8 * 100_000], 8);
    for index in 0..200 {
        elf.add_symbol(Symbol {
            name: format!("f{index}").into_bytes(),
            value: 0,
            size: 8 * 100_000,
            kind: SymbolKind::Text,
            scope: SymbolScope::Compilation,
            weak: false,
            section: SymbolSection::Section(section),
            flags: SymbolFlags::None,
        });
    }
    let refused = ObjectFacts::read(&elf.write().unwrap());
    assert!(
        matches!(refused, Err(ObjectError::TooMany { what: "instructions", .. })),
        "{refused:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let _ = ObjectFacts::read(&bytes);
    }

    #[test]
    fn damaged_objects_never_panic(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20)) {
        let mut bytes = GOOD.clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = ObjectFacts::read(&bytes);
    }
}

/// Functions and their instructions, by another reader of the symbol table.
static GOOD_FUNCTIONS: std::sync::LazyLock<Vec<(String, u64)>> = std::sync::LazyLock::new(|| {
    use object::{Object as _, ObjectSymbol as _, SymbolKind};
    let file = object::File::parse(GOOD.as_slice()).unwrap();
    let functions = file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text);
    functions.map(|symbol| (symbol.name().unwrap().to_owned(), symbol.size() / 8)).collect()
});

static GOOD: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(limiter);
