//! The node's own policy: a file on the node that nobody else can change. Deny by default: an empty one loads nothing.
//! It refuses to know where the file is and who may write it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use skep_artifact::limits::SIGNATURES_MAX;
use skep_artifact::{Hook, Namespace, PublicKey};

use crate::tuf::Delegations;

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
    operator: Option<SignersTable>,
    trust: Option<TrustTable>,
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
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignersTable {
    keys: Vec<PublicKey>,
    #[serde(default = "one")]
    threshold: usize,
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
        let operator =
            file.operator.map(|table| Signers::new("the operator", table.keys, table.threshold));
        policy.operator = operator.transpose()?;
        policy.trust_root = file.trust.map(|table| table.root);
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
}

impl NamespaceRule {
    fn from_table(table: NamespaceTable) -> Result<Self, PolicyError> {
        if let Some(helper) = table.refuse_helpers.iter().find(|helper| !helper.starts_with("bpf_"))
        {
            return Err(PolicyError::Helper { helper: helper.chars().take(80).collect() });
        }
        let signers = match (table.keys, table.threshold) {
            (Some(keys), threshold) => {
                Some(Signers::new(table.name.as_str(), keys, threshold.unwrap_or(1))?)
            }
            (None, None) => None,
            (None, Some(_)) => return Err(PolicyError::ThresholdAlone { namespace: table.name }),
        };
        Ok(Self {
            signers,
            hooks: table.hooks,
            refuse_helpers: table.refuse_helpers,
            max_instructions: table.max_instructions,
            max_map_bytes: table.max_map_bytes,
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
mod tests {
    use skep_artifact::SecretKey;

    use super::*;

    fn key(seed: u8) -> String {
        SecretKey::from_seed([seed; 32]).public().to_string()
    }

    fn refusal(text: &str) -> String {
        NodePolicy::parse(text).map_or_else(|error| error.to_string(), |_| "accepted".to_owned())
    }

    #[test]
    fn an_empty_policy_accepts_nobody() {
        let policy = NodePolicy::parse("").unwrap();
        assert_eq!(policy, NodePolicy::default());
        assert_eq!(policy.namespaces().count(), 0);
        assert_eq!(policy.operator(), None);
    }

    #[test]
    fn every_key_of_the_file_is_read() {
        let text = format!(
            "[operator]\nkeys = [\"{}\", \"{}\"]\nthreshold = 2\n[[namespace]]\nname = \"skep\"\nkeys = [\"{}\"]\n\
             hooks = [\"xdp\", \"tc-ingress\"]\nrefuse-helpers = [\"bpf_redirect\"]\nmax-instructions = 10\nmax-map-bytes = 20\n",
            key(1),
            key(2),
            key(3)
        );
        let policy = NodePolicy::parse(&text).unwrap();
        assert_eq!(
            policy.operator().map(|signers| (signers.keys.len(), signers.threshold)),
            Some((2, 2))
        );
        let rule = policy.namespace(&"skep".parse().unwrap()).unwrap();
        assert_eq!(rule.hooks, [Hook::Xdp, Hook::TcIngress]);
        assert_eq!(
            (rule.signers.as_ref().unwrap().threshold, rule.max_instructions, rule.max_map_bytes),
            (1, Some(10), Some(20))
        );
        assert_eq!(policy.namespace(&"acme".parse().unwrap()), None);
    }

    #[test]
    fn a_namespace_needs_keys_or_a_root_that_can_name_them() {
        let table = "[[namespace]]\nname = \"acme\"\nhooks = [\"xdp\"]\n";
        assert!(refusal(table).contains("lists no keys for acme"));
        let trusting = format!("[trust]\nroot = \"root.json\"\n{table}");
        let policy = NodePolicy::parse(&trusting).unwrap();
        assert_eq!(policy.trust_root(), Some("root.json"));
        assert_eq!(policy.namespace(&"acme".parse().unwrap()).unwrap().signers, None);
        assert!(refusal(&format!("{trusting}threshold = 2\n")).contains("threshold for acme"));
        assert!(refusal("[trust]\nroots = \"root.json\"").contains("unknown field `roots`"));
    }

    #[test]
    fn a_restriction_that_is_misspelt_is_no_policy() {
        let table = |rest: &str| {
            format!("[[namespace]]\nname = \"a\"\nkeys = [\"{}\"]\nhooks = []\n{rest}", key(1))
        };
        assert_eq!(refusal(&table("")), "accepted");
        assert!(
            refusal(&table("refuse_helpers = []"))
                .contains("line 5: unknown field `refuse_helpers`")
        );
        assert!(
            refusal(&table("refuse-helpers = [\"redirect\"]")).contains("write it with its prefix")
        );
        assert!(refusal(&table("threshold = 0")).contains("asks for 0 of 1"));
        assert!(refusal(&table("threshold = 2")).contains("asks for 2 of 1"));
        assert!(
            refusal(&[table(""), table("")].concat()).contains("two [[namespace]] tables for a")
        );
        assert!(
            refusal(&table("").replace("hooks = []", "hooks = [\"socket\"]"))
                .contains("unknown variant")
        );
        assert!(refusal(&table("").replace("hooks = []\n", "")).contains("missing field `hooks`"));
        assert!(refusal("[operator]\nkeys = []").contains("asks for 1 of 0"));
        let twice = format!("[operator]\nkeys = [\"{0}\", \"{0}\"]\nthreshold = 2", key(1));
        assert!(refusal(&twice).contains("asks for 2 of 1"));
        assert!(
            refusal(
                "[operator]\nkeys = [\"skep-ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"]"
            )
            .contains("small order")
        );
    }
}
