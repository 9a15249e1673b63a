//! How careful a rollout is, as an operator writes it: `kind: RolloutStrategy` and `kind: Freeze`. Refuses to know which
//! nodes there are: `plan` turns a strategy into what is signed.

use super::gate::{Gate, GateDocument};
use super::units::{Secs, Share, UnitError};
use super::window::Window;
use crate::ids::{NameError, PolicyName, check_name};
use crate::policy::ApprovalRule;
use crate::selector::{Selector, SelectorError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::str::FromStr;

/// Most waves of a strategy: more steps than anybody would watch.
pub const WAVES_MAX: usize = 32;
/// Most gates of a strategy: each is looked at again every few seconds.
pub const GATES_MAX: usize = 32;
/// Most windows of a strategy: three for each day of the week.
pub const WINDOWS_MAX: usize = 21;

/// How a revision goes to its nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RolloutStrategy {
    pub kind: StrategyKind,
    pub name: String,
    pub waves: Vec<WaveDocument>,
    #[serde(default)]
    pub bake: Bake,
    /// How long a wave may take until all its nodes run the revision, windows and freezes aside.
    #[serde(default = "converge_default")]
    pub converge: Secs,
    #[serde(default)]
    pub gates: Vec<GateDocument>,
    #[serde(default)]
    pub on_failure: OnFailure,
    #[serde(default)]
    pub limits: Limits,
    #[serde(default)]
    pub approval: Option<ApprovalRule>,
    #[serde(default)]
    pub windows: Vec<Window>,
    #[serde(default)]
    pub freeze: FreezeRule,
}

/// The `kind:` line of a strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StrategyKind {
    RolloutStrategy,
}

/// One wave as it is written: some nodes, or everything up to a share of all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WaveDocument {
    /// `wave-1`, `wave-2`, … when nobody names it.
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub nodes: Option<WaveNodes>,
    /// Percent of all nodes of the rollout that have the revision after this wave.
    #[serde(default)]
    pub percent: Option<u32>,
    #[serde(default)]
    pub per: Option<Domain>,
}

/// Which nodes a wave is for: those with these labels, so many of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WaveNodes {
    #[serde(default)]
    pub count: Option<usize>,
    #[serde(default)]
    pub labels: Option<Selector>,
}

/// Nodes that fail together: those with the same value of a label. So many of each may change at the same time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Domain {
    pub label: String,
    pub at_most: usize,
}

/// How long a wave is watched: at least, and at most until its gates are decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bake {
    pub min: Secs,
    pub max: Secs,
}

impl Default for Bake {
    fn default() -> Self {
        Self { min: Secs(300), max: Secs(7200) }
    }
}

/// What a failed gate does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    #[default]
    Rollback,
    Hold,
}

/// How many nodes may change at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// Of all nodes of the rollout; one node always may.
    #[serde(default = "unavailable_default")]
    pub unavailable: Share,
    #[serde(default)]
    pub per_minute: Option<usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { unavailable: unavailable_default(), per_minute: None }
    }
}

/// Whether freezes stop the rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FreezeRule {
    #[default]
    Honours,
    Ignores,
}

/// Half an hour: a slow image of packages over a slow line.
fn converge_default() -> Secs {
    Secs(1800)
}

/// A tenth: what a fleet that is spread over ten places loses with one of them.
fn unavailable_default() -> Share {
    Share(1000)
}

/// A time in which rollouts stand still, except with a broken glass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Freeze {
    pub kind: FreezeKind,
    pub name: String,
    pub from: Instant,
    pub until: Instant,
    pub reason: String,
    /// Only these policies; all when it names none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<PolicyName>,
}

/// The `kind:` line of a freeze.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FreezeKind {
    Freeze,
}

/// Seconds since 1970, written `2026-12-20T00:00:00Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Instant(pub i64);

impl FromStr for Instant {
    type Err = StrategyError;
    fn from_str(text: &str) -> Result<Self, StrategyError> {
        let read = text.parse::<jiff::Timestamp>().ok();
        let read = read.ok_or_else(|| StrategyError::Instant { text: text.to_owned() })?;
        Ok(Self(read.as_second()))
    }
}

impl TryFrom<String> for Instant {
    type Error = StrategyError;
    fn try_from(text: String) -> Result<Self, StrategyError> {
        text.parse()
    }
}

impl From<Instant> for String {
    fn from(it: Instant) -> String {
        jiff::Timestamp::from_second(it.0).map_or_else(|_| it.0.to_string(), |at| at.to_string())
    }
}

/// Why a strategy or a freeze was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StrategyError {
    #[error("the name cannot be used")]
    Name { source: NameError },
    #[error("it has {found} waves; 1 to {WAVES_MAX} are allowed")]
    Waves { found: usize },
    #[error("the wave {wave} says neither `nodes` nor `percent`, or both; say one of them")]
    WaveNodes { wave: String },
    #[error("the wave {wave} is for no node: give `count`, `labels` or both")]
    WaveEmpty { wave: String },
    #[error("the wave {wave} has a selector that cannot be used")]
    Selector { wave: String, source: SelectorError },
    #[error(
        "the wave {wave} goes to {percent} percent; each wave goes further than the one before, at most to 100"
    )]
    Percent { wave: String, percent: u32 },
    #[error("the last wave must be `percent: 100`, or some nodes would never get the revision")]
    LastWave,
    #[error("two waves have the name {wave}")]
    WaveTwice { wave: String },
    #[error("approval is asked before the wave {wave}, which there is not. There are: {has}")]
    NoSuchWave { wave: String, has: String },
    #[error("bake.min is longer than bake.max")]
    Bake,
    #[error("no time is left to converge")]
    Converge,
    #[error("it has {found} gates; at most {GATES_MAX} are allowed")]
    Gates { found: usize },
    #[error("gate {number} cannot be understood: {reason}")]
    Gate { number: usize, reason: String },
    #[error("it has {found} windows; at most {WINDOWS_MAX} are allowed, and each names its days")]
    Windows { found: usize },
    #[error("'{text}' is not a time of day. Write it like 22:30, in UTC")]
    TimeOfDay { text: String },
    #[error("'{text}' is not a time. Write it like 2026-12-20T00:00:00Z")]
    Instant { text: String },
    #[error("it ends before it begins")]
    FreezeEnds,
    #[error("at most 0 nodes may change at once, so that none ever would")]
    Nothing,
    #[error(transparent)]
    Unit(#[from] UnitError),
}

impl RolloutStrategy {
    /// The names of its waves.
    #[must_use]
    pub fn wave_names(&self) -> Vec<String> {
        let named = |(at, wave): (usize, &WaveDocument)| {
            wave.name.clone().unwrap_or_else(|| format!("wave-{}", at + 1))
        };
        self.waves.iter().enumerate().map(named).collect()
    }

    /// Its gates, understood.
    ///
    /// # Errors
    /// [`StrategyError::Gate`] names the first that is not.
    pub fn read_gates(&self) -> Result<Vec<Gate>, StrategyError> {
        if self.gates.len() > GATES_MAX {
            return Err(StrategyError::Gates { found: self.gates.len() });
        }
        let read = self.gates.iter().enumerate().map(|(at, gate)| {
            gate.read().map_err(|reason| StrategyError::Gate { number: at + 1, reason })
        });
        read.collect()
    }

    /// Refuses strategies that mean nothing or contradict themselves.
    ///
    /// # Errors
    /// [`StrategyError`] says which rule is broken.
    pub fn check(&self) -> Result<(), StrategyError> {
        check_name("strategy", &self.name).map_err(|source| StrategyError::Name { source })?;
        if self.waves.is_empty() || self.waves.len() > WAVES_MAX {
            return Err(StrategyError::Waves { found: self.waves.len() });
        }
        self.check_waves()?;
        if self.bake.min > self.bake.max {
            return Err(StrategyError::Bake);
        }
        if self.converge.0 == 0 {
            return Err(StrategyError::Converge);
        }
        if self.limits.per_minute == Some(0) {
            return Err(StrategyError::Nothing);
        }
        let windows = &self.windows;
        if windows.len() > WINDOWS_MAX || windows.iter().any(|window| window.days.is_empty()) {
            return Err(StrategyError::Windows { found: windows.len() });
        }
        self.read_gates().map(|_| ())
    }

    fn check_waves(&self) -> Result<(), StrategyError> {
        let names = self.wave_names();
        let (mut seen, mut before) = (BTreeSet::new(), 0);
        for (wave, name) in self.waves.iter().zip(&names) {
            check_name("wave", name).map_err(|source| StrategyError::Name { source })?;
            if !seen.insert(name) {
                return Err(StrategyError::WaveTwice { wave: name.clone() });
            }
            match (&wave.nodes, wave.percent) {
                (Some(nodes), None) => check_nodes(nodes, name)?,
                (None, Some(percent)) if percent > before && percent <= 100 => before = percent,
                (None, Some(percent)) => {
                    return Err(StrategyError::Percent { wave: name.clone(), percent });
                }
                _ => return Err(StrategyError::WaveNodes { wave: name.clone() }),
            }
            if wave.per.as_ref().is_some_and(|per| per.at_most == 0) {
                return Err(StrategyError::Nothing);
            }
        }
        if self.waves.last().and_then(|wave| wave.percent) != Some(100) {
            return Err(StrategyError::LastWave);
        }
        let asked = self.approval.iter().flat_map(|rule| &rule.before);
        match asked.into_iter().find(|wave| !names.contains(wave)) {
            Some(wave) => {
                Err(StrategyError::NoSuchWave { wave: wave.clone(), has: names.join(", ") })
            }
            None => Ok(()),
        }
    }
}

fn check_nodes(nodes: &WaveNodes, wave: &str) -> Result<(), StrategyError> {
    let wave = || wave.to_owned();
    if nodes.count == Some(0) || (nodes.count.is_none() && nodes.labels.is_none()) {
        return Err(StrategyError::WaveEmpty { wave: wave() });
    }
    match nodes.labels.as_ref().map(Selector::check) {
        Some(Err(source)) => Err(StrategyError::Selector { wave: wave(), source }),
        _ => Ok(()),
    }
}

impl Freeze {
    /// Refuses freezes that never hold.
    ///
    /// # Errors
    /// [`StrategyError`].
    pub fn check(&self) -> Result<(), StrategyError> {
        check_name("freeze", &self.name).map_err(|source| StrategyError::Name { source })?;
        if self.from >= self.until { Err(StrategyError::FreezeEnds) } else { Ok(()) }
    }
}
