//! Rules about the text of files. Pure: files in, sentences out.

use super::SourceFile;

/// Words that say nothing, or that do not belong in what we publish. Split so that this file does not hold them.
const FORBIDDEN: &[(&str, &str)] = &[
    (concat!("TO", "DO: "), "a TODO names an issue: `TODO(#12): …`"),
    (concat!("FIX", "ME"), "say what is wrong in an issue"),
    (concat!("XX", "X"), "say what is wrong in an issue"),
    (concat!("unimple", "mented!("), "nothing unfinished is called done"),
    (concat!("/wo", "rk/"), "a path of one machine"),
    (concat!("/var/", "tmp/"), "a path of one machine"),
    (concat!("/ro", "ot/"), "a path of one machine"),
    (concat!("#[ign", "ore"), "a test runs or is counted as skipped, it is not ignored"),
];

/// Where SQL may be written.
const SQL_HOME: &str = "registry-server/src/store/";
const SQL_WORDS: &[&str] = &["sqlx::query", "\"SELECT ", "\"INSERT ", "\"UPDATE ", "\"DELETE FROM"];

/// Where unsafe code may be written.
const UNSAFE_HOME: &str = "chain-dispatcher/src/kernel/sys.rs";

/// The PURE crates, whose lint configuration must be one and the same.
const PURE_LINTS: [&str; 4] =
    ["artifact/clippy.toml", "trust/clippy.toml", "fleet/clippy.toml", "api/clippy.toml"];

pub(super) fn findings(files: &[SourceFile]) -> Vec<String> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| is_ours(&file.path)) {
        forbidden_words(file, &mut findings);
        if file.path.ends_with(".rs") {
            header(file, &mut findings);
            sql_stays_home(file, &mut findings);
            unsafe_stays_home(file, &mut findings);
        }
    }
    pure_lints_agree(files, &mut findings);
    findings
}

/// Recorded input of tests is what it is; the lock file is cargo's.
fn is_ours(path: &str) -> bool {
    !path.contains("test_data/") && !path.contains("/attacks/") && path != "Cargo.lock"
}

fn forbidden_words(file: &SourceFile, findings: &mut Vec<String>) {
    for (number, line) in file.text.lines().enumerate() {
        for (word, why) in FORBIDDEN {
            if line.contains(word) {
                findings.push(format!(
                    "{}:{}: holds `{}`: {why}",
                    file.path,
                    number + 1,
                    word.trim()
                ));
            }
        }
    }
}

fn header(file: &SourceFile, findings: &mut Vec<String>) {
    if !file.text.starts_with("//!") {
        findings.push(format!(
            "{}:1: does not open with what it holds and what it refuses to know (`//! …`)",
            file.path
        ));
    }
}

fn sql_stays_home(file: &SourceFile, findings: &mut Vec<String>) {
    let exempt = file.path.starts_with(SQL_HOME)
        || file.path.contains("/tests/")
        // The drills play a registry's owner, who changes its database behind its back.
        || file.path == "e2e/src/drill.rs"
        || file.path == "xtask/src/tidy/text.rs";
    if exempt || !file.path.contains("/src/") {
        return;
    }
    for (number, line) in file.text.lines().enumerate() {
        if SQL_WORDS.iter().any(|word| line.contains(word)) {
            findings.push(format!("{}:{}: SQL lives in {SQL_HOME} only", file.path, number + 1));
        }
    }
}

fn unsafe_stays_home(file: &SourceFile, findings: &mut Vec<String>) {
    if file.path == UNSAFE_HOME {
        return;
    }
    for (number, line) in file.text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or(line);
        let opened = [
            concat!("unsafe", " {"),
            concat!("unsafe", " fn"),
            concat!("unsafe", " impl"),
            concat!("(unsafe", "_code"),
        ];
        if opened.iter().any(|word| code.contains(word)) {
            findings.push(format!(
                "{}:{}: unsafe code lives in {UNSAFE_HOME} only",
                file.path,
                number + 1
            ));
        }
    }
}

fn pure_lints_agree(files: &[SourceFile], findings: &mut Vec<String>) {
    let of =
        |path: &str| files.iter().find(|file| file.path == path).map(|file| file.text.as_str());
    let first = of(PURE_LINTS[0]);
    for path in PURE_LINTS {
        if of(path).is_none() {
            findings.push(format!(
                "{path}: is missing; a PURE crate bans clocks, files, environment and chance there"
            ));
        } else if of(path) != first {
            findings.push(format!(
                "{path}: differs from {}; the PURE crates share one text",
                PURE_LINTS[0]
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str, expected: &[&str]) {
        let mut files = vec![SourceFile { path: path.to_owned(), text: text.to_owned() }];
        files.extend(
            PURE_LINTS.map(|path| SourceFile { path: path.to_owned(), text: "same".to_owned() }),
        );
        let found = findings(&files);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found} lacks {expected}");
        }
    }

    #[test]
    fn a_file_opens_with_what_it_holds() {
        check("fleet/src/plan.rs", "//! Plans.\n", &[]);
        check("fleet/src/plan.rs", "use std::fmt;\n", &["fleet/src/plan.rs:1: does not open"]);
    }

    #[test]
    fn forbidden_words_are_found_with_their_line() {
        check("docs/a.md", concat!("one\nTO", "DO: two\n"), &["docs/a.md:2"]);
        check("docs/a.md", concat!("one\nTO", "DO(#12): two\n"), &[]);
        check("docs/a.md", concat!("see /wo", "rk/main\n"), &["a path of one machine"]);
        check("artifact/test_data/err/a.txt", concat!("/wo", "rk/main\n"), &[]);
    }

    #[test]
    fn sql_and_unsafe_code_stay_home() {
        check("registry-server/src/store/nodes.rs", "//! N.\nsqlx::query(\"SELECT 1\")", &[]);
        check(
            "registry-server/src/app.rs",
            "//! A.\nsqlx::query(\"SELECT 1\")",
            &["app.rs:2: SQL"],
        );
        check(
            "cli/src/main.rs",
            concat!("//! M.\nunsafe", " { x() }"),
            &["cli/src/main.rs:2: unsafe"],
        );
        check(UNSAFE_HOME, concat!("//! M.\nunsafe", " { x() }"), &[]);
    }

    #[test]
    fn pure_crates_share_one_lint_configuration() {
        let mut files: Vec<SourceFile> = PURE_LINTS
            .map(|path| SourceFile { path: path.to_owned(), text: "same".to_owned() })
            .into();
        files[2].text = "other".to_owned();
        files.pop();
        let found = findings(&files);
        assert!(found[0].starts_with("fleet/clippy.toml: differs"));
        assert!(found[1].starts_with("api/clippy.toml: is missing"));
    }
}
