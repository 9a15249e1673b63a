//! Numbers and times as people read them: units always, three significant digits, relative times.
//! It refuses to know what is counted.

/// `1234567` as `1,234,567`.
#[must_use]
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count with its noun: `1 node`, `2 nodes`.
#[must_use]
pub fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// Bytes in binary units: `9.8 KiB`.
#[must_use]
pub fn bytes(n: u64) -> String {
    const STEPS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let (value, unit) = scale(n as f64, 1024.0, &STEPS);
    if unit == "B" { format!("{n} B") } else { format!("{} {unit}", three_digits(value)) }
}

/// Something per second: `1.24 M/s`, `48.2 k/s`, `312/s`, `0/s`.
#[must_use]
pub fn rate(per_second: f64) -> String {
    const STEPS: [&str; 4] = ["", "k", "M", "G"];
    let (value, unit) = scale(per_second.max(0.0), 1000.0, &STEPS);
    match unit {
        "" if value == 0.0 => "0/s".to_owned(),
        "" if value < 10.0 => format!("{value:.1}/s"),
        "" => format!("{value:.0}/s"),
        unit => format!("{} {unit}/s", three_digits(value)),
    }
}

/// `31 ns`, `1.2 µs`, `2.5 ms`
#[must_use]
pub fn nanoseconds(ns: f64) -> String {
    match ns {
        ns if ns >= 999_500.0 => format!("{:.1} ms", ns / 1e6),
        ns if ns >= 999.5 => format!("{:.1} µs", ns / 1e3),
        ns if ns < 9.95 => format!("{ns:.1} ns"),
        ns => format!("{ns:.0} ns"),
    }
}

/// A count in three digits: `1.24 M`, `48.2 k`, `312`.
#[must_use]
pub fn short_count(n: f64) -> String {
    const STEPS: [&str; 5] = ["", "k", "M", "G", "T"];
    let (value, unit) = scale(n.max(0.0), 1000.0, &STEPS);
    if unit.is_empty() { format!("{value:.0}") } else { format!("{} {unit}", three_digits(value)) }
}

/// A share: `96 %`, `0.4 %`, `< 0.1 %`; nothing of nothing is `0 %`.
#[must_use]
pub fn percent(part: f64, whole: f64) -> String {
    if whole <= 0.0 || part <= 0.0 {
        return "0 %".to_owned();
    }
    let share = 100.0 * part / whole;
    match share {
        s if s < 0.1 => "< 0.1 %".to_owned(),
        s if s < 9.95 => format!("{s:.1} %"),
        // Only everything is 100 %: a drop of one in a thousand must not round away.
        s if s >= 99.5 && part < whole => format!("{:.1} %", s.min(99.9)),
        s => format!("{s:.0} %"),
    }
}

/// How long ago, from two moments in seconds since 1970: `just now`, `12 s ago`, `3 min ago`, `5 h ago`,
/// `9 days ago`. A moment in the future (a clock runs ahead) counts as now.
#[must_use]
pub fn ago(now: i64, then: i64) -> String {
    match now.saturating_sub(then) {
        s if s < 2 => "just now".to_owned(),
        s if s < 120 => format!("{s} s ago"),
        s if s < 7200 => format!("{} min ago", s / 60),
        s if s < 172_800 => format!("{} h ago", s / 3600),
        s => format!("{} days ago", s / 86_400),
    }
}

/// At most `max` characters, the last one an ellipsis when something was cut.
#[must_use]
pub fn clipped(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let kept: String = text.chars().take(max.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// The first eight characters of a key id, as everywhere in Skep: `7c1f09aa…`.
#[must_use]
pub fn short_key(key_id: &str) -> String {
    clipped(key_id, 9)
}

fn three_digits(value: f64) -> String {
    match value {
        v if v < 9.995 => format!("{v:.2}"),
        v if v < 99.95 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    }
}

fn scale<'u>(mut value: f64, base: f64, units: &[&'u str]) -> (f64, &'u str) {
    let mut unit = units.first().copied().unwrap_or_default();
    for next in units.iter().skip(1) {
        // 999.5 would be written "1000" in three digits: it belongs to the next unit.
        if value < base * 0.9995 {
            break;
        }
        value /= base;
        unit = next;
    }
    (value, unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_carry_units_and_three_digits() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(counted(1, "node", "nodes"), "1 node");
        assert_eq!(counted(0, "node", "nodes"), "0 nodes");
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(10_035), "9.80 KiB");
        assert_eq!(bytes(5 << 20), "5.00 MiB");
        assert_eq!(rate(1_240_000.0), "1.24 M/s");
        assert_eq!(rate(48_200.0), "48.2 k/s");
        assert_eq!(rate(999_800.0), "1.00 M/s");
        assert_eq!(rate(312.4), "312/s");
        assert_eq!(rate(0.5), "0.5/s");
        assert_eq!(rate(0.0), "0/s");
        assert_eq!(rate(-1.0), "0/s");
        assert_eq!(short_count(48_200.0), "48.2 k");
    }

    #[test]
    fn only_everything_is_a_hundred_percent() {
        assert_eq!(percent(96.0, 100.0), "96 %");
        assert_eq!(percent(0.0, 100.0), "0 %");
        assert_eq!(percent(1.0, 0.0), "0 %");
        assert_eq!(percent(1.0, 1_000_000.0), "< 0.1 %");
        assert_eq!(percent(4.0, 100.0), "4.0 %");
        assert_eq!(percent(100.0, 100.0), "100 %");
        assert_eq!(percent(999_999.0, 1_000_000.0), "99.9 %");
        assert_eq!(percent(99.7, 100.0), "99.7 %");
    }

    #[test]
    fn times_are_relative_and_a_clock_ahead_is_now() {
        assert_eq!(ago(100, 100), "just now");
        assert_eq!(ago(100, 400), "just now");
        assert_eq!(ago(100, 88), "12 s ago");
        assert_eq!(ago(1000, 800), "3 min ago");
        assert_eq!(ago(100_000, 82_000), "5 h ago");
        assert_eq!(ago(1_000_000, 200_000), "9 days ago");
        assert_eq!(ago(i64::MAX, i64::MIN), "106751991167300 days ago");
    }

    #[test]
    fn long_texts_are_cut_at_characters() {
        assert_eq!(clipped("bienenkörbe", 11), "bienenkörbe");
        assert_eq!(clipped("bienenkörbe", 9), "bienenkö…");
        assert_eq!(short_key("7c1f09aabbccdd"), "7c1f09aa…");
    }
}
