//! The text form of a setting: which keys go together.

use serde::{Deserialize, Serialize};

use super::{KeyType, Scalar, Setting, SettingTarget};
use crate::object::IntType;

/// `[config.NAME]` as written: every key optional, so that the error can say which ones go together.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct SettingText {
    #[serde(skip_serializing_if = "Option::is_none")]
    global: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    ty: Option<IntType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<Scalar>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    map: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<KeyType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<IntType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<String>,
}

/// Which keys of a setting do not go together.
#[derive(Debug, thiserror::Error)]
pub(super) enum SettingShapeError {
    #[error("a setting has either `global` and `type`, or `map`, `key` and `value`")]
    Neither,
    #[error("a setting of a global has no `{0}`; that belongs to a map")]
    NotForGlobal(&'static str),
    #[error("a setting of a map has no `{0}`; that belongs to a global")]
    NotForMap(&'static str),
}

impl TryFrom<SettingText> for Setting {
    type Error = SettingShapeError;

    fn try_from(text: SettingText) -> Result<Self, Self::Error> {
        let target = (text.global.clone(), text.ty, text.map.clone(), text.key, text.value);
        match target {
            (Some(global), Some(ty), None, None, None) => {
                let SettingText { default, min, max, unit, about, .. } = text;
                Ok(Self {
                    target: SettingTarget::Global { global, ty, default, min, max, unit },
                    about,
                })
            }
            (None, None, Some(map), Some(key), Some(value)) => {
                let foreign = [
                    ("default", text.default.is_some()),
                    ("min", text.min.is_some()),
                    ("max", text.max.is_some()),
                    ("unit", text.unit.is_some()),
                ];
                match foreign.into_iter().find(|(_, present)| *present) {
                    Some((key, _)) => Err(SettingShapeError::NotForMap(key)),
                    None => Ok(Self {
                        target: SettingTarget::Map { map, key, value },
                        about: text.about,
                    }),
                }
            }
            (Some(_), Some(_), map, key, _) => {
                Err(SettingShapeError::NotForGlobal(match (map, key) {
                    (Some(_), _) => "map",
                    (None, Some(_)) => "key",
                    (None, None) => "value",
                }))
            }
            _ => Err(SettingShapeError::Neither),
        }
    }
}

impl From<Setting> for SettingText {
    fn from(setting: Setting) -> Self {
        let about = setting.about;
        match setting.target {
            SettingTarget::Global { global, ty, default, min, max, unit } => Self {
                global: Some(global),
                ty: Some(ty),
                default,
                min,
                max,
                unit,
                about,
                ..Self::default()
            },
            SettingTarget::Map { map, key, value } => Self {
                map: Some(map),
                key: Some(key),
                value: Some(value),
                about,
                ..Self::default()
            },
        }
    }
}
