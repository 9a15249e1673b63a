//! Type information as it stands in an object: two sections, put into an object that is whole
//! otherwise, so that nothing else refuses it first. An input is the length of `.BTF` as four
//! bytes, `.BTF`, and then `.BTF.ext`.

use skep_artifact::ObjectFacts;
use skep_artifact::config::EncodedConfig;

use crate::material::Material;
use crate::{elf, facts, loader};

pub(crate) fn run(bytes: &[u8]) {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return };
    let length = (u32::from_le_bytes(*length) as usize).min(rest.len());
    let (btf, ext) = rest.split_at(length);
    // One object is enough; which one is chance.
    let packages = &Material::shared().packages;
    if let Some(package) = packages.get(bytes.len() % packages.len()) {
        let object = elf::with_section(&package.object, ".BTF", btf);
        let object = elf::with_section(&object, ".BTF.ext", ext);
        if let Ok(read) = ObjectFacts::read(&object) {
            facts::check(&read);
        }
        loader::read(&object, &package.program, package.hook, &EncodedConfig::default());
    }
}

pub(crate) fn seeds(material: &Material) -> Vec<Vec<u8>> {
    material
        .objects()
        .into_iter()
        .map(|(object, _, _)| {
            let (btf, ext) = (elf::section(object, ".BTF"), elf::section(object, ".BTF.ext"));
            let length = u32::try_from(btf.len()).unwrap().to_le_bytes();
            [&length, btf, ext].concat()
        })
        .collect()
}
