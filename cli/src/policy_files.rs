//! Policy files as operators write them: YAML, several documents in a file, lists beside it.
//! Refuses to know registries and keys.

use crate::limits::{LIST_FILE_BYTES_MAX, POLICY_FILE_BYTES_MAX, POLICY_FILES_MAX};
use serde_json::{Map, Value};
use skep_fleet::ids::PolicyName;
use skep_fleet::policy::PolicyDocument;
use skep_fleet::rollout::{RolloutStrategy, StrategyError};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// The `kind:` of a document that says how a revision goes to its nodes.
const STRATEGY: &str = "RolloutStrategy";

/// Why policy files cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PolicyFileError {
    #[error("{} cannot be read.", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is larger than {limit} bytes.", path.display())]
    TooLarge { path: PathBuf, limit: u64 },
    #[error("{} holds no .yaml or .yml file.", path.display())]
    EmptyFolder { path: PathBuf },
    #[error("{} holds more than {POLICY_FILES_MAX} policy files. Apply them in several folders.", path.display())]
    TooManyFiles { path: PathBuf },
    #[error("{} holds no policy. A policy begins with `kind: Policy`.", path.display())]
    NoDocument { path: PathBuf },
    #[error("{} is not a policy file that can be understood.", path.display())]
    Yaml { path: PathBuf, source: Box<serde_saphyr::Error> },
    #[error("Policy {name} is written twice, in {} and in {}. Keep one of them.", first.display(), second.display())]
    Twice { name: PolicyName, first: PathBuf, second: PathBuf },
    #[error("{}, document {number} cannot be understood.", path.display())]
    Document { path: PathBuf, number: usize, source: serde_json::Error },
    #[error("The strategy {name} in {} cannot be used.", path.display())]
    Strategy { path: PathBuf, name: String, source: Box<StrategyError> },
    #[error("The strategy {name} is written twice, the second time in {}. Keep one of them.", path.display())]
    StrategyTwice { path: PathBuf, name: String },
    #[error(
        "Policy {policy} goes by the strategy {name}, which no file says. There are: {has}. Put it beside the policy."
    )]
    NoStrategy { policy: PolicyName, name: String, has: String },
    #[error("{}, line {line}: {reason}", path.display())]
    List { path: PathBuf, line: usize, reason: String },
}

/// One document, and the file it stands in.
#[derive(Debug)]
pub(crate) struct Written {
    pub document: PolicyDocument,
    pub file: PathBuf,
}

/// Everything that files say.
#[derive(Debug, Default)]
pub(crate) struct Files {
    pub policies: Vec<Written>,
    pub strategies: BTreeMap<String, RolloutStrategy>,
}

/// What a document is, before the rest of it is looked at.
#[derive(serde::Deserialize)]
struct Kind {
    #[serde(default)]
    kind: String,
}

/// Reads a file, or every `.yaml` and `.yml` file of a folder in order of name. Lists that config
/// names with `from:` are read relative to their file and put in its place.
///
/// # Errors
/// [`PolicyFileError`] names the file, and the line where one is known.
pub(crate) fn read(path: &Path) -> Result<Files, PolicyFileError> {
    let mut all = Files::default();
    let mut places: BTreeMap<PolicyName, PathBuf> = BTreeMap::new();
    for file in files(path)? {
        let (policies, strategies) = documents(&file)?;
        for document in policies {
            let name = document.name.clone();
            if let Some(first) = places.insert(name.clone(), file.clone()) {
                return Err(PolicyFileError::Twice { name, first, second: file });
            }
            all.policies.push(Written { document, file: file.clone() });
        }
        for strategy in strategies {
            let name = strategy.name.clone();
            strategy.check().map_err(|source| PolicyFileError::Strategy {
                path: file.clone(),
                name: name.clone(),
                source: Box::new(source),
            })?;
            if all.strategies.insert(name.clone(), strategy).is_some() {
                return Err(PolicyFileError::StrategyTwice { path: file, name });
            }
        }
    }
    if all.policies.is_empty() {
        return Err(PolicyFileError::NoDocument { path: path.to_owned() });
    }
    Ok(all)
}

impl Files {
    /// The strategy that a policy names.
    ///
    /// # Errors
    /// [`PolicyFileError::NoStrategy`] when no file says what it is.
    pub(crate) fn strategy_of(
        &self,
        policy: &PolicyDocument,
    ) -> Result<Option<&RolloutStrategy>, PolicyFileError> {
        let Some(name) = &policy.strategy else { return Ok(None) };
        let missing = || {
            let has: Vec<&str> = self.strategies.keys().map(String::as_str).collect();
            let has = if has.is_empty() { "none".to_owned() } else { has.join(", ") };
            PolicyFileError::NoStrategy { policy: policy.name.clone(), name: name.clone(), has }
        };
        self.strategies.get(name).map(Some).ok_or_else(missing)
    }
}

fn files(path: &Path) -> Result<Vec<PathBuf>, PolicyFileError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let unreadable = |source| PolicyFileError::Read { path: path.to_owned(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        let yaml = file.extension().is_some_and(|e| e == "yaml" || e == "yml");
        if yaml && file.is_file() {
            found.push(file);
        }
        if found.len() > POLICY_FILES_MAX {
            return Err(PolicyFileError::TooManyFiles { path: path.to_owned() });
        }
    }
    if found.is_empty() {
        return Err(PolicyFileError::EmptyFolder { path: path.to_owned() });
    }
    found.sort();
    Ok(found)
}

fn documents(file: &Path) -> Result<(Vec<PolicyDocument>, Vec<RolloutStrategy>), PolicyFileError> {
    let text = read_text(file, POLICY_FILE_BYTES_MAX)?;
    let yaml = |e| PolicyFileError::Yaml { path: file.to_owned(), source: Box::new(e) };
    let kinds: Vec<Kind> = serde_saphyr::from_multiple(&text).unwrap_or_default();
    let (mut documents, mut strategies) = (Vec::new(), Vec::new());
    if kinds.iter().any(|it| it.kind == STRATEGY) {
        let values: Vec<Value> = serde_saphyr::from_multiple(&text).map_err(yaml)?;
        let wrong = |at: usize| {
            move |source| PolicyFileError::Document {
                path: file.to_owned(),
                number: at + 1,
                source,
            }
        };
        for (at, (value, it)) in values.into_iter().zip(&kinds).enumerate() {
            match it.kind == STRATEGY {
                true => strategies.push(serde_json::from_value(value).map_err(wrong(at))?),
                false => documents.push(serde_json::from_value(value).map_err(wrong(at))?),
            }
        }
    } else {
        documents = serde_saphyr::from_multiple(&text).map_err(yaml)?;
    }
    let mut documents: Vec<PolicyDocument> = documents;
    for program in documents.iter_mut().flat_map(|document| &mut document.programs) {
        for value in program.config.0.values_mut() {
            if let Some(list) = list_file(value) {
                let folder = file.parent().unwrap_or(Path::new("."));
                *value = read_list(&folder.join(list))?;
            }
        }
    }
    Ok((documents, strategies))
}

/// `{ from: blocklist.csv }` and nothing else beside it: the file it names.
pub(crate) fn list_file(value: &Value) -> Option<String> {
    let map = value.as_object().filter(|map| map.len() == 1)?;
    map.get("from")?.as_str().map(str::to_owned)
}

/// A list of `key` or `key,value` lines; `#` begins a comment.
pub(crate) fn read_list(path: &Path) -> Result<Value, PolicyFileError> {
    let text = read_text(path, LIST_FILE_BYTES_MAX)?;
    let mut entries = Map::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let wrong =
            |reason: String| PolicyFileError::List { path: path.to_owned(), line: at + 1, reason };
        let (key, value) = match line.split_once(',') {
            None => (line, 1),
            Some((key, value)) => {
                let number = value.trim().parse::<u64>();
                (
                    key.trim(),
                    number.map_err(|_| {
                        wrong(format!(
                            "'{}' is not a whole number. Write `key` or `key,value`.",
                            value.trim()
                        ))
                    })?,
                )
            }
        };
        if entries.insert(key.to_owned(), Value::from(value)).is_some() {
            return Err(wrong(format!("'{key}' is listed already. Keep one of the lines.")));
        }
    }
    Ok(Value::Object(entries))
}

fn read_text(path: &Path, limit: u64) -> Result<String, PolicyFileError> {
    let unreadable = |source| PolicyFileError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    let read = file.take(limit + 1).read_to_string(&mut text).map_err(unreadable)?;
    if read as u64 > limit {
        return Err(PolicyFileError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "kind: Policy
name: edge-firewall
nodes: { matchLabels: { role: edge } }
attach: { interfaces: { match: [\"eth*\", \"!eth1\"] }, hook: xdp }
programs:
  - name: guard
    package: skep/firewall@^1.4
    priority: 10
    proceedOn: [pass]
    config: { log: true, rate: 1000, blocklist: { from: blocklist.csv } }
";

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn a_list_named_by_from_takes_its_place() {
        let list = "# bad neighbours\n10.0.0.0/8\n2001:db8::/32, 2  # documentation\n\n";
        let folder = folder(&[("a.yaml", POLICY), ("blocklist.csv", list)]);
        let read = read(&folder.path().join("a.yaml")).unwrap();
        let config = &read.policies[0].document.programs[0].config.0;
        assert_eq!(config["blocklist"], serde_json::json!({"10.0.0.0/8": 1, "2001:db8::/32": 2}));
        assert_eq!(config["rate"], serde_json::json!(1000));
        assert_eq!(config["log"], serde_json::json!(true));
    }

    #[test]
    fn a_folder_is_read_in_order_and_files_hold_several_documents() {
        let other = |name: &str| {
            POLICY
                .replace("edge-firewall", name)
                .replace(", blocklist: { from: blocklist.csv }", "")
        };
        let two = format!("{}---\n{}", other("b"), other("c"));
        let folder = folder(&[("2.yaml", &two), ("1.yml", &other("a")), ("notes.txt", "x")]);
        let names: Vec<String> = read(folder.path())
            .unwrap()
            .policies
            .iter()
            .map(|w| w.document.name.to_string())
            .collect();
        assert_eq!(names, ["a", "b", "c"]);
    }

    #[track_caller]
    fn check_refused(files: &[(&str, &str)], expected: &str) {
        let folder = folder(files);
        let error = anyhow::Error::new(read(folder.path()).unwrap_err());
        let said = format!("{error:#}");
        assert!(said.contains(expected), "{said}");
    }

    #[test]
    fn wrong_files_are_refused_by_name_and_line() {
        check_refused(&[], "holds no .yaml or .yml file");
        check_refused(&[("a.yaml", POLICY)], "blocklist.csv cannot be read");
        check_refused(
            &[("a.yaml", POLICY), ("blocklist.csv", "10.0.0.0/8\n10.0.0.0/8\n")],
            "blocklist.csv, line 2: '10.0.0.0/8' is listed already",
        );
        check_refused(
            &[("a.yaml", POLICY), ("blocklist.csv", "10.0.0.0/8,many\n")],
            "line 1: 'many' is not a whole number",
        );
        let unknown = POLICY.replace("priority: 10", "prioritee: 10");
        check_refused(&[("a.yaml", &unknown)], "prioritee");
        let foreign = POLICY.replace("kind: Policy", "kind: Polizei");
        check_refused(&[("a.yaml", &foreign)], "Polizei");
        let list = [("blocklist.csv", "10.0.0.0/8\n")];
        check_refused(&[("a.yaml", POLICY), ("b.yaml", POLICY), list[0]], "is written twice");
    }

    const STRATEGY_FILE: &str = "kind: RolloutStrategy
name: careful
waves: [ { name: canary, nodes: { count: 1 } }, { percent: 100 } ]
gates: [ { builtin: verdicts, drop: { atMost: +2% } } ]
";

    #[test]
    fn a_policy_finds_its_strategy_beside_it_or_in_another_file() {
        let list = ("blocklist.csv", "10.0.0.0/8\n");
        let named = format!("{POLICY}strategy: careful\n");
        let together = format!("{named}---\n{STRATEGY_FILE}");
        for files in [
            vec![("a.yaml", together.as_str()), list],
            vec![("a.yaml", named.as_str()), ("s.yaml", STRATEGY_FILE), list],
        ] {
            let read = read(folder(&files).path()).unwrap();
            let strategy = read.strategy_of(&read.policies[0].document).unwrap().unwrap();
            assert_eq!(strategy.wave_names(), ["canary", "wave-2"]);
        }
        let alone = read(folder(&[("a.yaml", named.as_str()), list]).path()).unwrap();
        let said = alone.strategy_of(&alone.policies[0].document).unwrap_err().to_string();
        assert!(said.contains("which no file says"), "{said}");
    }

    #[test]
    fn a_strategy_that_means_nothing_is_refused_by_name() {
        let list = ("blocklist.csv", "10.0.0.0/8\n");
        let never = STRATEGY_FILE.replace("percent: 100", "percent: 50");
        check_refused(&[("a.yaml", POLICY), ("s.yaml", &never), list], "last wave");
        let unknown = STRATEGY_FILE.replace("gates:", "gate:");
        check_refused(&[("a.yaml", POLICY), ("s.yaml", &unknown), list], "unknown field `gate`");
        let twice = ("t.yaml", STRATEGY_FILE);
        check_refused(
            &[("a.yaml", POLICY), ("s.yaml", STRATEGY_FILE), twice, list],
            "written twice",
        );
    }
}
