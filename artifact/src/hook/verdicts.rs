//! Sets of verdicts, as lists of names for people and as bit masks for dispatchers.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{ALL_VERDICTS, Hook, HookError, Verdict};

/// A set of verdicts: those after which the next program of a chain runs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct VerdictSet(u16);

impl VerdictSet {
    /// The set with nothing in it: the chain ends after this program whatever it says.
    pub const EMPTY: Self = Self(0);

    /// The set of these verdicts.
    pub fn of(verdicts: &[Verdict]) -> Self {
        verdicts.iter().copied().collect()
    }

    /// What a hook proceeds on when nobody said otherwise: xdp `pass`; tc `unspec` and `pipe`.
    pub fn default_for(hook: Hook) -> Self {
        match hook {
            Hook::Xdp => Self::of(&[Verdict::Pass]),
            Hook::TcIngress | Hook::TcEgress => Self::of(&[Verdict::Unspec, Verdict::Pipe]),
        }
    }

    /// The set a list of names means at a hook.
    pub fn from_names<S: AsRef<str>>(hook: Hook, names: &[S]) -> Result<Self, HookError> {
        names.iter().map(|name| Verdict::from_name(hook, name.as_ref())).collect()
    }

    /// Whether the verdict is in the set.
    pub const fn contains(self, verdict: Verdict) -> bool {
        self.0 & (1 << verdict as u16) != 0
    }

    /// Whether nothing is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The verdicts in the set, in a fixed order.
    pub fn iter(self) -> impl Iterator<Item = Verdict> {
        ALL_VERDICTS.into_iter().filter(move |verdict| self.contains(*verdict))
    }

    /// One bit per return code, as dispatchers read it: xdp bit = code; tc bit = code + 1, so that UNSPEC (-1) is bit 0.
    /// Verdicts the hook does not have leave no bit.
    pub fn mask(self, hook: Hook) -> u32 {
        let shift = u32::from(hook.is_tc());
        self.iter()
            .filter_map(|verdict| verdict.code(hook))
            .filter_map(|code| shift.checked_add_signed(code))
            .fold(0, |mask, bit| mask | 1 << bit)
    }
}

impl FromIterator<Verdict> for VerdictSet {
    fn from_iter<I: IntoIterator<Item = Verdict>>(verdicts: I) -> Self {
        Self(verdicts.into_iter().fold(0, |bits, verdict| bits | 1 << verdict as u16))
    }
}

impl fmt::Display for VerdictSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing");
        }
        let names: Vec<_> = self.iter().map(Verdict::as_str).collect();
        f.write_str(&names.join(", "))
    }
}

impl fmt::Debug for VerdictSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for VerdictSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for VerdictSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<Verdict>::deserialize(deserializer)?.into_iter().collect())
    }
}
