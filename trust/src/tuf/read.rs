//! Reading a document of ours back into what it was made from, to make the next one. It refuses to judge signatures.

use serde_json::Value;
use skep_artifact::limits::SIGNATURES_MAX;
use skep_artifact::{KeyId, PublicKey};

use super::{
    DELEGATIONS_MAX, DelegationDraft, Document, DocumentError, RoleKeysDraft, RootDraft,
    SELF_SERVICE, TargetsDraft,
};

impl RootDraft {
    /// What a root says.
    ///
    /// # Errors
    /// [`DocumentError::Field`] for what is no root of ours.
    pub fn of(document: &Document) -> Result<Self, DocumentError> {
        if document.kind() != "root" {
            return Err(DocumentError::Field { field: "_type" });
        }
        let signed = document.signed();
        let role = |name| role_of(&signed["roles"][name], &signed["keys"]);
        Ok(Self {
            version: document.version(),
            expires_at: document.expires_at(),
            root: role("root")?,
            targets: role("targets")?,
            snapshot: role("snapshot")?,
            timestamp: role("timestamp")?,
        })
    }
}

impl TargetsDraft {
    /// What a targets role says.
    ///
    /// # Errors
    /// [`DocumentError::Field`] for what is no targets role of ours.
    pub fn of(document: &Document) -> Result<Self, DocumentError> {
        if document.kind() != "targets" {
            return Err(DocumentError::Field { field: "_type" });
        }
        let wrong = DocumentError::Field { field: "delegations" };
        let delegations = &document.signed()["delegations"];
        let roles = delegations["roles"].as_array().ok_or(wrong.clone())?;
        if roles.len() > DELEGATIONS_MAX {
            return Err(wrong);
        }
        let mut draft = Self {
            version: document.version(),
            expires_at: document.expires_at(),
            namespaces: Vec::new(),
            selfservice: None,
        };
        for role in roles {
            let signers = role_of(role, &delegations["keys"])?;
            let name = role["name"].as_str().ok_or(wrong.clone())?;
            if name == SELF_SERVICE {
                draft.selfservice = signers.keys.into_iter().next();
                continue;
            }
            let namespace = name.parse().map_err(|_| wrong.clone())?;
            draft.namespaces.push(DelegationDraft { namespace, signers });
        }
        Ok(draft)
    }
}

fn role_of(role: &Value, keys: &Value) -> Result<RoleKeysDraft, DocumentError> {
    let wrong = || DocumentError::Field { field: "keys" };
    let ids = role["keyids"].as_array().filter(|ids| ids.len() <= SIGNATURES_MAX);
    let key = |id: &Value| {
        let id = id.as_str()?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(keys[id]["keyval"]["public"].as_str()?, &mut bytes).ok()?;
        let key = PublicKey::from_bytes(&bytes).ok()?;
        id.parse::<KeyId>().is_ok_and(|id| id == key.key_id()).then_some(key)
    };
    let keys = ids.ok_or_else(wrong)?.iter().map(|id| key(id).ok_or_else(wrong));
    let threshold = role["threshold"].as_u64().and_then(|m| usize::try_from(m).ok());
    Ok(RoleKeysDraft {
        keys: keys.collect::<Result<_, _>>()?,
        threshold: threshold.filter(|m| *m > 0).ok_or_else(wrong)?,
    })
}
