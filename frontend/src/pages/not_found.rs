//! Every address that is no page. It refuses to guess.

use crate::browser;
use crate::words;
use leptos::prelude::*;
use leptos_router::components::A;

/// The page.
#[component]
pub fn NotFoundPage() -> impl IntoView {
    browser::set_title(&words::title(words::NOT_FOUND_TITLE));
    view! {
        <section class="notice empty">
            <h1>{words::NOT_FOUND_TITLE}</h1>
            <p>{words::NOT_FOUND_TEXT}</p>
            <p><A href="/search">{words::NOT_FOUND_LINK}</A></p>
        </section>
    }
}
