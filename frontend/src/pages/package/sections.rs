//! The sections of the package page. They refuse to fetch and to compute.

use crate::components::copy::CopyBox;
use crate::components::table::Table;
use crate::components::time::Ago;
use crate::components::verification::Checks;
use crate::verify::Runner;
use crate::view::package::{Fact, PackageView};
use crate::view::permissions::{Permission, Weight};
use crate::view::verification::Verification;
use crate::words;
use leptos::prelude::*;
use leptos_router::components::A;

/// Ids and titles of the sections, in order.
const SECTIONS: [(&str, &str); 6] = [
    ("readme", words::README),
    ("permissions", words::PERMISSIONS),
    ("programs", words::PROGRAMS),
    ("maps", words::MAPS),
    ("configuration", words::CONFIGURATION),
    ("versions", words::VERSIONS),
];

/// Links to the sections.
pub(super) fn links() -> impl IntoView {
    let links = SECTIONS.map(|(id, title)| view! { <a href=format!("#{id}")>{title}</a> });
    view! { <nav class="sections" aria-label=words::SECTIONS_LABEL>{links.collect_view()}</nav> }
}

/// Everything about what the version holds.
pub(super) fn column(shown: &PackageView) -> impl IntoView + use<> {
    view! {
        {section(0, readme(shown))}
        {section(1, permissions(&shown.permissions))}
        {section(2, programs(shown))}
        {section(3, maps(shown))}
        {section(4, settings(shown))}
        {section(5, versions(shown))}
    }
}

/// Everything about getting it and believing it.
pub(super) fn aside(
    shown: &PackageView,
    verification: RwSignal<Verification>,
    run: Runner,
) -> impl IntoView + use<> {
    let snippets = shown.snippets.iter().map(|snippet| {
        let (title, text) = (snippet.title, snippet.text.clone());
        view! { <h3>{title}</h3> <CopyBox text what=title.to_owned() /> }
    });
    let label = if run.is_light() { words::VERIFY_AGAIN } else { words::VERIFY_LARGE };
    let source = shown.repository.clone().map(|url| {
        let shown = url.trim_start_matches("https://").to_owned();
        view! { <dt>{words::REPOSITORY}</dt> <dd><a href=url rel="noopener noreferrer external">{shown}</a></dd> }
    });
    let keywords = (!shown.keywords.is_empty()).then(|| {
        view! { <dt>{words::LABEL_KEYWORDS}</dt> <dd>{shown.keywords.join(", ")}</dd> }
    });
    view! {
        <section aria-labelledby="install" class="panel">
            <h2 id="install">{words::INSTALL}</h2>
            {snippets.collect_view()}
        </section>
        <section aria-labelledby="verify" class="panel">
            <h2 id="verify">{words::VERIFY_TITLE}</h2>
            <p class="fine">{words::VERIFY_LEAD}</p>
            <Checks state=verification />
            <button type="button" class="quiet" on:click=move |_| run.start()>{label}</button>
        </section>
        <section aria-labelledby="about" class="panel">
            <h2 id="about">{words::ABOUT}</h2>
            <dl>
                {facts(&shown.about)}
                {source}
                {keywords}
            </dl>
        </section>
    }
}

/// Labels and values.
pub(in crate::pages) fn facts(facts: &[Fact]) -> impl IntoView + use<> {
    let item = |fact: &Fact| {
        let hover = (!fact.hover.is_empty()).then(|| fact.hover.clone());
        view! { <dt>{fact.label}</dt> <dd title=hover>{fact.value.clone()}</dd> }
    };
    facts.iter().map(item).collect_view()
}

fn section(at: usize, body: AnyView) -> impl IntoView {
    let (id, title) = SECTIONS[at];
    view! {
        <section id=id aria-labelledby=format!("{id}-title")>
            <h2 id=format!("{id}-title")>{title}</h2>
            {body}
        </section>
    }
}

fn readme(shown: &PackageView) -> AnyView {
    if shown.readme_html.is_empty() {
        return view! { <p>{words::NO_README}</p> }.into_any();
    }
    // The server sanitised it; the page's content security policy forbids scripts in it besides.
    view! { <div class="prose" inner_html=shown.readme_html.clone()></div> }.into_any()
}

fn permissions(all: &[Permission]) -> AnyView {
    if all.is_empty() {
        return view! { <p>{words::NO_PERMISSIONS}</p> }.into_any();
    }
    let row = |p: &Permission| {
        let (class, mark, word) = match p.weight {
            Weight::Grave => ("bad", "▲", words::WEIGHT_GRAVE),
            Weight::Notable => ("action", "◆", words::WEIGHT_NOTABLE),
            Weight::Ordinary => ("neutral", "·", words::WEIGHT_ORDINARY),
        };
        view! {
            <tr>
                <td>
                    <span class=format!("mark {class}") title=word>{mark}</span>
                    <span class="unseen">{word} ": "</span>
                    " "
                    {p.what}
                </td>
                <td class="mono">{p.programs.join(", ")}</td>
                <td class="fine">{p.because.clone()}</td>
            </tr>
        }
    };
    let rows = all.iter().map(row).collect_view();
    let heads = vec![words::COL_MAY, words::COL_PROGRAMS, words::COL_BECAUSE];
    view! {
        <p class="fine">{words::PERMISSIONS_LEAD}</p>
        <Table caption=words::PERMISSIONS heads>{rows}</Table>
    }
    .into_any()
}

fn programs(shown: &PackageView) -> AnyView {
    let rows = shown.programs.iter().map(|p| {
        view! {
            <tr>
                <th scope="row" class="mono">{p.name.clone()}</th>
                <td>{p.kind.clone()}</td>
                <td class="mono">{p.section.clone()}</td>
                <td class="number">{p.instructions.clone()}</td>
                <td title=p.because.clone()>{p.kernel.clone()} <span class="fine">" " {p.because.clone()}</span></td>
                <td class="mono wrap">{p.helpers.clone()}</td>
            </tr>
        }
    });
    let rows = rows.collect_view();
    let heads = vec![
        words::COL_PROGRAM,
        words::COL_TYPE,
        words::COL_SECTION,
        words::COL_INSTRUCTIONS,
        words::COL_LOWEST_KERNEL,
        words::COL_HELPERS,
    ];
    view! { <Table caption=words::PROGRAMS heads>{rows}</Table> }.into_any()
}

fn maps(shown: &PackageView) -> AnyView {
    if shown.maps.is_empty() {
        return view! { <p>{words::NO_MAPS}</p> }.into_any();
    }
    let rows = shown.maps.iter().map(|m| {
        view! {
            <tr>
                <th scope="row" class="mono">{m.name.clone()}</th>
                <td>{m.kind.clone()}</td>
                <td class="number">{m.entries.clone()}</td>
                <td class="number">{m.key.clone()}</td>
                <td class="number">{m.value.clone()}</td>
                <td>{m.role}</td>
            </tr>
        }
    });
    let rows = rows.collect_view();
    let heads = vec![
        words::COL_MAP,
        words::COL_TYPE,
        words::COL_ENTRIES,
        words::COL_KEY,
        words::COL_VALUE,
        words::COL_USE,
    ];
    view! { <Table caption=words::MAPS heads>{rows}</Table> }.into_any()
}

fn settings(shown: &PackageView) -> AnyView {
    if shown.settings.is_empty() {
        return view! { <p>{words::NO_SETTINGS}</p> }.into_any();
    }
    let rows = shown.settings.iter().map(|s| {
        view! {
            <tr>
                <th scope="row" class="mono">{s.name.clone()}</th>
                <td>{s.ty.clone()}</td>
                <td>{s.default.clone()}</td>
                <td>{s.range.clone()}</td>
                <td>{s.about.clone()}</td>
            </tr>
        }
    });
    let rows = rows.collect_view();
    let heads = vec![
        words::COL_SETTING,
        words::COL_TYPE,
        words::COL_DEFAULT,
        words::COL_RANGE,
        words::COL_ABOUT,
    ];
    view! { <Table caption=words::CONFIGURATION heads>{rows}</Table> }.into_any()
}

fn versions(shown: &PackageView) -> AnyView {
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
