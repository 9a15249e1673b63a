//! What a chain says about itself: written into a frozen BPF map beside the programs, so that
//! whoever opens the pins knows what runs without any file. Pure data, its bytes, and how a wish
//! becomes a record. Knows no kernel.

use serde::{Deserialize, Serialize};
use skep_artifact::Digest;
use skep_artifact::config::EncodedConfig;
use skep_artifact::hook::{Failure, Mode, VerdictSet};

use crate::chain::{Chain, Counting, Member, in_order};
use crate::kinds::{Backend, Chosen};

/// Room for a record: 64 members with the longest names need about 48 KiB, the reason a little, a
/// note about each member 16 KiB.
pub(crate) const RECORD_BYTES_MAX: usize = 96 << 10;
/// The record's own format.
const RECORD_VERSION: u8 = 1;
/// The length of the JSON stands first, as a little-endian u32.
const LENGTH_BYTES: usize = 4;

/// One member as it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemberRecord {
    /// The policy that asked for it.
    pub(crate) policy: String,
    /// Its name within the policy.
    pub(crate) name: String,
    /// The function in the object.
    pub(crate) program: String,
    /// The package, unless a person loaded a local file.
    pub(crate) package: Option<String>,
    /// Its version.
    pub(crate) version: Option<String>,
    /// The digest of the package's index.
    pub(crate) index_digest: Option<Digest>,
    /// The digest of the object's bytes.
    pub(crate) object: Digest,
    /// Lower runs first.
    pub(crate) priority: u32,
    /// The verdicts after which the next member runs.
    pub(crate) proceed_on: VerdictSet,
    /// Whether its verdicts count.
    pub(crate) mode: Mode,
    /// What happens to a packet for which it could not run.
    pub(crate) failure: Failure,
    /// Whether its code cannot change the length of a packet, so that it counts the bytes of those
    /// packets only whose way along the chain ended with it. Records of older versions do not say so:
    /// there every member counts the bytes of every packet.
    #[serde(default)]
    pub(crate) keeps_length: bool,
    /// The digest of the globals and map entries it was loaded with.
    pub(crate) config_digest: Digest,
}

/// A chain as it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChainRecord {
    pub(crate) record_version: u8,
    pub(crate) generation: u64,
    pub(crate) backend: Backend,
    /// Why it is this backend; empty in records of older versions.
    #[serde(default)]
    pub(crate) why: String,
    /// What is worth telling about how it was built.
    #[serde(default)]
    pub(crate) notes: Vec<String>,
    /// The digest of the dispatcher's object: another one is another chain.
    pub(crate) dispatcher: Digest,
    pub(crate) counting: Counting,
    /// In the order in which packets meet them.
    pub(crate) members: Vec<MemberRecord>,
}

/// The record could not be written or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Too large for its map.
    #[error("the chain's record takes {bytes} bytes, of which at most {} fit", RECORD_BYTES_MAX - LENGTH_BYTES)]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Not a record of ours, or of another version.
    #[error("the chain's record cannot be read: another version of Skep wrote it")]
    Unreadable,
}

impl ChainRecord {
    /// What a chain will say about itself once it runs. `keep_length`: whether each member does, in
    /// order.
    pub(crate) fn of(
        chain: &Chain,
        chosen: Chosen,
        dispatcher: Digest,
        counting: Counting,
        keep_length: impl Iterator<Item = bool>,
    ) -> Self {
        let members = in_order(&chain.members).into_iter().zip(keep_length);
        Self {
            record_version: RECORD_VERSION,
            generation: chain.generation,
            backend: chosen.backend,
            why: chosen.why,
            notes: Vec::new(),
            dispatcher,
            counting,
            members: members.map(|(member, keeps)| member_record(member, keeps)).collect(),
        }
    }

    /// Whether packets would be treated the same, whatever the caller's number is, whatever the
    /// reason for the backend was, and whatever building it told.
    pub(crate) fn same_chain(&self, other: &Self) -> bool {
        let Self { generation, why, notes, .. } = other.clone();
        Self { generation, why, notes, ..self.clone() } == *other
    }

    /// The reason for the backend, and what building told.
    pub(crate) fn told(&self) -> String {
        std::iter::once(&self.why)
            .chain(&self.notes)
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("; ")
    }

    /// The value of the record's map: length, JSON, zeroes.
    pub(crate) fn to_value(&self) -> Result<Vec<u8>, RecordError> {
        let json = serde_json::to_vec(self).map_err(|_| RecordError::Unreadable)?;
        let too_large = RecordError::TooLarge { bytes: json.len() };
        if json.len() > RECORD_BYTES_MAX - LENGTH_BYTES {
            return Err(too_large);
        }
        let length = u32::try_from(json.len()).map_err(|_| too_large)?;
        let mut value = length.to_le_bytes().to_vec();
        value.extend_from_slice(&json);
        value.resize(RECORD_BYTES_MAX, 0);
        Ok(value)
    }

    /// A record out of its map's value.
    pub(crate) fn from_value(value: &[u8]) -> Result<Self, RecordError> {
        let (length, rest) =
            value.split_first_chunk::<LENGTH_BYTES>().ok_or(RecordError::Unreadable)?;
        let json =
            rest.get(..u32::from_le_bytes(*length) as usize).ok_or(RecordError::Unreadable)?;
        let record: Self = serde_json::from_slice(json).map_err(|_| RecordError::Unreadable)?;
        if record.record_version == RECORD_VERSION {
            Ok(record)
        } else {
            Err(RecordError::Unreadable)
        }
    }
}

fn member_record(member: &Member, keeps_length: bool) -> MemberRecord {
    let (package, version, index_digest) = match member.object.origin() {
        Some((package, version, index)) => (Some(package), Some(version), Some(index)),
        None => (None, None, None),
    };
    MemberRecord {
        policy: member.policy.clone(),
        name: member.name.clone(),
        program: member.program.clone(),
        package,
        version,
        index_digest,
        object: Digest::of(member.object.bytes()),
        priority: member.priority,
        proceed_on: member.proceed_on,
        mode: member.mode,
        failure: member.failure,
        keeps_length,
        config_digest: config_digest(&member.config),
    }
}

/// One digest over everything that a config writes: each part with its length, so that no two
/// configs share their bytes.
pub fn config_digest(config: &EncodedConfig) -> Digest {
    let mut bytes = Vec::new();
    let mut put = |part: &[u8]| {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part);
    };
    put(&(config.globals.len() as u64).to_le_bytes());
    for (name, value) in &config.globals {
        put(name.as_bytes());
        put(value);
    }
    for (name, entries) in &config.maps {
        put(name.as_bytes());
        put(&(entries.len() as u64).to_le_bytes());
        for (key, value) in entries {
            put(key);
            put(value);
        }
    }
    Digest::of(&bytes)
}
