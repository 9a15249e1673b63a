//! The field that narrows a list while somebody types; what it holds is in the address. It refuses to narrow.

use crate::view::link;
use leptos::html::Input;
use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::use_navigate;

/// The field of the list at `page`.
#[component]
pub fn Narrow(page: &'static str, label: &'static str, narrow: Memo<String>) -> impl IntoView {
    let navigate = use_navigate();
    let field: NodeRef<Input> = NodeRef::new();
    let typed = move |_| {
        let text = field.get_untracked().map(|input| input.value()).unwrap_or_default();
        let options =
            NavigateOptions { replace: true, scroll: false, ..NavigateOptions::default() };
        navigate(&format!("{page}{}", link::query(&[("q", &text)])), options);
    };
    view! {
        <p class="narrow">
            <label for="narrow">{label}</label>
            <input id="narrow" type="search" node_ref=field prop:value=move || narrow.get() on:input=typed />
        </p>
    }
}
