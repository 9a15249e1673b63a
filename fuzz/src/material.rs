//! What seeds are made of: our own programs, compiled when first asked, with their manifests, and the
//! objects of the dispatchers. Knows clang and the folder of programs.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use skep_artifact::hook::Hook;
use skep_artifact::{Manifest, ObjectFacts};
use skep_chain_dispatcher::untrusted;

/// Everything that seeds are made of.
pub(crate) struct Material {
    /// Every package of `programs/`, by name.
    pub(crate) packages: Vec<Package>,
}

/// A first-party package.
pub(crate) struct Package {
    pub(crate) text: String,
    pub(crate) manifest: Manifest,
    pub(crate) facts: ObjectFacts,
    pub(crate) object: Vec<u8>,
    pub(crate) program: String,
    pub(crate) hook: Hook,
}

impl Material {
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Material> = OnceLock::new();
        SHARED.get_or_init(Self::make)
    }

    fn make() -> Self {
        let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../programs");
        let mut folders: Vec<_> = std::fs::read_dir(&programs)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|folder| folder.join("skep.toml").is_file())
            .collect();
        folders.sort();
        Self { packages: folders.iter().map(|folder| Package::compile(folder)).collect() }
    }

    /// Every object with the name of a program in it and the hook that this is for.
    pub(crate) fn objects(&self) -> Vec<(&[u8], &str, Hook)> {
        let ours = self
            .packages
            .iter()
            .map(|package| (package.object.as_slice(), package.program.as_str(), package.hook));
        ours.chain(untrusted::dispatchers()).collect()
    }
}

impl Package {
    fn compile(folder: &Path) -> Self {
        let text = std::fs::read_to_string(folder.join("skep.toml")).unwrap();
        let manifest = Manifest::parse(&text).unwrap();
        let build = manifest.build.as_ref().unwrap();
        let target = tempfile::tempdir().unwrap();
        let object = target.path().join("object.o");
        let mut clang = Command::new("clang");
        clang.current_dir(folder).args(["-O2", "-g", "-target", "bpf"]);
        clang.arg(format!("-I/usr/include/{}-linux-gnu", std::env::consts::ARCH));
        clang.args(build.include.iter().map(|include| format!("-I{include}")));
        clang.arg("-c").arg(build.source.as_ref().unwrap()).arg("-o").arg(&object);
        let output = clang.output().expect("clang is installed");
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {complaints}", folder.display());
        let object = std::fs::read(object).unwrap();
        let facts = ObjectFacts::read(&object).unwrap();
        let program = manifest.programs[0].name.clone();
        let hook = manifest.programs[0].hooks()[0];
        Self { text, manifest, facts, object, program, hook }
    }
}
