//! Quantities as operators write them: `5m`, `2%`, `+2%`, `250ns`. Whole numbers inside. Refuses to know what they limit.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Longest time anybody may write: a year. A rollout that takes longer is two.
pub const SECS_MAX: u64 = 365 * 86_400;
/// Hundredths of a percent in a whole.
const WHOLE: u32 = 10_000;

/// Why a quantity was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    #[error("'{text}' is not a time. Write it like 30s, 5m, 2h or 1d; at most a year.")]
    Time { text: String },
    #[error("'{text}' is not a share. Write it like 2% or 0.5%; at most 100%.")]
    Share { text: String },
    #[error("'{text}' is not a cost. Write it like 250ns or 2us.")]
    Cost { text: String },
}

/// A length of time in seconds, written `5m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Secs(pub u64);

impl Secs {
    /// As the difference of two times.
    #[must_use]
    pub fn signed(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }
}

impl FromStr for Secs {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = || UnitError::Time { text: text.to_owned() };
        let digits = text.trim_end_matches(|c: char| c.is_ascii_lowercase());
        let factor = match &text[digits.len()..] {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return Err(wrong()),
        };
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        let secs = number.checked_mul(factor).filter(|secs| *secs <= SECS_MAX);
        secs.map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for Secs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(86_400, "d"), (3600, "h"), (60, "m")];
        let unit = units.into_iter().find(|(secs, _)| self.0 > 0 && self.0.is_multiple_of(*secs));
        let (secs, name) = unit.unwrap_or((1, "s"));
        write!(f, "{}{name}", self.0 / secs)
    }
}

/// A share of a whole in hundredths of a percent, written `2%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Share(pub u32);

impl Share {
    /// Everything.
    pub const ALL: Self = Self(WHOLE);

    /// This share of `of`, rounded down.
    #[must_use]
    pub fn floor_of(self, of: usize) -> usize {
        let exact = of as u128 * u128::from(self.0) / u128::from(WHOLE);
        usize::try_from(exact).unwrap_or(usize::MAX)
    }

    /// This share of `of`, rounded up.
    #[must_use]
    pub fn ceil_of(self, of: usize) -> usize {
        let exact = (of as u128 * u128::from(self.0)).div_ceil(u128::from(WHOLE));
        usize::try_from(exact).unwrap_or(usize::MAX)
    }

    /// What `part` is of `of`, rounded up; nothing of nothing is nothing.
    #[must_use]
    pub fn of(part: u64, of: u64) -> Self {
        if of == 0 {
            return Self(0);
        }
        let exact = (u128::from(part) * u128::from(WHOLE)).div_ceil(u128::from(of));
        Self(u32::try_from(exact).unwrap_or(u32::MAX))
    }
}

impl FromStr for Share {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = || UnitError::Share { text: text.to_owned() };
        let number = text.strip_suffix('%').ok_or_else(wrong)?;
        let (whole, parts) = number.split_once('.').unwrap_or((number, ""));
        let plain = |digits: &str| digits.chars().all(|c| c.is_ascii_digit());
        if whole.is_empty() || whole.len() > 3 || parts.len() > 2 || !plain(whole) || !plain(parts)
        {
            return Err(wrong());
        }
        let digits: u32 = format!("{whole}{parts:0<2}").parse().map_err(|_| wrong())?;
        (digits <= WHOLE).then_some(Self(digits)).ok_or_else(wrong)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 100, self.0 % 100) {
            (whole, 0) => write!(f, "{whole}%"),
            (whole, parts) => write!(f, "{}%", format!("{whole}.{parts:02}").trim_end_matches('0')),
        }
    }
}

/// How large a share may become: absolutely (`2%`), or above what it is compared to (`+2%`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Allowance {
    /// Whether it counts from what it is compared to.
    pub above: bool,
    pub share: Share,
}

impl FromStr for Allowance {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (above, share) = text.strip_prefix('+').map_or((false, text), |rest| (true, rest));
        Ok(Self { above, share: share.parse()? })
    }
}

impl fmt::Display for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.above { "+" } else { "" }, self.share)
    }
}

/// Nanoseconds a packet, written `250ns`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Nanos(pub u64);

impl FromStr for Nanos {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = || UnitError::Cost { text: text.to_owned() };
        let (digits, factor) = match (text.strip_suffix("ns"), text.strip_suffix("us")) {
            (Some(digits), _) => (digits, 1),
            (None, Some(digits)) => (digits, 1000),
            (None, None) => return Err(wrong()),
        };
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        number.checked_mul(factor).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ns", self.0)
    }
}

macro_rules! as_text {
    ($($name:ident)*) => {$(
        impl TryFrom<String> for $name {
            type Error = UnitError;
            fn try_from(text: String) -> Result<Self, UnitError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(it: $name) -> String {
                it.to_string()
            }
        }
    )*};
}

as_text!(Secs Share Allowance Nanos);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: FromStr + fmt::Display>(text: &str, written: Option<&str>) {
        let found = text.parse::<T>().ok().map(|it| it.to_string());
        assert_eq!(found.as_deref(), written, "{text}");
    }

    #[test]
    fn quantities_are_read_and_written_the_same_way() {
        check::<Secs>("90s", Some("90s"));
        check::<Secs>("120s", Some("2m"));
        check::<Secs>("2h", Some("2h"));
        check::<Secs>("5", None);
        check::<Secs>("-5m", None);
        check::<Secs>("400d", None);
        check::<Secs>("99999999999999999999s", None);
        check::<Share>("2%", Some("2%"));
        check::<Share>("0.5%", Some("0.5%"));
        check::<Share>("0.05%", Some("0.05%"));
        check::<Share>("100%", Some("100%"));
        check::<Share>("100.01%", None);
        check::<Share>("2", None);
        check::<Share>("+2%", None);
        check::<Allowance>("+2%", Some("+2%"));
        check::<Allowance>("++2%", None);
        check::<Nanos>("2us", Some("2000ns"));
        check::<Nanos>("2", None);
    }

    #[test]
    fn shares_are_rounded_to_the_careful_side_by_who_asks() {
        assert_eq!(Share(200).floor_of(99), 1);
        assert_eq!(Share(200).ceil_of(99), 2);
        assert_eq!(Share::of(1, 3), Share(3334));
        assert_eq!(Share::of(0, 0), Share(0));
    }
}
