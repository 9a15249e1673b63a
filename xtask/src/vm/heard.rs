//! What a guest says, line by line: shown as it comes, counted when it is about tests. Pure but for showing.

use std::time::{Duration, Instant};

use crate::say;
use crate::test::report::Row;
use crate::test::tally::Tally;

/// What a guest says between the tests and the list of those that were skipped.
pub(super) const SKIPPED_MARK: &str = "@skipped";

/// From here on a reader wants to know how long a test took.
const SLOW: Duration = Duration::from_secs(3);

/// What a guest told so far.
pub(super) struct Heard {
    tally: Tally,
    skipped: String,
    /// Whether the list of skipped tests has begun.
    listing: bool,
    /// When the last line came.
    before: Instant,
}

impl Heard {
    pub(super) fn new() -> Self {
        Self {
            tally: Tally::of_cargo_test(),
            skipped: String::new(),
            listing: false,
            before: Instant::now(),
        }
    }

    pub(super) fn read(&mut self, line: &str) {
        if line == SKIPPED_MARK {
            self.listing = true;
        } else if self.listing {
            self.skipped.push_str(line);
            self.skipped.push('\n');
        } else {
            self.show(line);
            self.tally.read(line);
        }
    }

    /// A row for each test program.
    pub(super) fn finish(self, succeeded: bool) -> Vec<Row> {
        self.tally.finish(succeeded, &self.skipped)
    }

    /// The line, and behind a slow test the time since the line before it.
    fn show(&mut self, line: &str) {
        let took = self.before.elapsed();
        self.before = Instant::now();
        if line.starts_with("test ") && took >= SLOW {
            say::text(&format!("{line}  ({:.0} s)", took.as_secs_f32()));
        } else {
            say::text(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_counted_and_the_skipped_ones_taken_out() {
        let mut heard = Heard::new();
        for line in [
            "     Running kernel (/tests/kernel-guest)",
            "test chains::a ... ok",
            "test chains::b ... ok",
            "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s",
            SKIPPED_MARK,
            "skep-chain-dispatcher::kernel::chains::b\tno tcx",
            "skep-chain-dispatcher::kernel::chains::b\tno tcx",
        ] {
            heard.read(line);
        }
        let row = Row::folded("kernel 6.1", heard.finish(true));
        let wanted = Row::counted("kernel 6.1", 1, 0).with_skipped(1).with_notes(vec![
            "kernel: skep-chain-dispatcher::kernel::chains::b: no tcx".to_owned(),
        ]);
        assert_eq!(row, wanted, "a test that skipped two of its cases is one skipped test");
    }
}
