//! `/search?q=&hook=&after=`: the whole state is in the address. It refuses to keep any other.

use crate::browser;
use crate::client;
use crate::components::card::Cards;
use crate::components::notice::{Loading, NoticeBox};
use crate::components::search_box::SearchBox;
use crate::view::load::{Notice, Tone};
use crate::view::search::{self, SearchState};
use crate::words;
use leptos::prelude::*;
use leptos_router::components::A;
use leptos_router::hooks::{use_navigate, use_query_map};
use skep_api::v1::packages::PackagePage;

/// The page.
#[component]
pub fn SearchPage() -> impl IntoView {
    browser::set_title(&words::title(words::NAV_PACKAGES));
    let navigate = use_navigate();
    let address = use_query_map();
    let state = Memo::new(move |_| {
        address.with(|query| {
            SearchState::from_address(
                query.get_str("q"),
                query.get_str("hook"),
                query.get_str("after"),
            )
        })
    });
    let found = LocalResource::new(move || {
        let state = state.get();
        async move {
            let page = client::json::<PackagePage>(&search::api_path(&state.query()), None).await;
            page.map(|page| (state, page))
        }
    });
    let results = move || match found.get() {
        None => view! { <Loading blocks=6 /> }.into_any(),
        Some(Err(failure)) => view! { <NoticeBox notice=failure.notice() /> }.into_any(),
        Some(Ok((state, page))) => results(&state, &page),
    };
    view! {
        <h1>{words::NAV_PACKAGES}</h1>
        <SearchBox
            class="search"
            state=state
            on_search=move |wanted: SearchState| navigate(&wanted.address(), Default::default())
        />
        {results}
    }
}

fn results(state: &SearchState, page: &PackagePage) -> AnyView {
    if page.packages.is_empty() {
        let notice = if state.is_narrowed() {
            Notice::new(Tone::Empty, words::NOTHING_FOUND_TITLE, words::NOTHING_FOUND_TEXT)
                .with_command(&words::search_command(&state.text))
        } else {
            Notice::new(Tone::Empty, words::EMPTY_REGISTRY_TITLE, words::EMPTY_REGISTRY_TEXT)
                .with_command(words::EMPTY_REGISTRY_COMMAND)
        };
        return view! { <NoticeBox notice /> }.into_any();
    }
    let first = (!state.after.is_empty()).then(|| state.first_page().address());
    let next = page.next.as_deref().map(|next| state.page_after(next).address());
    let cards: Vec<_> = page.packages.iter().map(search::card).collect();
    view! {
        <p role="status">{search::summary(state, page)}</p>
        <h2 class="unseen">{words::RESULTS}</h2>
        <Cards cards />
        <nav class="pages" aria-label=words::PAGES_LABEL>
            {first.map(|href| view! { <A href=href>{words::FIRST_PAGE}</A> })}
            {next.map(|href| view! { <A href=href>{words::NEXT_PAGE}</A> })}
        </nav>
    }
    .into_any()
}
