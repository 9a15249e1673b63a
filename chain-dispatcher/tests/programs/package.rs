//! A first-party package made ready for a test: compiled as its manifest says, read, loaded with settings.
//! It refuses to know what the program should do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use skep_artifact::Hook;
use skep_artifact::config::{ConfigValues, encode};
use skep_artifact::manifest::{Build, Manifest};
use skep_artifact::object::ObjectFacts;
use skep_chain_dispatcher::Loadable;
use skep_chain_dispatcher::testrun::TestProgram;
use skep_trust::LocallyTrusted;

/// A package's folder, read and compiled.
pub(crate) struct Package {
    pub(crate) folder: PathBuf,
    pub(crate) manifest: Manifest,
    pub(crate) facts: ObjectFacts,
    pub(crate) object: Vec<u8>,
}

impl Package {
    /// Compiles `programs/<name>` with the flags `skep build` uses; warnings are errors here.
    pub(crate) fn compile(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../programs").join(name);
        let text = std::fs::read_to_string(folder.join("skep.toml")).unwrap();
        let manifest = Manifest::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let build = manifest.build.as_ref().expect("a first-party package says how it is built");
        let object = compiled(&folder, build);
        let facts = ObjectFacts::read(&object).unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { folder, manifest, facts, object }
    }

    /// The hook of its first program.
    pub(crate) fn hook(&self) -> Hook {
        self.manifest.programs[0].hooks()[0]
    }

    /// Loads its first program with settings as an operator writes them.
    pub(crate) fn load(&self, values: &ConfigValues) -> TestProgram {
        let config = encode(&self.manifest, &self.facts, values)
            .unwrap_or_else(|error| panic!("{}: {error}", self.manifest.package.name));
        let trusted = LocallyTrusted::by_explicit_consent(self.object.clone()).unwrap();
        let program = &self.manifest.programs[0].name;
        TestProgram::load(&Loadable::Local(trusted), program, self.hook(), &config)
            .unwrap_or_else(|error| panic!("{program}: {error:?}"))
    }

    /// What a metric of the manifest says, summed over all processors.
    pub(crate) fn metric(&self, program: &TestProgram, name: &str) -> u64 {
        let metric = self
            .manifest
            .metrics
            .iter()
            .find(|metric| metric.name == name)
            .unwrap_or_else(|| panic!("the manifest has no metric {name}"));
        let key = u32::try_from(metric.key).unwrap().to_ne_bytes();
        let values = program.read(&metric.map, &key).unwrap().expect("a counter has a place");
        values.chunks_exact(8).map(|value| u64::from_ne_bytes(value.try_into().unwrap())).sum()
    }
}

/// Compiles a package's source; the same folder once per process.
fn compiled(folder: &Path, build: &Build) -> Vec<u8> {
    static COMPILED: Mutex<BTreeMap<PathBuf, Vec<u8>>> = Mutex::new(BTreeMap::new());
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(object) = compiled.get(folder) {
        return object.clone();
    }
    let target = tempfile::tempdir().unwrap();
    let object = target.path().join("object.o");
    let mut clang = Command::new("clang");
    clang.current_dir(folder).args(["-O2", "-g", "-target", "bpf", "-Wall", "-Wextra", "-Werror"]);
    clang.arg(format!("-I/usr/include/{}-linux-gnu", std::env::consts::ARCH));
    clang.args(build.include.iter().map(|include| format!("-I{include}")));
    clang.arg("-c").arg(build.source.as_ref().unwrap()).arg("-o").arg(&object);
    let output = clang.output().expect("clang is installed");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {complaints}", folder.display());
    let object = std::fs::read(object).unwrap();
    compiled.insert(folder.to_owned(), object.clone());
    object
}
