//! The two things that libxdp's protocol looks up in type information: the id of a function, and the
//! version that dispatchers before 1.3.0 carry there. A walk over the records of
//! `Documentation/bpf/btf.rst` that ends at the first damaged one. Pure.

const MAGIC: u16 = 0xeb9f;
const HEADER_BYTES: usize = 24;
/// Name, kind and count, size or type: the beginning of every record.
const RECORD_BYTES: usize = 12;
/// More than any dispatcher has; a kernel's own information has ten times fewer.
const TYPES_MAX: usize = 1 << 20;
const PTR: u32 = 2;
const ARRAY: u32 = 3;
const FUNC: u32 = 12;
const VAR: u32 = 14;
const DATASEC: u32 = 15;
/// Where older dispatchers say their version, as the length of an array.
const METADATA_SECTION: &[u8] = b"xdp_metadata";
const METADATA_VARIABLE: &[u8] = b"dispatcher_version";

/// Type information, split into its records.
struct Records<'a> {
    types: Vec<Record<'a>>,
    strings: &'a [u8],
}

/// One type; its id is its place, counted from 1.
struct Record<'a> {
    name: usize,
    kind: u32,
    /// The type that it refers to, or a size.
    refers: u32,
    rest: &'a [u8],
}

/// The id of the function of that name.
pub(crate) fn function_id(btf: &[u8], name: &str) -> Option<u32> {
    let records = Records::of(btf)?;
    let is_it =
        |record: &Record<'_>| record.kind == FUNC && records.name(record) == Some(name.as_bytes());
    let index = records.types.iter().position(is_it)?;
    u32::try_from(index + 1).ok()
}

/// The version in the section `xdp_metadata`: `__uint(dispatcher_version, N)`.
pub(crate) fn dispatcher_version(btf: &[u8]) -> Option<u32> {
    let records = Records::of(btf)?;
    let section = records
        .types
        .iter()
        .find(|record| record.kind == DATASEC && records.name(record) == Some(METADATA_SECTION))?;
    let (entries, _) = section.rest.as_chunks::<12>();
    let variable = entries
        .iter()
        .filter_map(|entry| records.get(number(entry, 0)?, VAR))
        .find(|variable| records.name(variable) == Some(METADATA_VARIABLE))?;
    let pointer = records.get(variable.refers, PTR)?;
    let array = records.get(pointer.refers, ARRAY)?;
    number(array.rest, 8)
}

impl<'a> Records<'a> {
    fn of(btf: &'a [u8]) -> Option<Self> {
        let header = btf.get(..HEADER_BYTES)?;
        let magic = u16::from_ne_bytes(*header.first_chunk()?);
        let field = |at| number(header, at).map(|field| field as usize);
        let body = btf.get(field(4)?..)?;
        let types = body.get(field(8)?..)?.get(..field(12)?)?;
        let strings = body.get(field(16)?..)?.get(..field(20)?)?;
        (magic == MAGIC).then(|| Self { types: records(types), strings })
    }

    fn name(&self, record: &Record<'_>) -> Option<&'a [u8]> {
        self.strings.get(record.name..)?.split(|byte| *byte == 0).next()
    }

    fn get(&self, id: u32, kind: u32) -> Option<&Record<'a>> {
        let record = self.types.get(usize::try_from(id).ok()?.checked_sub(1)?)?;
        (record.kind == kind).then_some(record)
    }
}

fn records(mut types: &[u8]) -> Vec<Record<'_>> {
    let mut found = Vec::new();
    while found.len() < TYPES_MAX {
        let Some((record, tail)) = record(types) else { break };
        found.push(record);
        types = tail;
    }
    found
}

fn record(types: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let (name, info, refers) = (number(types, 0)?, number(types, 4)?, number(types, 8)?);
    let (kind, count) = ((info >> 24) & 0x1f, (info & 0xffff) as usize);
    let more = match kind {
        PTR | 7..=12 | 16 | 18 => 0,
        1 | VAR | 17 => 4,
        ARRAY => 12,
        4 | 5 | DATASEC | 19 => 12 * count,
        6 | 13 => 8 * count,
        _ => return None,
    };
    let rest = types.get(RECORD_BYTES..)?.get(..more)?;
    let tail = types.get(RECORD_BYTES + more..)?;
    Some((Record { name: name as usize, kind, refers, rest }, tail))
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map(|bytes| u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{dispatcher_version, function_id};

    /// `int dispatcher_version[3]` behind a pointer, and a function, as clang writes them.
    fn btf() -> Vec<u8> {
        let strings = b"\0int\0dispatcher_version\0xdp_metadata\0prog0\0";
        let at = |name: &[u8]| {
            u32::try_from(strings.windows(name.len()).position(|part| part == name).unwrap())
                .unwrap()
        };
        let (int, version) = (at(b"int\0"), at(b"dispatcher_version\0"));
        let (section, function) = (at(b"xdp_metadata\0"), at(b"prog0\0"));
        let kind = |kind: u32, count: u32| kind << 24 | count;
        let numbers = [
            int,
            kind(1, 0),
            4,
            32, // 1: int
            0,
            kind(3, 0),
            0,
            1,
            1,
            3, // 2: int[3]
            0,
            kind(2, 0),
            2, // 3: a pointer to it
            version,
            kind(14, 0),
            3,
            1, // 4: the variable
            section,
            kind(15, 1),
            8,
            4,
            0,
            8, // 5: its section
            0,
            kind(13, 1),
            1,
            0,
            1, // 6: int (int)
            function,
            kind(12, 1),
            6, // 7: prog0
        ];
        let types: Vec<u8> = numbers.iter().flat_map(|number| number.to_ne_bytes()).collect();
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap();
        let header = [24, 0, length(&types), length(&types), length(strings)];
        let mut btf = vec![0x9f, 0xeb, 1, 0];
        btf.extend(header.iter().flat_map(|number: &u32| number.to_ne_bytes()));
        [btf, types, strings.to_vec()].concat()
    }

    #[test]
    fn the_version_is_the_length_of_an_array_and_functions_have_ids() {
        assert_eq!(dispatcher_version(&btf()), Some(3));
        assert_eq!(function_id(&btf(), "prog0"), Some(7));
        assert_eq!(function_id(&btf(), "int"), None, "a type, but no function");
        assert_eq!(function_id(&btf(), "prog"), None);
    }

    #[test]
    fn cut_anywhere_it_says_nothing_false() {
        let whole = btf();
        for end in 0..whole.len() {
            assert!([None, Some(3)].contains(&dispatcher_version(&whole[..end])));
        }
        assert_eq!(dispatcher_version(&whole[..40]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_fail(at in 0usize..200, byte in any::<u8>()) {
            let mut bytes = btf();
            let length = bytes.len();
            bytes[at % length] = byte;
            let _ = dispatcher_version(&bytes);
            let _ = function_id(&bytes, "prog0");
        }
    }
}
