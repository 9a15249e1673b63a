//! Gives packages that are older than the facets theirs, a few at a time, while the server serves. Refuses to know
//! what they are.

use crate::app::App;
use crate::store::StoreError;

/// Packages in one transaction: some thousand short statements, behind which a publish waits for a tenth of a second.
const BATCH: u32 = 50;

/// Goes on until every package has facets, or the server stops; gives how many got theirs.
///
/// # Errors
/// [`StoreError`].
pub async fn run(app: &App) -> Result<usize, StoreError> {
    let mut filled = 0;
    while !app.stopping.is_cancelled() {
        match app.store.fill_facets(BATCH).await? {
            0 => break,
            some => filled += some,
        }
    }
    Ok(filled)
}
