//! Type information of several objects, merged into one: only what the kept functions need, with
//! ids and strings shifted. Bytes in, bytes out; every offset of the input is checked. Knows the
//! format (the kernel's `Documentation/bpf/btf.rst`), no program and no kernel.

use std::collections::HashMap;

/// `BTF_MAGIC`.
const MAGIC: u16 = 0xeb9f;
const VERSION: u8 = 1;
const HEADER_BYTES: u32 = 24;
/// Words of a type before what its kind adds.
const TYPE_WORDS: usize = 3;
/// `BTF_MAX_TYPE`.
const TYPES_MAX: u32 = 0x000f_ffff;
/// `BTF_MAX_NAME_OFFSET`.
const STRING_BYTES_MAX: usize = 0x00ff_ffff;

pub(super) const KIND_INT: u32 = 1;
pub(super) const KIND_PTR: u32 = 2;
pub(super) const KIND_STRUCT: u32 = 4;
pub(super) const KIND_FUNC: u32 = 12;
pub(super) const KIND_FUNC_PROTO: u32 = 13;
const KIND_DECL_TAG: u32 = 17;
/// `BTF_INT_SIGNED`, 32 bits.
const SIGNED_INT: u32 = 1 << 24 | 32;

/// What is wrong with type information.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It contradicts itself.
    Damaged(&'static str),
    /// The result is more than the kernel takes.
    TooLarge,
}

/// Whether other programs may replace or see a function, and how the verifier looks at it: a global
/// one alone, a static one as part of its callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Linkage {
    Static,
    Global,
}

/// What a word of a type means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Number,
    Name,
    Type,
}

/// The words of a kind: the third one, how many records follow, and the words of a record.
struct Shape {
    third: Word,
    records: usize,
    record: &'static [Word],
}

/// Type information of one object, walked once.
pub(super) struct Source<'a> {
    types: &'a [[u8; 4]],
    strings: &'a [u8],
    /// For every id but 0: index of its first word and number of its words.
    places: Vec<(usize, usize)>,
}

impl<'a> Source<'a> {
    /// Reads headers and the bounds of every type.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Fault> {
        let cut = Fault::Damaged("it is cut short");
        let (words, _) = bytes.as_chunks::<4>();
        let word = |index: usize| words.get(index).map(|w| u32::from_ne_bytes(*w)).ok_or(cut);
        let magic = bytes.first_chunk::<2>().map(|two| u16::from_ne_bytes(*two)).ok_or(cut)?;
        if magic != MAGIC {
            return Err(Fault::Damaged("it does not begin as it must"));
        }
        let header = word(1)? as usize;
        let section = |at: usize| -> Result<&'a [u8], Fault> {
            let start = header.checked_add(word(at)? as usize).ok_or(cut)?;
            let end = start.checked_add(word(at + 1)? as usize).ok_or(cut)?;
            bytes.get(start..end).ok_or(cut)
        };
        let (types, rest) = section(2)?.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(cut);
        }
        let mut source = Self { types, strings: section(4)?, places: Vec::new() };
        let mut at = 0;
        while at < types.len() {
            let (kind, vlen) = source.kind_at(at)?;
            let shape = shape(kind, vlen).ok_or(Fault::Damaged("it has a kind nobody knows"))?;
            let length = TYPE_WORDS + shape.records * shape.record.len();
            if at + length > types.len() {
                return Err(cut);
            }
            source.places.push((at, length));
            at += length;
        }
        Ok(source)
    }

    /// Name and prototype of a function.
    pub(super) fn function(&self, id: u32) -> Result<(&'a [u8], u32), Fault> {
        let (kind, name, prototype) = self.about(id)?;
        if kind != KIND_FUNC || self.about(prototype)?.0 != KIND_FUNC_PROTO {
            return Err(Fault::Damaged("the type of a function is none"));
        }
        Ok((self.string(name)?, prototype))
    }

    /// Kind, name and third word of a type.
    fn about(&self, id: u32) -> Result<(u32, u32, u32), Fault> {
        let (at, _) = self.place(id)?;
        Ok((self.kind_at(at)?.0, self.word(at)?, self.word(at + 2)?))
    }

    fn place(&self, id: u32) -> Result<(usize, usize), Fault> {
        let index = (id as usize).checked_sub(1);
        index
            .and_then(|index| self.places.get(index).copied())
            .ok_or(Fault::Damaged("a type refers to one that is not there"))
    }

    fn word(&self, index: usize) -> Result<u32, Fault> {
        let word = self.types.get(index).ok_or(Fault::Damaged("it is cut short"))?;
        Ok(u32::from_ne_bytes(*word))
    }

    fn kind_at(&self, at: usize) -> Result<(u32, usize), Fault> {
        let info = self.word(at + 1)?;
        Ok((info >> 24 & 0x1f, (info & 0xffff) as usize))
    }

    fn string(&self, offset: u32) -> Result<&'a [u8], Fault> {
        let damaged = Fault::Damaged("a name lies outside of the names");
        let rest = self.strings.get(offset as usize..).ok_or(damaged)?;
        let end = rest.iter().position(|byte| *byte == 0).ok_or(damaged)?;
        Ok(&rest[..end])
    }

    /// Every word of a type with its meaning.
    fn words(&self, id: u32) -> Result<Vec<(Word, u32)>, Fault> {
        let (at, length) = self.place(id)?;
        let (kind, vlen) = self.kind_at(at)?;
        let shape = shape(kind, vlen).ok_or(Fault::Damaged("it has a kind nobody knows"))?;
        let meanings = [Word::Name, Word::Number, shape.third]
            .into_iter()
            .chain(shape.record.iter().copied().cycle());
        meanings.take(length).enumerate().map(|(n, m)| Ok((m, self.word(at + n)?))).collect()
    }
}

/// The words that a type of this kind has; none for a kind that does not exist.
fn shape(kind: u32, vlen: usize) -> Option<Shape> {
    use Word::{Name, Number, Type};
    let (third, records, record): (Word, usize, &'static [Word]) = match kind {
        KIND_INT => (Number, 1, &[Number]),
        // pointer, typedef, volatile, const, restrict, function, type tag
        KIND_PTR | 8..=11 | KIND_FUNC | 18 => (Type, 0, &[]),
        // array
        3 => (Number, 1, &[Type, Type, Number]),
        // struct, union
        KIND_STRUCT | 5 => (Number, vlen, &[Name, Type, Number]),
        // enum
        6 => (Number, vlen, &[Name, Number]),
        // forward declaration, float
        7 | 16 => (Number, 0, &[]),
        KIND_FUNC_PROTO => (Type, vlen, &[Name, Type]),
        // variable, declaration tag
        14 | KIND_DECL_TAG => (Type, 1, &[Number]),
        // data section
        15 => (Number, vlen, &[Type, Number, Number]),
        // enum of 64 bits
        19 => (Number, vlen, &[Name, Number, Number]),
        _ => return None,
    };
    Some(Shape { third, records, record })
}

/// The type information of the result, as it grows.
pub(super) struct Merged {
    types: Vec<u32>,
    count: u32,
    strings: Vec<u8>,
    known: HashMap<Vec<u8>, u32>,
}

impl Merged {
    pub(super) fn new() -> Self {
        Self {
            types: Vec::new(),
            count: 0,
            strings: vec![0],
            known: HashMap::from([(Vec::new(), 0)]),
        }
    }

    /// Takes over these types with all that they refer to and all declaration tags on them; gives
    /// the new id of each type taken over.
    pub(super) fn import(
        &mut self,
        source: &Source<'_>,
        roots: &[u32],
    ) -> Result<HashMap<u32, u32>, Fault> {
        let kept = reachable(source, roots)?;
        let mut ids: HashMap<u32, u32> = HashMap::new();
        for old in (1u32..).zip(&kept).filter_map(|(id, keep)| keep.then_some(id)) {
            let next = u32::try_from(ids.len()).map_err(|_| Fault::TooLarge)?;
            ids.insert(old, self.count + 1 + next);
        }
        for old in (1u32..).zip(&kept).filter_map(|(id, keep)| keep.then_some(id)) {
            let mut words = source.words(old)?;
            for (meaning, word) in &mut words {
                match meaning {
                    Word::Number => {}
                    Word::Name => *word = self.string(source.string(*word)?)?,
                    Word::Type if *word == 0 => {}
                    Word::Type => {
                        *word = *ids.get(word).ok_or(Fault::Damaged("a type is not there"))?;
                    }
                }
            }
            self.add(words.into_iter().map(|(_, word)| word))?;
        }
        Ok(ids)
    }

    /// A new function with this prototype.
    pub(super) fn function(
        &mut self,
        name: &[u8],
        prototype: u32,
        linkage: Linkage,
    ) -> Result<u32, Fault> {
        let name = self.string(name)?;
        let linkage = match linkage {
            Linkage::Static => 0,
            Linkage::Global => 1,
        };
        self.add([name, KIND_FUNC << 24 | linkage, prototype])
    }

    /// `int (struct <context> *ctx)`, or `int (void *ctx)` where no context is named.
    pub(super) fn prototype(&mut self, context: Option<(&str, u32)>) -> Result<u32, Fault> {
        let int = self.string(b"int")?;
        let int = self.add([int, KIND_INT << 24, 4, SIGNED_INT])?;
        let pointed = match context {
            None => 0,
            Some((name, bytes)) => {
                let name = self.string(name.as_bytes())?;
                self.add([name, KIND_STRUCT << 24, bytes])?
            }
        };
        let pointer = self.add([0, KIND_PTR << 24, pointed])?;
        let ctx = self.string(b"ctx")?;
        self.add([0, KIND_FUNC_PROTO << 24 | 1, int, ctx, pointer])
    }

    /// The bytes that the kernel takes.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, Fault> {
        let length = |bytes: usize| u32::try_from(bytes).map_err(|_| Fault::TooLarge);
        let types = length(self.types.len() * 4)?;
        let mut bytes = MAGIC.to_ne_bytes().to_vec();
        bytes.extend_from_slice(&[VERSION, 0]);
        for word in [HEADER_BYTES, 0, types, types, length(self.strings.len())?] {
            bytes.extend_from_slice(&word.to_ne_bytes());
        }
        bytes.extend(self.types.iter().flat_map(|word| word.to_ne_bytes()));
        bytes.extend_from_slice(&self.strings);
        Ok(bytes)
    }

    fn add(&mut self, words: impl IntoIterator<Item = u32>) -> Result<u32, Fault> {
        if self.count >= TYPES_MAX {
            return Err(Fault::TooLarge);
        }
        self.types.extend(words);
        self.count += 1;
        Ok(self.count)
    }

    fn string(&mut self, text: &[u8]) -> Result<u32, Fault> {
        if let Some(known) = self.known.get(text) {
            return Ok(*known);
        }
        let at = self.strings.len();
        if at + text.len() >= STRING_BYTES_MAX {
            return Err(Fault::TooLarge);
        }
        self.strings.extend_from_slice(text);
        self.strings.push(0);
        let at = u32::try_from(at).map_err(|_| Fault::TooLarge)?;
        self.known.insert(text.to_vec(), at);
        Ok(at)
    }
}

/// For every id from 1: whether the roots need it. Declaration tags go with what they tag: the
/// verifier reads them (`arg:nonnull`, `contains:`).
fn reachable(source: &Source<'_>, roots: &[u32]) -> Result<Vec<bool>, Fault> {
    let mut kept = vec![false; source.places.len()];
    let mut tags = Vec::new();
    for id in (1u32..).take(source.places.len()) {
        let (kind, _, target) = source.about(id)?;
        if kind == KIND_DECL_TAG {
            tags.push((id, target));
        }
    }
    let mut waiting = roots.to_vec();
    loop {
        while let Some(id) = waiting.pop() {
            source.place(id)?;
            // `place` has refused 0 and what lies beyond the end.
            let keep = &mut kept[id as usize - 1];
            if *keep {
                continue;
            }
            *keep = true;
            let words = source.words(id)?;
            waiting.extend(
                words.iter().filter(|(m, id)| *m == Word::Type && *id != 0).map(|(_, id)| *id),
            );
        }
        let is_kept = |id: u32| id != 0 && kept.get(id as usize - 1).copied().unwrap_or(false);
        waiting.extend(
            tags.iter().filter(|(tag, on)| is_kept(*on) && !is_kept(*tag)).map(|(tag, _)| *tag),
        );
        if waiting.is_empty() {
            return Ok(kept);
        }
    }
}
