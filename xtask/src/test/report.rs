//! The closing table of `cargo xtask test`. Pure: rows in, text out.

use std::fmt;

use anyhow::Result;

/// One line of the table, with what a reader should know about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    name: String,
    passed: usize,
    failed: usize,
    skipped: usize,
    notes: Vec<String>,
}

impl Row {
    pub(crate) fn passed(name: &str) -> Self {
        Self::counted(name, 1, 0)
    }

    pub(crate) fn failed(name: &str, error: &anyhow::Error) -> Self {
        Self::counted(name, 0, 1).with_notes(vec![format!("{error:#}")])
    }

    /// Something that did not run, with the reasons: each counts as one.
    pub(crate) fn skipped(name: &str, reasons: Vec<String>) -> Self {
        Self { name: name.to_owned(), passed: 0, failed: 0, skipped: reasons.len(), notes: reasons }
    }

    pub(crate) fn counted(name: &str, passed: usize, failed: usize) -> Self {
        Self { name: name.to_owned(), passed, failed, skipped: 0, notes: Vec::new() }
    }

    /// Several rows as one of another name.
    pub(crate) fn folded(name: &str, rows: Vec<Self>) -> Self {
        let mut folded = Self::counted(name, 0, 0);
        for row in rows {
            folded.passed += row.passed;
            folded.failed += row.failed;
            folded.skipped += row.skipped;
            folded.notes.extend(row.notes.iter().map(|note| format!("{}: {note}", row.name)));
        }
        folded
    }

    /// The same under a name that says what it ran on.
    pub(crate) fn on(mut self, what: &str) -> Self {
        self.name = format!("{} on {what}", self.name);
        self
    }

    pub(crate) fn with_skipped(mut self, skipped: usize) -> Self {
        self.skipped = skipped;
        self
    }

    pub(crate) fn with_notes(mut self, notes: Vec<String>) -> Self {
        self.notes = notes;
        self
    }
}

/// Everything that was done, in its order.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

impl Report {
    pub(crate) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Does a check that counts as one.
    pub(crate) fn check(&mut self, name: &str, check: impl FnOnce() -> Result<()>) {
        self.add(match check() {
            Ok(()) => Row::passed(name),
            Err(error) => Row::failed(name, &error),
        });
    }

    /// Something passed and nothing failed. Skipped things are shown, not hidden, and do not fail.
    pub(crate) fn is_good(&self) -> bool {
        self.total(|row| row.failed) == 0 && self.total(|row| row.passed) > 0
    }

    fn total(&self, of: impl Fn(&Row) -> usize) -> usize {
        self.rows.iter().map(of).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0).max(4);
        writeln!(f, "\n{:width$}  {:>6}  {:>6}  {:>7}", "what", "passed", "failed", "skipped")?;
        for row in &self.rows {
            writeln!(
                f,
                "{:width$}  {:>6}  {:>6}  {:>7}",
                row.name, row.passed, row.failed, row.skipped
            )?;
        }
        for (heading, wanted) in [("Skipped", false), ("Failed", true)] {
            let rows =
                self.rows.iter().filter(|row| (row.failed > 0) == wanted && !row.notes.is_empty());
            for (index, row) in rows.enumerate() {
                if index == 0 {
                    writeln!(f, "\n{heading}:")?;
                }
                for note in &row.notes {
                    writeln!(f, "  {} · {note}", row.name)?;
                }
            }
        }
        let totals = [
            self.total(|row| row.passed),
            self.total(|row| row.failed),
            self.total(|row| row.skipped),
        ];
        write!(f, "\n{} passed, {} failed, {} skipped", totals[0], totals[1], totals[2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_line_counts_everything_and_stands_alone() {
        let mut report = Report::default();
        report.add(Row::passed("format"));
        report.add(
            Row::counted("skep-fleet", 12, 1)
                .with_skipped(2)
                .with_notes(vec!["plan::holds".to_owned()]),
        );
        report.add(Row::skipped("typos", vec!["not installed".to_owned()]));
        let text = report.to_string();
        assert_eq!(text.lines().last(), Some("13 passed, 1 failed, 3 skipped"));
        assert!(text.contains("Skipped:\n  typos · not installed\n"));
        assert!(text.contains("Failed:\n  skep-fleet · plan::holds\n"));
        assert!(!report.is_good());
    }

    #[test]
    fn a_run_in_which_nothing_passed_is_not_good() {
        let mut report = Report::default();
        report.add(Row::skipped("typos", vec!["not installed".to_owned()]));
        assert!(!report.is_good());
    }
}
