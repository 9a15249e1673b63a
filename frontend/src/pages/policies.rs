//! `/policies?q=`: what is wanted of the fleet. It refuses to show any of it to nobody.

use crate::browser;
use crate::components::narrow::Narrow;
use crate::components::notice::{Loading, NoticeBox};
use crate::components::table::Table;
use crate::components::time::Ago;
use crate::pages::nodes::{failed, for_somebody};
use crate::session::Session;
use crate::view::load::{Notice, Tone};
use crate::view::policy::{self, Row};
use crate::words;
use leptos::prelude::*;
use leptos_router::components::A;
use leptos_router::hooks::use_query_map;
use skep_api::v1::policies::PolicyList;

/// The page.
#[component]
pub fn PoliciesPage() -> impl IntoView {
    browser::set_title(&words::title(words::POLICIES_TITLE));
    let list = || view! { <List /> }.into_any();
    view! { <h1>{words::POLICIES_TITLE}</h1> {move || for_somebody(list)} }
}

#[component]
fn List() -> impl IntoView {
    let session = Session::of_app();
    let address = use_query_map();
    let narrow = Memo::new(move |_| address.with(|q| q.get("q").unwrap_or_default()));
    let list =
        LocalResource::new(move || async move { session.get::<PolicyList>("/v1/policies").await });
    move || match list.get() {
        None => view! { <Loading blocks=3 /> }.into_any(),
        Some(Err(failure)) => failed(&failure),
        Some(Ok(list)) if list.policies.is_empty() => {
            let notice =
                Notice::new(Tone::Empty, words::NO_POLICIES_TITLE, words::NO_POLICIES_TEXT)
                    .with_command(words::NO_POLICIES_COMMAND);
            view! { <NoticeBox notice /> }.into_any()
        }
        Some(Ok(list)) => table(list, narrow),
    }
}

fn table(list: PolicyList, narrow: Memo<String>) -> AnyView {
    let rows = move || policy::rows(&list, &narrow.get()).into_iter().map(row).collect_view();
    let heads = vec![
        words::COL_POLICY,
        words::COL_SELECTS,
        words::COL_NODES,
        words::COL_ATTACH,
        words::COL_PROGRAMS,
        words::COL_APPLIED_BY,
        words::COL_WHEN,
    ];
    view! {
        <Narrow page="/policies" label=words::NARROW_POLICIES narrow />
        <Table caption=words::POLICIES_TITLE heads>{rows}</Table>
    }
    .into_any()
}

fn row(row: Row) -> impl IntoView {
    let removed = row.removed.then(|| view! { " " <span class="tag">{words::REMOVED}</span> });
    view! {
        <tr>
            <th scope="row">
                <A href=row.href>{row.policy.name}</A> " " {row.policy.revision} {removed}
            </th>
            <td class="mono">{row.selects}</td>
            <td class="number">{row.nodes}</td>
            <td>{row.policy.attach}</td>
            <td>{row.policy.programs}</td>
            <td>{row.policy.applied_by}</td>
            <td><Ago at=row.policy.applied_at /></td>
        </tr>
    }
}
