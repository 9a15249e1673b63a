//! Settings as a person writes them on the command line or into a file: words to values. Refuses to
//! know which settings a package has; encoding checks that.

use crate::exit::Ends;
use crate::limits::POLICY_FILE_BYTES_MAX;
use crate::policy_files::{list_file, read_list};
use crate::project;
use anyhow::Context as _;
use serde_json::{Map, Value};
use skep_artifact::config::{ConfigValues, EncodedConfig};
use skep_artifact::object::{Endian, IntType, ObjectFacts};
use std::collections::BTreeMap;
use std::path::Path;

/// Settings of a file, then those of the command line, which win.
///
/// # Errors
/// Names the word or the line that cannot be understood.
pub(crate) fn gather(file: Option<&Path>, words: &[String]) -> anyhow::Result<ConfigValues> {
    let mut values = match file {
        Some(path) => of_file(path)?,
        None => BTreeMap::new(),
    };
    let mut said = Vec::new();
    for word in words {
        let (name, value) = of_word(word)?;
        if said.contains(&name) {
            return Err(Ends::usage(format!("--set {name} is given twice. Keep one.")).into());
        }
        said.push(name.clone());
        values.insert(name, value);
    }
    Ok(ConfigValues(values))
}

fn of_file(path: &Path) -> anyhow::Result<BTreeMap<String, Value>> {
    let limit = usize::try_from(POLICY_FILE_BYTES_MAX).unwrap_or(usize::MAX);
    let bytes = project::read_bytes(path, limit)?;
    let wrong = || {
        format!(
            "{} holds no settings that can be understood. Write `name: value` lines (YAML or JSON), or TOML in a file that ends in .toml.",
            path.display()
        )
    };
    let text = String::from_utf8(bytes).with_context(wrong)?;
    let toml = path.extension().is_some_and(|extension| extension == "toml");
    let mut values: BTreeMap<String, Value> = if toml {
        toml::from_str(&text).with_context(wrong)?
    } else {
        serde_saphyr::from_str(&text).with_context(wrong)?
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    for value in values.values_mut() {
        if let Some(list) = list_file(value) {
            *value = read_list(&folder.join(list))?;
        }
    }
    Ok(values)
}

/// `rate=1000`, `log=true`, `blocklist=10.0.0.0/8,2001:db8::/32`, `ports=80=1,443=0`, `blocklist=@list.csv`.
fn of_word(word: &str) -> anyhow::Result<(String, Value)> {
    let (name, text) =
        word.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(|| {
            Ends::usage(format!("--set {word} sets nothing. Write --set NAME=VALUE."))
        })?;
    let value = match text.strip_prefix('@') {
        Some(file) => read_list(Path::new(file))?,
        None if text.contains([',', '=']) => keys(text),
        None => scalar(text),
    };
    Ok((name.to_owned(), value))
}

/// One word may be the only key of a list; encoding takes it as such where a list is needed.
fn scalar(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(value @ (Value::Bool(_) | Value::Number(_))) => value,
        _ => Value::from(text),
    }
}

fn keys(text: &str) -> Value {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    if !text.contains('=') {
        return Value::from(items.map(str::to_owned).collect::<Vec<_>>());
    }
    let entry = |item: &str| match item.split_once('=') {
        Some((key, value)) => (key.to_owned(), scalar(value)),
        None => (item.to_owned(), Value::from(1)),
    };
    Value::Object(items.map(entry).collect::<Map<_, _>>())
}

/// A single key or number where the package wants a list of keys: `--set blocklist=10.0.0.0/8`.
pub(crate) fn as_written_for(
    manifest: &skep_artifact::Manifest,
    values: &ConfigValues,
) -> ConfigValues {
    let is_map = |name: &String| {
        let setting = manifest.config.get(name).map(|setting| &setting.target);
        matches!(setting, Some(skep_artifact::manifest::SettingTarget::Map { .. }))
    };
    let fitted = values.0.iter().map(|(name, value)| {
        let value = match value {
            Value::String(_) | Value::Number(_) if is_map(name) => Value::from(vec![value.clone()]),
            other => other.clone(),
        };
        (name.clone(), value)
    });
    ConfigValues(fitted.collect())
}

/// Settings of a bare object: its constant integers, by their own names.
///
/// # Errors
/// Names the global that is not there, or the number that does not fit.
pub(crate) fn of_object(
    facts: &ObjectFacts,
    values: &ConfigValues,
) -> anyhow::Result<EncodedConfig> {
    let mut encoded = EncodedConfig::default();
    for (name, value) in &values.0 {
        let settable: Vec<&str> = facts
            .globals
            .iter()
            .filter(|global| global.constant && global.ty.is_some())
            .map(|global| global.name.as_str())
            .collect();
        let found = facts.global(name).filter(|global| global.constant).and_then(|g| g.ty);
        let ty = found.ok_or_else(|| {
            let has = if settable.is_empty() { "none".to_owned() } else { settable.join(", ") };
            Ends::usage(format!(
                "The object has no constant integer {name} to set. It has: {has}. Maps are filled by a package's settings only."
            ))
        })?;
        let number = number(ty, value).ok_or_else(|| {
            let wanted = match ty {
                IntType::Bool => "true or false".to_owned(),
                other => format!("a whole number from 0 to {}", other.largest()),
            };
            Ends::usage(format!("--set {name}={value} does not fit: {name} is {wanted}."))
        })?;
        let bytes = match facts.endian {
            Endian::Little => number.to_le_bytes()[..ty.size()].to_vec(),
            Endian::Big => number.to_be_bytes()[8 - ty.size()..].to_vec(),
        };
        encoded.globals.insert(name.clone(), bytes);
    }
    Ok(encoded)
}

fn number(ty: IntType, value: &Value) -> Option<u64> {
    match ty {
        IntType::Bool => value.as_bool().map(u64::from),
        _ => value.as_u64().filter(|number| *number <= ty.largest()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(word: &str, expected: Value) {
        let (name, value) = of_word(word).unwrap();
        assert_eq!((name.as_str(), value), ("x", expected), "{word}");
    }

    #[test]
    fn a_word_becomes_a_number_a_truth_a_list_or_a_table() {
        check("x=1000", json!(1000));
        check("x=true", json!(true));
        check("x=10.0.0.0/8", json!("10.0.0.0/8"));
        check("x=10.0.0.0/8,2001:db8::/32", json!(["10.0.0.0/8", "2001:db8::/32"]));
        check("x=80=1,443", json!({"80": 1, "443": 1}));
        check("x=", json!(""));
        for wrong in ["x", "=1", ""] {
            assert!(of_word(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_command_line_wins_over_the_file_and_lists_are_read_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        std::fs::write(&file, "rate: 5\nlog: true\nblocked: { from: list.csv }\n").unwrap();
        std::fs::write(folder.path().join("list.csv"), "10.0.0.0/8\n").unwrap();
        let values = gather(Some(&file), &["rate=7".to_owned()]).unwrap();
        assert_eq!(
            serde_json::to_value(values).unwrap(),
            json!({"rate": 7, "log": true, "blocked": {"10.0.0.0/8": 1}})
        );
        let toml = folder.path().join("a.toml");
        std::fs::write(&toml, "rate = 5\n").unwrap();
        assert_eq!(gather(Some(&toml), &[]).unwrap().0["rate"], json!(5));
        let twice = ["rate=7".to_owned(), "rate=8".to_owned()];
        assert!(gather(None, &twice).unwrap_err().to_string().contains("given twice"));
    }
}
