//! What became of a package, in words. Refuses to know a clock.

use crate::render::table::{Cell, layout};
use crate::render::{paint, units};
use skep_api::v1::life::{Deprecation, LifeAction, LifeHistory, LifeReceipt};
use skep_api::v1::packages::VersionDetail;

/// What a change led to.
pub(crate) fn receipt(receipt: &LifeReceipt) -> String {
    let what = match &receipt.version {
        Some(version) => format!("{} {version}", receipt.name),
        None => receipt.name.to_string(),
    };
    if !receipt.changed {
        return format!("{what} {} already; nothing changed.\n", state(receipt.action));
    }
    let (word, then) = match receipt.action {
        LifeAction::Yank => ("Yanked", "Nothing new picks it; where it runs it runs on."),
        LifeAction::Unyank => ("Unyanked", "It may be picked again."),
        LifeAction::Deprecate => ("Deprecated", "Whoever picks it is warned."),
        LifeAction::Undeprecate => ("Undeprecated", "Nobody is warned any more."),
        LifeAction::Tombstone => ("Deleted", "Its name can never be used again."),
    };
    format!("{} {what}\n  {then}\n", paint::honey(word))
}

fn state(action: LifeAction) -> &'static str {
    match action {
        LifeAction::Yank => "is yanked",
        LifeAction::Unyank => "is not yanked",
        LifeAction::Deprecate => "is deprecated so",
        LifeAction::Undeprecate => "is not deprecated",
        LifeAction::Tombstone => "is deleted",
    }
}

/// Everything that was done, newest first.
pub(crate) fn history(history: &LifeHistory, now: i64) -> String {
    if history.events.is_empty() {
        return format!("Nothing of {} was yanked, deprecated or deleted.\n", history.name);
    }
    let heads = ["when", "what", "version", "by", "message"];
    let mut rows: Vec<Vec<Cell>> = vec![heads.map(|h| Cell::new(h).paint(paint::dim)).into()];
    rows.extend(history.events.iter().map(|event| {
        let instead = event.replacement.as_ref().map(|name| format!(" → {name}"));
        vec![
            Cell::new(units::ago(event.at, now)),
            Cell::new(event.action.as_str()).paint(paint::honey),
            Cell::new(event.version.as_ref().map_or_else(String::new, ToString::to_string)),
            Cell::new(event.by.clone()),
            Cell::new(format!("{}{}", event.message, instead.unwrap_or_default())),
        ]
    }));
    layout(&rows, 0)
}

/// A deprecation as the end of a sentence: the reason, and what to use instead.
pub(crate) fn why(deprecation: &Deprecation) -> String {
    match &deprecation.replacement {
        Some(name) => format!("{} Use {name} instead.", deprecation.message),
        None => deprecation.message.clone(),
    }
}

/// What whoever takes this version should hear.
pub(crate) fn warnings(detail: &VersionDetail) -> Vec<String> {
    let what = format!("{} {}", detail.name, detail.summary.version);
    let summary = &detail.summary;
    let yanked = summary.yanked.then(|| {
        format!("{what} was yanked: {}", summary.yank_message.as_deref().unwrap_or_default())
    });
    let deprecated =
        summary.deprecated.as_ref().map(|d| format!("{what} is deprecated: {}", why(d)));
    let deleted =
        detail.tombstoned.as_ref().map(|why| format!("{} was deleted: {why}", detail.name));
    yanked.into_iter().chain(deprecated).chain(deleted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_says_what_changed_and_what_that_means() {
        let name: skep_artifact::name::PackageName = "acme/pass".parse().unwrap();
        let version = Some("1.0.0".parse().unwrap());
        let one = |action, changed| {
            let (name, version) = (name.clone(), version.clone());
            crate::render::plain(&receipt(&LifeReceipt { name, version, action, changed }))
        };
        assert_eq!(
            one(LifeAction::Yank, true),
            "Yanked acme/pass 1.0.0\n  Nothing new picks it; where it runs it runs on.\n"
        );
        assert_eq!(
            one(LifeAction::Unyank, false),
            "acme/pass 1.0.0 is not yanked already; nothing changed.\n"
        );
    }
}
