//! `/nodes?q=`: the fleet as a list, for readers with a token. It refuses to show any of it without one.

use crate::browser;
use crate::components::narrow::Narrow;
use crate::components::notice::{Loading, NoticeBox};
use crate::components::table::Table;
use crate::components::time::Ago;
use crate::pages::log_in::LogInBox;
use crate::session::Session;
use crate::view::load::{Failure, Notice, Tone};
use crate::view::nodes::{self, NodeRow};
use crate::words;
use leptos::prelude::*;
use leptos_router::components::A;
use leptos_router::hooks::use_query_map;
use skep_api::v1::nodes::NodeList;

/// The page.
#[component]
pub fn NodesPage() -> impl IntoView {
    browser::set_title(&words::title(words::NODES_TITLE));
    view! { <h1>{words::NODES_TITLE}</h1> {move || for_somebody(|| view! { <Fleet /> }.into_any())} }
}

/// What only somebody may see, or the way to become somebody.
pub(super) fn for_somebody(page: impl FnOnce() -> AnyView) -> AnyView {
    match Session::of_app().is_somebody() {
        None => view! { <Loading blocks=3 /> }.into_any(),
        Some(true) => page(),
        Some(false) => view! { <p>{words::NOT_PUBLIC}</p> <LogInBox /> }.into_any(),
    }
}

#[component]
fn Fleet() -> impl IntoView {
    let session = Session::of_app();
    let address = use_query_map();
    let narrow = Memo::new(move |_| address.with(|q| q.get("q").unwrap_or_default()));
    let list =
        LocalResource::new(move || async move { session.get::<NodeList>("/v1/nodes").await });
    move || match list.get() {
        None => view! { <Loading blocks=3 /> }.into_any(),
        Some(Err(failure)) => failed(&failure),
        Some(Ok(list)) if list.nodes.is_empty() => {
            let notice = Notice::new(Tone::Empty, words::NO_NODES_TITLE, words::NO_NODES_TEXT)
                .with_command(words::NO_NODES_COMMAND);
            view! { <NoticeBox notice /> }.into_any()
        }
        Some(Ok(list)) => table(list, narrow),
    }
}

/// The refused state: what the registry said, and the way to be somebody else.
pub(super) fn failed(failure: &Failure) -> AnyView {
    let again = failure.wants_sign_in().then(|| view! { <LogInBox /> });
    view! { <NoticeBox notice=failure.notice() /> {again} }.into_any()
}

fn table(list: NodeList, narrow: Memo<String>) -> AnyView {
    let summary = nodes::summary(&list);
    let rows = move || {
        let rows = nodes::rows(&list, &narrow.get());
        if rows.is_empty() {
            let none = view! { <tr><td colspan="7">{words::NO_NODE_MATCHES}</td></tr> };
            return none.into_any();
        }
        rows.into_iter().map(row).collect_view().into_any()
    };
    let heads = vec![
        words::COL_NODE,
        words::COL_STATE,
        words::COL_LABELS,
        words::COL_KERNEL,
        words::COL_CHAINS,
        words::COL_GENERATION,
        words::COL_SYNCED,
    ];
    view! {
        <p role="status">{summary}</p>
        <Narrow page="/nodes" label=words::NARROW_LABEL narrow />
        <Table caption=words::NODES_TITLE heads>{rows}</Table>
    }
    .into_any()
}

fn row(row: NodeRow) -> impl IntoView {
    let why = (!row.why.is_empty()).then(|| view! { <span class="fine block">{row.why}</span> });
    let seen = match row.last_seen_at {
        Some(at) => view! { <Ago at /> }.into_any(),
        None => view! { {words::NEVER} }.into_any(),
    };
    view! {
        <tr>
            <th scope="row"><A href=row.href>{row.name}</A></th>
            <td>
                <span class=format!("mark {}", row.state.class) aria-hidden="true">{row.state.mark}</span>
                " "
                {row.state.word}
                {why}
            </td>
            <td class="mono">{row.labels}</td>
            <td>{row.kernel}</td>
            <td class="number">{row.chains}</td>
            <td class="number">{row.generation}</td>
            <td>{seen}</td>
        </tr>
    }
}
