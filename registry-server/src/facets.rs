//! Answers about facets, counted once for everybody who asks the same at about the same time. Refuses to know how
//! they are counted.

use crate::clock;
use crate::store::facets::Filters;
use crate::store::listing::Words;
use crate::store::{Store, StoreError};
use lru::LruCache;
use skep_api::v1::facets::Facets;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Mutex as Turn;

/// Answers kept: nine facets of 50 values take some 40 KB, so all of them take 5 MB at most.
const ANSWERS_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(127);
/// An answer is given again for so many times as long as it took to count: whatever is asked, counting takes a
/// fiftieth of the time, and an answer that was quick to count is hardly ever old.
const FRESH_TIMES: u32 = 50;
/// No answer is older than this.
const FRESH_MAX: Duration = Duration::from_secs(60);

/// What is asked for.
pub struct Question {
    /// The words as they were asked for, and as they are looked for.
    pub text: String,
    pub words: Option<Words>,
    pub filters: Filters,
}

struct Answer {
    facets: Arc<Facets>,
    until: Instant,
}

/// The bounded memory of answers.
pub struct FacetMemory {
    answers: Mutex<LruCache<String, Answer>>,
    /// One is counted at a time, so that what nobody asked before does not keep searches waiting.
    turn: Turn<()>,
}

impl Default for FacetMemory {
    fn default() -> Self {
        Self { answers: Mutex::new(LruCache::new(ANSWERS_MAX)), turn: Turn::default() }
    }
}

impl FacetMemory {
    /// Counts, or gives what was counted a moment ago.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn answer(
        &self,
        store: &Store,
        question: &Question,
    ) -> Result<Arc<Facets>, StoreError> {
        let key = format!(
            "{:?}\n{:?}\n{}",
            question.filters.exact, question.filters.kernel, question.text
        );
        if let Some(facets) = self.kept(&key) {
            return Ok(facets);
        }
        let _turn = self.turn.lock().await;
        if let Some(facets) = self.kept(&key) {
            return Ok(facets);
        }
        let begun = Instant::now();
        let counted = store.facets(question.words.as_ref(), &question.filters).await?;
        let facets = Arc::new(Facets {
            packages: counted.packages,
            facets: counted.facets,
            counted_at: clock::now(),
        });
        let took = begun.elapsed();
        let until = Instant::now() + (took * FRESH_TIMES).min(FRESH_MAX);
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.put(key, Answer { facets: facets.clone(), until });
        Ok(facets)
    }

    fn kept(&self, key: &str) -> Option<Arc<Facets>> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = answers.get(key).filter(|answer| Instant::now() < answer.until);
        answer.map(|answer| answer.facets.clone())
    }
}
