//! An object's maps: made or taken over, given what they begin with, filled with config. Knows the
//! kernel's special cases for map types; refuses to know programs.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use aya_obj::EbpfSectionKind;
use aya_obj::generated::bpf_map_type;
use skep_artifact::config::EncodedConfig;

use super::shape::{btf_types, kernel_name, shape_of};
use super::{LoadError, Types};
use crate::elf::{Initial, InitialValue};
use crate::kernel::objects::{self, MapShape, MapSpec};
use crate::kernel::sys;

/// `BPF_F_RDONLY_PROG`.
const RDONLY_PROG: u32 = 1 << 7;

/// Makes every map that is not carried over.
pub(super) fn make(
    declared: &HashMap<String, aya_obj::Map>,
    mut carried: BTreeMap<String, OwnedFd>,
    types: Option<&Types>,
) -> Result<BTreeMap<String, OwnedFd>, LoadError> {
    let mut maps = BTreeMap::new();
    for (name, map) in declared {
        let fd = match carried.remove(name) {
            Some(live) => live,
            None => make_one(name, map, types)?,
        };
        maps.insert(name.clone(), fd);
    }
    Ok(maps)
}

/// Puts maps into the maps of maps that begin with them.
pub(super) fn begin(
    maps: &BTreeMap<String, OwnedFd>,
    initial: &[Initial],
) -> Result<(), LoadError> {
    for Initial { map, index, value } in initial {
        let InitialValue::Map(inner) = value else { continue };
        let (outer, inner) = (named(maps, map)?, named(maps, inner)?);
        sys::map_update(outer.as_fd(), &index.to_ne_bytes(), &sys::raw_fd_bytes(inner.as_fd()))
            .map_err(|source| LoadError::FillMap { map: map.clone(), source })?;
    }
    Ok(())
}

/// Writes what the config says.
pub(super) fn fill(
    maps: &BTreeMap<String, OwnedFd>,
    config: &EncodedConfig,
) -> Result<(), LoadError> {
    for (name, entries) in &config.maps {
        let map = named(maps, name)?;
        let refused = |source| LoadError::FillMap { map: name.clone(), source };
        let shape = sys::map_info(map.as_fd()).map_err(refused)?.shape;
        for (key, value) in entries {
            let written = if shape.is_per_cpu() && value.len() == shape.value_size as usize {
                on_every_cpu(value).map_err(refused)?
            } else {
                value.clone()
            };
            sys::map_update(map.as_fd(), key, &written).map_err(refused)?;
        }
    }
    Ok(())
}

/// A value as a per-CPU map takes it: the same for all, each padded to 8 bytes.
fn on_every_cpu(value: &[u8]) -> io::Result<Vec<u8>> {
    let mut padded = value.to_vec();
    padded.resize(value.len().next_multiple_of(8), 0);
    Ok(padded.repeat(objects::possible_cpus()?))
}

/// What the maps of constants hold.
pub(super) fn constants(declared: &HashMap<String, aya_obj::Map>) -> BTreeMap<String, Vec<u8>> {
    declared
        .iter()
        .filter(|(_, map)| map.section_kind() == EbpfSectionKind::Rodata && !map.data().is_empty())
        .map(|(name, map)| (name.clone(), map.data().to_vec()))
        .collect()
}

/// A map of one value that programs may read and nobody may write any more.
pub(crate) fn constants_map(name: &str, bytes: &[u8]) -> Result<OwnedFd, LoadError> {
    let refused = |source| LoadError::CreateMap { map: name.to_owned(), source };
    let value_size = u32::try_from(bytes.len())
        .map_err(|_| refused(io::Error::from(io::ErrorKind::InvalidInput)))?;
    let shape = MapShape {
        kind: bpf_map_type::BPF_MAP_TYPE_ARRAY as u32,
        key_size: 4,
        value_size,
        max_entries: 1,
        flags: RDONLY_PROG,
    };
    let map = sys::map_create(&MapSpec { name, shape, ..MapSpec::default() }, None);
    let map = map.map_err(refused)?;
    sys::map_update(map.as_fd(), &0u32.to_ne_bytes(), bytes)
        .and_then(|()| sys::map_freeze(map.as_fd()))
        .map_err(|source| LoadError::FillMap { map: name.to_owned(), source })?;
    Ok(map)
}

fn named<'a>(maps: &'a BTreeMap<String, OwnedFd>, name: &str) -> Result<&'a OwnedFd, LoadError> {
    maps.get(name).ok_or_else(|| LoadError::NoSuchMap { map: name.to_owned() })
}

fn make_one(name: &str, map: &aya_obj::Map, types: Option<&Types>) -> Result<OwnedFd, LoadError> {
    let refused = |source| LoadError::CreateMap { map: name.to_owned(), source };
    // What the kernel measures later entries by; it keeps the shape, not the map.
    let template = match map.inner() {
        Some(inner) => Some(make_one(&format!("{name}.inner"), &inner, types)?),
        None => None,
    };
    let shape = shape_of(map);
    let (btf_key, btf_value) = btf_types(map, shape.kind);
    let spec = MapSpec {
        name: kernel_name(name),
        shape,
        map_extra: map.map_extra(),
        btf_key,
        btf_value,
        inner: template.as_ref().map(AsFd::as_fd),
    };
    // A map type that takes no BTF is made without, as libbpf does.
    let fd = sys::map_create(&spec, types.map(|types| types.loaded.as_fd()))
        .or_else(|_| sys::map_create(&spec, None))
        .map_err(refused)?;
    let fill = |source| LoadError::FillMap { map: name.to_owned(), source };
    if matches!(map.section_kind(), EbpfSectionKind::Data | EbpfSectionKind::Rodata)
        && !map.data().is_empty()
    {
        sys::map_update(fd.as_fd(), &0u32.to_ne_bytes(), map.data()).map_err(fill)?;
    }
    if map.section_kind() == EbpfSectionKind::Rodata {
        sys::map_freeze(fd.as_fd()).map_err(fill)?;
    }
    Ok(fd)
}
