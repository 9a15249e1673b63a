//! A vector file of a package: settings, packets in, verdicts, bytes and metrics out.
//! The format is described in `programs/README.md`. It refuses to know how a program is run.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use skep_artifact::config::ConfigValues;

use super::packet;

/// One `tests/<case>.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// What the case shows, one sentence.
    pub(crate) about: String,
    /// Settings as an operator writes them.
    #[serde(default)]
    pub(crate) config: ConfigValues,
    /// The case means something only when all steps ran within this time; otherwise it is run again.
    pub(crate) within_ms: Option<u64>,
    /// Packets in order; maps keep their content between them.
    #[serde(rename = "step")]
    pub(crate) steps: Vec<Step>,
    /// What the metrics of the manifest say after the last step; those not named are not looked at.
    #[serde(default)]
    pub(crate) metrics: BTreeMap<String, u64>,
}

/// One packet and what is expected of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    /// A line as `packet` reads it, or `hex:` and the octets.
    pub(crate) packet: String,
    /// The verdict of the (last) run, by its name in a manifest.
    pub(crate) verdict: String,
    /// `same`, or the octets the program leaves, in hex.
    #[serde(default = "same")]
    pub(crate) bytes: String,
    /// How often the packet is sent.
    #[serde(default = "once")]
    pub(crate) repeat: u32,
    /// Send it again and again until the verdict is the expected one, at most this long.
    pub(crate) await_ms: Option<u64>,
    /// With `await_ms`: that verdict may not come earlier than this after the first step.
    #[serde(default)]
    pub(crate) not_before_ms: u64,
}

fn same() -> String {
    "same".to_owned()
}

fn once() -> u32 {
    1
}

impl Case {
    /// Every case of a package's folder by file name, sorted.
    pub(crate) fn all_of(folder: &Path) -> Vec<(String, Self)> {
        let mut files: Vec<_> = std::fs::read_dir(folder.join("tests"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
            .collect();
        files.sort();
        assert!(!files.is_empty(), "{} has no vectors", folder.display());
        files
            .into_iter()
            .map(|path| {
                let text = std::fs::read_to_string(&path).unwrap();
                let case = toml::from_str(&text).unwrap_or_else(|error| {
                    panic!("{}: {error}", path.display());
                });
                (path.file_stem().unwrap().to_string_lossy().into_owned(), case)
            })
            .collect()
    }
}

impl Step {
    /// The octets to send.
    pub(crate) fn packet_bytes(&self) -> Vec<u8> {
        match self.packet.strip_prefix("hex:") {
            Some(digits) => octets(digits),
            None => packet::build(&self.packet)
                .unwrap_or_else(|error| panic!("{}: {error}", self.packet)),
        }
    }

    /// The octets that must come out.
    pub(crate) fn expected_bytes(&self) -> Vec<u8> {
        if self.bytes == "same" { self.packet_bytes() } else { octets(&self.bytes) }
    }
}

fn octets(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(|digit| !digit.is_ascii_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}
