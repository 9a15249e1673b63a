//! From what an operator writes to what an operator signs: ranges become digests, defaults are written out.
//! Refuses to know where packages are stored: a lookup is handed in.

use super::{
    MemberError, PRIORITY_DEFAULT, PackageRange, PinnedProgram, PolicyDocument, PolicyError,
    PolicyRevision, ProgramWish,
};
use skep_artifact::digest::Digest;
use skep_artifact::hook::{Hook, VerdictSet};

/// What the registry (and the package's own manifest) answer for a [`ProgramWish`].
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedPackage {
    pub version: semver::Version,
    pub index: Digest,
    /// The programs of the package that fit the wanted hook, with their declared defaults.
    pub programs: Vec<ProgramDefaults>,
}

/// What a package's manifest says of one program.
#[derive(Debug, Clone, PartialEq)]
pub struct ProgramDefaults {
    pub name: String,
    pub priority: Option<u32>,
    pub proceed_on: Option<VerdictSet>,
}

impl PolicyDocument {
    /// Fixes every range to a digest and writes every default out.
    ///
    /// `lookup` answers with the highest installable version in a range whose programs fit the
    /// hook; `revision` is one more than the highest the registry knows of this policy.
    ///
    /// # Errors
    /// [`PolicyError`] names the member that could not be resolved or the rule that is broken.
    pub fn resolve(
        &self,
        revision: u64,
        lookup: &dyn Fn(&PackageRange, Hook) -> Option<ResolvedPackage>,
    ) -> Result<PolicyRevision, PolicyError> {
        let programs = self.programs.iter().map(|wish| self.pin(wish, lookup));
        let resolved = PolicyRevision {
            name: self.name.clone(),
            revision,
            removed: false,
            nodes: self.nodes.clone(),
            attach: self.attach.clone(),
            programs: programs.collect::<Result<_, _>>()?,
            fallback: None,
            approval: self.approval.clone(),
            rollout: None,
        };
        resolved.check()?;
        Ok(resolved)
    }

    fn pin(
        &self,
        wish: &ProgramWish,
        lookup: &dyn Fn(&PackageRange, Hook) -> Option<ResolvedPackage>,
    ) -> Result<PinnedProgram, PolicyError> {
        let hook = self.attach.hook;
        let (found, program) = choose(wish, hook, lookup).map_err(|source| {
            let (policy, member) = (self.name.clone(), wish.name.clone());
            PolicyError::Member { policy, member, source }
        })?;
        Ok(PinnedProgram {
            name: wish.name.clone(),
            package: wish.package.package.clone(),
            version: found.version,
            index: found.index,
            program: program.name,
            priority: wish.priority.or(program.priority).unwrap_or(PRIORITY_DEFAULT),
            proceed_on: wish
                .proceed_on
                .or(program.proceed_on)
                .unwrap_or_else(|| VerdictSet::default_for(hook)),
            mode: wish.mode,
            failure: wish.failure,
            config: wish.config.clone(),
        })
    }
}

/// The package version and the one program of it that a wish means.
fn choose(
    wish: &ProgramWish,
    hook: Hook,
    lookup: &dyn Fn(&PackageRange, Hook) -> Option<ResolvedPackage>,
) -> Result<(ResolvedPackage, ProgramDefaults), Box<MemberError>> {
    let package = wish.package.package.clone();
    let Some(found) = lookup(&wish.package, hook) else {
        let range = wish.package.clone().into();
        return Err(Box::new(MemberError::NoSuchPackage { range, package }));
    };
    let names: Vec<&str> = found.programs.iter().map(|p| p.name.as_str()).collect();
    let has = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let version = found.version.to_string();
    let chosen = match (&wish.program, found.programs.as_slice()) {
        (Some(name), programs) => programs.iter().find(|p| &p.name == name).cloned(),
        (None, [only]) => Some(only.clone()),
        (None, []) => None,
        (None, _) => {
            return Err(Box::new(MemberError::WhichProgram { package, version, hook, has }));
        }
    };
    match chosen {
        Some(program) => Ok((found, program)),
        None => {
            let asked = wish.program.iter().map(|name| format!(" named {name}")).collect();
            Err(Box::new(MemberError::NoSuchProgram { package, version, hook, asked, has }))
        }
    }
}
