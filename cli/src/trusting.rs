//! Whom a command trusts: a node policy from a file, or one made of keys on the command line.
//! Refuses to know what is verified with it.

use crate::project;
use anyhow::Context as _;
use skep_artifact::hook::Hook;
use skep_artifact::key::PublicKey;
use skep_artifact::name::Namespace;
use skep_trust::NodePolicy;
use skep_trust::policy::POLICY_BYTES_MAX;
use std::path::{Path, PathBuf};

/// Whom to trust, as commands are told that verify packages.
#[derive(Debug, clap::Args)]
pub(crate) struct Whom {
    /// Node policy that says whom to trust
    #[arg(long, value_name = "FILE", required_unless_present = "keys", conflicts_with = "keys")]
    policy: Option<PathBuf>,
    /// Publisher's public key to trust for these packages; give it once for every key
    #[arg(long = "key", value_name = "PUBLIC_KEY")]
    keys: Vec<PublicKey>,
    /// How many of the keys must have signed
    #[arg(long, default_value_t = 1, requires = "keys")]
    threshold: u32,
}

impl Whom {
    /// The policy that was named, or one for these namespaces made of the keys.
    ///
    /// # Errors
    /// As [`Trust::of_file`] and [`Trust::of_keys_for`].
    pub(crate) fn trust<'n>(
        &self,
        namespaces: impl IntoIterator<Item = &'n Namespace>,
    ) -> anyhow::Result<Trust> {
        match &self.policy {
            Some(path) => Trust::of_file(path),
            None => Trust::of_keys_for(namespaces, &self.keys, self.threshold),
        }
    }
}

/// A policy and the text it was read from, so that the same can be asked again later.
#[derive(Debug, Clone)]
pub(crate) struct Trust {
    pub policy: NodePolicy,
    #[cfg_attr(not(feature = "local"), expect(dead_code, reason = "only seats remember it"))]
    pub text: String,
}

impl Trust {
    /// Reads a node policy.
    ///
    /// # Errors
    /// When the file cannot be read, or is no policy.
    pub(crate) fn of_file(path: &Path) -> anyhow::Result<Self> {
        let bytes = project::read_bytes(path, POLICY_BYTES_MAX)?;
        let text =
            String::from_utf8(bytes).with_context(|| format!("{} is not text.", path.display()))?;
        Self::of_text(text)
            .with_context(|| format!("The policy of {} cannot be used.", path.display()))
    }

    /// A policy that accepts one namespace on every hook, signed by `threshold` of these keys.
    ///
    /// # Errors
    /// When no set of signatures can meet the threshold.
    pub(crate) fn of_keys(
        namespace: &Namespace,
        keys: &[PublicKey],
        threshold: u32,
    ) -> anyhow::Result<Self> {
        Self::of_keys_for([namespace], keys, threshold)
    }

    /// The same for several namespaces.
    ///
    /// # Errors
    /// When no set of signatures can meet the threshold.
    pub(crate) fn of_keys_for<'n>(
        namespaces: impl IntoIterator<Item = &'n Namespace>,
        keys: &[PublicKey],
        threshold: u32,
    ) -> anyhow::Result<Self> {
        let keys: Vec<String> = keys.iter().map(|key| format!("\"{key}\"")).collect();
        let hooks: Vec<String> = Hook::ALL.iter().map(|hook| format!("\"{hook}\"")).collect();
        let (keys, hooks) = (keys.join(", "), hooks.join(", "));
        let rule = |namespace: &Namespace| {
            format!(
                "[[namespace]]\nname = \"{namespace}\"\nkeys = [{keys}]\nthreshold = {threshold}\nhooks = [{hooks}]\n"
            )
        };
        let text = namespaces.into_iter().map(rule).collect();
        Self::of_text(text).context("The policy of --key cannot be used.")
    }

    /// A policy from its text.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn of_text(text: String) -> anyhow::Result<Self> {
        Ok(Self { policy: NodePolicy::parse(&text)?, text })
    }
}
