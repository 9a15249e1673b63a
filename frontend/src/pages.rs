//! The app: its frame, its routes, one page per route. Pages fetch; they refuse to format (that is `view`)
//! and to draw (that is `components`).

pub mod account;
pub mod audit;
pub mod home;
pub mod log_in;
pub mod namespace;
pub mod node;
pub mod nodes;
pub mod not_found;
pub mod package;
pub mod policies;
pub mod policy;
pub mod search;
mod shell;

use crate::browser;
use crate::components::time::Clock;
use crate::session::{Access, Session};
use crate::words;
use leptos::prelude::*;
use leptos_router::components::{A, Route, Router, Routes};
use leptos_router::hooks::use_location;
use leptos_router::path;

/// Starts the app beside what the server drew, and takes its place once there is something to see.
pub fn mount() {
    console_error_panic_hook::set_once();
    match browser::app_root() {
        Some(root) => {
            mount_to(root, App).forget();
            leptos::task::spawn_local(shell::leave());
        }
        None => mount_to_body(App),
    }
}

#[component]
fn App() -> impl IntoView {
    Session::provide();
    Clock::provide();
    view! {
        <Router>
            <Frame>
                <Routes fallback=not_found::NotFoundPage>
                    <Route path=path!("/") view=home::HomePage />
                    <Route path=path!("/search") view=search::SearchPage />
                    <Route path=path!("/p/:ns/:name") view=package::PackagePage />
                    <Route path=path!("/p/:ns/:name/:version") view=package::PackagePage />
                    <Route path=path!("/nodes") view=nodes::NodesPage />
                    <Route path=path!("/nodes/:name") view=node::NodePage />
                    <Route path=path!("/policies") view=policies::PoliciesPage />
                    <Route path=path!("/policies/:name") view=policy::PolicyPage />
                    <Route path=path!("/audit") view=audit::AuditPage />
                    <Route path=path!("/log-in") view=log_in::LogInPage />
                    <Route path=path!("/sign-up") view=log_in::SignUpPage />
                    <Route path=path!("/account") view=account::AccountPage />
                    <Route path=path!("/namespaces/:ns") view=namespace::NamespacePage />
                </Routes>
            </Frame>
        </Router>
    }
}

/// What stands around every page: skip link, header, footer.
#[component]
fn Frame(children: Children) -> impl IntoView {
    focus_follows_the_page();
    let session = Session::of_app();
    let account = move || match session.access() {
        Access::Asking => ().into_any(),
        Access::Nobody { .. } => view! { <A href="/log-in">{words::LOG_IN}</A> }.into_any(),
        Access::Account(account) => view! { <A href="/account">{account.name}</A> }.into_any(),
        Access::Token(_) => view! {
            <button type="button" class="quiet" on:click=move |_| session.log_out()>
                {words::SIGN_OUT}
            </button>
        }
        .into_any(),
    };
    view! {
        <a class="skip" href="#main" on:click=move |event| { event.prevent_default(); browser::focus("main"); }>
            {words::SKIP}
        </a>
        <header class="top">
            <A href="/" attr:class="brand">
                <svg width="28" height="28" viewBox="0 0 32 32" aria-hidden="true">
                    <path class="straw" d="M16 3C9 3 5 11 4 25h24C27 11 23 3 16 3z" />
                    <path class="weave" d="M9 9h14M6.6 14h18.8M5.2 19h21.6M4 25h24" />
                    <path class="door" d="M13 25a3 3.6 0 0 1 6 0z" />
                </svg>
                {words::SITE}
            </A>
            <nav aria-label=words::NAV_LABEL>
                <A href="/search">{words::NAV_PACKAGES}</A>
                <A href="/nodes">{words::NAV_NODES}</A>
                <A href="/policies">{words::POLICIES_TITLE}</A>
                <A href="/audit">{words::AUDIT}</A>
                {account}
            </nav>
        </header>
        <main id="main" tabindex="-1">{children()}</main>
        <footer><p class="fine">{words::FOOTER}</p></footer>
    }
}

/// Moves the focus to the new page when the path changes, so that keyboards and screen readers start there.
fn focus_follows_the_page() {
    let path = use_location().pathname;
    Effect::new(move |before: Option<String>| {
        let path = path.get();
        if before.is_some_and(|before| before != path) {
            browser::focus("main");
        }
        path
    });
}
