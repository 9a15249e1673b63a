//! Maps as the loader library declares them, in the shape that the kernel will show. Pure but for the
//! number of CPUs.

use aya_obj::EbpfSectionKind;
use aya_obj::generated::bpf_map_type;

use crate::kernel::objects::{self, MapShape};
use crate::meaning::MapTypes;

/// The shape that the kernel will show for this map, after the adjustments libbpf makes too.
pub(super) fn shape_of(map: &aya_obj::Map) -> MapShape {
    let mut shape = MapShape {
        kind: map.map_type(),
        key_size: map.key_size(),
        value_size: map.value_size(),
        max_entries: map.max_entries(),
        flags: map.map_flags(),
    };
    if shape.kind == bpf_map_type::BPF_MAP_TYPE_PERF_EVENT_ARRAY as u32 && shape.max_entries == 0 {
        shape.max_entries =
            objects::possible_cpus().ok().and_then(|cpus| u32::try_from(cpus).ok()).unwrap_or(1);
    }
    if shape.kind == bpf_map_type::BPF_MAP_TYPE_RINGBUF as u32 {
        shape.value_size = 0;
        shape.max_entries = ring_bytes(shape.max_entries);
    }
    if HOLD_DESCRIPTORS.iter().any(|kind| *kind as u32 == shape.kind) {
        shape.value_size = 4;
        if shape.key_size == 0 {
            shape.key_size = 4;
        }
    }
    shape
}

/// Maps whose values are descriptors of programs or maps; objects often leave the sizes out.
const HOLD_DESCRIPTORS: [bpf_map_type; 3] = [
    bpf_map_type::BPF_MAP_TYPE_PROG_ARRAY,
    bpf_map_type::BPF_MAP_TYPE_ARRAY_OF_MAPS,
    bpf_map_type::BPF_MAP_TYPE_HASH_OF_MAPS,
];

/// The kernel takes rings of a power of two of whole pages only.
fn ring_bytes(asked: u32) -> u32 {
    let page = u32::try_from(rustix::param::page_size()).unwrap_or(4096);
    asked.max(page).checked_next_power_of_two().unwrap_or(asked)
}

/// Several specialised map types refuse BTF for keys and values (libbpf issue 355).
pub(super) fn btf_types(map: &aya_obj::Map, kind: u32) -> (u32, u32) {
    const WITHOUT_BTF: [bpf_map_type; 14] = [
        bpf_map_type::BPF_MAP_TYPE_PERF_EVENT_ARRAY,
        bpf_map_type::BPF_MAP_TYPE_CGROUP_ARRAY,
        bpf_map_type::BPF_MAP_TYPE_STACK_TRACE,
        bpf_map_type::BPF_MAP_TYPE_ARRAY_OF_MAPS,
        bpf_map_type::BPF_MAP_TYPE_HASH_OF_MAPS,
        bpf_map_type::BPF_MAP_TYPE_DEVMAP,
        bpf_map_type::BPF_MAP_TYPE_DEVMAP_HASH,
        bpf_map_type::BPF_MAP_TYPE_CPUMAP,
        bpf_map_type::BPF_MAP_TYPE_XSKMAP,
        bpf_map_type::BPF_MAP_TYPE_SOCKMAP,
        bpf_map_type::BPF_MAP_TYPE_SOCKHASH,
        bpf_map_type::BPF_MAP_TYPE_QUEUE,
        bpf_map_type::BPF_MAP_TYPE_STACK,
        bpf_map_type::BPF_MAP_TYPE_RINGBUF,
    ];
    match map {
        aya_obj::Map::Btf(map) if !WITHOUT_BTF.iter().any(|known| *known as u32 == kind) => {
            (map.def.btf_key_type_id, map.def.btf_value_type_id)
        }
        _ => (0, 0),
    }
}

/// What key and value of a map mean, as the kernel will be told.
pub(super) fn types_of(map: &aya_obj::Map, btf: &[u8]) -> MapTypes {
    let (key, value) = btf_types(map, map.map_type());
    MapTypes::read(btf, key, value)
}

pub(super) fn is_section(map: &aya_obj::Map) -> bool {
    matches!(
        map.section_kind(),
        EbpfSectionKind::Bss | EbpfSectionKind::Data | EbpfSectionKind::Rodata
    )
}

pub(super) fn kernel_name(name: &str) -> &str {
    name.trim_start_matches('.')
}
