//! `/p/:ns/:name` and `/p/:ns/:name/:version`: one version of a package, verified here.
//! It refuses to trust the registry's word for what can be checked in the browser.

mod about;
mod facts;
mod security;
mod versions;

use crate::browser;
use crate::client;
use crate::components::notice::{Loading, NoticeBox};
use crate::components::tabs::{TabList, TabPanel};
use crate::components::time::Ago;
use crate::components::verification::Badge;
use crate::verify;
use crate::view::load::Failure;
use crate::view::package::{self, PackageView};
use crate::view::tabs::{self, Tab};
use crate::view::verification::Verification;
use crate::view::{compatibility, link};
use crate::words;
use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::components::A;
use leptos_router::hooks::{use_navigate, use_params_map, use_query_map};
use skep_api::v1::packages::{PackageDetail, VersionDetail};

pub(in crate::pages) use about::facts;

/// The page.
#[component]
pub fn PackagePage() -> impl IntoView {
    let params = use_params_map();
    let wanted = Memo::new(move |_| {
        params.with(|p| {
            let part = |key| p.get_str(key).unwrap_or_default().to_owned();
            let name = format!("{}/{}", link::escaped(&part("ns")), link::escaped(&part("name")));
            (name, p.get_str("version").map(str::to_owned))
        })
    });
    let answer = LocalResource::new(move || {
        let (name, version) = wanted.get();
        async move { fetch(&name, version).await }
    });
    move || match answer.get() {
        None => view! { <Loading blocks=4 /> }.into_any(),
        Some(Err(failure)) => {
            browser::set_title(&words::title(&wanted.get_untracked().0));
            view! { <h1>{wanted.get_untracked().0}</h1> <NoticeBox notice=failure.notice() /> }
                .into_any()
        }
        Some(Ok((package, version, text))) => page(&package, version, text),
    }
}

async fn fetch(
    name: &str,
    version: Option<String>,
) -> Result<(PackageDetail, VersionDetail, String), Failure> {
    let package: PackageDetail = client::json(&format!("/v1/packages/{name}"), None).await?;
    let version = version.unwrap_or_else(|| package.summary.version.to_string());
    let path = format!("/v1/packages/{name}/{}", link::escaped(&version));
    let (version, text) = client::json_and_text(&path).await?;
    Ok((package, version, text))
}

fn page(package: &PackageDetail, version: VersionDetail, text: String) -> AnyView {
    let shown = package::view(package, &version);
    browser::set_title(&words::title(&format!("{} {}", shown.name, shown.version)));
    let verification = RwSignal::new(Verification::default());
    let run = verify::runner(text, version.summary.size_bytes, verification);
    if run.is_light() {
        run.start();
    }
    let own = link::version(&shown.name, &shown.version);
    let address = use_query_map();
    let chosen = Memo::new(move |_| address.with(|q| Tab::from_address(q.get_str("tab"))));
    let from = Memo::new(move |_| address.with(|q| q.get("from").unwrap_or_default()));
    let go = use_navigate();
    let here = own.clone();
    let choose = move |tab: Tab| {
        let options =
            NavigateOptions { replace: true, scroll: false, ..NavigateOptions::default() };
        go(&tabs::address(&here, tab, &from.get_untracked()), options);
    };
    let content = Content { shown: shown.clone(), version, page: own };
    view! {
        {head(&shown, verification, chosen)}
        <TabList chosen on_choose=choose label=words::SECTIONS_LABEL />
        <div class="with-aside">
            <TabPanel chosen>{move || content.panel(chosen.get(), from)}</TabPanel>
            <aside>{about::aside(&shown, verification, run)}</aside>
        </div>
    }
    .into_any()
}

/// What the tabs show.
struct Content {
    shown: PackageView,
    version: VersionDetail,
    /// The address of the page, without a tab.
    page: String,
}

impl Content {
    fn panel(&self, tab: Tab, from: Memo<String>) -> AnyView {
        let Self { shown, version, page } = self;
        let body = match tab {
            Tab::Readme => about::readme(shown),
            Tab::Versions => versions::list(shown),
            Tab::Permissions => facts::permissions(&shown.permissions),
            Tab::Compatibility => facts::compatibility(&compatibility::of(version)),
            Tab::Config => facts::settings(shown),
            Tab::Code => facts::code(shown),
            Tab::Diff => versions::comparison(shown, version, page, from),
            Tab::Security => security::panel(version),
        };
        view! { <h2 id="panel-title">{tab.title()}</h2> {body} }.into_any()
    }
}

fn head(
    shown: &PackageView,
    verification: RwSignal<Verification>,
    chosen: Memo<Tab>,
) -> impl IntoView + use<> {
    let tags = shown.hooks.iter().map(|hook| view! { <span class="tag">{*hook}</span> });
    let warning = |text: &String| view! { <p class="notice stale">{text.clone()}</p> };
    let newest = shown.newest.clone().map(|newest| {
        let href = link::package(&shown.name);
        view! { <p class="notice stale"><A href=href>{words::newer_version(&newest)}</A></p> }
    });
    let entry = shown.log_entry.clone().map(|entry| view! { " · " <span>{entry}</span> });
    view! {
        <header class="page-head">
            <div class="name-line">
                <h1>{shown.name.clone()} " " <span class="version">{shown.version.clone()}</span></h1>
                {versions::select(shown, chosen)}
            </div>
            <p class="lead">{shown.description.clone()}</p>
            <p class="signed">
                <span id="signed-by">{shown.signed.clone()}</span>
                {entry}
                " · "
                <Badge state=verification />
            </p>
            <p class="tags">
                {tags.collect_view()}
                <span class="fine">{words::LABEL_PUBLISHED} " " <Ago at=shown.published_at /></span>
            </p>
            {shown.warnings.iter().map(warning).collect_view()}
            {newest}
        </header>
    }
}
