//! What the pages say about packages: their versions, programs, maps, settings and permissions.
//! It refuses to know when each is said.

pub const README: &str = "README";
pub const NO_README: &str = "This version has no README.";
pub const VERSIONS: &str = "Versions";
pub const PERMISSIONS: &str = "Permissions";
pub const PERMISSIONS_LEAD: &str = "What the programs may do, read from the object and not from what the author says. Instructions show what can be called; a value reached through a map may also be changed in place.";
pub const NO_PERMISSIONS: &str = "The object holds no program, so there is nothing it may do.";
pub const PROGRAMS: &str = "Programs";
pub const MAPS: &str = "Maps";
pub const NO_MAPS: &str = "The programs keep no maps.";
pub const CONFIGURATION: &str = "Configuration";
pub const NO_SETTINGS: &str = "This version has no settings.";
pub const INSTALL: &str = "Install and deploy";
pub const ABOUT: &str = "About";
pub const REPOSITORY: &str = "Source code";
pub const SECTIONS_LABEL: &str = "About this version";
pub const COMPATIBILITY: &str = "Compatibility";
pub const COMPATIBILITY_LEAD: &str = "From the facts of the objects: which program type, helpers and map types they ask a kernel for. A kernel whose makers added or left something out is told by the probes of the node itself.";
pub const COMPATIBILITY_WHY: &str = "What asks for it";
pub const FIT_HAS: &str = "has everything";
pub const FIT_LACKS: &str = "lacks something";
pub const FIT_UNKNOWN: &str = "unknown";
pub const CODE: &str = "Code";
pub const GLOBALS: &str = "Variables";
pub const NO_GLOBALS: &str = "The programs have no variables of their own.";
pub const NOT_A_NUMBER: &str = "structure or array";
pub const GLOBAL_SETTING: &str = "filled by configuration";
pub const GLOBAL_CONSTANT: &str = "constant";
pub const GLOBAL_STATE: &str = "state, gone with the program";
pub const DIFF: &str = "Diff";
pub const DIFF_FIRST: &str = "This is the only version, so there is nothing to compare it with.";
pub const DIFF_FROM: &str = "From version";
pub const DIFF_NEEDS: &str = "Needs";
pub const DIFF_SAME: &str = "Nothing that can be read from the objects differs.";
pub const DIFF_ADDED: &str = "added";
pub const DIFF_REMOVED: &str = "removed";
pub const DIFF_CHANGED: &str = "changed";
pub const SECURITY: &str = "Security";
pub const REVOCATIONS: &str = "Revocations";
pub const NO_REVOCATIONS: &str = "Nobody revoked this version.";
pub const REVOCATION_LIFTED: &str = "revocation lifted";
pub const ATTESTATIONS: &str = "Attestations";
pub const ATTESTATIONS_LEAD: &str = "Statements about this version, as they were handed in. Whether the keys are to be believed is for each node's policy to say.";
pub const NO_ATTESTATIONS: &str = "Nobody attested anything about this version: no provenance, no bill of materials, no test result.";
pub const HISTORY: &str = "What was done since";
pub const NO_HISTORY: &str = "Nothing: it was neither yanked nor deprecated.";
pub const DONE_YANK: &str = "yanked";
pub const DONE_UNYANK: &str = "yank taken back";
pub const DONE_DEPRECATE: &str = "deprecated";
pub const DONE_UNDEPRECATE: &str = "deprecation taken back";
pub const DONE_TOMBSTONE: &str = "package deleted";
pub const VERSION_LABEL: &str = "Version shown";
pub const YANKED: &str = "yanked";
pub const CURRENT: &str = "shown";
pub const SNIPPET_PULL: &str = "Download and verify";
pub const SNIPPET_POLICY: &str = "Add to a chain: write a policy";
pub const SNIPPET_APPLY: &str = "See what would change, sign, apply";
pub const MAP_CONFIG: &str = "filled by configuration";
pub const MAP_STATE: &str = "state, kept over upgrades";
pub const DEFAULT_COMPILED: &str = "as compiled";
pub const DEFAULT_EMPTY: &str = "empty";

pub const LABEL_LICENSE: &str = "Licence";
pub const LABEL_KERNEL: &str = "Kernel";
pub const LABEL_SIZE: &str = "Size";
pub const LABEL_INSTALLS: &str = "Installs";
pub const LABEL_PUBLISHED: &str = "Published";
pub const LABEL_PUBLISHED_BY: &str = "Published by";
pub const LABEL_RELEASE: &str = "Release";
pub const LABEL_ROLE: &str = "Role file";
pub const LABEL_DIGEST: &str = "Index";
pub const LABEL_SIGNED_BY: &str = "Signed by keys";
pub const LABEL_THRESHOLD: &str = "Signatures required";
pub const LABEL_LOG: &str = "Transparency log";
pub const LABEL_KEYWORDS: &str = "Keywords";

pub const COL_VERSION: &str = "Version";
pub const COL_RELEASE: &str = "Release";
pub const COL_PUBLISHED: &str = "Published";
pub const COL_SIZE: &str = "Size";
pub const COL_INDEX: &str = "Index digest";
pub const COL_MAY: &str = "May";
pub const COL_PROGRAMS: &str = "Programs";
pub const COL_BECAUSE: &str = "Because";
pub const COL_PROGRAM: &str = "Program";
pub const COL_TYPE: &str = "Type";
pub const COL_SECTION: &str = "Section";
pub const COL_INSTRUCTIONS: &str = "Instructions";
pub const COL_LOWEST_KERNEL: &str = "Lowest kernel";
pub const COL_HELPERS: &str = "Helpers";
pub const COL_MAP: &str = "Map";
pub const COL_ENTRIES: &str = "Entries";
pub const COL_KEY: &str = "Key";
pub const COL_VALUE: &str = "Value";
pub const COL_USE: &str = "Use";
pub const COL_GLOBAL: &str = "Variable";
pub const COL_WHAT: &str = "What";
pub const COL_WHY: &str = "Why";
pub const COL_BY: &str = "By";
pub const COL_STATEMENT: &str = "Statement";
pub const COL_KEYS: &str = "Keys";
pub const COL_SETTING: &str = "Setting";
pub const COL_DEFAULT: &str = "Default";
pub const COL_RANGE: &str = "Range";
pub const COL_ABOUT: &str = "About";

pub const MAY_WRITE_USER_MEMORY: &str = "write into the memory of processes";
pub const MAY_READ_MEMORY: &str = "read memory of the kernel or of processes";
pub const MAY_STEER_PROCESSES: &str = "override kernel functions or signal processes";
pub const MAY_REPORT: &str = "send what it sees to a program on the host";
pub const MAY_LOG: &str = "write into the kernel's trace log";
pub const MAY_TAIL_CALL: &str = "continue in another program";
pub const MAY_WRITE_MAPS: &str = "add, change and remove map entries";
pub const MAY_READ_MAPS: &str = "read maps, and change values in place";
pub const MAY_LOOK_UP_ROUTES: &str = "look up routes and sockets";
pub const MAY_READ_CLOCK: &str = "read the clock";
pub const MAY_REWRITE: &str = "rewrite packets";
pub const MAY_REDIRECT: &str = "send packets elsewhere";
pub const MAY_DROP: &str = "pass and drop packets";
pub const MAY_CALL_KERNEL: &str = "call kernel functions";
pub const BECAUSE_VERDICT: &str = "every program on this hook returns a verdict";
pub const BECAUSE_HELPER: &str = "it calls a helper that does";
pub const WEIGHT_GRAVE: &str = "grave";
pub const WEIGHT_NOTABLE: &str = "notable";
pub const WEIGHT_ORDINARY: &str = "ordinary";

#[must_use]
pub fn lowest_kernel(release: Option<&str>) -> String {
    release.map_or_else(|| "lowest kernel unknown".to_owned(), |r| format!("Linux {r} or newer"))
}

#[must_use]
pub fn signed_by(keys: &str) -> String {
    if keys.is_empty() { "not signed".to_owned() } else { format!("signed by {keys}") }
}

#[must_use]
pub fn installs(nodes: u64) -> String {
    match nodes {
        0 => "runs on no node yet".to_owned(),
        1 => "runs on 1 node".to_owned(),
        n => format!("runs on {n} nodes"),
    }
}

#[must_use]
pub fn signed_header(namespace: &str, keys: &str, signers: usize, threshold: u32) -> String {
    let noun = if signers == 1 { "key" } else { "keys" };
    format!("Signed by {namespace} with {keys} ({signers} {noun}, {threshold} required)")
}

#[must_use]
pub fn role_version(version: u64) -> String {
    format!("version {version}")
}

#[must_use]
pub fn newer_version(version: &str) -> String {
    format!("Version {version} is newer.")
}

#[must_use]
pub fn map_setting(key: &str, value: &str) -> String {
    format!("map from {key} to {value}")
}

#[must_use]
pub fn log_entry(number: &str) -> String {
    format!("entry {number} of the log")
}

#[must_use]
pub fn yanked(why: &str) -> String {
    let text = format!(
        "This version was yanked by its publisher. {why} Nodes that run it keep it; new policies cannot pick it."
    );
    text.replace(".  ", ". ")
}

#[must_use]
pub fn deprecated(why: &str, instead: Option<&str>) -> String {
    let instead = instead.map(|name| format!(" {}", self::instead(name))).unwrap_or_default();
    format!("Deprecated: {why}{instead}")
}

#[must_use]
pub fn instead(name: &str) -> String {
    format!("Use {name} instead.")
}

#[must_use]
pub fn deleted(why: &str) -> String {
    format!("This package was deleted: {why} Nodes that run it go on getting it by its digest.")
}

#[must_use]
pub fn revoked(severity: &str) -> String {
    if severity.is_empty() { "revoked".to_owned() } else { format!("revoked, severity {severity}") }
}

#[must_use]
pub fn before_and_after(before: &str, after: &str) -> String {
    format!("{before} → {after}")
}

#[must_use]
pub fn diff_to(version: &str) -> String {
    format!("to {version}")
}

#[must_use]
pub fn compared(before: &str, after: &str) -> String {
    format!("Compared: {before} with {after}, by what their objects hold.")
}
