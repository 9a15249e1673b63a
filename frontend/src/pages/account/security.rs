//! Ways to log in: the password, and identities at issuers. It refuses to keep either.

use crate::browser;
use crate::client::{self, Method};
use crate::components::form::{Field, Refusal, Send, Sending};
use crate::session::Session;
use crate::view::link;
use crate::words;
use leptos::prelude::*;
use serde_json::json;
use skep_api::v1::accounts::ChangePassword;
use skep_api::v1::publishers::{IssuerList, LinkStarted};

/// The section.
#[component]
pub fn Security() -> impl IntoView {
    let session = Session::of_app();
    view! {
        <section aria-labelledby="security">
            <h2 id="security">{words::WAYS_IN}</h2>
            <div class="boxes">
                <Password />
                <Identities />
            </div>
            <p>
                <button type="button" class="quiet" on:click=move |_| session.log_out()>{words::SIGN_OUT}</button>
            </p>
        </section>
    }
}

#[component]
fn Password() -> impl IntoView {
    let session = Session::of_app();
    let sending = Sending::default();
    let changed = RwSignal::new(false);
    let (old, new) = (RwSignal::new(String::new()), RwSignal::new(String::new()));
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        changed.set(false);
        let wish = ChangePassword { old: old.get_untracked(), new: new.get_untracked() };
        let asked =
            async move { session.done(Method::Post, "/v1/account/password", Some(&wish)).await };
        sending.run(asked, move |()| {
            changed.try_set(true);
            old.try_set(String::new());
            new.try_set(String::new());
        });
    };
    view! {
        <section class="panel" aria-labelledby="change-password">
            <h3 id="change-password">{words::CHANGE_PASSWORD}</h3>
            <form on:submit=submit>
                <Field id="old-password" label=words::OLD_PASSWORD value=old kind="password" autocomplete="current-password" />
                <Field id="new-password" label=words::NEW_PASSWORD value=new kind="password" autocomplete="new-password" hint=words::PASSWORD_HINT />
                <Send sending label=words::CHANGE_PASSWORD />
                <Refusal sending />
            </form>
            <p role="status">{move || changed.get().then_some(words::PASSWORD_CHANGED)}</p>
        </section>
    }
}

#[component]
fn Identities() -> impl IntoView {
    let session = Session::of_app();
    let sending = Sending::default();
    let issuers =
        LocalResource::new(|| async { client::json::<IssuerList>("/v1/oidc", None).await });
    let begin = move |name: String| {
        let path = format!("/v1/oidc/{}/link", link::escaped(&name));
        let asked = async move { session.send(Method::Post, &path, &json!({})).await };
        sending.run(asked, |started: LinkStarted| browser::leave_for(&started.url));
    };
    let list = move || {
        let names: Vec<String> = match issuers.get() {
            Some(Ok(list)) => {
                list.issuers.into_iter().filter(|i| i.login).map(|i| i.name).collect()
            }
            Some(Err(_)) | None => Vec::new(),
        };
        if names.is_empty() {
            return view! { <p>{words::NO_ISSUERS}</p> }.into_any();
        }
        let button = |name: String| {
            let label = words::link_with(&name);
            view! { <p><button type="button" class="quiet" on:click=move |_| begin(name.clone())>{label}</button></p> }
        };
        names.into_iter().map(button).collect_view().into_any()
    };
    view! {
        <section class="panel" aria-labelledby="identities">
            <h3 id="identities">{words::IDENTITIES}</h3>
            <p class="fine">{words::IDENTITIES_TEXT}</p>
            {list}
            <Refusal sending />
        </section>
    }
}
