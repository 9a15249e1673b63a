//! An object as an uploader sends it: its facts are read, or it is refused.

use skep_artifact::ObjectFacts;
use skep_artifact::limits::{GLOBALS_MAX, INSTRUCTIONS_MAX, MAPS_MAX, PROGRAMS_MAX};

use crate::material::Material;

pub(crate) fn run(bytes: &[u8]) {
    let Ok(facts) = ObjectFacts::read(bytes) else { return };
    check(&facts);
    assert_eq!(facts.size, bytes.len() as u64);
    assert_eq!(ObjectFacts::read(bytes).as_ref(), Ok(&facts), "another answer for the same bytes");
}

/// What holds for the facts of any object: bounded, named once, and the same after a trip over the wire.
pub(crate) fn check(facts: &ObjectFacts) {
    assert!(!facts.programs.is_empty() && facts.programs.len() <= PROGRAMS_MAX);
    assert!(facts.maps.len() <= MAPS_MAX && facts.globals.len() <= GLOBALS_MAX);
    for program in &facts.programs {
        assert!(program.insns as usize <= INSTRUCTIONS_MAX);
        assert!(std::ptr::eq(facts.program(&program.name).unwrap(), program), "named twice");
        assert!(!program.name.chars().any(char::is_control));
    }
    for map in &facts.maps {
        assert!(std::ptr::eq(facts.map(&map.name).unwrap(), map), "named twice");
    }
    let wire = serde_json::to_vec(facts).unwrap();
    assert_eq!(serde_json::from_slice::<ObjectFacts>(&wire).unwrap(), *facts);
}

pub(crate) fn seeds(material: &Material) -> Vec<Vec<u8>> {
    material.objects().into_iter().map(|(object, _, _)| object.to_vec()).collect()
}
