//! Typed settings: what an operator writes for a package.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Settings as an operator writes them: setting name to value.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConfigValues(pub BTreeMap<String, serde_json::Value>);
