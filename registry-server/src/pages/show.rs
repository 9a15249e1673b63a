//! Numbers, days and keys as people read them. Refuses to know what they count.

use chrono::DateTime;

/// The day of a moment, `2026-11-22`: a page that is read later must not say "today".
pub(super) fn day(secs: i64) -> String {
    DateTime::from_timestamp(secs, 0).unwrap_or_default().format("%Y-%m-%d").to_string()
}

/// `9.8 KiB`
#[expect(clippy::cast_precision_loss, reason = "one digit behind the point is shown")]
pub(super) fn bytes(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// `7c1f09aa…, 01ab99ff…`
pub(super) fn keys(ids: &[String]) -> String {
    let short = |id: &String| format!("{}…", id.chars().take(8).collect::<String>());
    ids.iter().map(short).collect::<Vec<_>>().join(", ")
}

/// `Linux 5.9 or newer`
pub(super) fn kernel(release: Option<&str>) -> String {
    release.map_or_else(|| "lowest kernel unknown".to_owned(), |r| format!("Linux {r} or newer"))
}

/// `runs on 3 nodes`
pub(super) fn installs(nodes: u64) -> String {
    match nodes {
        0 => "runs on no node yet".to_owned(),
        1 => "runs on 1 node".to_owned(),
        n => format!("runs on {n} nodes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_carry_units() {
        assert_eq!(day(1_700_000_000), "2023-11-14");
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(10_035), "9.8 KiB");
        assert_eq!(bytes(5 << 20), "5.0 MiB");
        assert_eq!(keys(&["7c1f09aabb".to_owned()]), "7c1f09aa…");
        assert_eq!(installs(1), "runs on 1 node");
    }
}
