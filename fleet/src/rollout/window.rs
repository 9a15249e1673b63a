//! When nodes may change: weekly windows and freezes, in UTC. Refuses to know a clock; `now` is an argument.

use super::strategy::{Freeze, StrategyError};
use serde::{Deserialize, Serialize};

const DAY: i64 = 86_400;
const WEEK: i64 = 7 * DAY;
/// 1 January 1970 was a Thursday: the Monday of its week was three days before.
const MONDAY_BEFORE_1970: i64 = -3 * DAY;

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// A time of the day in UTC, written `22:30`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeOfDay {
    pub hour: u8,
    pub minute: u8,
}

impl TryFrom<String> for TimeOfDay {
    type Error = StrategyError;
    fn try_from(text: String) -> Result<Self, StrategyError> {
        let parsed = text.split_once(':').and_then(|(hour, minute)| {
            let (hour, minute) = (hour.parse::<u8>().ok()?, minute.parse::<u8>().ok()?);
            let midnight = hour == 24 && minute == 0;
            ((hour < 24 && minute < 60) || midnight).then_some(Self { hour, minute })
        });
        parsed.ok_or(StrategyError::TimeOfDay { text })
    }
}

impl From<TimeOfDay> for String {
    fn from(it: TimeOfDay) -> String {
        format!("{:02}:{:02}", it.hour, it.minute)
    }
}

impl TimeOfDay {
    fn secs(self) -> i64 {
        i64::from(self.hour) * 3600 + i64::from(self.minute) * 60
    }
}

/// Hours of the week in which nodes may change. One that ends before it begins goes over midnight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Window {
    pub days: Vec<Day>,
    pub from: TimeOfDay,
    pub to: TimeOfDay,
}

impl Window {
    /// Beginnings and ends, in seconds of a week that begins on Monday.
    fn spans(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        self.days.iter().map(|day| {
            let begins = *day as i64 * DAY + self.from.secs();
            let longs = (self.to.secs() - self.from.secs()).rem_euclid(DAY);
            (begins, begins + if longs == 0 { DAY } else { longs })
        })
    }
}

/// When the next window opens; `None` when one is open now or there are none at all.
#[must_use]
pub fn opens_at(windows: &[Window], now: i64) -> Option<i64> {
    let at = (now - MONDAY_BEFORE_1970).rem_euclid(WEEK);
    let spans = || windows.iter().flat_map(Window::spans);
    // A window that began last week may still be open.
    let open =
        spans().any(|(from, to)| (from..to).contains(&at) || (from..to).contains(&(at + WEEK)));
    if open {
        return None;
    }
    spans().map(|(from, _)| now + (from - at).rem_euclid(WEEK)).min()
}

/// The freeze that holds at `now`, if any: of several the one that ends last.
#[must_use]
pub fn frozen(freezes: &[Freeze], policy: &str, now: i64) -> Option<Freeze> {
    let holds = |freeze: &&Freeze| {
        (freeze.from.0..freeze.until.0).contains(&now)
            && (freeze.policies.is_empty()
                || freeze.policies.iter().any(|name| name.as_str() == policy))
    };
    freezes.iter().filter(holds).max_by_key(|freeze| (freeze.until, freeze.name.clone())).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Monday, 2 March 2026, 00:00 UTC.
    const MONDAY: i64 = 1_772_409_600;

    fn window(days: &[Day], from: &str, to: &str) -> Window {
        let time = |text: &str| TimeOfDay::try_from(text.to_owned()).unwrap();
        Window { days: days.to_vec(), from: time(from), to: time(to) }
    }

    #[test]
    fn a_window_opens_on_its_day_and_closes_at_its_end() {
        let windows = [window(&[Day::Tue], "22:00", "23:30")];
        let opens = MONDAY + DAY + 22 * 3600;
        assert_eq!(opens_at(&windows, MONDAY), Some(opens));
        assert_eq!(opens_at(&windows, opens - 1), Some(opens));
        assert_eq!(opens_at(&windows, opens), None);
        assert_eq!(opens_at(&windows, opens + 5399), None);
        assert_eq!(opens_at(&windows, opens + 5400), Some(opens + WEEK));
    }

    #[test]
    fn a_window_goes_over_midnight_and_over_the_end_of_the_week() {
        let windows = [window(&[Day::Sun], "22:00", "04:00")];
        let sunday = MONDAY + 6 * DAY + 22 * 3600;
        assert_eq!(opens_at(&windows, sunday + 5 * 3600), None, "Monday, 03:00");
        assert_eq!(opens_at(&windows, MONDAY + 3 * 3600), None);
        assert_eq!(opens_at(&windows, MONDAY + 4 * 3600), Some(sunday));
    }

    #[test]
    fn no_windows_are_always_open_and_a_whole_day_is_a_day() {
        assert_eq!(opens_at(&[], MONDAY), None);
        let all = [window(&[Day::Mon], "00:00", "24:00")];
        assert_eq!(opens_at(&all, MONDAY + DAY - 1), None);
        assert_eq!(opens_at(&all, MONDAY + DAY), Some(MONDAY + WEEK));
    }
}
