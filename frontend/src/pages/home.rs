//! `/`: a search box and the newest packages. It refuses to search itself.

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
use leptos_router::hooks::use_navigate;
use skep_api::v1::packages::{PAGE_MAX, PackagePage, PackageQuery};

/// The page.
#[component]
pub fn HomePage() -> impl IntoView {
    browser::set_title(&words::title(""));
    let navigate = use_navigate();
    let page = LocalResource::new(|| async {
        let query = PackageQuery { limit: Some(PAGE_MAX), ..PackageQuery::default() };
        client::json::<PackagePage>(&search::api_path(&query), None).await
    });
    let newest = move || match page.get() {
        None => view! { <Loading blocks=3 /> }.into_any(),
        Some(Err(failure)) => view! { <NoticeBox notice=failure.notice() /> }.into_any(),
        Some(Ok(page)) if page.packages.is_empty() => {
            let title = words::EMPTY_REGISTRY_TITLE;
            let notice = Notice::new(Tone::Empty, title, words::EMPTY_REGISTRY_TEXT)
                .with_command(words::EMPTY_REGISTRY_COMMAND);
            view! { <NoticeBox notice /> }.into_any()
        }
        Some(Ok(page)) => view! {
            <section aria-labelledby="new">
                <h2 id="new">{words::NEW_HERE}</h2>
                <Cards cards=search::newest(&page) />
                <p><A href="/search">{words::ALL_PACKAGES}</A></p>
            </section>
        }
        .into_any(),
    };
    view! {
        <section class="hero">
            <h1>{words::HOME_TITLE}</h1>
            <p class="lead">{words::HOME_LEAD}</p>
            <SearchBox
                class="search big"
                state=SearchState::default()
                on_search=move |wanted: SearchState| navigate(&wanted.address(), Default::default())
            />
        </section>
        {newest}
    }
}
