//! The list of checks the browser made. It refuses to make them.

use crate::view::verification::{Check, Outcome, Verification};
use crate::words;
use leptos::prelude::*;

/// Every check with its outcome.
#[component]
pub fn Checks(#[prop(into)] state: Signal<Verification>) -> impl IntoView {
    let items = move || state.with(|v| v.checks().iter().cloned().map(item).collect_view());
    view! { <ol class="checks" aria-live="polite">{items}</ol> }
}

fn item(check: Check) -> impl IntoView {
    let (class, mark, word, says) = match check.outcome {
        Outcome::Waiting => ("neutral", "○", words::CHECK_WAITING, String::new()),
        Outcome::Running => ("action", "◐", words::CHECK_RUNNING, String::new()),
        Outcome::Passed(says) => ("good", "✔", words::CHECK_PASSED, says),
        Outcome::Failed(says) => ("bad", "✕", words::CHECK_FAILED, says),
    };
    view! {
        <li>
            <span class=format!("mark {class}") aria-hidden="true">{mark}</span>
            <span class="what">{check.title} ": " <strong class=class>{word}</strong></span>
            <span class="fine">{says}</span>
        </li>
    }
}

/// The verdict in the header of the page.
#[component]
pub fn Badge(#[prop(into)] state: Signal<Verification>) -> impl IntoView {
    let parts = move || {
        state.with(|v| {
            let (class, mark) = match (v.has_failed(), v.is_complete()) {
                (true, _) => ("bad", "✕"),
                (false, true) => ("good", "✔"),
                (false, false) => ("neutral", "◐"),
            };
            view! {
                <span class=format!("badge {class}")>
                    <span aria-hidden="true">{mark}</span> " " {v.summary()}
                </span>
            }
        })
    };
    view! { <span id="verified" aria-live="polite">{parts}</span> }
}
