//! Proofs: values that exist only because every check was passed.
//! It refuses to know how the checks are made; `verify` makes them and is the only caller of the constructors.

use std::sync::Arc;

use skep_artifact::object::{ObjectError, ObjectFacts};
use skep_artifact::{Arch, Digest, Hook, KeyId, Manifest, PackageName, Version};

use crate::{Refusal, Wanted};

/// A package whose publisher, content and place in the node's policy were verified.
#[derive(Debug, Clone)]
pub struct VerifiedPackage(Arc<Inner>);

/// One object of a verified package: the bytes a node may hand to its kernel. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct VerifiedObject {
    package: Arc<Inner>,
    index: usize,
}

/// A policy revision the operator signed and no floor forbids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedRevision {
    name: String,
    revision: u64,
    payload: Vec<u8>,
    digest: Digest,
    signed_by: Vec<KeyId>,
}

/// An object somebody on this machine asked for by name, without signatures. Fleet state has no way to name one.
#[derive(Debug, Clone)]
pub struct LocallyTrusted {
    bytes: Arc<[u8]>,
    facts: Arc<ObjectFacts>,
    digest: Digest,
}

/// What [`VerifiedPackage`] and its objects share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) name: PackageName,
    pub(crate) version: Version,
    pub(crate) release: u64,
    pub(crate) index_digest: Digest,
    pub(crate) manifest: Manifest,
    /// Where its programs offer to run and the node policy lets them.
    pub(crate) hooks: Vec<Hook>,
    pub(crate) objects: Vec<Object>,
    pub(crate) signed_by: Vec<KeyId>,
    pub(crate) role_version: u64,
}

#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) arch: Vec<Arch>,
    pub(crate) facts: ObjectFacts,
    pub(crate) bytes: Vec<u8>,
}

impl VerifiedPackage {
    pub(crate) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// The package's name.
    pub fn name(&self) -> &PackageName {
        &self.0.name
    }

    /// Its version.
    pub fn version(&self) -> &Version {
        &self.0.version
    }

    /// Its release counter, which grows from release to release.
    pub fn release(&self) -> u64 {
        self.0.release
    }

    /// The digest of its index: what was signed.
    pub fn index_digest(&self) -> Digest {
        self.0.index_digest
    }

    /// Its manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }

    /// The accepted keys that signed it.
    pub fn signed_by(&self) -> &[KeyId] {
        &self.0.signed_by
    }

    /// The version of the role file that listed it.
    pub fn role_version(&self) -> u64 {
        self.0.role_version
    }

    /// Whether its programs may be attached to a hook: the package offers it, and the node policy allows it.
    ///
    /// # Errors
    /// [`Refusal::HookNotAllowed`].
    pub fn permit(&self, hook: Hook) -> Result<(), Refusal> {
        if self.0.hooks.contains(&hook) {
            return Ok(());
        }
        let Inner { name, version, index_digest, .. } = &*self.0;
        let package = Wanted { name: name.clone(), version: version.clone(), index: *index_digest };
        Err(Refusal::HookNotAllowed { package: Box::new(package), hook })
    }

    /// The object for an architecture, by its OCI name or that of `uname -m`.
    pub fn object(&self, arch: &str) -> Option<VerifiedObject> {
        let arch = Arch::from_name(arch)?;
        let index = self.0.objects.iter().position(|object| object.arch.contains(&arch))?;
        Some(VerifiedObject { package: Arc::clone(&self.0), index })
    }
}

impl VerifiedObject {
    /// The ELF bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.package.objects[self.index].bytes
    }

    /// The hooks its programs may be attached to on this node.
    pub fn hooks(&self) -> &[Hook] {
        &self.package.hooks
    }

    /// What the bytes are.
    pub fn facts(&self) -> &ObjectFacts {
        &self.package.objects[self.index].facts
    }

    /// The package's manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.package.manifest
    }

    /// The package's name.
    pub fn package(&self) -> &PackageName {
        &self.package.name
    }

    /// The package's version.
    pub fn version(&self) -> &Version {
        &self.package.version
    }

    /// The digest of the package's index.
    pub fn index_digest(&self) -> Digest {
        self.package.index_digest
    }
}

impl VerifiedRevision {
    pub(crate) fn new(
        name: String,
        revision: u64,
        payload: Vec<u8>,
        digest: Digest,
        signed_by: Vec<KeyId>,
    ) -> Self {
        Self { name, revision, payload, digest, signed_by }
    }

    /// The policy's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The revision, from 1.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The signed bytes: a policy revision as JSON.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The digest of the signed bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The operator's keys that signed.
    pub fn signed_by(&self) -> &[KeyId] {
        &self.signed_by
    }
}

impl LocallyTrusted {
    /// Takes bytes a person named on the command line of this machine. The name of this function is the consent:
    /// nothing that came over a network may reach it.
    pub fn by_explicit_consent(bytes: Vec<u8>) -> Result<Self, ObjectError> {
        let facts = ObjectFacts::read(&bytes)?;
        let digest = Digest::of(&bytes);
        Ok(Self { bytes: bytes.into(), facts: Arc::new(facts), digest })
    }

    /// The ELF bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What the bytes are.
    pub fn facts(&self) -> &ObjectFacts {
        &self.facts
    }

    /// The digest of the ELF bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}
