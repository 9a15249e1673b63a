//! The search form. It refuses to search; it tells what was asked for.

use crate::view::search::SearchState;
use crate::words;
use leptos::html::{Input, Select};
use leptos::prelude::*;
use skep_artifact::hook::Hook;

/// The form with its present state; `on_search` gets what the reader asked for.
#[component]
pub fn SearchBox(
    #[prop(into)] state: Signal<SearchState>,
    on_search: impl Fn(SearchState) + Clone + 'static,
    class: &'static str,
) -> impl IntoView {
    let text: NodeRef<Input> = NodeRef::new();
    let hook: NodeRef<Select> = NodeRef::new();
    let read = move || {
        let text = text.get_untracked().map(|input| input.value()).unwrap_or_default();
        let hook = hook.get_untracked().map(|select| select.value()).unwrap_or_default();
        SearchState::from_address(Some(&text), Some(&hook), None)
    };
    let submit = on_search.clone();
    let choices = Hook::ALL.into_iter().map(move |choice| {
        let chosen = move || state.get().hook == Some(choice);
        view! { <option value=choice.as_str() prop:selected=chosen>{choice.as_str()}</option> }
    });
    view! {
        <form
            class=class
            role="search"
            action="/search"
            on:submit=move |event| {
                event.prevent_default();
                submit(read());
            }
        >
            <label class="unseen" for="search-text">{words::SEARCH_LABEL}</label>
            <input
                id="search-text"
                name="q"
                type="search"
                maxlength="200"
                placeholder=words::SEARCH_PLACEHOLDER
                autocomplete="off"
                node_ref=text
                prop:value=move || state.get().text
            />
            <label class="unseen" for="search-hook">{words::HOOK_LABEL}</label>
            <select id="search-hook" name="hook" node_ref=hook on:change=move |_| on_search(read())>
                <option value="" prop:selected=move || state.get().hook.is_none()>{words::HOOK_ANY}</option>
                {choices.collect_view()}
            </select>
            <button type="submit">{words::SEARCH_BUTTON}</button>
        </form>
    }
}
