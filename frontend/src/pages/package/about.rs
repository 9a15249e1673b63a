//! README, and everything about getting a version and believing it. It refuses to fetch and to compute.

use crate::components::copy::CopyBox;
use crate::components::verification::Checks;
use crate::verify::Runner;
use crate::view::package::{Fact, PackageView};
use crate::view::verification::Verification;
use crate::words;
use leptos::prelude::*;

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

pub(super) fn readme(shown: &PackageView) -> AnyView {
    if shown.readme_html.is_empty() {
        return view! { <p>{words::NO_README}</p> }.into_any();
    }
    // The server sanitised it; the page's content security policy forbids scripts in it besides.
    view! { <div class="prose" inner_html=shown.readme_html.clone()></div> }.into_any()
}
