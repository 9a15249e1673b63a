//! Programs, maps, variables and settings of a version as rows of tables. It refuses to know the page.

use crate::view::format;
use crate::words;
use skep_artifact::manifest::{KeyType, Manifest, Scalar, Setting, SettingTarget};
use skep_artifact::object::{
    GlobalFacts, IntType, MapFacts, ObjectFacts, ProgramFacts, ProgramKind,
};

/// One row of the table of programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramRow {
    pub name: String,
    pub kind: String,
    pub section: String,
    pub instructions: String,
    pub kernel: String,
    pub because: String,
    pub helpers: String,
}

/// One row of the table of maps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapRow {
    pub name: String,
    pub kind: String,
    pub entries: String,
    pub key: String,
    pub value: String,
    /// Whether operators fill it, or the programs keep state in it.
    pub role: &'static str,
}

/// One row of the configuration reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingRow {
    pub name: String,
    pub ty: String,
    pub default: String,
    pub range: String,
    pub about: String,
}

/// One row of the table of variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlobalRow {
    pub name: String,
    pub ty: String,
    pub section: String,
    pub size: String,
    /// Whether operators set it, or who may change it.
    pub role: &'static str,
}

pub(super) fn programs(facts: &[ObjectFacts]) -> Vec<ProgramRow> {
    rows_of(facts, |facts| facts.programs.iter().map(program_row).collect())
}

pub(super) fn maps(facts: &[ObjectFacts], manifest: Option<&Manifest>) -> Vec<MapRow> {
    rows_of(facts, |facts| facts.maps.iter().map(|map| map_row(map, manifest)).collect())
}

pub(super) fn globals(facts: &[ObjectFacts], manifest: Option<&Manifest>) -> Vec<GlobalRow> {
    rows_of(facts, |facts| facts.globals.iter().map(|g| global_row(g, manifest)).collect())
}

fn global_row(global: &GlobalFacts, manifest: Option<&Manifest>) -> GlobalRow {
    let is_set = |setting: &Setting| matches!(&setting.target, SettingTarget::Global { global: name, .. } if *name == global.name);
    let configured = manifest.is_some_and(|manifest| manifest.config.values().any(is_set));
    GlobalRow {
        name: global.name.clone(),
        ty: global.ty.map_or_else(|| words::NOT_A_NUMBER.to_owned(), |ty| ty.to_string()),
        section: global.section.clone(),
        size: format::bytes(u64::from(global.size)),
        role: match (configured, global.constant) {
            (true, _) => words::GLOBAL_SETTING,
            (false, true) => words::GLOBAL_CONSTANT,
            (false, false) => words::GLOBAL_STATE,
        },
    }
}

/// Rows of every object; objects for several architectures repeat rows, which are shown once.
fn rows_of<R: PartialEq>(facts: &[ObjectFacts], rows: impl Fn(&ObjectFacts) -> Vec<R>) -> Vec<R> {
    let mut all: Vec<R> = Vec::new();
    for row in facts.iter().flat_map(rows) {
        if !all.contains(&row) {
            all.push(row);
        }
    }
    all
}

fn program_row(program: &ProgramFacts) -> ProgramRow {
    ProgramRow {
        name: program.name.clone(),
        kind: kind_name(program.kind),
        section: program.section.clone(),
        instructions: format::count(u64::from(program.insns)),
        kernel: program.lowest_kernel.map_or_else(|| words::UNKNOWN.to_owned(), |k| k.to_string()),
        because: program.because.clone(),
        helpers: program.helpers.join(", "),
    }
}

fn kind_name(kind: ProgramKind) -> String {
    let text = serde_json::to_value(kind).ok();
    text.as_ref().and_then(|v| v.as_str()).unwrap_or(words::UNKNOWN).replace('_', " ")
}

fn map_row(map: &MapFacts, manifest: Option<&Manifest>) -> MapRow {
    let configured = manifest.is_some_and(|m| {
        m.config
            .values()
            .any(|s| matches!(&s.target, SettingTarget::Map { map: name, .. } if *name == map.name))
    });
    MapRow {
        name: map.name.clone(),
        kind: map.kind.replace('_', " "),
        entries: format::count(u64::from(map.max_entries)),
        key: format::bytes(u64::from(map.key_size)),
        value: format::bytes(u64::from(map.value_size)),
        role: if configured { words::MAP_CONFIG } else { words::MAP_STATE },
    }
}

/// The configuration reference of a manifest.
pub(in crate::view) fn settings(manifest: &Manifest) -> Vec<SettingRow> {
    let row = |(name, setting): (&String, &Setting)| {
        let about = setting.about.clone().unwrap_or_default();
        match &setting.target {
            SettingTarget::Global { ty, default, min, max, unit, .. } => {
                let unit = unit.as_deref().unwrap_or_default();
                SettingRow {
                    name: name.clone(),
                    ty: ty.to_string(),
                    default: default.map_or_else(
                        || words::DEFAULT_COMPILED.to_owned(),
                        |d| with_unit(&scalar(d), unit),
                    ),
                    range: range(*ty, *min, *max, unit),
                    about,
                }
            }
            SettingTarget::Map { key, value, .. } => SettingRow {
                name: name.clone(),
                ty: words::map_setting(&key_name(key), value.as_str()),
                default: words::DEFAULT_EMPTY.to_owned(),
                range: String::new(),
                about,
            },
        }
    };
    manifest.config.iter().map(row).collect()
}

fn key_name(key: &KeyType) -> String {
    let text = serde_json::to_value(key).ok();
    text.as_ref().and_then(|v| v.as_str()).unwrap_or(words::UNKNOWN).to_owned()
}

fn scalar(value: Scalar) -> String {
    match value {
        Scalar::Bool(flag) => flag.to_string(),
        Scalar::Number(n) => format::count(n),
    }
}

fn range(ty: IntType, min: Option<u64>, max: Option<u64>, unit: &str) -> String {
    match (ty, min, max) {
        (IntType::Bool, _, _) | (_, None, None) => String::new(),
        (_, min, max) => {
            let (low, high) = (min.unwrap_or(0), max.unwrap_or_else(|| ty.largest()));
            with_unit(&format!("{} to {}", format::count(low), format::count(high)), unit)
        }
    }
}

fn with_unit(text: &str, unit: &str) -> String {
    if unit.is_empty() { text.to_owned() } else { format!("{text} {unit}") }
}
