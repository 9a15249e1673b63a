//! The config block of a libxdp dispatcher: the one value of its one read-only map. Versions 2 and 3
//! are written and read, version 1 is recognised. Pure: bytes in, facts out, every byte doubted.

/// Members of one chain: the arrays of the block have ten entries.
pub(crate) const MEMBERS_MAX: usize = 10;
/// What an unreplaced function of the dispatcher returns (`XDP_DISPATCHER_RETVAL`): its bit is set in
/// every mask, so that a chain goes on over it.
pub(crate) const UNREPLACED: u32 = 31;
/// `BPF_F_XDP_HAS_FRAGS`, as a member's flag.
pub(crate) const FLAG_FRAGS: u32 = 1 << 5;

/// 'X' + 'D' + 'P'; a block of version 1 begins with a count of at most ten.
const MAGIC: u8 = 236;
const ACTIONS_AT: usize = 4;
const PRIORITIES_AT: usize = ACTIONS_AT + 4 * MEMBERS_MAX;
const FLAGS_AT: usize = PRIORITIES_AT + 4 * MEMBERS_MAX;
const V1_BYTES: usize = FLAGS_AT;
const V2_BYTES: usize = FLAGS_AT + 4 * MEMBERS_MAX;
const DEV_BOUND_AT: usize = V2_BYTES;
const V3_BYTES: usize = V2_BYTES + 4;
const _: () = assert!(V1_BYTES == 84 && V2_BYTES == 124 && V3_BYTES == 128);

/// The versions of libxdp's protocol that can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Version {
    /// libxdp 1.3.0 to 1.5.8, among them those of Debian 12 and 13.
    #[default]
    V2,
    /// libxdp since 1.6.0, which does not add to older chains. Older ones do not even show this one.
    V3,
}

/// What a dispatcher was loaded with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) version: Version,
    /// The dispatcher copes with packets in several buffers.
    pub(crate) frags: bool,
    /// The dispatcher is bound to one device. Version 3 only.
    pub(crate) dev_bound: bool,
    /// In the order in which packets meet them; at most [`MEMBERS_MAX`].
    pub(crate) slots: Vec<Slot>,
}

/// What the block says about one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    /// `1 << code` of every verdict after which the next member runs, without bit 31.
    pub(crate) actions: u32,
    /// Lower runs first.
    pub(crate) run_priority: u32,
    pub(crate) flags: u32,
}

/// Why bytes are no block that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConfigFault {
    /// Neither the magic byte nor a count of version 1.
    #[error("its map holds no config block of libxdp")]
    NoMagic,
    /// The layout of libxdp before 1.3.0, which its newer tools only unload.
    #[error("it follows version 1 of libxdp's protocol, which is older than 1.3.0")]
    Version1,
    /// Newer than anything known.
    #[error("it follows version {0} of libxdp's protocol, which this Skep does not know")]
    UnknownVersion(u8),
    /// A block of that version has another size.
    #[error("its config block has {bytes} bytes, not the {expected} of its version")]
    Size { bytes: usize, expected: usize },
    /// More members than the arrays have entries.
    #[error("its config block claims {0} members, more than there can be")]
    TooMany(u8),
}

impl Version {
    /// Bytes of a block of this version: exactly what the map's values must have.
    pub(crate) const fn block_bytes(self) -> usize {
        match self {
            Self::V2 => V2_BYTES,
            Self::V3 => V3_BYTES,
        }
    }

    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::V2 => 2,
            Self::V3 => 3,
        }
    }
}

impl Config {
    /// The block. Slots beyond [`MEMBERS_MAX`] are left out: the caller checks the limit first.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let slots = &self.slots[..self.slots.len().min(MEMBERS_MAX)];
        let mut block = vec![0; self.version.block_bytes()];
        block[0] = MAGIC;
        block[1] = self.version.number();
        block[2] = u8::try_from(slots.len()).unwrap_or_default();
        block[3] = u8::from(self.frags);
        for (index, slot) in slots.iter().enumerate() {
            put(&mut block, ACTIONS_AT, index, slot.actions | (1 << UNREPLACED));
            put(&mut block, PRIORITIES_AT, index, slot.run_priority);
            put(&mut block, FLAGS_AT, index, slot.flags);
        }
        if self.version == Version::V3 {
            block[DEV_BOUND_AT] = u8::from(self.dev_bound);
        }
        block
    }

    /// Reads a block that others may have written.
    pub(crate) fn read(block: &[u8]) -> Result<Self, ConfigFault> {
        let [magic, version, count, frags, ..] = *block else { return Err(ConfigFault::NoMagic) };
        if magic != MAGIC {
            let version_1 = block.len() == V1_BYTES && usize::from(magic) <= MEMBERS_MAX;
            return Err(if version_1 { ConfigFault::Version1 } else { ConfigFault::NoMagic });
        }
        let version = match version {
            2 => Version::V2,
            3 => Version::V3,
            other => return Err(ConfigFault::UnknownVersion(other)),
        };
        let expected = version.block_bytes();
        if block.len() != expected {
            return Err(ConfigFault::Size { bytes: block.len(), expected });
        }
        if usize::from(count) > MEMBERS_MAX {
            return Err(ConfigFault::TooMany(count));
        }
        let slots = (0..usize::from(count))
            .map(|index| Slot {
                actions: get(block, ACTIONS_AT, index) & !(1 << UNREPLACED),
                run_priority: get(block, PRIORITIES_AT, index),
                flags: get(block, FLAGS_AT, index),
            })
            .collect();
        let dev_bound = version == Version::V3 && block[DEV_BOUND_AT] != 0;
        Ok(Self { version, frags: frags != 0, dev_bound, slots })
    }
}

fn put(block: &mut [u8], array: usize, index: usize, value: u32) {
    let at = array + 4 * index;
    block[at..at + 4].copy_from_slice(&value.to_ne_bytes());
}

fn get(block: &[u8], array: usize, index: usize) -> u32 {
    let at = array + 4 * index;
    let bytes = block.get(at..).and_then(<[u8]>::first_chunk);
    bytes.map_or(0, |bytes| u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Config, ConfigFault, FLAG_FRAGS, MEMBERS_MAX, Slot, Version};

    fn config(version: Version, members: usize) -> Config {
        let slot = |index: usize| Slot {
            actions: 1 << 2,
            run_priority: 50 + u32::try_from(index).unwrap(),
            flags: FLAG_FRAGS,
        };
        let slots = (0..members).map(slot).collect();
        Config { version, frags: true, dev_bound: false, slots }
    }

    #[test]
    fn the_bytes_are_those_that_libxdp_writes() {
        let two = config(Version::V2, 1).to_bytes();
        assert_eq!(two.len(), 124);
        assert_eq!(two[..8], [0xec, 2, 1, 1, 4, 0, 0, 0x80]);
        assert_eq!(two[8..44], [0; 36], "no mask for members that are not there");
        assert_eq!(two[44..48], [50, 0, 0, 0]);
        assert_eq!(two[84..88], [32, 0, 0, 0]);
        let three = Config { dev_bound: true, ..config(Version::V3, 10) }.to_bytes();
        assert_eq!(three.len(), 128);
        assert_eq!(three[..4], [0xec, 3, 10, 1]);
        assert_eq!(three[124..], [1, 0, 0, 0]);
    }

    #[test]
    fn what_was_written_reads_back() {
        for version in [Version::V2, Version::V3] {
            for members in 0..=MEMBERS_MAX {
                let config = config(version, members);
                assert_eq!(Config::read(&config.to_bytes()), Ok(config));
            }
        }
    }

    #[test]
    fn damaged_foreign_and_future_blocks_are_named() {
        let good = config(Version::V2, 3).to_bytes();
        let with = |at: usize, byte: u8| {
            let mut block = good.clone();
            block[at] = byte;
            Config::read(&block)
        };
        let three = config(Version::V3, 3).to_bytes();
        let size = |bytes, expected| Err(ConfigFault::Size { bytes, expected });
        for (read, expected) in [
            (with(0, 0), Err(ConfigFault::NoMagic)),
            (with(1, 0), Err(ConfigFault::UnknownVersion(0))),
            (with(1, 1), Err(ConfigFault::UnknownVersion(1))),
            (with(1, 3), size(124, 128)),
            (with(1, 4), Err(ConfigFault::UnknownVersion(4))),
            (with(2, 11), Err(ConfigFault::TooMany(11))),
            (with(2, 255), Err(ConfigFault::TooMany(255))),
            (Config::read(&[]), Err(ConfigFault::NoMagic)),
            (Config::read(&good[..3]), Err(ConfigFault::NoMagic)),
            (Config::read(&good[..4]), size(4, 124)),
            (Config::read(&good[..84]), size(84, 124)),
            (Config::read(&three[..124]), size(124, 128)),
            (Config::read(&[three, vec![0; 4]].concat()), size(132, 128)),
            (Config::read(&[0; 84]), Err(ConfigFault::Version1)),
            (Config::read(&[&[10u8][..], &[0; 83]].concat()), Err(ConfigFault::Version1)),
            (Config::read(&[&[11u8][..], &[0; 83]].concat()), Err(ConfigFault::NoMagic)),
            (Config::read(&[0; 124]), Err(ConfigFault::NoMagic)),
        ] {
            assert_eq!(read, expected);
        }
    }

    #[test]
    fn bit_31_is_the_writers_and_never_a_verdict() {
        let mut bytes = config(Version::V2, 2).to_bytes();
        bytes[7] = 0;
        assert_eq!(Config::read(&bytes), Ok(config(Version::V2, 2)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_fail(bytes in proptest::collection::vec(any::<u8>(), 0..140)) {
            if let Ok(config) = Config::read(&bytes) {
                prop_assert!(config.slots.len() <= MEMBERS_MAX);
            }
        }

        #[test]
        fn whatever_follows_a_true_head_reads_and_writes_back_the_same(
            version in 2u8..=3, count in 0u8..=10, tail in proptest::collection::vec(any::<u8>(), 124)
        ) {
            let length = if version == 2 { 124 } else { 128 };
            let block = [&[236, version, count, 0][..], &tail[..length - 4]].concat();
            let config = Config::read(&block).unwrap();
            prop_assert_eq!(config.slots.len(), usize::from(count));
            prop_assert_eq!(Config::read(&config.to_bytes()), Ok(config));
        }
    }
}
