//! Numbers with their units, and how long ago something was. Refuses to know a clock.

use std::time::Duration;

/// `65,536`
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1.24 M/s`, `48.2 k/s`, `812 /s`: three significant digits.
pub(crate) fn rate(per_second: f64) -> String {
    format!("{}/s", scaled(per_second))
}

/// `1.24 M`, `48.2 k`, `812 `: three significant digits, with the space that a unit follows.
fn scaled(number: f64) -> String {
    let (value, unit) = match number {
        n if n >= 999_500_000.0 => (n / 1e9, "G"),
        n if n >= 999_500.0 => (n / 1e6, "M"),
        n if n >= 999.5 => (n / 1e3, "k"),
        n => (n, ""),
    };
    let shown = match (unit, value) {
        ("", v) if v >= 9.95 || v.fract() == 0.0 => format!("{v:.0}"),
        ("", v) => format!("{v:.1}"),
        (_, v) if v >= 99.95 => format!("{v:.0}"),
        (_, v) if v >= 9.995 => format!("{v:.1}"),
        (_, v) => format!("{v:.2}"),
    };
    format!("{shown} {unit}")
}

/// `1.24 M`, `812`: a sum rather than a rate.
pub(crate) fn short_count(number: u64) -> String {
    if number < 10_000 {
        return count(number);
    }
    // Three digits are shown, so the precision an f64 loses above 2^53 is never seen.
    scaled(number as f64).trim_end().to_owned()
}

/// `31 ns`, `1.2 µs`
pub(crate) fn nanoseconds(ns: f64) -> String {
    match ns {
        ns if ns >= 999_500.0 => format!("{:.1} ms", ns / 1e6),
        ns if ns >= 999.5 => format!("{:.1} µs", ns / 1e3),
        ns if ns < 9.95 => format!("{ns:.1} ns"),
        ns => format!("{ns:.0} ns"),
    }
}

/// `9.8 KiB`
pub(crate) fn bytes(size: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if size < 1024 {
        return format!("{size} B");
    }
    let mut value = size as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `just now`, `12 s ago`, `3 min ago`, `5 h ago`, `12 days ago`; both in seconds since 1970.
pub(crate) fn ago(then: i64, now: i64) -> String {
    match now.saturating_sub(then) {
        ..=1 => "just now".to_owned(),
        secs @ 2..=119 => format!("{secs} s ago"),
        secs @ 120..=7199 => format!("{} min ago", secs / 60),
        secs @ 7200..=172_799 => format!("{} h ago", secs / 3600),
        secs => format!("{} days ago", secs / 86_400),
    }
}

/// `in 5 min`, for something that is still to come.
pub(crate) fn ahead(then: i64, now: i64) -> String {
    match then.saturating_sub(now) {
        ..=0 => "now".to_owned(),
        secs @ 1..=119 => format!("in {secs} s"),
        secs @ 120..=7199 => format!("in {} min", secs / 60),
        secs @ 7200..=172_799 => format!("in {} h", secs / 3600),
        secs => format!("in {} days", secs / 86_400),
    }
}

/// `1 node`, `2 nodes`
pub(crate) fn plural(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Why a text is not a length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a length of time. Write it like 90s, 15m, 1h or 30d.")]
pub(crate) struct DurationError {
    text: String,
}

/// Reads `90s`, `15m`, `1h`, `30d`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let wrong = || DurationError { text: text.chars().take(40).collect() };
    let split = text.len() - text.chars().next_back().map_or(0, char::len_utf8);
    let (number, unit) = text.split_at(split);
    let factor: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(factor).map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_three_digits_and_a_unit() {
        for (number, text) in [
            (0.0, "0 /s"),
            (1.5, "1.5 /s"),
            (812.4, "812 /s"),
            (999.7, "1.00 k/s"),
            (11_000.0, "11.0 k/s"),
            (48_211.0, "48.2 k/s"),
            (999_499.0, "999 k/s"),
            (1_240_000.0, "1.24 M/s"),
            (12_400_000_000.0, "12.4 G/s"),
        ] {
            assert_eq!(rate(number), text);
        }
    }

    #[test]
    fn counts_and_sizes_read_well() {
        assert_eq!(count(65_536), "65,536");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000_000), "1,000,000");
        assert_eq!(short_count(9_999), "9,999");
        assert_eq!(short_count(1_240_000), "1.24 M");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(10_035), "9.8 KiB");
        assert_eq!(bytes(1_677_722), "1.6 MiB");
    }

    #[test]
    fn short_times_have_two_digits_and_a_unit() {
        for (ns, text) in [
            (0.0, "0.0 ns"),
            (3.12, "3.1 ns"),
            (30.6, "31 ns"),
            (1_200.0, "1.2 µs"),
            (2_500_000.0, "2.5 ms"),
        ] {
            assert_eq!(nanoseconds(ns), text);
        }
    }

    #[test]
    fn times_are_relative() {
        assert_eq!(ago(100, 100), "just now");
        assert_eq!(ago(100, 112), "12 s ago");
        assert_eq!(ago(0, 180), "3 min ago");
        assert_eq!(ago(0, 86_400 * 3), "3 days ago");
        assert_eq!(ago(500, 100), "just now");
        assert_eq!(ahead(3600, 0), "in 60 min");
    }

    #[test]
    fn lengths_of_time_are_a_number_and_a_unit() {
        assert_eq!(parse_duration("1h"), Ok(Duration::from_secs(3600)));
        assert_eq!(parse_duration("90s"), Ok(Duration::from_secs(90)));
        for wrong in ["", "h", "1", "1w", "-1h", "1.5h", "99999999999999999999d", "1ä"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }
}
