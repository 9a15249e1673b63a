//! The list of long files, which may only shrink. Pure: files in, sentences out.

use std::collections::BTreeMap;

use super::SourceFile;

/// A reader holds about this much; past it, a noun is usually missing.
const LINES_MAX: usize = 400;
const LIST: &str = "xtask/long-files.txt";

/// A file over the limit must be on the list with at most the lines written there; a file that shrank must be
/// written down with its new length, or leave the list.
pub(super) fn findings(files: &[SourceFile]) -> Vec<String> {
    let list = files.iter().find(|file| file.path == LIST).map_or("", |file| file.text.as_str());
    let mut allowed = BTreeMap::new();
    let mut findings = Vec::new();
    for line in list.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        match line
            .split_once(' ')
            .and_then(|(lines, path)| Some((path.trim(), lines.parse::<usize>().ok()?)))
        {
            Some((path, lines)) => {
                allowed.insert(path.to_owned(), lines);
            }
            None => findings.push(format!("{LIST}: the line `{line}` is not `<lines> <path>`")),
        }
    }
    for file in files.iter().filter(|file| file.path.ends_with(".rs") || file.path.ends_with(".c"))
    {
        let lines = file.text.lines().count();
        match allowed.remove(&file.path) {
            None if lines > LINES_MAX => {
                findings.push(format!(
                    "{}: {lines} lines; past {LINES_MAX}, look for the missing noun",
                    file.path
                ));
            }
            Some(most) if lines > most => {
                findings.push(format!(
                    "{}: {lines} lines, and {LIST} allows {most}; the list only shrinks",
                    file.path
                ));
            }
            Some(_) if lines <= LINES_MAX => {
                findings.push(format!("{}: {lines} lines; take it off {LIST}", file.path));
            }
            Some(most) if lines < most => {
                findings.push(format!(
                    "{}: {lines} lines; write that into {LIST} in place of {most}",
                    file.path
                ));
            }
            _ => {}
        }
    }
    findings
        .extend(allowed.keys().map(|path| format!("{path}: is on {LIST} and no longer exists")));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(list: &str, lines: usize, expected: &str) {
        let file = |path: &str, text: String| SourceFile { path: path.to_owned(), text };
        let files = [file(LIST, list.to_owned()), file("fleet/src/plan.rs", "x\n".repeat(lines))];
        assert_eq!(findings(&files).join("|"), expected);
    }

    #[test]
    fn a_long_file_must_be_on_the_list() {
        check("", LINES_MAX, "");
        check("", 401, "fleet/src/plan.rs: 401 lines; past 400, look for the missing noun");
        check("401 fleet/src/plan.rs\n", 401, "");
    }

    #[test]
    fn the_list_only_shrinks() {
        let listed = "450 fleet/src/plan.rs\n";
        check(
            listed,
            451,
            "fleet/src/plan.rs: 451 lines, and xtask/long-files.txt allows 450; the list only shrinks",
        );
        check(
            listed,
            430,
            "fleet/src/plan.rs: 430 lines; write that into xtask/long-files.txt in place of 450",
        );
        check(listed, 300, "fleet/src/plan.rs: 300 lines; take it off xtask/long-files.txt");
        check("450 gone.rs\n", 1, "gone.rs: is on xtask/long-files.txt and no longer exists");
    }
}
