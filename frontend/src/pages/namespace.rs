//! `/namespaces/:ns`: who may sign for a name, and for its members who they are. It refuses to decide who may see what:
//! what the registry refuses is left out.

pub mod members;
pub mod publishers;

use crate::browser;
use crate::client;
use crate::components::notice::{Loading, NoticeBox};
use crate::session::Session;
use crate::view::{format, link};
use crate::words;
use leptos::prelude::*;
use leptos_router::components::A;
use leptos_router::hooks::use_params_map;
use serde::Deserialize;

/// A namespace as the page shows it: keys stay the texts that people compare.
#[derive(Debug, Clone, Deserialize)]
struct Shown {
    name: String,
    keys: Vec<String>,
    threshold: u32,
    role_version: u64,
    packages: u64,
}

/// The page.
#[component]
pub fn NamespacePage() -> impl IntoView {
    let params = use_params_map();
    let name = Memo::new(move |_| params.with(|p| p.get("ns").unwrap_or_default()));
    let answer = LocalResource::new(move || {
        let path = format!("/v1/namespaces/{}", link::escaped(&name.get()));
        async move { client::json::<Shown>(&path, None).await }
    });
    move || {
        browser::set_title(&words::title(&name.get()));
        match answer.get() {
            None => view! { <h1>{name.get()}</h1> <Loading blocks=3 /> }.into_any(),
            Some(Err(failure)) => {
                view! { <h1>{name.get()}</h1> <NoticeBox notice=failure.notice() /> }.into_any()
            }
            Some(Ok(shown)) => page(shown),
        }
    }
}

fn page(shown: Shown) -> AnyView {
    let session = Session::of_app();
    let key = |key: &String| view! { <li class="mono wrap">{key.clone()}</li> };
    let inside = {
        let name = shown.name.clone();
        move || {
            session.is_somebody().unwrap_or_default().then(|| {
                let (members, publishers) = (name.clone(), name.clone());
                view! {
                    <members::Members namespace=members />
                    <publishers::Publishers namespace=publishers />
                }
            })
        }
    };
    let packages = link::search(&shown.name);
    let feed = format!("/v1/namespaces/{}/feed.atom", shown.name);
    view! {
        <h1>{shown.name.clone()}</h1>
        <p>
            <A href=packages>{format::counted(shown.packages, "package", "packages")}</A>
            " · " {words::role_version_of(shown.role_version)} " · "
            <a href=feed rel="external">{words::ATOM_FEED}</a>
        </p>
        <section aria-labelledby="keys">
            <h2 id="keys">{words::KEYS}</h2>
            <p class="fine">{words::keys_lead(shown.keys.len(), shown.threshold)}</p>
            <ul class="keys">{shown.keys.iter().map(key).collect_view()}</ul>
        </section>
        {inside}
    }
    .into_any()
}
