//! `/p/:ns/:name` and `/p/:ns/:name/:version`: one version of a package, verified here.
//! It refuses to trust the registry's word for what can be checked in the browser.

mod sections;

use crate::browser;
use crate::client;
use crate::components::notice::{Loading, NoticeBox};
use crate::components::time::Ago;
use crate::components::verification::Badge;
use crate::verify;
use crate::view::link;
use crate::view::load::Failure;
use crate::view::package::{self, PackageView};
use crate::view::verification::Verification;
use crate::words;
use leptos::prelude::*;
use leptos_router::components::A;
use leptos_router::hooks::use_params_map;
use skep_api::v1::packages::{PackageDetail, VersionDetail};

pub(in crate::pages) use sections::facts;

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
        Some(Ok((package, version))) => page(&package, version),
    }
}

async fn fetch(
    name: &str,
    version: Option<String>,
) -> Result<(PackageDetail, VersionDetail), Failure> {
    let package: PackageDetail = client::json(&format!("/v1/packages/{name}"), None).await?;
    let version = version.unwrap_or_else(|| package.summary.version.to_string());
    let path = format!("/v1/packages/{name}/{}", link::escaped(&version));
    let version = client::json(&path, None).await?;
    Ok((package, version))
}

fn page(package: &PackageDetail, version: VersionDetail) -> AnyView {
    let shown = package::view(package, &version);
    browser::set_title(&words::title(&format!("{} {}", shown.name, shown.version)));
    let verification = RwSignal::new(Verification::default());
    let run = verify::runner(version, verification);
    if run.is_light() {
        run.start();
    }
    view! {
        {head(&shown, verification)}
        {sections::links()}
        <div class="with-aside">
            <div class="column">{sections::column(&shown)}</div>
            <aside>{sections::aside(&shown, verification, run)}</aside>
        </div>
    }
    .into_any()
}

fn head(shown: &PackageView, verification: RwSignal<Verification>) -> impl IntoView + use<> {
    let tags = shown.hooks.iter().map(|hook| view! { <span class="tag">{*hook}</span> });
    let yanked = shown.yanked.then(|| view! { <p class="notice stale">{words::YANKED_TEXT}</p> });
    let newest = shown.newest.clone().map(|newest| {
        let href = link::package(&shown.name);
        view! { <p class="notice stale"><A href=href>{words::newer_version(&newest)}</A></p> }
    });
    view! {
        <header class="page-head">
            <h1>{shown.name.clone()} " " <span class="version">{shown.version.clone()}</span></h1>
            <p class="lead">{shown.description.clone()}</p>
            <p class="signed">
                <span id="signed-by">{shown.signed.clone()}</span>
                " · "
                <Badge state=verification />
            </p>
            <p class="tags">
                {tags.collect_view()}
                <span class="fine">{words::LABEL_PUBLISHED} " " <Ago at=shown.published_at /></span>
            </p>
            {yanked}
            {newest}
        </header>
    }
}
