//! Messages that stand where data would, and the still shape of a page that loads.
//! They refuse to know what failed.

use crate::components::copy::CopyBox;
use crate::view::load::{Notice, Tone};
use crate::words;
use leptos::prelude::*;

/// A message: what is true, why, what to do.
#[component]
pub fn NoticeBox(notice: Notice) -> impl IntoView {
    let (class, mark, role) = match notice.tone {
        Tone::Empty => ("notice empty", "○", "status"),
        Tone::Refused => ("notice refused", "▲", "alert"),
        Tone::Failed => ("notice failed", "✕", "alert"),
        Tone::Stale => ("notice stale", "◇", "status"),
    };
    let title = notice.title.clone();
    view! {
        <section class=class role=role>
            <h2><span class="mark" aria-hidden="true">{mark}</span> " " {notice.title}</h2>
            <p>{notice.text}</p>
            {notice.command.map(|text| view! { <CopyBox text what=title /> })}
            {notice.detail.map(|detail| view! { <p class="fine mono">{detail}</p> })}
        </section>
    }
}

/// Keeps the layout still while an answer is awaited.
#[component]
pub fn Loading(
    /// How many blocks the answer will roughly take.
    blocks: usize,
) -> impl IntoView {
    let shapes = (0..blocks).map(|_| view! { <div class="shape" aria-hidden="true"></div> });
    view! {
        <div class="loading" role="status">
            <span class="unseen">{words::LOADING}</span>
            {shapes.collect_view()}
        </div>
    }
}
