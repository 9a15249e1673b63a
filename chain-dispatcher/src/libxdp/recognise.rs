//! Whether a program that holds an interface is a dispatcher of libxdp's protocol, from what the
//! kernel says about it. Pure.

use super::config::{Config, ConfigFault};
use super::metadata;
use crate::kernel::objects::MapShape;

/// The name by which libxdp's tools know a dispatcher.
pub(crate) const DISPATCHER_NAME: &str = "xdp_dispatcher";
/// `BPF_MAP_TYPE_ARRAY`.
const ARRAY: u32 = 2;
/// `BPF_F_RDONLY_PROG`.
const RDONLY_PROG: u32 = 1 << 7;

/// What the kernel says about a program.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProgramFacts {
    pub(crate) name: String,
    /// Its type information; none if it was loaded without.
    pub(crate) btf: Option<Vec<u8>>,
    /// Its maps with the value of key 0 where that can be read.
    pub(crate) maps: Vec<(MapShape, Option<Vec<u8>>)>,
}

/// Why a program that is named like a dispatcher cannot be taken for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// libxdp's tools refuse it, too.
    #[error("it was loaded without type information")]
    NoBtf,
    /// A dispatcher has its config block and nothing else.
    #[error("it uses {0} maps where a dispatcher of libxdp's protocol has one")]
    Maps(usize),
    /// Its map is no read-only array of one entry.
    #[error("its map is not the read-only array of one entry that the protocol asks for")]
    Shape,
    /// The version is in its type information only.
    #[error("it follows version {0} of libxdp's protocol, which is older than 1.3.0")]
    Old(u32),
    /// The block itself.
    #[error(transparent)]
    Config(ConfigFault),
}

/// The config of a dispatcher; none if the program has another name and is somebody's own.
pub(crate) fn dispatcher(facts: &ProgramFacts) -> Option<Result<Config, Fault>> {
    (facts.name == DISPATCHER_NAME).then(|| config(facts))
}

fn config(facts: &ProgramFacts) -> Result<Config, Fault> {
    let btf = facts.btf.as_ref().ok_or(Fault::NoBtf)?;
    let [(shape, value)] = facts.maps.as_slice() else {
        return Err(Fault::Maps(facts.maps.len()));
    };
    let right = shape.kind == ARRAY
        && shape.key_size == 4
        && shape.max_entries == 1
        && shape.flags & RDONLY_PROG != 0;
    let value = value.as_ref().filter(|_| right).ok_or(Fault::Shape)?;
    Config::read(value).map_err(|fault| match (fault, metadata::dispatcher_version(btf)) {
        (ConfigFault::NoMagic | ConfigFault::Version1, Some(version)) => Fault::Old(version),
        (fault, _) => Fault::Config(fault),
    })
}

#[cfg(test)]
mod tests {
    use super::{ConfigFault, Fault, ProgramFacts, dispatcher};
    use crate::kernel::objects::MapShape;
    use crate::libxdp::config::{Config, Version};

    const SHAPE: MapShape =
        MapShape { kind: 2, key_size: 4, value_size: 124, max_entries: 1, flags: 1 << 7 };

    fn block() -> Config {
        Config { version: Version::V2, frags: false, dev_bound: false, slots: Vec::new() }
    }

    fn facts() -> ProgramFacts {
        ProgramFacts {
            name: "xdp_dispatcher".to_owned(),
            btf: Some(Vec::new()),
            maps: vec![(SHAPE, Some(block().to_bytes()))],
        }
    }

    #[test]
    fn name_type_information_one_map_and_a_block_make_a_dispatcher() {
        assert_eq!(dispatcher(&facts()), Some(Ok(block())));
    }

    #[test]
    fn another_name_is_somebodys_own_program() {
        assert_eq!(dispatcher(&ProgramFacts { name: "my_chain".to_owned(), ..facts() }), None);
    }

    #[test]
    fn a_dispatcher_that_cannot_be_used_says_why() {
        let with = |maps| dispatcher(&ProgramFacts { maps, ..facts() }).unwrap().unwrap_err();
        let value = Some(block().to_bytes());
        let shaped = |shape| with(vec![(shape, value.clone())]);
        assert_eq!(with(Vec::new()), Fault::Maps(0));
        assert_eq!(with(vec![(SHAPE, value.clone()); 2]), Fault::Maps(2));
        assert_eq!(with(vec![(SHAPE, None)]), Fault::Shape);
        assert_eq!(shaped(MapShape { flags: 0, ..SHAPE }), Fault::Shape, "anybody could change it");
        assert_eq!(shaped(MapShape { max_entries: 2, ..SHAPE }), Fault::Shape);
        assert_eq!(shaped(MapShape { kind: 1, ..SHAPE }), Fault::Shape);
        assert_eq!(with(vec![(SHAPE, Some(vec![0; 84]))]), Fault::Config(ConfigFault::Version1));
        assert_eq!(with(vec![(SHAPE, Some(vec![9; 124]))]), Fault::Config(ConfigFault::NoMagic));
        let bare = ProgramFacts { btf: None, ..facts() };
        assert_eq!(dispatcher(&bare), Some(Err(Fault::NoBtf)));
    }
}
