//! The few things the pages need from the browser itself: the time, the tab's storage, title, focus and
//! clipboard. It refuses to know what they are used for.

use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// `navigator.clipboard.writeText`; absent where the page was not loaded securely.
    #[wasm_bindgen(catch, js_namespace = ["navigator", "clipboard"], js_name = writeText)]
    async fn write_text(text: &str) -> Result<JsValue, JsValue>;
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

/// Whether the tab is in the background.
pub(crate) fn is_hidden() -> bool {
    document().is_some_and(|document| document.hidden())
}

/// Whether the text went to the clipboard; it does not when the browser refuses.
pub(crate) async fn copy(text: &str) -> bool {
    write_text(text).await.is_ok()
}

fn document() -> Option<web_sys::Document> {
    web_sys::window()?.document()
}

fn storage() -> Option<web_sys::Storage> {
    web_sys::window()?.session_storage().ok().flatten()
}
