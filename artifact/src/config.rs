//! Settings as an operator writes them, encoded to the bytes a program reads. Every value is checked against what the
//! manifest allows and against what the object really has, so that nothing is written where it does not fit.
//! It refuses to know how globals and maps are written into the kernel.

mod cidr;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::limits::MAP_ENTRIES_MAX;
use crate::manifest::{KeyType, Manifest, Scalar, SettingTarget};
use crate::object::{Endian, GlobalFacts, IntType, MapFacts, ObjectFacts};

/// Settings by name, as written in a policy: a scalar for a global; for a map an object of key to value,
/// or a list of keys that all get the value 1.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConfigValues(pub BTreeMap<String, Value>);

/// Bytes of one key and of its value.
pub type MapEntry = (Vec<u8>, Vec<u8>);

/// Settings as bytes. Its default is "nothing set".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncodedConfig {
    /// Bytes of each constant global that is set, by variable name.
    pub globals: BTreeMap<String, Vec<u8>>,
    /// Entries of each map that a setting names, sorted by key; a map named by the manifest is listed even when empty.
    pub maps: BTreeMap<String, Vec<MapEntry>>,
}

/// Why settings are refused. `setting` is the name after `config.`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The package has no such setting.
    #[error("there is no setting `{setting}`; the package has {}", list(known))]
    Unknown {
        /// What was written.
        setting: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A value of the wrong shape.
    #[error("`{setting}` needs {wanted}, not {found}")]
    Shape {
        /// The setting.
        setting: String,
        /// What it needs.
        wanted: &'static str,
        /// What was written.
        found: &'static str,
    },
    /// A number outside the manifest's range or the type's.
    #[error("`{setting}` is {value}; it must be {min} to {max}")]
    Range {
        /// The setting.
        setting: String,
        /// What was written.
        value: String,
        /// The smallest value.
        min: u64,
        /// The largest value.
        max: u64,
    },
    /// A key that cannot be read.
    #[error("`{setting}`: {key:?} is not {wanted}")]
    Key {
        /// The setting.
        setting: String,
        /// What was written, shortened.
        key: String,
        /// What a key looks like.
        wanted: &'static str,
    },
    /// Two keys that mean the same entry.
    #[error("`{setting}`: {key:?} means an entry that is written already")]
    DuplicateKey {
        /// The setting.
        setting: String,
        /// The second spelling.
        key: String,
    },
    /// More entries than the map holds.
    #[error("`{setting}` has {entries} entries; the map holds {max}")]
    TooManyEntries {
        /// The setting.
        setting: String,
        /// How many were written.
        entries: usize,
        /// How many fit.
        max: usize,
    },
    /// The object has no such constant global.
    #[error(
        "`{setting}` sets the global `{global}`, which the object does not have as a constant of type {ty}: {found}"
    )]
    Global {
        /// The setting.
        setting: String,
        /// The variable.
        global: String,
        /// The type the manifest gives.
        ty: IntType,
        /// What the object has instead.
        found: String,
    },
    /// The object has no such map, or one of another layout.
    #[error("`{setting}` fills the map `{map}`, but {found}")]
    Map {
        /// The setting.
        setting: String,
        /// The map.
        map: String,
        /// What the object has instead.
        found: String,
    },
}

/// Checks that every setting of the manifest has a place in the object, whatever values it will get.
pub fn check_places(manifest: &Manifest, facts: &ObjectFacts) -> Result<(), ConfigError> {
    for (setting, declared) in &manifest.config {
        match &declared.target {
            SettingTarget::Global { global, ty, .. } => {
                find_global(facts, setting, global, *ty)?;
            }
            SettingTarget::Map { map, key, value } => {
                MapPlace::find(facts, setting, map, *key, *value)?;
            }
        }
    }
    Ok(())
}

/// Encodes values, filling in the manifest's defaults.
pub fn encode(
    manifest: &Manifest,
    facts: &ObjectFacts,
    values: &ConfigValues,
) -> Result<EncodedConfig, ConfigError> {
    if let Some(setting) = values.0.keys().find(|setting| !manifest.config.contains_key(*setting)) {
        let known = manifest.config.keys().cloned().collect();
        return Err(ConfigError::Unknown { setting: setting.chars().take(80).collect(), known });
    }
    let mut encoded = EncodedConfig::default();
    for (setting, declared) in &manifest.config {
        let value = values.0.get(setting);
        match &declared.target {
            SettingTarget::Global { global, ty, default, min, max, .. } => {
                find_global(facts, setting, global, *ty)?;
                let range = (min.unwrap_or(0), max.unwrap_or(ty.largest()));
                let number = match (value, default) {
                    (Some(value), _) => Some(read_scalar(setting, *ty, value, range)?),
                    (None, Some(Scalar::Bool(default))) => Some(u64::from(*default)),
                    (None, Some(Scalar::Number(default))) => Some(*default),
                    (None, None) => None,
                };
                if let Some(number) = number {
                    encoded
                        .globals
                        .insert(global.clone(), integer(number, ty.size(), facts.endian));
                }
            }
            SettingTarget::Map { map, key, value: value_type } => {
                let place = MapPlace::find(facts, setting, map, *key, *value_type)?;
                let entries = value.map_or(Ok(Vec::new()), |value| place.encode(value))?;
                encoded.maps.insert(map.clone(), entries);
            }
        }
    }
    Ok(encoded)
}

/// A map setting that was found to fit the object.
struct MapPlace<'a> {
    setting: &'a str,
    facts: &'a MapFacts,
    key: KeyType,
    value: IntType,
    endian: Endian,
}

impl<'a> MapPlace<'a> {
    fn find(
        facts: &'a ObjectFacts,
        setting: &'a str,
        map: &str,
        key: KeyType,
        value: IntType,
    ) -> Result<Self, ConfigError> {
        let refuse = |found: String| {
            Err(ConfigError::Map { setting: setting.to_owned(), map: map.to_owned(), found })
        };
        let Some(found) = facts.map(map) else {
            return refuse("the object has no such map".to_owned());
        };
        let kinds: &[&str] = match key {
            KeyType::Cidr => &["lpm_trie"],
            KeyType::U32 => &["hash", "lru_hash", "array"],
            KeyType::U8 | KeyType::U16 | KeyType::U64 | KeyType::Be16 => &["hash", "lru_hash"],
        };
        if !kinds.contains(&found.kind.as_str()) {
            return refuse(format!(
                "it is of type {}; such a setting needs {}",
                found.kind,
                kinds.join(" or ")
            ));
        }
        let key_fits = match key {
            KeyType::Cidr => [cidr::KEY_BYTES_V6, cidr::KEY_BYTES_V4].contains(&found.key_size),
            KeyType::U8 => found.key_size == 1,
            KeyType::U16 | KeyType::Be16 => found.key_size == 2,
            KeyType::U32 => found.key_size == 4,
            KeyType::U64 => found.key_size == 8,
        };
        if !key_fits {
            return refuse(format!(
                "its keys have {} bytes, which is no {key} key",
                found.key_size
            ));
        }
        if found.value_size as usize != value.size() {
            return refuse(format!(
                "its values have {} bytes and a {value} has {}",
                found.value_size,
                value.size()
            ));
        }
        Ok(Self { setting, facts: found, key, value, endian: facts.endian })
    }

    fn encode(&self, written: &Value) -> Result<Vec<MapEntry>, ConfigError> {
        let one = Value::from(1);
        let pairs: Vec<(String, &Value)> = match written {
            Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value)).collect(),
            Value::Array(keys) => keys
                .iter()
                .map(|key| self.key_text(key).map(|key| (key, &one)))
                .collect::<Result<_, _>>()?,
            other => {
                return Err(ConfigError::Shape {
                    setting: self.setting.to_owned(),
                    wanted: "a list of keys, or keys with values",
                    found: kind_of(other),
                });
            }
        };
        let room = if self.facts.max_entries == 0 { u32::MAX } else { self.facts.max_entries };
        let max = usize::try_from(room).unwrap_or(usize::MAX).min(MAP_ENTRIES_MAX);
        if pairs.len() > max {
            let setting = self.setting.to_owned();
            return Err(ConfigError::TooManyEntries { setting, entries: pairs.len(), max });
        }
        let mut seen = BTreeSet::new();
        let mut entries = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            let bytes = self.key_bytes(&key)?;
            let number = read_scalar(self.setting, self.value, value, (0, self.value.largest()))?;
            if !seen.insert(bytes.clone()) {
                return Err(ConfigError::DuplicateKey {
                    setting: self.setting.to_owned(),
                    key: shorten(&key),
                });
            }
            entries.push((bytes, integer(number, self.value.size(), self.endian)));
        }
        entries.sort_unstable();
        Ok(entries)
    }

    fn key_text(&self, key: &Value) -> Result<String, ConfigError> {
        match key {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(number.to_string()),
            other => Err(ConfigError::Shape {
                setting: self.setting.to_owned(),
                wanted: "keys that are texts or numbers",
                found: kind_of(other),
            }),
        }
    }

    fn key_bytes(&self, key: &str) -> Result<Vec<u8>, ConfigError> {
        let refuse = |wanted: &'static str| ConfigError::Key {
            setting: self.setting.to_owned(),
            key: shorten(key),
            wanted,
        };
        let number = |max: u64| {
            let number: u64 = key.parse().map_err(|_| refuse("a whole number"))?;
            if number > max
                || (self.facts.kind == "array" && number >= u64::from(self.facts.max_entries))
            {
                return Err(refuse("a key the map has room for"));
            }
            Ok(number)
        };
        match self.key {
            KeyType::Cidr if self.facts.key_size == cidr::KEY_BYTES_V4 => {
                cidr::encode_v4(key, self.endian).ok_or_else(|| {
                    refuse("an IPv4 prefix such as 10.0.0.0/8 (the map holds IPv4 only)")
                })
            }
            KeyType::Cidr => cidr::encode_v6(key, self.endian).ok_or_else(|| {
                refuse(
                    "a prefix such as 10.0.0.0/8 or 2001:db8::/32, without bits beyond its length",
                )
            }),
            KeyType::U8 => Ok(integer(number(u8::MAX.into())?, 1, self.endian)),
            KeyType::U16 => Ok(integer(number(u16::MAX.into())?, 2, self.endian)),
            KeyType::U32 => Ok(integer(number(u32::MAX.into())?, 4, self.endian)),
            KeyType::U64 => Ok(integer(number(u64::MAX)?, 8, self.endian)),
            KeyType::Be16 => Ok(integer(number(u16::MAX.into())?, 2, Endian::Big)),
        }
    }
}

fn find_global<'a>(
    facts: &'a ObjectFacts,
    setting: &str,
    global: &str,
    ty: IntType,
) -> Result<&'a GlobalFacts, ConfigError> {
    let refuse = |found: &str| {
        Err(ConfigError::Global {
            setting: setting.to_owned(),
            global: global.to_owned(),
            ty,
            found: found.to_owned(),
        })
    };
    let Some(found) = facts.global(global) else {
        return refuse(
            "there is no global of that name; an unused one is removed by the compiler unless it is volatile",
        );
    };
    if !found.constant {
        return refuse("it is not constant; declare it `const volatile`");
    }
    match found.ty {
        None => refuse("it is not an unsigned integer or bool"),
        Some(real) if real != ty => refuse(&format!("it is a {real}")),
        Some(_) => Ok(found),
    }
}

fn read_scalar(
    setting: &str,
    ty: IntType,
    value: &Value,
    (min, max): (u64, u64),
) -> Result<u64, ConfigError> {
    let shape =
        |wanted| ConfigError::Shape { setting: setting.to_owned(), wanted, found: kind_of(value) };
    if ty == IntType::Bool {
        return value.as_bool().map(u64::from).ok_or_else(|| shape("true or false"));
    }
    let Value::Number(number) = value else { return Err(shape("a whole number")) };
    if number.is_f64() {
        return Err(shape("a whole number"));
    }
    number.as_u64().filter(|number| (min..=max).contains(number)).ok_or_else(|| {
        ConfigError::Range { setting: setting.to_owned(), value: number.to_string(), min, max }
    })
}

/// The low `size` bytes of a number, in a byte order.
fn integer(number: u64, size: usize, endian: Endian) -> Vec<u8> {
    match endian {
        Endian::Little => number.to_le_bytes()[..size].to_vec(),
        Endian::Big => number.to_be_bytes()[8 - size..].to_vec(),
    }
}

const fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}

fn list(known: &[String]) -> String {
    if known.is_empty() { "none".to_owned() } else { known.join(", ") }
}

#[cfg(test)]
mod tests;
