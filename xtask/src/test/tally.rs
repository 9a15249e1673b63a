//! Counts what a test runner says, line by line. Pure. Distrusts itself: when its own count and the runner's summary
//! disagree, or no test ran, that is a failure, because a wrong count would hide one.

use std::collections::{BTreeMap, BTreeSet};

use super::report::Row;

/// What was counted so far.
pub(crate) struct Tally {
    dialect: Dialect,
    binaries: BTreeMap<String, Count>,
    passed_names: Vec<(String, String)>,
    failed_names: Vec<(String, String)>,
    /// The number of tests the runner says it ran.
    announced: usize,
    /// The binary whose lines come now; only `cargo test` speaks that way.
    current: String,
    done: bool,
}

#[derive(Clone, Copy)]
enum Dialect {
    Nextest,
    CargoTest,
}

#[derive(Default, Clone, Copy)]
struct Count {
    passed: usize,
    failed: usize,
    ignored: usize,
}

impl Tally {
    pub(crate) fn of_nextest() -> Self {
        Self::new(Dialect::Nextest)
    }

    pub(crate) fn of_cargo_test() -> Self {
        Self::new(Dialect::CargoTest)
    }

    fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            binaries: BTreeMap::new(),
            passed_names: Vec::new(),
            failed_names: Vec::new(),
            announced: 0,
            current: String::new(),
            done: false,
        }
    }

    /// Reads one line of the runner's output.
    pub(crate) fn read(&mut self, line: &str) {
        match self.dialect {
            Dialect::Nextest => self.read_nextest(line),
            Dialect::CargoTest => self.read_cargo_test(line),
        }
    }

    /// `        PASS [   0.010s] ( 3/92) skep-fleet::sim holds_wave` and at the end `     Summary [ 3.1s] 92 tests run: …`
    fn read_nextest(&mut self, line: &str) {
        let Some((status, rest)) = line.trim_start().split_once(" [") else { return };
        let Some((_, rest)) = rest.split_once("] ") else { return };
        if status == "Summary" {
            self.announced =
                rest.split(['/', ' ']).next().and_then(|count| count.parse().ok()).unwrap_or(0);
            self.done = true;
        }
        // After the summary the failures are told a second time.
        if self.done {
            return;
        }
        let passed = match status.trim_end() {
            "PASS" | "LEAK" => true,
            "FAIL" | "TIMEOUT" | "ABORT" | "LEAK-FAIL" | "XFAIL" => false,
            signal if signal.starts_with("SIG") => false,
            _ => return,
        };
        let rest = match rest.split_once(") ") {
            Some((count, rest)) if count.starts_with('(') => rest,
            _ => rest,
        };
        let Some((binary, test)) = rest.trim().split_once(' ') else { return };
        self.count(binary, test, passed);
    }

    /// `     Running tests/sim/main.rs (target/debug/deps/sim-0123456789abcdef)`, `test holds_wave ... ok`, and
    /// `test result: ok. 92 passed; 0 failed; …` for each binary.
    fn read_cargo_test(&mut self, line: &str) {
        let line = line.trim();
        if let Some(rest) = line.strip_prefix("Running ") {
            let file = rest.rsplit('/').next().unwrap_or(rest).trim_end_matches(')');
            file.rsplit_once('-').map_or(file, |(name, _)| name).clone_into(&mut self.current);
        } else if let Some(rest) = line.strip_prefix("test result: ") {
            let number_before = |word: &str| -> usize {
                let words: Vec<&str> =
                    rest.split([' ', ';']).filter(|part| !part.is_empty()).collect();
                words
                    .windows(2)
                    .find(|pair| pair[1] == word)
                    .and_then(|pair| pair[0].parse().ok())
                    .unwrap_or(0)
            };
            self.announced += number_before("passed") + number_before("failed");
            self.done = true;
        } else if let Some((test, result)) =
            line.strip_prefix("test ").and_then(|rest| rest.rsplit_once(" ... "))
        {
            let binary = self.current.clone();
            match result {
                "ok" => self.count(&binary, test, true),
                "FAILED" => self.count(&binary, test, false),
                result if result.starts_with("ignored") => {
                    self.binaries.entry(binary).or_default().ignored += 1
                }
                _ => {}
            }
        }
    }

    fn count(&mut self, binary: &str, test: &str, passed: bool) {
        let count = self.binaries.entry(binary.to_owned()).or_default();
        if passed {
            count.passed += 1;
            self.passed_names.push((binary.to_owned(), test.to_owned()));
        } else {
            count.failed += 1;
            self.failed_names.push((binary.to_owned(), test.to_owned()));
        }
    }

    /// The rows of the table. `skipped` are the lines that tests wrote when they could not run here: such a test ended
    /// without an error, so its runner counted it as passed, and here it moves to where it belongs.
    pub(crate) fn finish(mut self, runner_succeeded: bool, skipped: &str) -> Vec<Row> {
        let counted: usize = self.binaries.values().map(|count| count.passed + count.failed).sum();
        let failed = self.failed_names.len();
        let mut rows = Vec::new();
        let mut reasons: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut told = BTreeSet::new();
        for line in skipped.lines().filter(|line| !line.trim().is_empty()) {
            let (name, reason) = line.split_once('\t').unwrap_or((line, "no reason given"));
            // A test of several cases may have skipped more than one of them.
            if !told.insert(name) {
                continue;
            }
            match self.binary_that_passed(name) {
                Some(binary) => {
                    let count = self.binaries.entry(binary.clone()).or_default();
                    count.passed -= 1;
                    count.ignored += 1;
                    reasons.entry(binary).or_default().push(format!("{name}: {reason}"));
                }
                None => rows.push(Row::failed(
                    name,
                    &anyhow::anyhow!("said it was skipped, and is not among the passed"),
                )),
            }
        }
        for (binary, count) in std::mem::take(&mut self.binaries) {
            let mut notes = reasons.remove(&binary).unwrap_or_default();
            let names = self.failed_names.iter().filter(|(of, _)| *of == binary);
            notes.extend(names.map(|(_, test)| format!("{test} failed")));
            rows.push(
                Row::counted(&binary, count.passed, count.failed)
                    .with_skipped(count.ignored)
                    .with_notes(notes),
            );
        }
        if counted == 0
            || counted != self.announced
            || !self.done
            || (failed == 0) != runner_succeeded
        {
            let error = anyhow::anyhow!(
                "the runner announced {} tests, {counted} were counted, {failed} of them failed, and the runner {}",
                self.announced,
                if runner_succeeded {
                    "succeeded"
                } else {
                    "did not succeed; its output above says why"
                },
            );
            rows.push(Row::failed("test runner", &error));
        }
        rows
    }

    /// Takes a test out of the passed ones and tells its binary. Each can be taken once.
    fn binary_that_passed(&mut self, name: &str) -> Option<String> {
        let is_it = |test: &str| {
            name == test
                || name.ends_with(&format!("::{test}"))
                || test.ends_with(&format!("::{name}"))
        };
        let index = self.passed_names.iter().position(|(_, test)| is_it(test))?;
        Some(self.passed_names.swap_remove(index).0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(mut tally: Tally, output: &str, succeeded: bool, skips: &str) -> String {
        output.lines().for_each(|line| tally.read(line));
        let mut report = super::super::report::Report::default();
        tally.finish(succeeded, skips).into_iter().for_each(|row| report.add(row));
        report.to_string()
    }

    const NEXTEST: &str = "\
    Starting 3 tests across 2 binaries
        PASS [   0.004s] (1/3) skep-fleet plan::tests::empty plan when nothing changed
        FAIL [   0.100s] (2/3) skep-chain-dispatcher::kernel swaps
        SLOW [> 60.000s] ( ---- ) skep-fleet plan::slow
        PASS [   0.004s] (3/3) skep-fleet plan::slow
     Summary [   0.110s] 3 tests run: 2 passed, 1 failed, 0 skipped
        FAIL [   0.100s] (2/3) skep-chain-dispatcher::kernel swaps
";

    #[test]
    fn counts_what_nextest_says_and_does_not_count_its_recapitulation() {
        let text = table(Tally::of_nextest(), NEXTEST, false, "");
        assert_eq!(text.lines().last(), Some("2 passed, 1 failed, 0 skipped"));
        assert!(text.contains("skep-chain-dispatcher::kernel · swaps failed"));
    }

    #[test]
    fn counts_what_cargo_test_says() {
        let output = "\
     Running unittests src/lib.rs (target/debug/deps/skep_fleet-0123456789abcdef)
test plan::tests::empty ... ok
test plan::tests::slow ... ignored, needs a day
test result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
     Running tests/kernel/main.rs (target/debug/deps/kernel-0123456789abcdef)
test swaps ... FAILED
test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";
        let text = table(Tally::of_cargo_test(), output, false, "");
        assert_eq!(text.lines().last(), Some("1 passed, 1 failed, 1 skipped"));
    }

    #[test]
    fn a_test_that_said_it_was_skipped_is_not_counted_as_passed() {
        let output = NEXTEST.replace("FAIL", "PASS").replace("2 passed, 1 failed", "3 passed");
        let text = table(
            Tally::of_nextest(),
            &output,
            true,
            "skep-chain-dispatcher::kernel::swaps\tneeds root\n",
        );
        assert_eq!(text.lines().last(), Some("2 passed, 0 failed, 1 skipped"));
        assert!(text.contains("skep-chain-dispatcher::kernel::swaps: needs root"));
    }

    #[test]
    fn a_count_that_disagrees_with_the_runner_is_a_failure() {
        let output = NEXTEST.replace("3 tests run", "4 tests run");
        assert!(
            table(Tally::of_nextest(), &output, false, "")
                .ends_with("2 passed, 2 failed, 0 skipped")
        );
    }

    #[test]
    fn a_run_without_tests_is_a_failure() {
        assert!(
            table(Tally::of_nextest(), "", true, "").ends_with("0 passed, 1 failed, 0 skipped")
        );
    }

    #[test]
    fn a_runner_that_failed_without_a_failed_test_is_a_failure() {
        let output = "PASS [ 0.004s] (1/1) a b\n Summary [ 0.1s] 1 test run: 1 passed, 0 skipped";
        assert!(
            table(Tally::of_nextest(), output, false, "")
                .ends_with("1 passed, 1 failed, 0 skipped")
        );
        assert!(
            table(Tally::of_nextest(), output, true, "").ends_with("1 passed, 0 failed, 0 skipped")
        );
    }
}
