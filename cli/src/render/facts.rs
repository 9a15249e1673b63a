//! What an object does, as read from its ELF. Refuses to know what its author says.

use crate::render::table::{Cell, layout};
use crate::render::{paint, units};
use skep_artifact::digest::Digest;
use skep_artifact::manifest::{Manifest, SettingTarget};
use skep_artifact::object::{Endian, GlobalFacts, MapFacts, ObjectFacts, ProgramFacts};

/// The kernel rounds the size of a map's value up to this many bytes (`round_up(value_size, 8)`).
const VALUE_ALIGN: u64 = 8;

/// What stands before the facts in the first line.
pub(crate) struct Title<'a> {
    pub name: &'a str,
    pub digest: Option<Digest>,
}

impl Title<'_> {
    /// Facts whose file is out of sight.
    pub(crate) fn facts_only() -> Self {
        Self { name: "object", digest: None }
    }
}

/// One object: a line about the file, a table of programs, its maps and settings.
pub(crate) fn object(title: &Title<'_>, facts: &ObjectFacts) -> String {
    let mut about = vec![
        match facts.endian {
            Endian::Little => "bpfel".to_owned(),
            Endian::Big => "bpfeb".to_owned(),
        },
        (if facts.has_btf { "BTF" } else { "no BTF" }).to_owned(),
        facts.license.clone().unwrap_or_else(|| "no licence".to_owned()),
        units::bytes(facts.size),
    ];
    about.extend(title.digest.map(|digest| digest.short()));
    let mut text = format!("{}   {}\n", paint::bold(title.name), paint::slate(&about.join(" · ")));
    text.push_str(&programs(&facts.programs));
    let mut rows = Vec::new();
    if !facts.maps.is_empty() {
        let maps: Vec<String> = facts.maps.iter().map(map).collect();
        let total: u64 = facts.maps.iter().map(map_bytes).sum();
        rows.push(vec![
            Cell::new("maps").paint(paint::dim),
            Cell::new(format!("{}   ~{}", maps.join(" · "), units::bytes(total))),
        ]);
    }
    let settings: Vec<String> =
        facts.globals.iter().filter(|g| g.constant).filter_map(global).collect();
    if !settings.is_empty() {
        rows.push(vec![Cell::new("constants").paint(paint::dim), Cell::new(settings.join(" · "))]);
    }
    text.push_str(&layout(&rows, 2));
    text
}

fn programs(programs: &[ProgramFacts]) -> String {
    let heads = ["program", "type", "section", "insns", "lowest kernel", "", "may"];
    let mut rows: Vec<Vec<Cell>> = vec![
        heads
            .map(|head| {
                let cell = if head == "insns" { Cell::number(head) } else { Cell::new(head) };
                cell.paint(paint::dim)
            })
            .into(),
    ];
    rows.extend(programs.iter().map(program));
    layout(&rows, 2)
}

fn program(program: &ProgramFacts) -> Vec<Cell> {
    let kernel =
        program.lowest_kernel.map_or_else(|| "unknown".to_owned(), |kernel| kernel.to_string());
    vec![
        Cell::new(&program.name).paint(paint::bold),
        Cell::new(kind(program)),
        Cell::new(&program.section),
        Cell::number(units::count(program.insns.into())),
        Cell::new(kernel),
        Cell::new(&program.because).paint(paint::slate),
        Cell::new(powers(program).join(" · ")),
    ]
}

/// The program type as it is written on the wire.
fn kind(program: &ProgramFacts) -> String {
    match serde_json::to_value(program.kind) {
        Ok(serde_json::Value::String(name)) => name,
        _ => format!("{:?}", program.kind).to_lowercase(),
    }
}

/// What the program is able to do to the host, in plain words; the weightiest first.
fn powers(program: &ProgramFacts) -> Vec<String> {
    let calls = |name: &str| program.helpers.iter().any(|h| h == name);
    let mut may = Vec::new();
    if calls("bpf_probe_write_user") {
        may.push("write memory of processes".to_owned());
    }
    if calls("bpf_override_return") {
        may.push("override kernel functions".to_owned());
    }
    if program.writes_packets {
        may.push("rewrite packets".to_owned());
    }
    if program.redirects {
        may.push("send packets elsewhere".to_owned());
    }
    if !program.kind.hooks().is_empty() {
        may.push("drop packets".to_owned());
        may.push("read headers".to_owned());
    }
    if !program.kfuncs.is_empty() {
        may.push(format!("call {}", program.kfuncs.join(", ")));
    }
    may
}

fn map(map: &MapFacts) -> String {
    if is_ring(map) {
        return format!("{} {} {}", map.kind, map.name, units::bytes(map_bytes(map)));
    }
    let entries = units::count(map.max_entries.into());
    format!("{} {} {entries} × {} B", map.kind, map.name, entry_bytes(map))
}

/// What one entry takes; the key of an array is its place and takes nothing.
fn entry_bytes(map: &MapFacts) -> u64 {
    let key = if map.kind.ends_with("array") { 0 } else { map.key_size };
    u64::from(key) + u64::from(map.value_size).next_multiple_of(VALUE_ALIGN)
}

/// A ring buffer has no entries; the kernel reads `max_entries` as its size in bytes.
fn is_ring(map: &MapFacts) -> bool {
    matches!(map.kind.as_str(), "ringbuf" | "user_ringbuf")
}

fn map_bytes(map: &MapFacts) -> u64 {
    if is_ring(map) {
        return map.max_entries.into();
    }
    entry_bytes(map).saturating_mul(map.max_entries.into())
}

fn global(global: &GlobalFacts) -> Option<String> {
    Some(format!("{} {}", global.name, global.ty?))
}

/// The settings a manifest offers to operators.
pub(crate) fn settings(manifest: &Manifest) -> String {
    if manifest.config.is_empty() {
        return String::new();
    }
    let heads = ["setting", "sets", "type", "default", "about"];
    let mut rows: Vec<Vec<Cell>> = vec![heads.map(|h| Cell::new(h).paint(paint::dim)).into()];
    for (name, setting) in &manifest.config {
        let about = Cell::new(setting.about.clone().unwrap_or_default());
        let (sets, ty, default) = match &setting.target {
            SettingTarget::Global { global, ty, default, unit, .. } => {
                let unit = unit.as_deref().unwrap_or_default();
                let default = default.map(|d| format!("{} {unit}", scalar(d)));
                (global.clone(), ty.to_string(), default.unwrap_or_default().trim_end().to_owned())
            }
            SettingTarget::Map { map, key, value } => {
                let key = format!("{key:?}").to_lowercase();
                (format!("map {map}"), format!("{key} → {value}"), String::new())
            }
        };
        rows.push(vec![
            Cell::new(name).paint(paint::bold),
            Cell::new(sets),
            Cell::new(ty),
            Cell::new(default),
            about,
        ]);
    }
    layout(&rows, 2)
}

fn scalar(value: skep_artifact::manifest::Scalar) -> String {
    match value {
        skep_artifact::manifest::Scalar::Bool(b) => b.to_string(),
        skep_artifact::manifest::Scalar::Number(n) => units::count(n),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::plain;
    use skep_artifact::object::{IntType, KernelVersion, ProgramKind};

    fn facts() -> ObjectFacts {
        let map = |name: &str, kind: &str, sizes: (u32, u32, u32)| MapFacts {
            name: name.into(),
            kind: kind.into(),
            key_size: sizes.0,
            value_size: sizes.1,
            max_entries: sizes.2,
            flags: 0,
            legacy: false,
        };
        let global = |name: &str, ty, constant| GlobalFacts {
            name: name.into(),
            ty: Some(ty),
            size: 4,
            offset: 0,
            section: ".rodata".into(),
            constant,
        };
        ObjectFacts {
            endian: Endian::Little,
            has_btf: true,
            license: Some("GPL".into()),
            programs: vec![ProgramFacts {
                name: "xdp_ratelimit".into(),
                section: "xdp".into(),
                kind: ProgramKind::Xdp,
                frags: false,
                insns: 412,
                helpers: vec!["bpf_ktime_get_boot_ns".into()],
                kfuncs: Vec::new(),
                writes_packets: false,
                redirects: true,
                core_relocations: 0,
                lowest_kernel: Some(KernelVersion::new(5, 9)),
                because: "helper bpf_ktime_get_boot_ns".into(),
            }],
            maps: vec![
                map("buckets", "hash", (16, 8, 65_536)),
                map("counters", "per_cpu_array", (4, 8, 4)),
            ],
            globals: vec![
                global("rate_per_second", IntType::U32, true),
                global("burst", IntType::U32, true),
                global("seen", IntType::U64, false),
            ],
            size: 10_035,
        }
    }

    #[test]
    fn an_object_shows_what_it_does() {
        let title = Title { name: "ratelimit.bpf.o", digest: Some(Digest::of(b"x")) };
        insta::assert_snapshot!("object_facts", plain(&object(&title, &facts())));
    }

    #[test]
    fn unknown_needs_are_said_rather_than_guessed() {
        let mut unknown = facts();
        unknown.programs[0].lowest_kernel = None;
        unknown.license = None;
        let text = plain(&object(&Title::facts_only(), &unknown));
        assert!(text.contains("unknown") && text.contains("no licence"), "{text}");
    }
}
