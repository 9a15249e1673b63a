//! A world made ready for a story: a publisher with a key and a namespace, an operator with a key, the first-party
//! packages copied so that they can be changed, nodes that trust both. Refuses to tell the story.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process::Finished;
use crate::world::World;
use crate::{node, packages};

/// The namespace of the first-party packages.
pub const NAMESPACE: &str = "skep";

/// A world with people in it.
pub struct Stage {
    pub world: World,
    pub publisher: Key,
    pub operator: Key,
    programs: PathBuf,
}

/// A signing key of somebody, made by `skep key new`.
pub struct Key {
    pub file: PathBuf,
    /// `skep-ed25519:…`
    pub public: String,
}

impl Key {
    /// The file, as an argument of `skep`.
    ///
    /// # Errors
    /// When the path is no text.
    pub fn argument(&self) -> Result<&str> {
        self.file.to_str().context("a key's path is text")
    }
}

impl Stage {
    /// Starts a registry, makes two keys, claims the namespace, copies the first-party packages.
    ///
    /// # Errors
    /// When any of it fails.
    pub fn set() -> Result<Self> {
        Self::set_in(World::create()?)
    }

    /// The same in a world that is there already.
    ///
    /// # Errors
    /// When any of it fails.
    pub fn set_in(world: World) -> Result<Self> {
        let publisher = new_key(&world, "publisher.key")?;
        let operator = new_key(&world, "operator.key")?;
        world.operator.skep(&["namespace", "claim", NAMESPACE, "--key", &publisher.public])?;
        packages::copy_all(world.folder())?;
        let programs = world.folder().join("programs");
        Ok(Self { world, publisher, operator, programs })
    }

    /// Another key, for somebody nobody knows.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn stranger(&self) -> Result<Key> {
        new_key(&self.world, "stranger.key")
    }

    /// The folder of a first-party package in this world.
    #[must_use]
    pub fn package(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// `skep publish` of a first-party package, signed by the publisher.
    ///
    /// # Errors
    /// When it is refused.
    pub fn publish(&self, name: &str) -> Result<String> {
        let folder = self.package(name);
        self.world.operator.skep(&["publish", text(&folder)?, "--key", self.publisher.argument()?])
    }

    /// Writes another version into a package and publishes it.
    ///
    /// # Errors
    /// When it is refused.
    pub fn publish_version(&self, name: &str, version: &str) -> Result<String> {
        packages::set_version(&self.package(name), version)?;
        self.publish(name)
    }

    /// What a node's owner writes to trust the publisher for the first-party namespace and the operator for policies.
    #[must_use]
    pub fn trusting_policy(&self) -> String {
        format!(
            "[[namespace]]\nname = \"{NAMESPACE}\"\nkeys = [\"{}\"]\nthreshold = 1\nhooks = [\"xdp\", \"tc-ingress\", \"tc-egress\"]\n\n\
             [operator]\nkeys = [\"{}\"]\nthreshold = 1\n",
            self.publisher.public, self.operator.public
        )
    }

    /// Adds a node that trusts publisher and operator, enrols it by a token and starts its agent. Returns its index.
    ///
    /// # Errors
    /// When any of it fails.
    pub fn add_node(&mut self, name: &str, label: &str) -> Result<usize> {
        let policy = self.trusting_policy();
        self.add_node_with(name, label, &policy)
    }

    /// Adds a node with this node policy, enrols it by a token and starts its agent. Returns its index.
    ///
    /// # Errors
    /// When any of it fails.
    pub fn add_node_with(&mut self, name: &str, label: &str, policy: &str) -> Result<usize> {
        let index = self.world.add_node(name)?;
        let token = self.node_token(label)?;
        let node = &mut self.world.nodes[index];
        node.allow(policy)?;
        node.enrol(&self.world.registry, &token, &[])?;
        node.start_agent()?;
        Ok(index)
    }

    /// A token for one node, which gets this label from it.
    ///
    /// # Errors
    /// When the registry refuses.
    pub fn node_token(&self, label: &str) -> Result<String> {
        let arguments = ["node", "token", "create", "--label", label, "--uses", "1", "--ttl", "1h"];
        Ok(self.world.operator.skep(&arguments)?.trim().to_owned())
    }

    /// Signs a policy as the operator and hands it to the registry.
    ///
    /// # Errors
    /// When `skep` cannot be started. A refusal is in what it left behind.
    pub fn try_apply(&self, file: &str, policy: &str) -> Result<Finished> {
        let path = self.world.operator.write(file, policy)?;
        self.world.operator.try_skep(&[
            "apply",
            "-f",
            text(&path)?,
            "--key",
            self.operator.argument()?,
        ])
    }

    /// Signs a policy as the operator and hands it to the registry.
    ///
    /// # Errors
    /// When it is refused.
    pub fn apply(&self, file: &str, policy: &str) -> Result<String> {
        self.try_apply(file, policy)?.expect_success()
    }

    /// Applies the policy `edge-guard`: a firewall and a rate limit on XDP, wherever `role=edge`.
    ///
    /// # Errors
    /// When it is refused.
    pub fn guard_edges(&self) -> Result<String> {
        let members = [guard("skep/firewall@^0.1", "enforce"), limiter("skep/ratelimit@^0.1")];
        self.apply("edge-guard.yaml", &policy("edge-guard", "role=edge", "xdp", &members))
    }

    /// Waits until the registry has heard that this node runs what it should, and returns what it shows of the node.
    ///
    /// # Errors
    /// When it does not get there.
    pub fn converged(&self, index: usize) -> Result<Value> {
        self.world.nodes[index].wait_until_converged(&self.world.operator)
    }

    /// Waits until the registry has heard that this node refused: the code and the sentence.
    ///
    /// # Errors
    /// When it does not refuse.
    pub fn refused(&self, index: usize) -> Result<(String, String)> {
        self.refused_with(index, "")
    }

    /// Waits until this node refused with a code that begins so: the code and the sentence.
    ///
    /// # Errors
    /// When it does not refuse with it.
    pub fn refused_with(&self, index: usize, code: &str) -> Result<(String, String)> {
        self.world.nodes[index].wait_until_refused(&self.world.operator, code)
    }
}

fn new_key(world: &World, name: &str) -> Result<Key> {
    let file = world.operator.file(name);
    let answer = world.operator.skep_json(&["key", "new", "--out", text(&file)?])?;
    let public = answer
        .get("public_key")
        .and_then(Value::as_str)
        .context("`skep key new --json` names no public key")?;
    Ok(Key { public: public.to_owned(), file })
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path is text")
}

/// A member of a policy document.
pub struct Member<'a> {
    pub name: &'a str,
    /// `skep/firewall@^0.1`
    pub package: &'a str,
    pub priority: u32,
    /// `enforce` or `observe`
    pub mode: &'a str,
    /// Settings as YAML in braces: `{ rate: 100 }`
    pub config: String,
}

/// A policy document for nodes with a label, on the interface for chains.
#[must_use]
pub fn policy(name: &str, label: &str, hook: &str, members: &[Member]) -> String {
    let (key, value) = label.split_once('=').unwrap_or((label, ""));
    let mut text = format!(
        "kind: Policy\nname: {name}\nnodes: {{ matchLabels: {{ {key}: {value} }} }}\n\
         attach: {{ interfaces: {{ match: [\"{}\"] }}, hook: {hook} }}\nprograms:\n",
        node::INTERFACE
    );
    for member in members {
        let Member { name, package, priority, mode, config } = member;
        text += &format!(
            "  - name: {name}\n    package: \"{package}\"\n    priority: {priority}\n    mode: {mode}\n"
        );
        text += &format!("    config: {config}\n");
    }
    text
}

/// The firewall that drops the peer's blocked address.
#[must_use]
pub fn guard<'a>(package: &'a str, mode: &'a str) -> Member<'a> {
    let config = format!("{{ blocklist: {{ \"{}/32\": 1 }} }}", node::BLOCKED);
    Member { name: "guard", package, priority: 10, mode, config }
}

/// Packets a second that the limiter lets through for a source.
pub const LIMIT_RATE: u32 = 200;
/// Packets that a silent source may send at once.
pub const LIMIT_BURST: u32 = 400;

/// The rate limiter, from which the peer's well-behaved address is exempt.
#[must_use]
pub fn limiter(package: &str) -> Member<'_> {
    let config = format!(
        "{{ rate: {LIMIT_RATE}, burst: {LIMIT_BURST}, exempt: {{ \"{}/32\": 1 }} }}",
        node::GOOD
    );
    Member { name: "limiter", package, priority: 20, mode: "enforce", config }
}

/// The flow log, which lets everything go on.
#[must_use]
pub fn flows(package: &str) -> Member<'_> {
    Member { name: "flows", package, priority: 50, mode: "enforce", config: "{}".to_owned() }
}
