//! JSON as we accept it and as we write it: strict in, canonical out.
//! Duplicate keys, floats, deep nesting and long documents are refused; it refuses to know any document's meaning.

use std::fmt;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Serialize, de};
use serde_json::{Map, Number, Value};

use crate::limits::JSON_DEPTH_MAX;

/// Why a document is refused before anybody looks at its meaning.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Longer than the caller's limit.
    #[error("the document has {bytes} bytes; at most {limit} are read")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// Not JSON, or JSON with a duplicate key, a float, too much nesting or trailing bytes.
    #[error("the document is not strict JSON: {reason}")]
    Syntax {
        /// What the parser said, with line and column.
        reason: String,
    },
    /// Strict JSON, but not of the expected shape.
    #[error("the document has not the expected form: {reason}")]
    Form {
        /// What is missing or too much.
        reason: String,
    },
    /// A value that canonical JSON cannot express, or a string with control characters.
    #[error("the value cannot be written as canonical JSON: {reason}")]
    Unwritable {
        /// What cannot be written.
        reason: String,
    },
}

/// Parses strict JSON of at most `limit` bytes: no duplicate keys, integers only, at most
/// [`JSON_DEPTH_MAX`] levels, nothing after the value.
pub fn parse(bytes: &[u8], limit: usize) -> Result<Value, JsonError> {
    if bytes.len() > limit {
        return Err(JsonError::TooLong { bytes: bytes.len(), limit });
    }
    let syntax = |error: serde_json::Error| JsonError::Syntax { reason: error.to_string() };
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: 0 }.deserialize(&mut deserializer).map_err(syntax)?;
    deserializer.end().map_err(syntax)?;
    Ok(value)
}

/// Parses strict JSON into a type. Whether unknown fields are refused is the type's own choice.
pub fn parse_into<T: DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<T, JsonError> {
    let value = parse(bytes, limit)?;
    serde_json::from_value(value).map_err(|error| JsonError::Form { reason: error.to_string() })
}

/// Writes canonical JSON (OLPC, as TUF uses it): sorted keys, no spaces, NFC strings, no floats.
/// Control characters are refused, so the result is always plain JSON as well.
pub fn canonical<T: Serialize>(value: &T) -> Result<Vec<u8>, JsonError> {
    let unwritable = |error: serde_json::Error| JsonError::Unwritable { reason: error.to_string() };
    let value = serde_json::to_value(value).map_err(unwritable)?;
    if holds_control_character(&value) {
        return Err(JsonError::Unwritable {
            reason: "a text holds a control character".to_owned(),
        });
    }
    let mut bytes = Vec::new();
    let formatter = olpc_cjson::CanonicalFormatter::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    value.serialize(&mut serializer).map_err(unwritable)?;
    Ok(bytes)
}

fn holds_control_character(value: &Value) -> bool {
    match value {
        Value::String(text) => text.chars().any(char::is_control),
        Value::Array(items) => items.iter().any(holds_control_character),
        Value::Object(map) => map
            .iter()
            .any(|(key, item)| key.chars().any(char::is_control) || holds_control_character(item)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        let depth = self.depth + 1;
        if depth > JSON_DEPTH_MAX {
            return Err(E::custom(format_args!("more than {JSON_DEPTH_MAX} levels of nesting")));
        }
        Ok(Self { depth })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without floats and duplicate keys")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(Number::from(value)))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(Number::from(value)))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Err(E::custom(format_args!("{value} is not an integer of 64 bits")))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if map.contains_key(&key) {
                let key: String = key.chars().take(80).collect();
                return Err(de::Error::custom(format_args!("the key `{key}` appears twice")));
            }
            let value = access.next_value_seed(inner)?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> String {
        parse(text.as_bytes(), 10_000)
            .map_or_else(|error| error.to_string(), |_| "accepted".to_owned())
    }

    #[test]
    fn accepts_what_serde_accepts_otherwise() {
        let text = r#"{"a":[1,-2,true,null,"x"],"b":{"c":18446744073709551615}}"#;
        assert_eq!(
            parse(text.as_bytes(), 1000).unwrap(),
            serde_json::from_str::<Value>(text).unwrap()
        );
    }

    #[test]
    fn refuses_duplicate_keys_floats_depth_and_trailing_bytes() {
        assert!(reason(r#"{"a":1,"a":1}"#).contains("appears twice"));
        assert!(reason(r#"{"a":1,"\u0061":1}"#).contains("appears twice"));
        assert!(reason(r#"{"x":{"a":1,"b":{},"a":2}}"#).contains("appears twice"));
        for number in ["1.0", "1e3", "-0", "18446744073709551616", "1E400"] {
            assert!(reason(number).starts_with("the document is not strict JSON"), "{number}");
        }
        assert_eq!(reason(&format!("{}{}", "[".repeat(32), "]".repeat(32))), "accepted");
        assert!(reason(&format!("{}{}", "[".repeat(33), "]".repeat(33))).contains("levels"));
        assert!(reason(&"[".repeat(9999)).contains("levels"));
        assert!(reason("{} {}").contains("trailing"));
        assert!(parse(b"\"\xff\"", 10).is_err());
        assert_eq!(parse(b"[1,2,3]", 6), Err(JsonError::TooLong { bytes: 7, limit: 6 }));
    }

    #[test]
    fn canonical_form_is_sorted_and_tight() {
        let value: Value = serde_json::from_str(r#"{ "b" : [1, 2], "a": "q\"w" }"#).unwrap();
        assert_eq!(canonical(&value).unwrap(), br#"{"a":"q\"w","b":[1,2]}"#);
        assert!(matches!(canonical(&"a\u{1}"), Err(JsonError::Unwritable { .. })));
        assert!(matches!(canonical(&1.5), Err(JsonError::Unwritable { .. })));
    }

    proptest::proptest! {
        #[test]
        fn never_panics_and_never_disagrees_with_itself(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            if let Ok(value) = parse(&bytes, 200) && let Ok(text) = canonical(&value) {
                let again = parse(&text, 4096).unwrap();
                proptest::prop_assert_eq!(canonical(&again).unwrap(), text);
            }
        }
    }
}
