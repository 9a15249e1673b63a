//! `/audit?action=&namespace=&before=`: who did what. It refuses to show any of it to nobody.

use crate::browser;
use crate::components::form::Field;
use crate::components::notice::{Loading, NoticeBox};
use crate::components::table::Table;
use crate::components::time::Ago;
use crate::pages::nodes::{failed, for_somebody};
use crate::session::Session;
use crate::view::audit::AuditState;
use crate::view::load::{Notice, Tone};
use crate::words;
use leptos::prelude::*;
use leptos_router::components::A;
use leptos_router::hooks::{use_navigate, use_query_map};
use skep_api::v1::audit::{AuditEntry, AuditPage as Entries};

/// The page.
#[component]
pub fn AuditPage() -> impl IntoView {
    browser::set_title(&words::title(words::AUDIT));
    let list = || view! { <List /> }.into_any();
    view! { <h1>{words::AUDIT}</h1> {move || for_somebody(list)} }
}

#[component]
fn List() -> impl IntoView {
    let session = Session::of_app();
    let address = use_query_map();
    let state = Memo::new(move |_| {
        address.with(|query| {
            let part = |name| query.get(name).unwrap_or_default();
            AuditState {
                action: part("action"),
                namespace: part("namespace"),
                before: part("before"),
            }
        })
    });
    let entries = LocalResource::new(move || {
        let path = state.get().api();
        async move { session.get::<Entries>(&path).await }
    });
    let table = move || match entries.get() {
        None => view! { <Loading blocks=3 /> }.into_any(),
        Some(Err(failure)) => failed(&failure),
        Some(Ok(page)) if page.entries.is_empty() => {
            let notice = Notice::new(Tone::Empty, words::AUDIT_NONE_TITLE, words::AUDIT_NONE_TEXT);
            view! { <NoticeBox notice /> }.into_any()
        }
        Some(Ok(page)) => table(page, &state.get()),
    };
    view! { <p class="fine">{words::AUDIT_LEAD}</p> <Filter state /> {table} }
}

#[component]
fn Filter(state: Memo<AuditState>) -> impl IntoView {
    let go = use_navigate();
    let action = RwSignal::new(state.get_untracked().action);
    let namespace = RwSignal::new(state.get_untracked().namespace);
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let (action, namespace) = (action.get_untracked(), namespace.get_untracked());
        let wanted = AuditState { action, namespace, before: String::new() };
        go(&wanted.address(), Default::default());
    };
    view! {
        <form class="line filter" on:submit=submit>
            <Field id="audit-action" label=words::AUDIT_ACTION value=action required=false />
            <Field id="audit-namespace" label=words::AUDIT_NAMESPACE value=namespace required=false />
            <button type="submit">{words::SHOW}</button>
        </form>
    }
}

fn table(page: Entries, state: &AuditState) -> AnyView {
    let older = page.next.map(|next| {
        let href = AuditState { before: next.to_string(), ..state.clone() }.address();
        view! { <A href=href>{words::AUDIT_OLDER}</A> }
    });
    let newest = (!state.before.is_empty()).then(|| {
        let href = AuditState { before: String::new(), ..state.clone() }.address();
        view! { <A href=href>{words::AUDIT_NEWEST}</A> }
    });
    let rows = page.entries.into_iter().map(row).collect_view();
    let heads = vec![
        words::COL_WHEN,
        words::COL_ACTOR,
        words::AUDIT_ACTION,
        words::COL_SUBJECT,
        words::COL_DETAIL,
        words::COL_ADDRESS,
    ];
    view! {
        <Table caption=words::AUDIT heads>{rows}</Table>
        <nav class="pages" aria-label=words::PAGES_LABEL>{newest} {older}</nav>
    }
    .into_any()
}

fn row(entry: AuditEntry) -> impl IntoView {
    let action = entry.action.clone();
    let href = AuditState { action, ..AuditState::default() }.address();
    view! {
        <tr>
            <td><Ago at=entry.at /></td>
            <th scope="row">{entry.actor}</th>
            <td class="mono"><A href=href>{entry.action}</A></td>
            <td>{entry.subject}</td>
            <td class="fine wrap">{entry.detail}</td>
            <td class="mono">{entry.address}</td>
        </tr>
    }
}
