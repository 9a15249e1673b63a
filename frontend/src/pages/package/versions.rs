//! The versions of a package: the list, the choice of one, and what changed between two. It refuses to compare them
//! itself: `view::diff` does.

use crate::client;
use crate::components::notice::{Loading, NoticeBox};
use crate::components::table::Table;
use crate::components::time::Ago;
use crate::view::diff::{self, Change, Group, Line};
use crate::view::link;
use crate::view::package::PackageView;
use crate::view::tabs::{self, Tab};
use crate::words;
use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::components::A;
use leptos_router::hooks::use_navigate;
use skep_api::v1::packages::VersionDetail;

pub(super) fn list(shown: &PackageView) -> AnyView {
    let rows = shown.versions.iter().map(|v| {
        let note = match (v.yanked, v.current) {
            (true, _) => Some(words::YANKED),
            (false, true) => Some(words::CURRENT),
            (false, false) => None,
        };
        let (href, version) = (v.href.clone(), v.version.clone());
        view! {
            <tr>
                <th scope="row">
                    <A href=href>{version}</A>
                    {note.map(|note| view! { " " <span class="tag">{note}</span> })}
                </th>
                <td class="number">{v.release.clone()}</td>
                <td><Ago at=v.published_at /></td>
                <td class="number">{v.size.clone()}</td>
                <td class="mono" title=v.digest.clone()>{v.digest_short.clone()}</td>
            </tr>
        }
    });
    let rows = rows.collect_view();
    let heads = vec![
        words::COL_VERSION,
        words::COL_RELEASE,
        words::COL_PUBLISHED,
        words::COL_SIZE,
        words::COL_INDEX,
    ];
    view! { <Table caption=words::VERSIONS heads>{rows}</Table> }.into_any()
}

/// The choice of the version that is shown; the tab stays.
pub(super) fn select(shown: &PackageView, chosen: Memo<Tab>) -> impl IntoView + use<> {
    let go = use_navigate();
    let name = shown.name.clone();
    let change = move |event| {
        let page = link::version(&name, &event_target_value(&event));
        go(&tabs::address(&page, chosen.get_untracked(), ""), NavigateOptions::default());
    };
    let options = shown.versions.iter().map(|row| {
        let note = if row.yanked { format!(" ({})", words::YANKED) } else { String::new() };
        view! {
            <option value=row.version.clone() selected=row.current>{row.version.clone()} {note}</option>
        }
    });
    view! {
        <label class="unseen" for="version">{words::VERSION_LABEL}</label>
        <select id="version" on:change=change>{options.collect_view()}</select>
    }
}

/// What changed since another version: the one the address names, or the one released before.
pub(super) fn comparison(
    shown: &PackageView,
    version: &VersionDetail,
    page: &str,
    from: Memo<String>,
) -> AnyView {
    let Some(usual) = shown.before.clone() else {
        return view! { <p>{words::DIFF_FIRST}</p> }.into_any();
    };
    let from =
        Memo::new(move |_| Some(from.get()).filter(|f| !f.is_empty()).unwrap_or(usual.clone()));
    let name = shown.name.clone();
    let other = LocalResource::new(move || {
        let path = format!("/v1/packages/{name}/{}", link::escaped(&from.get()));
        async move { client::json::<VersionDetail>(&path, None).await }
    });
    let after = version.clone();
    let differences = move || match other.get() {
        None => view! { <Loading blocks=2 /> }.into_any(),
        Some(Err(failure)) => view! { <NoticeBox notice=failure.notice() /> }.into_any(),
        Some(Ok(before)) => groups(diff::of(&before, &after), &before, &after),
    };
    let go = use_navigate();
    let page = page.to_owned();
    let change = move |event| {
        let options =
            NavigateOptions { replace: true, scroll: false, ..NavigateOptions::default() };
        go(&tabs::address(&page, Tab::Diff, &event_target_value(&event)), options);
    };
    let options = shown.versions.iter().filter(|row| !row.current).map(|row| {
        let version = row.version.clone();
        let selected = move || from.get() == version;
        view! { <option value=row.version.clone() prop:selected=selected>{row.version.clone()}</option> }
    });
    view! {
        <p class="line">
            <label for="from">{words::DIFF_FROM}</label>
            <select id="from" on:change=change>{options.collect_view()}</select>
            <span>{words::diff_to(&shown.version)}</span>
        </p>
        {differences}
    }
    .into_any()
}

fn groups(groups: Vec<Group>, before: &VersionDetail, after: &VersionDetail) -> AnyView {
    let says =
        words::compared(&before.summary.version.to_string(), &after.summary.version.to_string());
    if groups.is_empty() {
        return view! { <p id="diff" role="status">{words::DIFF_SAME} " " {says}</p> }.into_any();
    }
    let group = |group: Group| {
        let lines = group.lines.into_iter().map(line).collect_view();
        view! { <h3>{group.title}</h3> <ul class="diff">{lines}</ul> }
    };
    view! {
        <p class="fine" role="status">{says}</p>
        <div id="diff">{groups.into_iter().map(group).collect_view()}</div>
    }
    .into_any()
}

fn line(line: Line) -> impl IntoView {
    let (class, mark, word) = match line.change {
        Change::Added => ("good", "+", words::DIFF_ADDED),
        Change::Removed => ("bad", "−", words::DIFF_REMOVED),
        Change::Changed => ("action", "~", words::DIFF_CHANGED),
    };
    view! {
        <li>
            <span class=format!("mark {class}") aria-hidden="true">{mark}</span>
            <span class="unseen">{word} ": "</span>
            <span><strong>{line.what}</strong> " " <span class="fine">{line.detail}</span></span>
        </li>
    }
}
