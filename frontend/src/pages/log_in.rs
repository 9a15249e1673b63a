//! `/log-in?next=` and `/sign-up?invite=`: becoming somebody here. They refuse to judge names and passwords.

use crate::browser;
use crate::client::{self, Method};
use crate::components::form::{Field, Refusal, Send, Sending};
use crate::components::sign_in::TokenBox;
use crate::session::{Access, Session};
use crate::view::account;
use crate::view::link;
use crate::words;
use leptos::prelude::*;
use leptos_router::components::A;
use leptos_router::hooks::{use_navigate, use_query_map};
use skep_api::v1::accounts::{AccountInfo, LogIn, SignUp};
use skep_api::v1::publishers::IssuerList;

/// The page to log in.
#[component]
pub fn LogInPage() -> impl IntoView {
    browser::set_title(&words::title(words::LOG_IN));
    let address = use_query_map();
    let next = address.with_untracked(|q| account::next_page(q.get_str("next")).to_owned());
    view! { <h1>{words::LOG_IN}</h1> <LogInBox next=Some(next) /> }
}

/// The boxes to log in by: password, an issuer, a token. Where `next` is given, the reader is led there.
#[component]
pub(super) fn LogInBox(#[prop(optional_no_strip)] next: Option<String>) -> impl IntoView {
    let session = Session::of_app();
    let ended = move || {
        (session.access() == Access::Nobody { ended: true })
            .then(|| view! { <p class="notice stale" role="status">{words::SESSION_ENDED}</p> })
    };
    let to_sign_up = view! { <A href="/sign-up">{words::SIGN_UP}</A> };
    view! {
        {ended}
        <div class="boxes">
            <section class="panel log-in" aria-labelledby="log-in-title">
                <h2 id="log-in-title">{words::LOG_IN_TITLE}</h2>
                <PasswordForm next=next.clone() />
                <Issuers />
                <p class="fine">{words::NO_ACCOUNT} " " {to_sign_up}</p>
            </section>
            <TokenBox next />
        </div>
    }
}

#[component]
fn PasswordForm(next: Option<String>) -> impl IntoView {
    let session = Session::of_app();
    let go = use_navigate();
    let sending = Sending::default();
    let (name, password) = (RwSignal::new(String::new()), RwSignal::new(String::new()));
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let wish = LogIn { name: name.get_untracked(), password: password.get_untracked() };
        let (go, next) = (go.clone(), next.clone());
        sending.run(async move { session.log_in(&wish).await }, move |()| {
            if let Some(next) = next {
                go(&next, Default::default());
            }
        });
    };
    view! {
        <form on:submit=submit>
            <Field id="name" label=words::ACCOUNT_NAME value=name autocomplete="username" />
            <Field id="password" label=words::PASSWORD value=password kind="password" autocomplete="current-password" />
            <Send sending label=words::LOG_IN />
            <Refusal sending />
        </form>
    }
}

/// Links to the issuers by which people log in here.
#[component]
fn Issuers() -> impl IntoView {
    let session = Session::of_app();
    let issuers =
        LocalResource::new(|| async { client::json::<IssuerList>("/v1/oidc", None).await });
    move || {
        let list = issuers.get()?.ok()?;
        let leave = move |name: String| {
            let href = format!("/v1/oidc/{}/login", link::escaped(&name));
            view! {
                <p>
                    <a class="button" href=href rel="external" on:click=move |_| session.expect_account()>
                        {words::log_in_with(&name)}
                    </a>
                </p>
            }
        };
        let names = list.issuers.into_iter().filter(|issuer| issuer.login).map(|i| i.name);
        Some(names.map(leave).collect_view())
    }
}

/// The page to sign up.
#[component]
pub fn SignUpPage() -> impl IntoView {
    browser::set_title(&words::title(words::SIGN_UP));
    let session = Session::of_app();
    let go = use_navigate();
    let sending = Sending::default();
    let invited = use_query_map().with_untracked(|q| q.get("invite").unwrap_or_default());
    let (name, password) = (RwSignal::new(String::new()), RwSignal::new(String::new()));
    let (email, invite) = (RwSignal::new(String::new()), RwSignal::new(invited));
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let given = |text: RwSignal<String>| Some(text.get_untracked()).filter(|t| !t.is_empty());
        let wish = SignUp {
            name: name.get_untracked(),
            password: password.get_untracked(),
            email: given(email),
            invite: given(invite),
        };
        let go = go.clone();
        let asked = async move {
            let _: AccountInfo = client::send(Method::Post, "/v1/accounts", None, &wish).await?;
            session.log_in(&LogIn { name: wish.name, password: wish.password }).await
        };
        sending.run(asked, move |()| go("/account", Default::default()));
    };
    view! {
        <h1>{words::SIGN_UP}</h1>
        <section class="panel narrow-panel">
            <p>{words::SIGN_UP_TEXT}</p>
            <form on:submit=submit>
                <Field id="name" label=words::ACCOUNT_NAME value=name autocomplete="username" hint=words::ACCOUNT_NAME_HINT />
                <Field id="password" label=words::PASSWORD value=password kind="password" autocomplete="new-password" hint=words::PASSWORD_HINT />
                <Field id="email" label=words::EMAIL value=email kind="email" autocomplete="email" required=false hint=words::EMAIL_HINT />
                <Field id="invite" label=words::INVITE value=invite required=false hint=words::INVITE_HINT />
                <Send sending label=words::SIGN_UP />
                <Refusal sending />
            </form>
            <p class="fine">{words::HAVE_ACCOUNT} " " <A href="/log-in">{words::LOG_IN}</A></p>
        </section>
    }
}
