//! Trusted publishers: which jobs of which CI may publish without a stored token. It refuses to believe tokens.

use crate::client::{self, Method};
use crate::components::form::{Choice, Field, Refusal, Send, Sending};
use crate::components::table::Table;
use crate::components::time::Ago;
use crate::session::Session;
use crate::view::load::Failure;
use crate::view::{account, link};
use crate::words;
use leptos::prelude::*;
use skep_api::v1::publishers::{AddPublisher, IssuerList, PublisherInfo, PublisherList};

/// The section; only owners are told.
#[component]
pub fn Publishers(namespace: String) -> impl IntoView {
    let session = Session::of_app();
    let path = format!("/v1/namespaces/{}/trusted-publishers", link::escaped(&namespace));
    let path = StoredValue::new(path);
    let changes = RwSignal::new(0u32);
    let list = LocalResource::new(move || {
        changes.track();
        async move { session.get::<PublisherList>(&path.get_value()).await }
    });
    let issuers =
        LocalResource::new(|| async { client::json::<IssuerList>("/v1/oidc", None).await });
    move || {
        let list = list.get()?.ok()?;
        let issuers = issuers.get()?.map(|list| list.issuers).unwrap_or_default();
        let names = issuers.into_iter().filter(|issuer| issuer.audience.is_some());
        let names: Vec<String> = names.map(|issuer| issuer.name).collect();
        let table = if list.publishers.is_empty() {
            view! { <p>{words::NO_PUBLISHERS}</p> }.into_any()
        } else {
            let row = |publisher: PublisherInfo| view! { <Row path publisher changes /> };
            let rows = list.publishers.into_iter().map(row).collect_view();
            let heads = vec![
                words::COL_ISSUER,
                words::COL_CLAIMS,
                words::COL_PACKAGE,
                words::COL_WHEN,
                words::COL_CHANGE,
            ];
            view! { <Table caption=words::PUBLISHERS heads>{rows}</Table> }.into_any()
        };
        let add = if names.is_empty() {
            view! { <p class="fine">{words::NO_PUBLISHING_ISSUER}</p> }.into_any()
        } else {
            view! { <Add path names changes /> }.into_any()
        };
        Some(view! {
            <section aria-labelledby="publishers">
                <h2 id="publishers">{words::PUBLISHERS}</h2>
                <p class="fine">{words::PUBLISHERS_LEAD}</p>
                {table}
                {add}
            </section>
        })
    }
}

#[component]
fn Row(
    path: StoredValue<String>,
    publisher: PublisherInfo,
    changes: RwSignal<u32>,
) -> impl IntoView {
    let session = Session::of_app();
    let sending = Sending::default();
    let own = format!("{}/{}", path.get_value(), link::escaped(&publisher.id));
    let remove = move |_| {
        let own = own.clone();
        let asked = async move { session.done(Method::Delete, &own, None::<&()>).await };
        sending.run(asked, move |()| changes.update(|n| *n += 1));
    };
    let claims = publisher.claims.iter().map(|(name, value)| format!("{name}={value}"));
    let claims = claims.collect::<Vec<_>>().join(" ");
    let label = words::remove_label(&claims);
    view! {
        <tr>
            <th scope="row">{publisher.issuer.clone()}</th>
            <td class="mono wrap">{claims}</td>
            <td>{publisher.package.clone().unwrap_or_else(|| words::EVERY_PACKAGE.to_owned())}</td>
            <td><Ago at=publisher.created_at /></td>
            <td>
                <button type="button" class="quiet" aria-label=label on:click=remove>{words::REMOVE}</button>
                <Refusal sending />
            </td>
        </tr>
    }
}

#[component]
fn Add(path: StoredValue<String>, names: Vec<String>, changes: RwSignal<u32>) -> impl IntoView {
    let session = Session::of_app();
    let sending = Sending::default();
    let issuer = RwSignal::new(names.first().cloned().unwrap_or_default());
    let (claims, package) = (RwSignal::new(String::new()), RwSignal::new(String::new()));
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let read = account::claims(&claims.get_untracked());
        let issuer = issuer.get_untracked();
        let package = Some(package.get_untracked().trim().to_owned()).filter(|p| !p.is_empty());
        let asked = async move {
            let claims = read.map_err(|line| Failure::Typed { what: words::no_claim(&line) })?;
            let wish = AddPublisher { issuer, package, claims };
            session.send(Method::Post, &path.get_value(), &wish).await
        };
        sending.run(asked, move |_: PublisherInfo| changes.update(|n| *n += 1));
    };
    let choices = names.into_iter().map(|name| (name.clone(), name)).collect();
    view! {
        <section class="panel narrow-panel" aria-labelledby="add-publisher">
            <h3 id="add-publisher">{words::ADD_PUBLISHER}</h3>
            <form on:submit=submit>
                <Choice id="publisher-issuer" label=words::COL_ISSUER value=issuer choices />
                <div class="field">
                    <label for="publisher-claims">{words::COL_CLAIMS}</label>
                    <textarea
                        id="publisher-claims"
                        rows="3"
                        spellcheck="false"
                        required
                        aria-describedby="publisher-claims-hint"
                        prop:value=move || claims.get()
                        on:input=move |event| claims.set(event_target_value(&event))
                    ></textarea>
                    <span class="fine" id="publisher-claims-hint">{words::CLAIMS_HINT}</span>
                </div>
                <Field id="publisher-package" label=words::COL_PACKAGE value=package required=false hint=words::PUBLISHER_PACKAGE_HINT />
                <Send sending label=words::ADD_PUBLISHER />
                <Refusal sending />
            </form>
        </section>
    }
}
