//! Moments, relative to now and exact on hover. It refuses to read the clock more than once a second.

use crate::browser;
use crate::view::format;
use gloo_timers::callback::Interval;
use leptos::prelude::*;

/// The browser's clock as a signal, in seconds since 1970.
#[derive(Clone, Copy)]
pub(crate) struct Clock(pub(crate) RwSignal<i64>);

impl Clock {
    /// Starts the clock for every component below.
    pub(crate) fn provide() {
        let now = RwSignal::new(browser::now());
        provide_context(Self(now));
        // The clock lives as long as the page does.
        Interval::new(1000, move || now.set(browser::now())).forget();
    }
}

/// `3 min ago`, with the exact time on hover.
#[component]
pub fn Ago(at: i64) -> impl IntoView {
    let Clock(now) = expect_context();
    let (machine, people) = browser::exact(at);
    view! { <time datetime=machine title=people>{move || format::ago(now.get(), at)}</time> }
}
