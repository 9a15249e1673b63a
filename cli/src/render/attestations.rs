//! Statements about packages. Refuses to know a clock.

use crate::render::table::{Cell, layout};
use crate::render::{paint, units};
use skep_api::v1::attestations::{Attestation, AttestationList};
#[cfg(feature = "local")]
use skep_trust::attestation::VerifiedOn;
use std::fmt::Write as _;

/// Everything that is attested about a version.
pub(crate) fn list(package: &str, list: &AttestationList, now: i64) -> String {
    if list.attestations.is_empty() {
        return format!("Nothing is attested about {package}.\n");
    }
    let heads = ["type", "signed by", "size", "added", "log", "content"];
    let mut rows: Vec<Vec<Cell>> = vec![heads.map(|h| Cell::new(h).paint(paint::dim)).into()];
    rows.extend(list.attestations.iter().map(|attestation| {
        vec![
            Cell::new(&attestation.predicate_type).paint(paint::bold),
            Cell::new(signers(&attestation.signed_by)),
            Cell::number(units::bytes(attestation.size_bytes)),
            Cell::new(format!(
                "{} by {}",
                units::ago(attestation.added_at, now),
                attestation.added_by
            )),
            Cell::number(attestation.log_index.to_string()),
            Cell::new(attestation.content.short()).paint(paint::slate),
        ]
    }));
    let mut text = layout(&rows, 0);
    text.push_str("Signers are what the envelopes say; `skep attest verify` checks them.\n");
    text
}

fn signers(ids: &[String]) -> String {
    if ids.is_empty() {
        return "nobody".to_owned();
    }
    let short = ids.iter().map(|id| format!("{}…", id.chars().take(8).collect::<String>()));
    short.collect::<Vec<_>>().join(", ")
}

/// One that was added.
pub(crate) fn added(package: &str, added: &Attestation) -> String {
    format!(
        "{} {package}  {}  {}\n",
        paint::moss("Attested"),
        added.predicate_type,
        paint::dim(&format!("log entry {}", added.log_index))
    )
}

/// One that was verified.
pub(crate) fn verified(package: &str, predicate_type: &str, signed_by: &[String]) -> String {
    format!("{} {package}  {predicate_type}  {}\n", paint::moss("Verified"), signers(signed_by))
}

/// What a kernel said of a package.
#[cfg(feature = "local")]
pub(crate) fn verified_on(package: &str, result: &VerifiedOn) -> String {
    let mut text = format!("{package} on Linux {} ({})\n", result.kernel, result.machine);
    for program in &result.programs {
        let word = if program.accepted { paint::moss("accepted") } else { paint::clay("refused") };
        // Writing into a String cannot fail.
        let _ = writeln!(text, "  {word}  {}", program.name);
        for line in program.log.lines() {
            let _ = writeln!(text, "    {}", paint::dim(line));
        }
    }
    text
}
