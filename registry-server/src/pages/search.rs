//! The home page and a page of search results. Refuses to search: it is given what was found.

use super::{Context, Head, show};
use askama::Template;
use skep_api::v1::packages::{PackagePage, PackageQuery, PackageSummary};
use skep_artifact::hook::Hook;

/// Cards of the home page: two rows of three, as the web front draws.
pub(super) const CARDS_AT_HOME: u32 = 6;
/// Cards on a page of results, as the web front draws.
pub(super) const CARDS_ON_PAGE: u32 = 24;

const HOME: &str = "Signed eBPF programs that share a hook: search, read what a program may do, verify it, \
                    put it into a chain.";

#[derive(Template)]
#[template(path = "home.html")]
pub(super) struct Home {
    head: Head,
    hooks: Vec<&'static str>,
    cards: Vec<Card>,
}

#[derive(Template)]
#[template(path = "search.html")]
pub(super) struct Results {
    head: Head,
    text: String,
    hook: &'static str,
    hooks: Vec<&'static str>,
    cards: Vec<Card>,
    total: u64,
    next: Option<String>,
}

struct Card {
    name: String,
    version: String,
    description: String,
    hooks: Vec<&'static str>,
    kernel: String,
    license: String,
    signed: String,
    installs: String,
    published: String,
}

fn hooks() -> Vec<&'static str> {
    Hook::ALL.into_iter().map(Hook::as_str).collect()
}

fn card(package: &PackageSummary) -> Card {
    let keys = show::keys(&package.signed_by);
    Card {
        name: package.name.to_string(),
        version: package.version.to_string(),
        description: package.description.clone(),
        hooks: package.hooks.iter().map(|hook| hook.as_str()).collect(),
        kernel: show::kernel(package.lowest_kernel.as_deref()),
        license: package.license.clone(),
        signed: if keys.is_empty() { "not signed".into() } else { format!("signed by {keys}") },
        installs: show::installs(package.installs),
        published: show::day(package.published_at),
    }
}

pub(super) fn home(context: &Context<'_>, found: &PackagePage) -> Home {
    let head = context.head("", HOME, "/");
    Home { head, hooks: hooks(), cards: found.packages.iter().map(card).collect() }
}

pub(super) fn results(context: &Context<'_>, query: &PackageQuery, found: &PackagePage) -> Results {
    let text = query.q.clone().unwrap_or_default();
    let hook = query.hook.map(Hook::as_str).unwrap_or_default();
    let title = if text.is_empty() { "Packages".to_owned() } else { format!("{text} · Packages") };
    // The list itself may be found by search engines; its countless narrowings may not.
    let narrowed = query.q.is_some() || query.hook.is_some() || query.after.is_some();
    let head = Head { hidden: narrowed, ..context.head(&title, HOME, "/search") };
    let next = found.next.as_deref().map(|next| {
        let mut address = form_urlencoded::Serializer::new(String::new());
        for (key, value) in [("q", text.as_str()), ("hook", hook), ("after", next)] {
            if !value.is_empty() {
                address.append_pair(key, value);
            }
        }
        format!("/search?{}", address.finish())
    });
    let cards = found.packages.iter().map(card).collect();
    Results { head, text, hook, hooks: hooks(), cards, total: found.total, next }
}
