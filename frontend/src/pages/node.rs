//! `/nodes/:name`: one node with its chains, polled while the page is looked at.
//! It refuses to compute rates and shapes.

mod sections;

use crate::browser;
use crate::components::notice::Loading;
use crate::session::Session;
use crate::view::feed::Feed;
use crate::view::link;
use crate::words;
use gloo_timers::future::TimeoutFuture;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::hooks::use_params_map;
use skep_api::v1::nodes::NodeDetail;
use skep_api::v1::policies::PolicyList;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How often the node is asked for, in milliseconds. Agents report every few seconds.
const POLL_MS: u32 = 2000;
/// The policies change when people change them: every tenth question asks for them, too.
const POLICIES_EVERY: u32 = 10;

/// The page.
#[component]
pub fn NodePage() -> impl IntoView {
    let params = use_params_map();
    let name = Memo::new(move |_| params.with(|p| p.get("name").unwrap_or_default()));
    move || {
        let name = name.get();
        browser::set_title(&words::title(&name));
        let title = name.clone();
        let somebody = Session::of_app().is_somebody().unwrap_or_default();
        let heading = (!somebody).then(|| view! { <h1>{title}</h1> });
        view! { {heading} {super::nodes::for_somebody(|| view! { <Live name /> }.into_any())} }
    }
}

#[component]
fn Live(name: String) -> impl IntoView {
    let feed = RwSignal::new(Feed::default());
    let policies: RwSignal<Option<PolicyList>> = RwSignal::new(None);
    poll(name.clone(), feed, policies);
    // The page is rebuilt when its shape changes, not when its numbers do.
    let stage = Memo::new(move |_| {
        feed.with(|f| match (f.newest().is_some(), f.failure()) {
            (true, Some(failure)) if failure.wants_sign_in() || failure.is_not_found() => {
                Stage::Failed
            }
            (true, _) => Stage::Shown,
            (false, Some(_)) => Stage::Failed,
            (false, None) => Stage::Waiting,
        })
    });
    move || match stage.get() {
        Stage::Waiting => view! { <h1>{name.clone()}</h1> <Loading blocks=3 /> }.into_any(),
        Stage::Shown => sections::page(name.clone(), feed, policies),
        Stage::Failed => {
            let title = name.clone();
            let failed = move || feed.with(|f| f.failure().map(super::nodes::failed));
            view! { <h1>{title}</h1> {failed} }.into_any()
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waiting,
    Shown,
    Failed,
}

/// Asks again and again until the component is gone. A tab in the background asks nothing.
fn poll(name: String, feed: RwSignal<Feed>, policies: RwSignal<Option<PolicyList>>) {
    let session = Session::of_app();
    let gone = Arc::new(AtomicBool::new(false));
    let leave = gone.clone();
    on_cleanup(move || leave.store(true, Ordering::Relaxed));
    let path = format!("/v1/nodes/{}", link::escaped(&name));
    spawn_local(async move {
        let mut round = 0u32;
        while !gone.load(Ordering::Relaxed) {
            if !browser::is_hidden() {
                let list = if round.is_multiple_of(POLICIES_EVERY) {
                    session.get::<PolicyList>("/v1/policies").await.ok()
                } else {
                    None
                };
                let answer = session.get::<NodeDetail>(&path).await;
                if gone.load(Ordering::Relaxed) {
                    return;
                }
                if let Some(list) = list {
                    policies.set(Some(list));
                }
                feed.update(|feed| match answer {
                    Ok(detail) => feed.answered(detail, browser::now()),
                    Err(failure) => feed.failed(failure),
                });
                round = round.wrapping_add(1);
            }
            TimeoutFuture::new(POLL_MS).await;
        }
    });
}
