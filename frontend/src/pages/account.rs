//! `/account`: who somebody is here, their namespaces, tokens, ways to log in. It refuses to show any of it to others.

pub mod namespaces;
pub mod security;
pub mod tokens;

use crate::browser;
use crate::components::notice::Loading;
use crate::components::time::Ago;
use crate::pages::log_in::LogInBox;
use crate::session::{Access, Session};
use crate::view::account;
use crate::words;
use leptos::prelude::*;
use skep_api::v1::accounts::AccountInfo;

/// The page.
#[component]
pub fn AccountPage() -> impl IntoView {
    browser::set_title(&words::title(words::ACCOUNT));
    let session = Session::of_app();
    let body = move || match session.access() {
        Access::Asking => view! { <Loading blocks=3 /> }.into_any(),
        Access::Nobody { .. } => view! { <LogInBox /> }.into_any(),
        Access::Account(account) => shown(&account),
        Access::Token(_) => view! {
            <p class="notice stale">{words::ACCOUNT_BY_TOKEN}</p>
            <tokens::Tokens role=None />
        }
        .into_any(),
    };
    view! { <h1>{words::ACCOUNT}</h1> {body} }
}

fn shown(info: &AccountInfo) -> AnyView {
    let email = info.email.clone().map(|email| {
        view! { <dt>{words::EMAIL}</dt> <dd>{email}</dd> }
    });
    view! {
        <section class="panel narrow-panel" aria-label=words::ACCOUNT>
            <dl>
                <dt>{words::ACCOUNT_NAME}</dt>
                <dd id="account-name">{info.name.clone()}</dd>
                {email}
                <dt>{words::ACCOUNT_ROLE}</dt>
                <dd>{account::account_role(info.role)}</dd>
                <dt>{words::ACCOUNT_SINCE}</dt>
                <dd><Ago at=info.created_at /></dd>
            </dl>
        </section>
        <namespaces::Namespaces memberships=info.namespaces.clone() />
        <tokens::Tokens role=Some(info.role) />
        <security::Security />
    }
    .into_any()
}
