//! PURE: how long to wait before trying again. Refuses to know clocks and to draw the chance
//! itself.

use std::time::Duration;

/// First wait: long enough that a server that restarts is not hammered, short enough not to be felt.
const FIRST: Duration = Duration::from_millis(500);
/// Longest wait: an hour-long outage ends for every node within a minute.
pub const LONGEST: Duration = Duration::from_secs(60);
/// Doublings after which [`LONGEST`] is reached: 500 ms × 2^7 = 64 s.
const DOUBLINGS_MAX: u32 = 7;

/// Grows with every failure, starts over after a success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one failure more. `chance` is drawn evenly from 0 to 255: the wait lies between the half and
    /// the whole of the step, so that nodes that lost a server together do not come back together.
    pub fn failed(&mut self, chance: u8) -> Duration {
        let step = LONGEST.min(FIRST * 2u32.pow(self.failures.min(DOUBLINGS_MAX)));
        self.failures = self.failures.saturating_add(1);
        step / 2 + (step / 2) * u32::from(chance) / 255
    }

    /// Forgets the failures.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn waits_grow_to_a_minute_and_start_over_after_a_success() {
        let mut backoff = Backoff::default();
        let waits: Vec<u128> = (0..9).map(|_| backoff.failed(255).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000]);
        backoff.succeeded();
        assert_eq!(backoff.failed(0), Duration::from_millis(250));
    }

    proptest! {
        #[test]
        fn no_wait_is_ever_nothing_or_longer_than_the_longest(failures in any::<u32>(), chance in any::<u8>()) {
            let wait = Backoff { failures }.failed(chance);
            prop_assert!(wait >= FIRST / 2 && wait <= LONGEST);
        }
    }
}
