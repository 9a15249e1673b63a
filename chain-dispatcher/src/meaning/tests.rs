//! Texts of types, out of BTF made by hand, and of damage to it.

use super::{MapTypes, UNREADABLE};

/// A BTF blob of a few types, given as words and names.
#[derive(Default)]
struct Blob {
    types: Vec<u32>,
    strings: Vec<u8>,
    count: u32,
}

impl Blob {
    fn new() -> Self {
        Self { strings: vec![0], ..Self::default() }
    }

    fn name(&mut self, name: &str) -> u32 {
        let at = u32::try_from(self.strings.len()).unwrap();
        self.strings.extend_from_slice(name.as_bytes());
        self.strings.push(0);
        at
    }

    fn add(&mut self, name: &str, kind: u32, length: u32, size: u32, rest: &[u32]) -> u32 {
        let name = self.name(name);
        self.types.extend_from_slice(&[name, kind << 24 | length, size]);
        self.types.extend_from_slice(rest);
        self.count += 1;
        self.count
    }

    fn int(&mut self, name: &str, size: u32, encoding: u32) -> u32 {
        self.add(name, 1, 0, size, &[(encoding << 24) | (size * 8)])
    }

    fn structure(&mut self, name: &str, size: u32, fields: &[(&str, u32, u32)]) -> u32 {
        let words: Vec<u32> =
            fields.iter().flat_map(|(name, ty, bits)| [self.name(name), *ty, *bits]).collect();
        self.add(name, 4, u32::try_from(fields.len()).unwrap(), size, &words)
    }

    fn bytes(&self) -> Vec<u8> {
        let types: Vec<u8> = self.types.iter().flat_map(|word| word.to_le_bytes()).collect();
        let (length, strings) = (u32::try_from(types.len()).unwrap(), self.strings.len());
        let mut bytes = vec![0x9f, 0xeb, 1, 0];
        for word in [24, 0, length, length, u32::try_from(strings).unwrap()] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        [bytes, types, self.strings.clone()].concat()
    }

    fn value(&self, id: u32) -> Option<String> {
        MapTypes::read(&self.bytes(), 0, id).value
    }
}

#[test]
fn fields_count_and_names_of_types_do_not() {
    let mut blob = Blob::new();
    let word = blob.int("unsigned int", 4, 0);
    let signed = blob.int("int", 4, 1);
    let alias = blob.add("__u32", 8, 0, word, &[]);
    let first = blob.structure("flow", 8, &[("src", word, 0), ("dst", word, 32)]);
    let renamed = blob.structure("flow_v2", 8, &[("src", alias, 0), ("dst", alias, 32)]);
    let swapped = blob.structure("flow", 8, &[("dst", word, 0), ("src", word, 32)]);
    let negative = blob.structure("flow", 8, &[("src", word, 0), ("dst", signed, 32)]);
    assert_eq!(blob.value(first).unwrap(), "{src @0 u32, dst @32 u32, } of 8");
    assert_eq!(blob.value(first), blob.value(renamed));
    assert_ne!(blob.value(first), blob.value(swapped));
    assert_ne!(blob.value(first), blob.value(negative));
    let array = blob.add("", 3, 0, 0, &[first, word, 4]);
    assert_eq!(blob.value(array).unwrap(), "[{src @0 u32, dst @32 u32, } of 8; 4]");
    let pointer = blob.add("", 2, 0, first, &[]);
    assert_eq!(blob.value(pointer).unwrap(), "*flow");
    let up = blob.name("UP");
    let states = blob.add("state", 6, 1, 4, &[up, 3]);
    assert_eq!(blob.value(states).unwrap(), "enum32 {UP=3, }");
    assert_eq!(MapTypes::read(&blob.bytes(), first, 0).value, None);
}

#[test]
fn a_type_that_holds_itself_or_nothing_has_no_text() {
    let mut blob = Blob::new();
    let endless = blob.add("again", 8, 0, 1, &[]);
    assert_eq!(blob.value(endless).unwrap(), UNREADABLE);
    assert_eq!(blob.value(99).unwrap(), UNREADABLE);
}

#[test]
fn damage_ends_the_reading_and_nothing_else() {
    let mut blob = Blob::new();
    let word = blob.int("unsigned int", 4, 0);
    let flow = blob.structure("flow", 8, &[("src", word, 0), ("dst", word, 32)]);
    let whole = blob.bytes();
    assert_ne!(blob.value(flow).unwrap(), UNREADABLE);
    for length in 0..whole.len() {
        let cut = MapTypes::read(&whole[..length], flow, flow).value;
        assert_eq!(cut.unwrap(), UNREADABLE, "{length}");
    }
    for at in 0..whole.len() {
        for bit in [1, 0x80] {
            let mut damaged = whole.clone();
            damaged[at] ^= bit;
            // Any answer will do.
            let _ = MapTypes::read(&damaged, flow, word);
        }
    }
}
