//! What the shape of a `skep.toml` cannot say: ranges, names, texts, and which keys of a setting go together.

use std::collections::BTreeSet;

use super::{Arch, Direction, Family, Manifest, ManifestError, Scalar, SettingTarget};
use crate::hook::VerdictSet;
use crate::limits::{
    LINE_CHARS_MAX, MAPS_MAX, NAME_CHARS_MAX, OBJECTS_MAX, PRIORITY_MAX, PROGRAMS_MAX, SETTINGS_MAX,
};
use crate::object::IntType;

/// Keywords of one package: enough for a search, too few for spam.
const KEYWORDS_MAX: usize = 10;

/// Categories of one package.
const CATEGORIES_MAX: usize = 5;

/// Characters of a C identifier in BPF: the kernel keeps 15 of a program's name, BTF keeps 127.
const IDENTIFIER_CHARS_MAX: usize = 127;

/// Fields that one migration gives up: more than that is another map.
const DROPPED_MAX: usize = 64;

/// Characters of a relative path.
const PATH_CHARS_MAX: usize = 255;

/// Checks everything serde did not.
pub(super) fn check(manifest: &Manifest) -> Result<(), ManifestError> {
    check_package(manifest)?;
    check_build(manifest)?;
    check_objects(manifest)?;
    check_programs(manifest)?;
    check_settings(manifest)?;
    check_metrics(manifest)?;
    check_migrations(manifest)?;
    if let Some(tests) = &manifest.tests {
        check_path("test.vectors", &tests.vectors)?;
    }
    Ok(())
}

fn refuse<T>(key: impl Into<String>, reason: impl Into<String>) -> Result<T, ManifestError> {
    Err(ManifestError::Value { key: key.into(), reason: reason.into() })
}

fn check_package(manifest: &Manifest) -> Result<(), ManifestError> {
    let package = &manifest.package;
    if !package.version.build.is_empty() {
        return refuse(
            "package.version",
            "build metadata (`+…`) is not accepted, because OCI tags cannot hold it; raise the version instead",
        );
    }
    if package.version.to_string().len() > 64 {
        return refuse("package.version", "a version has at most 64 characters");
    }
    if let Err(error) = spdx::Expression::parse(&package.license) {
        return refuse(
            "package.license",
            format!(
                "not an SPDX licence expression ({}); write for instance GPL-2.0-only",
                error.reason
            ),
        );
    }
    check_line("package.license", &package.license)?;
    check_line("package.description", &package.description)?;
    if let Some(readme) = &package.readme {
        check_path("package.readme", readme)?;
    }
    if let Some(repository) = &package.repository {
        check_line("package.repository", repository)?;
        if !repository.starts_with("https://") {
            return refuse("package.repository", "write an address that begins with https://");
        }
    }
    check_words("package.keywords", &package.keywords, KEYWORDS_MAX, &[])?;
    check_words("package.categories", &package.categories, CATEGORIES_MAX, &['/'])
}

fn check_build(manifest: &Manifest) -> Result<(), ManifestError> {
    let Some(build) = &manifest.build else { return Ok(()) };
    if build.source.is_none() && build.command.is_empty() {
        return refuse("build", "name a `source` or a `command`, or leave the table out");
    }
    if let Some(source) = &build.source {
        check_path("build.source", source)?;
    }
    build.include.iter().try_for_each(|folder| check_include(folder))?;
    build.command.iter().try_for_each(|part| check_line("build.command", part))
}

/// Only the author's own machine ever reads these, so that leaving the package's folder does no harm.
fn check_include(folder: &str) -> Result<(), ManifestError> {
    check_line("build.include", folder)?;
    if folder.is_empty() || folder.starts_with(['/', '-']) {
        return refuse(
            "build.include",
            "write a folder relative to skep.toml, for instance include",
        );
    }
    Ok(())
}

fn check_objects(manifest: &Manifest) -> Result<(), ManifestError> {
    if manifest.objects.is_empty() || manifest.objects.len() > OBJECTS_MAX {
        return refuse("object", format!("a package has 1 to {OBJECTS_MAX} [[object]] tables"));
    }
    let (mut paths, mut archs) = (BTreeSet::new(), BTreeSet::<Arch>::new());
    for (index, object) in manifest.objects.iter().enumerate() {
        let key = |field: &str| format!("object[{index}].{field}");
        check_path(&key("path"), &object.path)?;
        if !paths.insert(&object.path) {
            return refuse(
                key("path"),
                "another [[object]] names the same file; list the architectures in one",
            );
        }
        if object.arch.is_empty() {
            return refuse(key("arch"), "name at least one architecture, or leave the key out");
        }
        for arch in &object.arch {
            if !archs.insert(*arch) {
                return refuse(
                    key("arch"),
                    format!("{arch} is served twice; one object serves an architecture"),
                );
            }
        }
    }
    Ok(())
}

fn check_programs(manifest: &Manifest) -> Result<(), ManifestError> {
    if manifest.programs.is_empty() || manifest.programs.len() > PROGRAMS_MAX {
        return refuse("program", format!("a package has 1 to {PROGRAMS_MAX} [[program]] tables"));
    }
    let mut names = BTreeSet::new();
    for (index, program) in manifest.programs.iter().enumerate() {
        let key = |field: &str| format!("program[{index}].{field}");
        check_identifier(&key("name"), &program.name)?;
        if !names.insert(&program.name) {
            return refuse(key("name"), format!("`{}` is claimed twice", program.name));
        }
        let directions: BTreeSet<_> = program.attach.iter().collect();
        if directions.is_empty() || directions.len() != program.attach.len() {
            return refuse(
                key("attach"),
                "name each direction once: [\"ingress\"], [\"egress\"] or both",
            );
        }
        if program.family == Family::Xdp && program.attach.contains(&Direction::Egress) {
            return refuse(
                key("attach"),
                "xdp sees received packets only; write [\"ingress\"] or use type = \"tc\"",
            );
        }
        if let Some(names) = &program.proceed_on
            && let Err(error) = VerdictSet::from_names(program.family.any_hook(), names)
        {
            return refuse(key("proceed-on"), error.to_string());
        }
        if program.priority > PRIORITY_MAX {
            return refuse(key("priority"), format!("a priority is 0 (first) to {PRIORITY_MAX}"));
        }
    }
    Ok(())
}

fn check_migrations(manifest: &Manifest) -> Result<(), ManifestError> {
    if manifest.migrate.len() > MAPS_MAX {
        return refuse("migrate", format!("a package has at most {MAPS_MAX} maps"));
    }
    let filled = |map: &str| {
        manifest.config.values().any(
            |setting| matches!(&setting.target, SettingTarget::Map { map: set, .. } if set == map),
        )
    };
    for (map, migration) in &manifest.migrate {
        let key = |field: &str| format!("migrate.{map}{field}");
        check_identifier(&key(""), map)?;
        if filled(map) {
            return refuse(key(""), "a setting fills this map anew for every revision");
        }
        if let Some(from) = &migration.from {
            check_identifier(&key(".from"), from)?;
        }
        if migration.drop.len() > DROPPED_MAX {
            return refuse(key(".drop"), format!("at most {DROPPED_MAX} fields are given up"));
        }
        for field in &migration.drop {
            field.split('.').try_for_each(|part| check_identifier(&key(".drop"), part))?;
        }
    }
    Ok(())
}

fn check_settings(manifest: &Manifest) -> Result<(), ManifestError> {
    if manifest.config.len() > SETTINGS_MAX {
        return refuse("config", format!("a package has at most {SETTINGS_MAX} settings"));
    }
    let mut targets = BTreeSet::new();
    for (name, setting) in &manifest.config {
        let key = |field: &str| format!("config.{name}.{field}");
        check_setting_name(name)?;
        if let Some(about) = &setting.about {
            check_line(&key("about"), about)?;
        }
        let target = match &setting.target {
            SettingTarget::Map { map, .. } => {
                check_identifier(&key("map"), map)?;
                format!("map {map}")
            }
            SettingTarget::Global { global, ty, default, min, max, unit } => {
                check_identifier(&key("global"), global)?;
                check_range(name, *ty, *default, *min, *max)?;
                if let Some(unit) = unit {
                    check_line(&key("unit"), unit)?;
                }
                format!("global {global}")
            }
        };
        if !targets.insert(target.clone()) {
            return refuse(
                format!("config.{name}"),
                format!("another setting sets {target} already"),
            );
        }
    }
    Ok(())
}

fn check_setting_name(name: &str) -> Result<(), ManifestError> {
    let fits = name.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-' | '_'));
    if !fits
        || name.is_empty()
        || name.len() > NAME_CHARS_MAX
        || !name.starts_with(|c: char| c.is_ascii_lowercase())
    {
        let shown: String = name.chars().take(NAME_CHARS_MAX).collect();
        return refuse(
            format!("config.{shown}"),
            format!(
                "a setting's name begins with a letter and has up to {NAME_CHARS_MAX} of a-z, 0-9, - and _"
            ),
        );
    }
    Ok(())
}

fn check_range(
    name: &str,
    ty: IntType,
    default: Option<Scalar>,
    min: Option<u64>,
    max: Option<u64>,
) -> Result<(), ManifestError> {
    let key = |field: &str| format!("config.{name}.{field}");
    if ty == IntType::Bool && (min.is_some() || max.is_some()) {
        return refuse(key("min"), "a bool has no `min` and `max`");
    }
    let (low, high) = (min.unwrap_or(0), max.unwrap_or(ty.largest()));
    if high > ty.largest() {
        return refuse(
            key("max"),
            format!("{high} does not fit {ty}, whose largest value is {}", ty.largest()),
        );
    }
    if low > high {
        return refuse(key("min"), format!("{low} is more than the largest value, {high}"));
    }
    match (default, ty) {
        (None, _) | (Some(Scalar::Bool(_)), IntType::Bool) => Ok(()),
        (Some(Scalar::Number(_)), IntType::Bool) => {
            refuse(key("default"), "a bool is true or false")
        }
        (Some(Scalar::Bool(_)), _) => refuse(key("default"), format!("a {ty} is a whole number")),
        (Some(Scalar::Number(number)), _) if (low..=high).contains(&number) => Ok(()),
        (Some(Scalar::Number(number)), _) => {
            refuse(key("default"), format!("{number} is outside {low} to {high}"))
        }
    }
}

fn check_metrics(manifest: &Manifest) -> Result<(), ManifestError> {
    if manifest.metrics.len() > MAPS_MAX {
        return refuse("metric", format!("a package has at most {MAPS_MAX} metrics"));
    }
    let mut names = BTreeSet::new();
    for (index, metric) in manifest.metrics.iter().enumerate() {
        let key = |field: &str| format!("metric[{index}].{field}");
        let fits = metric.name.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '_'));
        if !fits || metric.name.is_empty() || metric.name.len() > NAME_CHARS_MAX {
            return refuse(
                key("name"),
                format!("a metric's name has 1 to {NAME_CHARS_MAX} of a-z, 0-9 and _"),
            );
        }
        if !names.insert(&metric.name) {
            return refuse(key("name"), format!("`{}` is named twice", metric.name));
        }
        check_identifier(&key("map"), &metric.map)?;
        for (field, text) in [("unit", &metric.unit), ("about", &metric.about)] {
            text.as_deref().map_or(Ok(()), |text| check_line(&key(field), text))?;
        }
    }
    Ok(())
}

fn check_line(key: &str, text: &str) -> Result<(), ManifestError> {
    let chars = text.chars().count();
    if chars == 0 || chars > LINE_CHARS_MAX {
        return refuse(key, format!("write 1 to {LINE_CHARS_MAX} characters; there are {chars}"));
    }
    if text.chars().any(char::is_control) {
        return refuse(key, "write one line without control characters");
    }
    Ok(())
}

fn check_words(
    key: &str,
    words: &[String],
    most: usize,
    also: &[char],
) -> Result<(), ManifestError> {
    if words.len() > most {
        return refuse(key, format!("write at most {most}; there are {}", words.len()));
    }
    let fits = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-') || also.contains(&c);
    match words
        .iter()
        .find(|word| word.is_empty() || word.len() > NAME_CHARS_MAX || !word.chars().all(fits))
    {
        Some(word) => {
            let word: String = word.chars().take(NAME_CHARS_MAX).collect();
            refuse(key, format!("`{word}`: a word has 1 to {NAME_CHARS_MAX} of a-z, 0-9 and -"))
        }
        None => Ok(()),
    }
}

fn check_identifier(key: &str, text: &str) -> Result<(), ManifestError> {
    let fits = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
    if text.is_empty()
        || text.len() > IDENTIFIER_CHARS_MAX
        || !fits
        || text.starts_with(|c: char| c.is_ascii_digit())
    {
        return refuse(
            key,
            format!("write a C identifier of up to {IDENTIFIER_CHARS_MAX} characters"),
        );
    }
    Ok(())
}

fn check_path(key: &str, path: &str) -> Result<(), ManifestError> {
    if path.is_empty() || path.len() > PATH_CHARS_MAX || path.chars().any(char::is_control) {
        return refuse(key, format!("write a path of 1 to {PATH_CHARS_MAX} characters"));
    }
    let escapes = path.starts_with('/')
        || path.contains('\\')
        || path.split('/').any(|part| matches!(part, "" | "." | ".."));
    if escapes {
        return refuse(
            key,
            "write a path inside the package's folder, without `..`, `.` and a leading `/`",
        );
    }
    Ok(())
}
