//! The few things the pages need from the browser itself: the time, the tab's storage, title, focus and
//! clipboard. It refuses to know what they are used for.

use std::cell::RefCell;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

/// Ids in the server's page: what it drew, and the room for the app.
const SHELL: &str = "shell";
const APP: &str = "app";

#[wasm_bindgen]
extern "C" {
    /// `navigator.clipboard.writeText`; absent where the page was not loaded securely.
    #[wasm_bindgen(catch, js_namespace = ["navigator", "clipboard"], js_name = writeText)]
    async fn write_text(text: &str) -> Result<JsValue, JsValue>;
}

thread_local! {
    /// The program that verifies, once somebody asked for it: fulfilled with its function when it is there.
    static CHECK: RefCell<Option<js_sys::Promise>> = const { RefCell::new(None) };
}

/// The browser's clock, in seconds since 1970.
#[expect(clippy::cast_possible_truncation, reason = "seconds since 1970 fit for 292 billion years")]
pub(crate) fn now() -> i64 {
    (js_sys::Date::now() / 1000.0) as i64
}

/// A moment as `2026-11-22T21:04:05Z`, and as people of this browser's language write it.
pub(crate) fn exact(at: i64) -> (String, String) {
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 stay far below 2^53")]
    let date = js_sys::Date::new(&JsValue::from_f64(at as f64 * 1000.0));
    if date.get_time().is_nan() {
        return (String::new(), String::new());
    }
    (String::from(date.to_iso_string()), String::from(date.to_string()))
}

/// A day as `2026-11-22`, with the moment as people of this browser's language write it.
pub(crate) fn day(at: i64) -> (String, String) {
    let (machine, people) = exact(at);
    (machine.split('T').next().unwrap_or_default().to_owned(), people)
}

/// What the tab remembers under a name until it is closed.
pub(crate) fn remembered(name: &str) -> Option<String> {
    storage()?.get_item(name).ok().flatten()
}

/// Remembers a text in this tab, or forgets it. A browser that refuses storage forgets at once; the page
/// works without.
pub(crate) fn remember(name: &str, text: Option<&str>) {
    if let Some(storage) = storage() {
        let _ = match text {
            Some(text) => storage.set_item(name, text),
            None => storage.remove_item(name),
        };
    }
}

/// What the browser keeps under a name, in every tab, until it is told to forget.
pub(crate) fn kept(name: &str) -> Option<String> {
    local_storage()?.get_item(name).ok().flatten()
}

/// Keeps a text in every tab, or forgets it.
pub(crate) fn keep(name: &str, text: Option<&str>) {
    if let Some(storage) = local_storage() {
        let _ = match text {
            Some(text) => storage.set_item(name, text),
            None => storage.remove_item(name),
        };
    }
}

/// Leaves the app for another address, with a full load.
pub(crate) fn leave_for(address: &str) {
    if let Some(window) = web_sys::window() {
        let _ = window.location().assign(address);
    }
}

/// Sets the title of the tab.
pub(crate) fn set_title(title: &str) {
    if let Some(document) = document() {
        document.set_title(title);
    }
}

/// Moves the keyboard focus to the element with this id.
pub(crate) fn focus(id: &str) {
    let element = document().and_then(|document| document.get_element_by_id(id));
    if let Some(element) = element.and_then(|e| e.dyn_into::<web_sys::HtmlElement>().ok()) {
        let _ = element.focus();
    }
}

/// Where the server's page has room for the app.
pub(crate) fn app_root() -> Option<web_sys::HtmlElement> {
    document()?.get_element_by_id(APP)?.dyn_into().ok()
}

/// Whether the app shows a page, and waits for no answer.
pub(crate) fn app_is_drawn() -> bool {
    let Some(root) = app_root() else { return true };
    let has = |css: &str| root.query_selector(css).ok().flatten().is_some();
    has("h1, .notice") && !has(".loading")
}

/// Shows the app in the place of what the server drew.
pub(crate) fn show_app() {
    let Some(document) = document() else { return };
    if let Some(shell) = document.get_element_by_id(SHELL) {
        shell.remove();
    }
    if let Some(root) = app_root() {
        root.set_hidden(false);
    }
}

/// Whether the tab is in the background.
pub(crate) fn is_hidden() -> bool {
    document().is_some_and(|document| document.hidden())
}

/// Whether the text went to the clipboard; it does not when the browser refuses.
pub(crate) async fn copy(text: &str) -> bool {
    write_text(text).await.is_ok()
}

/// Hands a version to the program that verifies, which tells `hear` how it goes. False when it could not be loaded.
pub(crate) async fn verify(version: &str, hear: impl Fn(String) + 'static) -> bool {
    let loaded = CHECK.with_borrow_mut(|check| check.get_or_insert_with(load_check).clone());
    let loaded = JsFuture::from(loaded).await.ok();
    let verify = loaded.and_then(|verify| verify.dyn_into::<js_sys::Function>().ok());
    let Some(verify) = verify else {
        // Asked for again, it is loaded again.
        CHECK.set(None);
        return false;
    };
    let hear = Closure::<dyn Fn(String)>::new(hear).into_js_value();
    verify.call2(&JsValue::NULL, &version.into(), &hear).is_ok()
}

/// Begins to load the program whose address the page names.
fn load_check() -> js_sys::Promise {
    js_sys::Promise::new(&mut |loaded, failed| {
        let begun = (|| {
            let document = document()?;
            let named = document.query_selector("meta[name=skep-check]").ok()??;
            let script = document.create_element("script").ok()?;
            let script = script.dyn_into::<web_sys::HtmlScriptElement>().ok()?;
            script.set_type("module");
            script.set_src(&named.get_attribute("content")?);
            // A module has loaded before what it waits for is there, so the program says itself when it is.
            js_sys::Reflect::set(&js_sys::global(), &crate::check::READY.into(), &loaded).ok()?;
            script.set_onerror(Some(&failed));
            document.head()?.append_child(&script).ok()
        })();
        if begun.is_none() {
            let _ = failed.call0(&JsValue::NULL);
        }
    })
}

fn document() -> Option<web_sys::Document> {
    web_sys::window()?.document()
}

fn local_storage() -> Option<web_sys::Storage> {
    web_sys::window()?.local_storage().ok().flatten()
}

fn storage() -> Option<web_sys::Storage> {
    web_sys::window()?.session_storage().ok().flatten()
}
