//! Pages as HTML that anybody can read: search engines, `curl`, and browsers in which the web front does not run or is
//! still on its way. The front replaces them once it has drawn the same from the API. Refuses to draw what only the front
//! can: verification, permissions, the fleet; their addresses get a page that says so.

mod address;
mod package;
mod search;
mod show;

pub use address::Address;

use crate::app::App;
use crate::error::{ApiError, RequestError};
use crate::routes::extract::{ApiPath, ApiQuery};
use crate::routes::packages as api;
use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use skep_api::v1::packages::PackageQuery;

/// Files of the web front that every page names. Their names hold the hash of their content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontFiles {
    pub style: String,
    pub script: String,
    pub wasm: String,
    /// The script that loads the program that verifies, when something is verified.
    pub check: String,
}

/// What a page says about itself to those who do not read it: tabs, search engines, link previews, feed readers.
struct Head {
    title: String,
    description: String,
    /// Where it is in the world; `None` where the operator did not say how this registry is reached.
    canonical: Option<String>,
    /// Title and address of its own Atom feed.
    feed: Option<(String, String)>,
    /// Whether search engines should leave it out.
    hidden: bool,
    front: Option<FrontFiles>,
}

/// A page that is drawn.
pub struct Page {
    pub status: StatusCode,
    pub html: String,
}

#[derive(Template)]
#[template(path = "plain.html")]
struct Plain<'a> {
    head: Head,
    class: &'a str,
    title: &'a str,
    text: &'a str,
}

/// Draws the page at an address.
pub async fn draw(app: &App, address: &Address, front: Option<FrontFiles>) -> Page {
    let context = Context { app, front };
    let drawn = match address {
        Address::Home => context.home().await,
        Address::Search(query) => context.search(query).await,
        Address::Package { namespace, name, version } => {
            context.package(namespace, name, version.as_deref()).await
        }
        Address::App => Ok(context.plain(StatusCode::OK, "empty", APP)),
        Address::Nothing => Ok(context.plain(StatusCode::NOT_FOUND, "empty", NOWHERE)),
    };
    drawn.unwrap_or_else(|error| context.failed(error))
}

/// Title and text of a page without data.
type Words<'a> = (&'a str, &'a str);

const APP: Words = (
    "This page is drawn in the browser",
    "It needs JavaScript and WebAssembly. The command line shows the same: see skep --help.",
);
const NOWHERE: Words = (
    "This page does not exist",
    "The address may be misspelt, or what it named was removed. Packages are found by searching.",
);
const NO_PACKAGE: Words = (
    "There is nothing by that name",
    "This registry has no such package or version. It may be misspelt, or was never published here.",
);
const AWAY: Words = (
    "The registry cannot answer now",
    "Its database does not answer. What runs on your nodes runs on; try again in a minute.",
);

struct Context<'a> {
    app: &'a App,
    front: Option<FrontFiles>,
}

impl Context<'_> {
    /// The head of a page that is found at this path.
    fn head(&self, title: &str, description: &str, path: &str) -> Head {
        let title = if title.is_empty() { "Skep".to_owned() } else { format!("{title} · Skep") };
        let own = self.app.people.settings.url.as_deref();
        Head {
            title,
            description: description.to_owned(),
            canonical: own.map(|own| format!("{}{path}", own.trim_end_matches('/'))),
            feed: None,
            hidden: false,
            front: self.front.clone(),
        }
    }

    fn plain(&self, status: StatusCode, class: &str, (title, text): Words<'_>) -> Page {
        let head = Head { hidden: true, canonical: None, ..self.head(title, text, "") };
        page(status, &Plain { head, class, title, text })
    }

    /// The page of an error. Says no more than the API does.
    fn failed(&self, error: ApiError) -> Page {
        if let ApiError::Request(RequestError::Gone { what, message }) = &error {
            let title = format!("{what} was deleted");
            let text = format!("{message} Nodes that run it go on getting it by its digest.");
            return self.plain(StatusCode::GONE, "refused", (&title, &text));
        }
        match error.into_response().status() {
            StatusCode::NOT_FOUND => self.plain(StatusCode::NOT_FOUND, "empty", NO_PACKAGE),
            status if status.is_client_error() => self.plain(status, "refused", NOWHERE),
            status => self.plain(status, "failed", AWAY),
        }
    }

    async fn home(&self) -> Result<Page, ApiError> {
        let query = PackageQuery { limit: Some(search::CARDS_AT_HOME), ..PackageQuery::default() };
        let Json(found) = api::list(State(self.app.clone()), ApiQuery(query)).await?;
        Ok(page(StatusCode::OK, &search::home(self, &found)))
    }

    async fn search(&self, query: &PackageQuery) -> Result<Page, ApiError> {
        let query = PackageQuery { limit: Some(search::CARDS_ON_PAGE), ..query.clone() };
        let Json(found) = api::list(State(self.app.clone()), ApiQuery(query.clone())).await?;
        Ok(page(StatusCode::OK, &search::results(self, &query, &found)))
    }

    async fn package(
        &self,
        namespace: &str,
        name: &str,
        version: Option<&str>,
    ) -> Result<Page, ApiError> {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        let path = ApiPath((namespace.clone(), name.clone()));
        let Json(shown) = api::show(State(self.app.clone()), path).await?;
        let newest = shown.summary.version.to_string();
        let version = version.map_or_else(|| newest.clone(), str::to_owned);
        let path = ApiPath((namespace, name, version));
        let Json(detail) = api::show_version(State(self.app.clone()), path).await?;
        Ok(page(StatusCode::OK, &package::view(self, &shown, &detail)))
    }
}

/// Draws a template. They write to memory, and their values are plain texts: none of it can fail.
fn page(status: StatusCode, template: &impl Template) -> Page {
    match template.render() {
        Ok(html) => Page { status, html },
        Err(error) => {
            tracing::error!("a page could not be drawn: {error}");
            Page { status: StatusCode::INTERNAL_SERVER_ERROR, html: String::new() }
        }
    }
}
