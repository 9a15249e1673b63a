//! Tabs as keyboards and screen readers know them: one stop for the Tab key, arrows between tabs, one panel.
//! They refuse to know what is chosen for what; the page's address does.

use crate::browser;
use crate::view::tabs::Tab;
use leptos::prelude::*;

/// The row of tabs.
#[component]
pub fn TabList(
    #[prop(into)] chosen: Signal<Tab>,
    on_choose: impl Fn(Tab) + Clone + 'static,
    label: &'static str,
) -> impl IntoView {
    let tab = move |tab: Tab| {
        let (click, press) = (on_choose.clone(), on_choose.clone());
        let is_chosen = move || chosen.get() == tab;
        view! {
            <button
                type="button"
                role="tab"
                id=tab_id(tab)
                aria-controls="panel"
                aria-selected=move || is_chosen().to_string()
                tabindex=move || if is_chosen() { "0" } else { "-1" }
                on:click=move |_| click(tab)
                on:keydown=move |event| {
                    if let Some(to) = tab.reached_by(&event.key()) {
                        event.prevent_default();
                        press(to);
                        browser::focus(&tab_id(to));
                    }
                }
            >
                {tab.title()}
            </button>
        }
    };
    view! {
        <div class="tabs" role="tablist" aria-label=label>
            {Tab::ALL.map(tab).collect_view()}
        </div>
    }
}

/// What the chosen tab shows.
#[component]
pub fn TabPanel(#[prop(into)] chosen: Signal<Tab>, children: Children) -> impl IntoView {
    view! {
        <div
            id="panel"
            role="tabpanel"
            class="column"
            tabindex="-1"
            aria-labelledby=move || tab_id(chosen.get())
        >
            {children()}
        </div>
    }
}

fn tab_id(tab: Tab) -> String {
    format!("tab-{}", tab.name())
}
