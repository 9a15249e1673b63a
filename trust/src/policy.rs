//! The node's own policy: a file on the node that nobody else can change. Deny by default: an empty one loads nothing.
//! It refuses to know where the file is and who may write it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use evidence::{AttestationTable, LogTable, VerifiedOnTable};
use serde::Deserialize;
use skep_artifact::limits::SIGNATURES_MAX;
use skep_artifact::{Hook, Namespace, PublicKey};

use crate::attestation::{AttestationRule, VerifiedOnRule};
use crate::log::{LogPolicy, LogPolicyError};
use crate::tuf::Delegations;

mod evidence;

/// Bytes of a policy file: thousands of namespaces fit.
pub const POLICY_BYTES_MAX: usize = 1024 * 1024;

/// What a node accepts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodePolicy {
    namespaces: BTreeMap<Namespace, NamespaceRule>,
    operator: Option<Signers>,
    /// The file of the root that says who delegates namespaces.
    trust_root: Option<String>,
    /// What the repository under that root said last.
    delegations: Option<Arc<Delegations>>,
    log: Option<Box<LogPolicy>>,
    require_log: bool,
    environment: Option<String>,
    emergency: Vec<PublicKey>,
    on_revoke: BTreeMap<Hook, OnRevoke>,
}

/// What becomes of a chain that runs content which was revoked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnRevoke {
    /// It runs on, and the node says so: a firewall with a flaw may be better than none.
    #[default]
    Keep,
    /// What the revision names as its fallback, or what last ran well, takes its place; where neither may run, it is kept.
    Fallback,
    /// It is taken off.
    Detach,
}

/// What a node accepts from one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceRule {
    /// Who signs the namespace's role file; `None` leaves that to the trusted root's offline role.
    pub signers: Option<Signers>,
    /// Hooks its programs may be attached to.
    pub hooks: Vec<Hook>,
    /// Helpers its programs may not call, with the prefix `bpf_`.
    pub refuse_helpers: Vec<String>,
    /// The most instructions one of its programs may have, called functions included.
    pub max_instructions: Option<u32>,
    /// The most bytes the maps of one object may hold when full (one copy, whatever the number of processors).
    pub max_map_bytes: Option<u64>,
    /// Statements that must come with its packages.
    pub attestations: Vec<AttestationRule>,
    /// Kernels on which its packages must have been verified.
    pub verified_on: Option<VerifiedOnRule>,
    /// What becomes of revoked content of this namespace; `None` leaves it to the hook.
    pub on_revoke: Option<OnRevoke>,
}

/// m-of-n keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signers {
    /// The accepted keys.
    pub keys: Vec<PublicKey>,
    /// How many of them must sign.
    pub threshold: usize,
}

/// Why a policy file is refused. A refused file loads nothing, as an empty one does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Longer than a policy may be.
    #[error("The node policy has {bytes} bytes; at most {POLICY_BYTES_MAX} are read.")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// Not TOML, an unknown key, or a value of the wrong type.
    #[error("The node policy cannot be read, line {line}: {reason}.")]
    Toml {
        /// Line, counted from 1.
        line: usize,
        /// What the parser said; it names the key.
        reason: String,
    },
    /// A namespace that is described twice.
    #[error("The node policy has two [[namespace]] tables for {namespace}; write one.")]
    Twice {
        /// The namespace.
        namespace: Namespace,
    },
    /// A namespace without keys, and no root that could name any.
    #[error(
        "The node policy lists no keys for {namespace}, and trusts no root that could delegate it. Add `keys`, or a [trust] table with the registry's root."
    )]
    NoKeys {
        /// The namespace.
        namespace: Namespace,
    },
    /// A threshold without keys would restrict nothing.
    #[error("The node policy has a threshold for {namespace} and no keys. Write both, or neither.")]
    ThresholdAlone {
        /// The namespace.
        namespace: Namespace,
    },
    /// A threshold no set of signatures can mean anything for.
    #[error(
        "The node policy asks for {threshold} of {keys} different keys for {of}; write a threshold from 1 to the number of keys."
    )]
    Threshold {
        /// Whose signatures: a namespace or the operator.
        of: String,
        /// Signatures asked for.
        threshold: usize,
        /// Different keys listed.
        keys: usize,
    },
    /// More keys than are read.
    #[error("The node policy lists {keys} keys for {of}; at most {SIGNATURES_MAX} are read.")]
    TooManyKeys {
        /// Whose keys.
        of: String,
        /// How many there are.
        keys: usize,
    },
    /// Keys of a log or of witnesses that cannot be used together.
    #[error("The [log] table of the node policy cannot be used: {0}.")]
    Log(LogPolicyError),
    /// A proof is asked for, and no log is named.
    #[error(
        "The node policy says require-log and names no log; add a [log] table with the key that `skep log key` prints."
    )]
    NoLog,
    /// A kind of attestation nobody knows.
    #[error(
        "The node policy requires an attestation of type `{found}`; write provenance, sbom, verified-on or the address of a predicate type."
    )]
    AttestationType {
        /// What is written.
        found: String,
    },
    /// No kernel series.
    #[error("The node policy requires `{found}` as a kernel series; write it like 6.1.")]
    KernelSeries {
        /// What is written.
        found: String,
    },
    /// A helper's name without its prefix would silently refuse nothing.
    #[error(
        "The node policy refuses the helper `{helper}`; write it with its prefix, for instance bpf_probe_write_user."
    )]
    Helper {
        /// What is written.
        helper: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    #[serde(default)]
    namespace: Vec<NamespaceTable>,
    operator: Option<OperatorTable>,
    #[serde(default, rename = "on-revoke")]
    on_revoke: BTreeMap<Hook, OnRevoke>,
    trust: Option<TrustTable>,
    #[serde(default, rename = "require-log")]
    require_log: bool,
    log: Option<LogTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TrustTable {
    /// Path of the first trusted root, from the policy file's folder.
    root: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct NamespaceTable {
    name: Namespace,
    keys: Option<Vec<PublicKey>>,
    threshold: Option<usize>,
    hooks: Vec<Hook>,
    #[serde(default)]
    refuse_helpers: Vec<String>,
    max_instructions: Option<u32>,
    max_map_bytes: Option<u64>,
    #[serde(default)]
    require_attestation: Vec<AttestationTable>,
    require_verified_on: Option<VerifiedOnTable>,
    #[serde(default)]
    verified_on_keys: Vec<PublicKey>,
    on_revoke: Option<OnRevoke>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OperatorTable {
    keys: Vec<PublicKey>,
    #[serde(default = "one")]
    threshold: usize,
    environment: Option<String>,
    #[serde(default)]
    emergency: Vec<PublicKey>,
}

const fn one() -> usize {
    1
}

impl NodePolicy {
    /// Reads a policy file. Unknown keys are refused: a misspelt restriction must not be no restriction.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        if text.len() > POLICY_BYTES_MAX {
            return Err(PolicyError::TooLong { bytes: text.len() });
        }
        let file: PolicyFile = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let line = text.bytes().take(start).filter(|byte| *byte == b'\n').count() + 1;
            PolicyError::Toml { line, reason: error.message().to_owned() }
        })?;
        let mut policy = Self::default();
        for table in file.namespace {
            let namespace = table.name.clone();
            let rule = NamespaceRule::from_table(table)?;
            if rule.signers.is_none() && file.trust.is_none() {
                return Err(PolicyError::NoKeys { namespace });
            }
            if policy.namespaces.insert(namespace.clone(), rule).is_some() {
                return Err(PolicyError::Twice { namespace });
            }
        }
        policy.on_revoke = file.on_revoke;
        if let Some(OperatorTable { keys, threshold, environment, emergency }) = file.operator {
            policy.operator = Some(Signers::new("the operator", keys, threshold)?);
            policy.environment = environment;
            if emergency.len() > SIGNATURES_MAX {
                let of = "emergencies".to_owned();
                return Err(PolicyError::TooManyKeys { of, keys: emergency.len() });
            }
            policy.emergency = emergency;
        }
        policy.trust_root = file.trust.map(|table| table.root);
        policy.log = file.log.map(LogTable::read).transpose()?.map(Box::new);
        policy.require_log = file.require_log;
        if policy.require_log && policy.log.is_none() {
            return Err(PolicyError::NoLog);
        }
        Ok(policy)
    }

    /// What is accepted from a namespace; `None` means nothing.
    pub fn namespace(&self, namespace: &Namespace) -> Option<&NamespaceRule> {
        self.namespaces.get(namespace)
    }

    /// The namespaces anything is accepted from.
    pub fn namespaces(&self) -> impl Iterator<Item = &Namespace> {
        self.namespaces.keys()
    }

    /// The file of the trusted root, if the policy trusts one.
    pub fn trust_root(&self) -> Option<&str> {
        self.trust_root.as_deref()
    }

    /// What the repository under the trusted root said last; `None` before it was read.
    pub fn delegations(&self) -> Option<&Delegations> {
        self.delegations.as_deref()
    }

    /// The same policy with what the repository says now.
    #[must_use]
    pub fn with_delegations(&self, delegations: Arc<Delegations>) -> Self {
        Self { delegations: Some(delegations), ..self.clone() }
    }

    /// Who signs policy revisions; `None` means nobody does, and none is accepted.
    pub fn operator(&self) -> Option<&Signers> {
        self.operator.as_ref()
    }

    /// The namespaces whose packages must come with statements.
    pub fn attested_namespaces(&self) -> BTreeSet<Namespace> {
        let asks =
            |rule: &NamespaceRule| !rule.attestations.is_empty() || rule.verified_on.is_some();
        let asking = self.namespaces.iter().filter(|(_, rule)| asks(rule));
        asking.map(|(namespace, _)| namespace.clone()).collect()
    }

    /// The log the node follows.
    pub fn log(&self) -> Option<&LogPolicy> {
        self.log.as_deref()
    }

    /// The log in which every package must be proved; `None` when no proof is asked for.
    pub fn required_log(&self) -> Option<&LogPolicy> {
        self.log.as_deref().filter(|_| self.require_log)
    }

    /// The only environment whose policy sets are accepted; `None` means that of the first one seen.
    pub fn environment(&self) -> Option<&str> {
        self.environment.as_deref()
    }

    /// Keys each of which may revoke by itself, and do nothing else.
    pub fn emergency(&self) -> &[PublicKey] {
        &self.emergency
    }

    /// What becomes of revoked content of a namespace on a hook: the namespace's word, else the hook's.
    pub fn on_revoke(&self, namespace: &Namespace, hook: Hook) -> OnRevoke {
        let of_namespace = self.namespace(namespace).and_then(|rule| rule.on_revoke);
        of_namespace.or_else(|| self.on_revoke.get(&hook).copied()).unwrap_or_default()
    }
}

impl NamespaceRule {
    fn from_table(table: NamespaceTable) -> Result<Self, PolicyError> {
        if let Some(helper) = table.refuse_helpers.iter().find(|helper| !helper.starts_with("bpf_"))
        {
            return Err(PolicyError::Helper { helper: helper.chars().take(80).collect() });
        }
        let name = table.name.as_str();
        let attestations = table.require_attestation.into_iter().map(|rule| rule.read(name));
        let attestations = attestations.collect::<Result<_, _>>()?;
        // Whom else to believe is the owner's to say; unless they do, the publisher's word is asked for.
        let own = match table.verified_on_keys.is_empty() {
            true => table.keys.clone().unwrap_or_default(),
            false => table.verified_on_keys,
        };
        let verified_on = table.require_verified_on.map(|rule| rule.read(own, name)).transpose()?;
        let signers = match (table.keys, table.threshold) {
            (Some(keys), threshold) => {
                Some(Signers::new(table.name.as_str(), keys, threshold.unwrap_or(1))?)
            }
            (None, None) => None,
            (None, Some(_)) => return Err(PolicyError::ThresholdAlone { namespace: table.name }),
        };
        Ok(Self {
            attestations,
            verified_on: verified_on.flatten(),
            signers,
            hooks: table.hooks,
            refuse_helpers: table.refuse_helpers,
            max_instructions: table.max_instructions,
            max_map_bytes: table.max_map_bytes,
            on_revoke: table.on_revoke,
        })
    }
}

impl Signers {
    fn new(of: &str, keys: Vec<PublicKey>, threshold: usize) -> Result<Self, PolicyError> {
        if keys.len() > SIGNATURES_MAX {
            return Err(PolicyError::TooManyKeys { of: of.to_owned(), keys: keys.len() });
        }
        let mut ids: Vec<_> = keys.iter().map(PublicKey::key_id).collect();
        ids.sort_unstable();
        ids.dedup();
        if threshold == 0 || threshold > ids.len() {
            return Err(PolicyError::Threshold { of: of.to_owned(), threshold, keys: ids.len() });
        }
        Ok(Self { keys, threshold })
    }
}

#[cfg(test)]
mod tests;
