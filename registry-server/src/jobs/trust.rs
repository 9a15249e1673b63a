//! Writes the trust documents the server signs before they expire, and those a publish could not. Refuses to know what they say.

use crate::app::App;
use crate::tuf;

/// One round. Two servers at once are no matter: the store lets one of them through.
pub async fn run(app: &App) {
    if let Err(error) = tuf::refresh(app).await {
        tracing::error!("the trust documents could not be renewed: {error}");
    }
}
