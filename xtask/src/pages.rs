//! `docs/benchmarks.md` in sections: each task writes its own between two marks and leaves the others as they are, with the
//! machine, kernel and commit that its figures belong to. Knows marks; refuses to know figures.

use std::fmt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{run, say};

/// The sections, in their order on the page.
const SECTIONS: [&str; 4] = ["road", "chain", "libxdp", "swaps"];

const HEAD: &str =
    "# Benchmarks\n\nOnly ratios within one section, which is one run, travel to other machines.\n";

/// What figures were taken on.
pub(crate) struct Machine {
    processor: String,
    processors: usize,
    kernel: String,
    commit: String,
    /// Whether something beside the commit was in the checkout.
    changed: bool,
    load: String,
    /// What the kernel does against speculation, which every call, return and jump pays for.
    mitigations: String,
}

/// The mitigations that make calls and returns slower, as the kernel names them.
const MITIGATIONS: [&str; 3] = ["spectre_v2", "retbleed", "spec_rstack_overflow"];

impl Machine {
    pub(crate) fn look(root: &Path) -> Result<Self> {
        let cpuinfo =
            std::fs::read_to_string("/proc/cpuinfo").context("/proc/cpuinfo could not be read")?;
        let model =
            cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
        let git = |arguments: &[&str]| {
            run::captured(Command::new("git").current_dir(root).args(arguments))
        };
        let load =
            std::fs::read_to_string("/proc/loadavg").context("/proc/loadavg could not be read")?;
        Ok(Self {
            processor: model.trim_start_matches([' ', '\t', ':']).to_owned(),
            processors: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            kernel: run::captured(Command::new("uname").arg("-r"))?,
            commit: git(&["rev-parse", "--short", "HEAD"])?,
            changed: !git(&["status", "--porcelain", "--", ":!docs"])?.is_empty(),
            load: load.split(' ').next().unwrap_or("?").to_owned(),
            mitigations: mitigations(),
        })
    }

    #[cfg(test)]
    pub(crate) fn example() -> Self {
        Self {
            processor: "Abacus 3".to_owned(),
            processors: 2,
            kernel: "6.18".to_owned(),
            commit: "abc".to_owned(),
            changed: false,
            load: "0.10".to_owned(),
            mitigations: "Safe RET".to_owned(),
        }
    }
}

impl Machine {
    pub(crate) fn commit(&self) -> &str {
        &self.commit
    }

    pub(crate) fn mitigations(&self) -> &str {
        &self.mitigations
    }
}

fn mitigations() -> String {
    let folder = Path::new("/sys/devices/system/cpu/vulnerabilities");
    let read = |name: &&str| {
        let text = std::fs::read_to_string(folder.join(name)).ok()?;
        Some(format!("{name}: {}", text.trim()))
    };
    let known: Vec<String> = MITIGATIONS.iter().filter_map(read).collect();
    if known.is_empty() { "unknown".to_owned() } else { known.join("; ") }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { processor, processors, kernel, commit, load, .. } = self;
        let changed = if self.changed { " with changes" } else { "" };
        write!(
            f,
            "at commit {commit}{changed}, on {processors} × {processor}, Linux {kernel}, other load at the start {load}"
        )
    }
}

/// Puts a section in its place on the page.
pub(crate) fn write(root: &Path, name: &str, section: &str) -> Result<()> {
    let path = root.join("docs").join("benchmarks.md");
    let page = std::fs::read_to_string(&path)
        .with_context(|| format!("{} could not be read", path.display()))?;
    std::fs::write(&path, replaced(&page, name, section))
        .with_context(|| format!("{} could not be written", path.display()))?;
    say::note("Written to docs/benchmarks.md.");
    Ok(())
}

/// The page with another text in one section. Pure.
fn replaced(page: &str, name: &str, section: &str) -> String {
    let mut text = HEAD.to_owned();
    for known in SECTIONS {
        let (begin, end) = marks(known);
        let old = page
            .split_once(&begin)
            .and_then(|(_, rest)| rest.split_once(&end))
            .map(|(old, _)| old.trim());
        let content = if known == name { Some(section.trim()) } else { old };
        if let Some(content) = content {
            text += &format!("\n{begin}\n\n{content}\n\n{end}\n");
        }
    }
    text
}

fn marks(name: &str) -> (String, String) {
    (format!("<!-- {name} -->"), format!("<!-- end of {name} -->"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_and_the_others_stay() {
        let first = replaced("", "swaps", "none lost\n");
        let both = replaced(&first, "chain", "fast");
        assert!(both.find("fast").unwrap() < both.find("none lost").unwrap());
        let again = replaced(&both, "chain", "faster");
        assert!(again.contains("faster") && again.contains("none lost"));
        assert_eq!(replaced(&again, "chain", "fast"), both);
    }

    #[test]
    fn figures_say_what_they_were_taken_on() {
        let text = Machine::example().to_string();
        assert_eq!(
            text,
            "at commit abc, on 2 × Abacus 3, Linux 6.18, other load at the start 0.10"
        );
    }
}
