//! Who this node is: drawn once, kept in one private file. Refuses to know the network and the kernel.

use crate::files::{self, FileError};
use serde::{Deserialize, Serialize};
use skep_artifact::key::PublicKey;
use skep_fleet::ids::NodeName;
use skep_fleet::selector::Labels;
use std::path::{Path, PathBuf};

/// The file's name inside the state folder.
const FILE: &str = "identity.json";
/// Largest identity file: a CA bundle of a few certificates and 128 labels stay far below.
const IDENTITY_BYTES_MAX: u64 = 1 << 20;
/// Random bytes of an instance id: as many as a key, so that nobody can guess another node's.
const INSTANCE_BYTES: usize = 32;

/// A node's name, server and secrets. It has no Debug on purpose.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Address of the registry, `https://host:port`.
    pub server: String,
    pub name: NodeName,
    /// Hex of random bytes that this node drew before it ever spoke to the server. Whoever comes
    /// with the same name and another instance is somebody else.
    pub instance: String,
    /// PEM of the authority that signed the server's certificate, when it is not a public one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_pem: Option<String>,
    /// What the server answered; absent until it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrolled: Option<Enrolled>,
}

/// What makes a node a member of a fleet.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolled {
    /// Bearer secret of every later call.
    pub credential: String,
    /// The labels that selectors are evaluated with, here on the node.
    pub labels: Labels,
    /// The key the server signs assignments with, pinned at enrolment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_key: Option<PublicKey>,
}

/// Why an identity could not be read, stored or used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("The node's identity could not be kept.")]
    File { source: FileError },
    #[error(
        "{} does not hold an identity that can be read. Move it away and enrol again.", path.display()
    )]
    Unreadable { path: PathBuf, source: serde_json::Error },
    #[error(
        "{} belongs to node {is} at {server}. Give another --state folder, or move that one away to give the node up.", path.display()
    )]
    OtherNode { path: PathBuf, is: NodeName, server: String },
    #[error("The operating system gave no random bytes, so no identity could be drawn.")]
    Random,
}

/// Reads the identity in a state folder; `None` when it never tried to enrol.
///
/// # Errors
/// [`IdentityError`].
pub fn load(state: &Path) -> Result<Option<Identity>, IdentityError> {
    let path = state.join(FILE);
    let found = files::read(&path, IDENTITY_BYTES_MAX);
    let Some(bytes) = found.map_err(|source| IdentityError::File { source })? else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|source| IdentityError::Unreadable { path, source })
}

/// Stores an identity, readable by its owner only.
///
/// # Errors
/// [`IdentityError::File`].
pub fn store(state: &Path, identity: &Identity) -> Result<(), IdentityError> {
    let path = state.join(FILE);
    let bytes = serde_json::to_vec_pretty(identity)
        .map_err(|source| IdentityError::Unreadable { path: path.clone(), source })?;
    files::replace(&path, &bytes).map_err(|source| IdentityError::File { source })
}

/// The identity to enrol with: the one already in the folder, or a fresh one, stored before
/// anybody hears of it, so that a crash half way enrols the same node again.
///
/// # Errors
/// [`IdentityError::OtherNode`] when the folder belongs to another node or another server.
pub fn prepare(
    state: &Path,
    server: &str,
    name: &NodeName,
    ca_pem: Option<String>,
) -> Result<Identity, IdentityError> {
    let identity = match load(state)? {
        Some(known) if known.name != *name || known.server != server => {
            let path = state.join(FILE);
            return Err(IdentityError::OtherNode { path, is: known.name, server: known.server });
        }
        Some(known) => Identity { ca_pem: ca_pem.or_else(|| known.ca_pem.clone()), ..known },
        None => Identity {
            server: server.to_owned(),
            name: name.clone(),
            instance: draw_instance()?,
            ca_pem,
            enrolled: None,
        },
    };
    store(state, &identity)?;
    Ok(identity)
}

fn draw_instance() -> Result<String, IdentityError> {
    let mut bytes = [0; INSTANCE_BYTES];
    getrandom::fill(&mut bytes).map_err(|_| IdentityError::Random)?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const SERVER: &str = "https://registry.example:7600";

    fn name(text: &str) -> NodeName {
        text.parse().unwrap()
    }

    #[test]
    fn the_instance_is_drawn_once_and_kept_private() {
        let state = tempfile::tempdir().unwrap();
        let first = prepare(state.path(), SERVER, &name("edge-1"), None).unwrap();
        let again = prepare(state.path(), SERVER, &name("edge-1"), None).unwrap();
        assert!(first == again, "a second enrolment must be the same node");
        assert_eq!(first.instance.len(), 64);
        let mode = std::fs::metadata(state.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn two_nodes_never_draw_the_same_instance() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let a = prepare(a.path(), SERVER, &name("edge-1"), None).unwrap();
        let b = prepare(b.path(), SERVER, &name("edge-1"), None).unwrap();
        assert_ne!(a.instance, b.instance);
    }

    #[test]
    fn a_folder_of_another_node_or_server_is_refused() {
        let state = tempfile::tempdir().unwrap();
        prepare(state.path(), SERVER, &name("edge-1"), None).unwrap();
        let other = prepare(state.path(), SERVER, &name("edge-2"), None);
        assert!(matches!(other, Err(IdentityError::OtherNode { .. })));
        let elsewhere = prepare(state.path(), "https://other.example", &name("edge-1"), None);
        assert!(matches!(elsewhere, Err(IdentityError::OtherNode { .. })));
    }

    #[test]
    fn the_credential_survives_a_second_preparation() {
        let state = tempfile::tempdir().unwrap();
        let mut identity = prepare(state.path(), SERVER, &name("edge-1"), None).unwrap();
        let labels = Labels::from([("role".to_owned(), "edge".to_owned())]);
        identity.enrolled =
            Some(Enrolled { credential: "secret".to_owned(), labels, server_key: None });
        store(state.path(), &identity).unwrap();
        let again = prepare(state.path(), SERVER, &name("edge-1"), None).unwrap();
        assert!(again.enrolled == identity.enrolled);
    }

    #[test]
    fn a_damaged_identity_is_named_and_not_replaced() {
        let state = tempfile::tempdir().unwrap();
        std::fs::write(state.path().join(FILE), b"{\"server\":").unwrap();
        assert!(matches!(load(state.path()), Err(IdentityError::Unreadable { .. })));
        let refused = prepare(state.path(), SERVER, &name("edge-1"), None);
        assert!(refused.is_err());
    }
}
