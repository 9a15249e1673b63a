//! Policies: the document an operator writes, and the revision an operator signs.
//! Refuses to know who signed what (that is `trust`) and where packages are stored.

mod bounds;
mod error;
mod resolve;

pub use bounds::{ApprovalRule, BoundsError, Fallback, FallbackWish};
pub use error::{MemberError, PolicyError, RangeError};
pub use resolve::{ProgramDefaults, ResolvedPackage};

use crate::how::{AttachMode, Backend, How};
use crate::ids::{MemberName, PolicyName};
use crate::rollout::RolloutPlan;
use crate::selector::Selector;
use serde::{Deserialize, Serialize};
use skep_artifact::config::ConfigValues;
use skep_artifact::digest::Digest;
use skep_artifact::hook::{Failure, Hook, Mode, Verdict, VerdictSet};
use skep_artifact::name::PackageName;
use std::collections::BTreeSet;
use std::str::FromStr;

/// Most programs in one policy: the widest backend chains 64 members on one hook, so more could
/// never be placed.
pub const PROGRAMS_MAX: usize = 64;
/// Most interface patterns in one policy; a list longer than this wants a label instead.
pub const INTERFACE_PATTERNS_MAX: usize = 64;
/// Largest policy revision, in bytes of JSON: 1 MiB holds 64 programs with a block list of about
/// 500 entries each; larger lists belong into a package of their own.
pub const REVISION_BYTES_MAX: usize = 1 << 20;
/// Priority of a member whose document and package name none (libxdp's default, too).
pub const PRIORITY_DEFAULT: u32 = 50;

/// What an operator writes: version ranges, defaults left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyDocument {
    pub kind: PolicyKind,
    pub name: PolicyName,
    pub nodes: Selector,
    pub attach: Attach,
    pub programs: Vec<ProgramWish>,
    /// What a node may run instead: the revision before, or nothing.
    #[serde(default)]
    pub fallback: Option<FallbackWish>,
    /// Whose agreement waves need.
    #[serde(default)]
    pub approval: Option<ApprovalRule>,
    /// The name of the strategy by which a new revision goes to its nodes; to all at once when it names none.
    #[serde(default)]
    pub strategy: Option<String>,
}

/// The `kind:` line of a policy document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PolicyKind {
    Policy,
}

/// Where on a node the programs go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Attach {
    pub interfaces: InterfaceMatch,
    pub hook: Hook,
    #[serde(default, skip_serializing_if = "is_default")]
    pub backend: Backend,
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: AttachMode,
    /// Take off an XDP program that somebody else attached: packets pass unseen in between.
    #[serde(default, skip_serializing_if = "is_default")]
    pub takeover: bool,
    /// Let packets pass unseen for a moment where the kernel cannot move a running chain to another
    /// attachment or mode in one step.
    #[serde(default, skip_serializing_if = "is_default")]
    pub allow_gap: bool,
    /// Begin with an empty map where a new version cannot take over what an older one's map holds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lose_state: bool,
}

impl Attach {
    /// A hook of these interfaces, everything else left to the node.
    #[must_use]
    pub fn on(interfaces: InterfaceMatch, hook: Hook) -> Self {
        let How { backend, mode, takeover, allow_gap, lose_state } = How::default();
        Self { interfaces, hook, backend, mode, takeover, allow_gap, lose_state }
    }

    /// How the chain shall be built and attached.
    #[must_use]
    pub fn how(&self) -> How {
        let Self { backend, mode, takeover, allow_gap, lose_state, .. } = *self;
        How { backend, mode, takeover, allow_gap, lose_state }
    }
}

/// What nobody wrote is not signed either, so that a policy of an older version keeps its bytes.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Interface names: `*` and `?` are wild, a leading `!` excludes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InterfaceMatch {
    #[serde(rename = "match")]
    pub patterns: Vec<String>,
}

impl InterfaceMatch {
    /// Whether this interface is meant: some pattern includes it and none excludes it.
    #[must_use]
    pub fn matches(&self, interface: &str) -> bool {
        let hit = |pattern: &str| wildmatch::WildMatch::new(pattern).matches(interface);
        self.patterns.iter().any(|p| !p.starts_with('!') && hit(p))
            && !self.patterns.iter().filter_map(|p| p.strip_prefix('!')).any(hit)
    }
}

/// One program as an operator asks for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProgramWish {
    pub name: MemberName,
    pub package: PackageRange,
    /// The program's name inside the package; may be left out when the package holds one.
    #[serde(default)]
    pub program: Option<String>,
    #[serde(default)]
    pub priority: Option<u32>,
    #[serde(default)]
    pub proceed_on: Option<VerdictSet>,
    #[serde(default)]
    pub mode: Mode,
    #[serde(default)]
    pub failure: Failure,
    #[serde(default)]
    pub config: ConfigValues,
}

/// `acme/ratelimit@^1.4`: a package and the versions that will do. Without `@`, any version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackageRange {
    pub package: PackageName,
    pub versions: semver::VersionReq,
}

impl FromStr for PackageRange {
    type Err = RangeError;
    fn from_str(text: &str) -> Result<Self, RangeError> {
        let (name, range) = text.split_once('@').unwrap_or((text, "*"));
        let package =
            name.parse().map_err(|source| RangeError::Name { text: text.to_owned(), source })?;
        let versions = range
            .parse()
            .map_err(|source| RangeError::Versions { text: text.to_owned(), source })?;
        Ok(Self { package, versions })
    }
}

impl TryFrom<String> for PackageRange {
    type Error = RangeError;
    fn try_from(text: String) -> Result<Self, RangeError> {
        text.parse()
    }
}

impl From<PackageRange> for String {
    fn from(range: PackageRange) -> String {
        format!("{}@{}", range.package, range.versions)
    }
}

/// What an operator signs: digests, every default written out. The JSON of this struct is the
/// payload of the DSSE envelope; a node acts on nothing else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyRevision {
    pub name: PolicyName,
    /// Starts at 1, only grows; a node refuses a lower one.
    pub revision: u64,
    /// A signed tombstone: the policy asks for nothing any more. `programs` is empty then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub removed: bool,
    pub nodes: Selector,
    pub attach: Attach,
    pub programs: Vec<PinnedProgram>,
    /// The only lower content that a node may run instead of this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
    /// Whose agreement waves need; a node refuses a wave that lacks it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalRule>,
    /// The waves in which it goes to its nodes; to all at once without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutPlan>,
}

/// One program of a signed revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PinnedProgram {
    pub name: MemberName,
    pub package: PackageName,
    pub version: semver::Version,
    /// Digest of the package's OCI index: what the publisher signed.
    pub index: Digest,
    pub program: String,
    pub priority: u32,
    pub proceed_on: VerdictSet,
    pub mode: Mode,
    pub failure: Failure,
    pub config: ConfigValues,
}

impl PolicyRevision {
    /// Reads the payload of a verified envelope and checks it.
    ///
    /// # Errors
    /// [`PolicyError`] for oversize, unreadable or contradictory revisions.
    pub fn from_json(bytes: &[u8]) -> Result<Self, PolicyError> {
        if bytes.len() > REVISION_BYTES_MAX {
            return Err(PolicyError::TooLarge { found: bytes.len() });
        }
        let revision: Self =
            serde_json::from_slice(bytes).map_err(|source| PolicyError::Json { source })?;
        revision.check()?;
        Ok(revision)
    }

    /// The bytes to sign.
    ///
    /// # Errors
    /// [`PolicyError::TooLarge`] when the revision exceeds [`REVISION_BYTES_MAX`].
    pub fn to_json(&self) -> Result<Vec<u8>, PolicyError> {
        let bytes = serde_json::to_vec(self).map_err(|source| PolicyError::Json { source })?;
        if bytes.len() > REVISION_BYTES_MAX {
            return Err(PolicyError::TooLarge { found: bytes.len() });
        }
        Ok(bytes)
    }

    /// The signed tombstone that takes this policy off every node.
    #[must_use]
    pub fn tombstone(&self, revision: u64) -> Self {
        let (programs, fallback, approval, rollout) = (Vec::new(), None, None, None);
        Self { revision, removed: true, programs, fallback, approval, rollout, ..self.clone() }
    }

    /// Refuses revisions that mean nothing or contradict themselves.
    ///
    /// # Errors
    /// [`PolicyError`] says which rule is broken.
    pub fn check(&self) -> Result<(), PolicyError> {
        let policy = || self.name.clone();
        if self.revision == 0 {
            return Err(PolicyError::RevisionZero { policy: policy() });
        }
        self.nodes.check().map_err(|source| PolicyError::Selector { policy: policy(), source })?;
        let patterns = &self.attach.interfaces.patterns;
        let includes = patterns.iter().any(|p| !p.starts_with('!'));
        if !includes || patterns.len() > INTERFACE_PATTERNS_MAX {
            return Err(PolicyError::Interfaces { policy: policy(), found: patterns.len() });
        }
        self.check_how()?;
        match (self.removed, self.programs.len()) {
            (true, 0) | (false, 1..=PROGRAMS_MAX) => {}
            (true, found) => {
                return Err(PolicyError::TombstoneWithPrograms { policy: policy(), found });
            }
            (false, 0) => return Err(PolicyError::NoPrograms { policy: policy() }),
            (false, found) => {
                return Err(PolicyError::TooManyPrograms { policy: policy(), found });
            }
        }
        self.check_bounds()?;
        let fallback = self.fallback.iter().flat_map(|fallback| &fallback.programs);
        fallback.into_iter().try_for_each(|program| self.check_verdicts(program))?;
        let mut seen = BTreeSet::new();
        for program in &self.programs {
            if !seen.insert(&program.name) {
                let member = program.name.clone();
                return Err(PolicyError::DuplicateMember { policy: policy(), member });
            }
            self.check_verdicts(program)?;
        }
        Ok(())
    }

    /// Whether the hook has what is asked for.
    fn check_how(&self) -> Result<(), PolicyError> {
        let Attach { hook, backend, mode, .. } = self.attach;
        let refused = |asked: String, advice| {
            Err(PolicyError::ForeignHow { policy: self.name.clone(), asked, hook, advice })
        };
        let fits = match backend {
            Backend::Auto | Backend::Slots | Backend::Fused => true,
            Backend::Libxdp => !hook.is_tc(),
            Backend::Tcx | Backend::TcxFused | Backend::Tc | Backend::TcFused => hook.is_tc(),
        };
        if !fits {
            let advice = if hook.is_tc() {
                "Name slots, fused, tcx, tcx-fused, tc or tc-fused, or leave it out."
            } else {
                "Name libxdp, slots or fused, or leave it out."
            };
            return refused(format!("the backend {}", backend.as_str()), advice);
        }
        if hook.is_tc() && mode != AttachMode::Auto {
            let advice = "Only xdp runs in native or generic mode: leave it out.";
            return refused(format!("the mode {}", mode.as_str()), advice);
        }
        Ok(())
    }

    fn check_verdicts(&self, program: &PinnedProgram) -> Result<(), PolicyError> {
        let hook = self.attach.hook;
        let Some(verdict) = program.proceed_on.iter().find(|v| v.code(hook).is_none()) else {
            return Ok(());
        };
        let names: Vec<&str> = hook.verdicts().into_iter().map(Verdict::as_str).collect();
        let source = MemberError::ForeignVerdict { verdict, hook, has: names.join(", ") };
        let (policy, member) = (self.name.clone(), program.name.clone());
        Err(PolicyError::Member { policy, member, source: Box::new(source) })
    }
}
