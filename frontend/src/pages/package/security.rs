//! Who signed a version, what was said and done about it since, whether it was revoked. It refuses to judge.

use crate::client;
use crate::components::notice::{Loading, NoticeBox};
use crate::components::table::Table;
use crate::components::time::Ago;
use crate::view::load::Failure;
use crate::view::security::{self, Event, Said, Security};
use crate::words;
use leptos::prelude::*;
use skep_api::v1::attestations::AttestationList;
use skep_api::v1::life::LifeHistory;
use skep_api::v1::operators::RevocationList;
use skep_api::v1::packages::VersionDetail;

/// The tab.
pub(super) fn panel(version: &VersionDetail) -> AnyView {
    let keys = security::keys(version);
    let version = version.clone();
    let answers = LocalResource::new(move || fetch(version.clone()));
    let rest = move || match answers.get() {
        None => view! { <Loading blocks=2 /> }.into_any(),
        Some(Err(failure)) => view! { <NoticeBox notice=failure.notice() /> }.into_any(),
        Some(Ok(security)) => rest(&security),
    };
    view! { <dl>{super::about::facts(&keys)}</dl> {rest} }.into_any()
}

async fn fetch(version: VersionDetail) -> Result<Security, Failure> {
    let package = format!("/v1/packages/{}", version.name);
    let revocations: RevocationList = client::json("/v1/revocations", None).await?;
    let history: LifeHistory = client::json(&format!("{package}/history"), None).await?;
    let own = crate::view::link::escaped(&version.summary.version.to_string());
    let attestations: AttestationList =
        client::json(&format!("{package}/{own}/attestations"), None).await?;
    Ok(security::of(&version, &revocations, &history, &attestations))
}

fn rest(security: &Security) -> AnyView {
    view! {
        <h3>{words::REVOCATIONS}</h3>
        {revocations(&security.revocations)}
        <h3>{words::ATTESTATIONS}</h3>
        {attestations(&security.attestations)}
        <h3>{words::HISTORY}</h3>
        {history(&security.history)}
    }
    .into_any()
}

fn revocations(events: &[Event]) -> AnyView {
    if events.is_empty() {
        let mark = view! { <span class="mark good" aria-hidden="true">"✔"</span> };
        return view! { <p>{mark} " " {words::NO_REVOCATIONS}</p> }.into_any();
    }
    let heads = vec![words::COL_WHAT, words::COL_WHY, words::COL_WHEN, words::COL_BY];
    let rows = events.iter().map(event).collect_view();
    view! { <Table caption=words::REVOCATIONS heads>{rows}</Table> }.into_any()
}

fn history(events: &[Event]) -> AnyView {
    if events.is_empty() {
        return view! { <p>{words::NO_HISTORY}</p> }.into_any();
    }
    let heads = vec![words::COL_WHAT, words::COL_WHY, words::COL_WHEN, words::COL_BY];
    let rows = events.iter().map(event).collect_view();
    view! { <Table caption=words::HISTORY heads>{rows}</Table> }.into_any()
}

fn event(event: &Event) -> impl IntoView + use<> {
    view! {
        <tr>
            <th scope="row">{event.what.clone()}</th>
            <td>{event.why.clone()}</td>
            <td><Ago at=event.at /></td>
            <td>{event.by.clone()}</td>
        </tr>
    }
}

fn attestations(said: &[Said]) -> AnyView {
    if said.is_empty() {
        return view! { <p>{words::NO_ATTESTATIONS}</p> }.into_any();
    }
    let row = |said: &Said| {
        view! {
            <tr>
                <th scope="row" class="mono wrap">{said.predicate.clone()}</th>
                <td class="mono">{said.signed_by.clone()}</td>
                <td>{said.added_by.clone()}</td>
                <td><Ago at=said.added_at /></td>
            </tr>
        }
    };
    let heads = vec![words::COL_STATEMENT, words::COL_KEYS, words::COL_BY, words::COL_WHEN];
    let rows = said.iter().map(row).collect_view();
    view! {
        <p class="fine">{words::ATTESTATIONS_LEAD}</p>
        <Table caption=words::ATTESTATIONS heads>{rows}</Table>
    }
    .into_any()
}
