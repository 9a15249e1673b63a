//! A command or file with a button that copies it. It refuses to run it.

use crate::browser;
use crate::words;
use leptos::prelude::*;
use leptos::task::spawn_local;

/// What the button says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    Copied,
    Refused,
}

/// Text to copy, with what it is for people who do not see it.
#[component]
pub fn CopyBox(text: String, what: String) -> impl IntoView {
    let state = RwSignal::new(State::Ready);
    let copied = text.clone();
    let on_click = move |_| {
        let text = copied.clone();
        spawn_local(async move {
            let taken = browser::copy(&text).await;
            state.set(if taken { State::Copied } else { State::Refused });
        });
    };
    let says = move || match state.get() {
        State::Ready => words::COPY,
        State::Copied => words::COPIED,
        State::Refused => words::COPY_REFUSED,
    };
    view! {
        <div class="copy">
            <pre tabindex="0" aria-label=what.clone()><code>{text}</code></pre>
            <button type="button" class="quiet" on:click=on_click aria-label=words::copy_label(&what)>
                <span aria-live="polite">{says}</span>
            </button>
        </div>
    }
}
