//! What the server drew, until the app has drawn the same. It refuses to know what is on it.

use crate::browser;
use gloo_timers::future::TimeoutFuture;

/// How often it is looked whether the app's page is there, in milliseconds: a frame.
const LOOK_EVERY_MS: u32 = 16;
/// How often it is looked at most: for 5 s. After that the app shows that it still loads.
const LOOKS_MAX: u32 = 300;

/// Shows the app and takes the server's page away as soon as the app waits for nothing, so that a reader never
/// sees text become a blank and text again.
pub(super) async fn leave() {
    for _ in 0..LOOKS_MAX {
        TimeoutFuture::new(LOOK_EVERY_MS).await;
        if browser::app_is_drawn() {
            break;
        }
    }
    browser::show_app();
}
