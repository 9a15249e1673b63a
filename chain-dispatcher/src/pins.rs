//! Names under the pin root, and what lies there: one folder per hook of an interface, in it the
//! link and one folder per generation. Knows names and folders; refuses to know what a pin means.
//!
//! `<root>/<netns>-<ifindex>-<hook>/{link, gen-<n>/{dispatcher, slots, counters, drops, timing,
//! telling, record, members/<policy>+<name>/{program, maps/<map>}}}`. bpffs refuses dots in names, so every byte
//! outside `[A-Za-z0-9_-]` of a name that others chose is written as `%` and two digits.

use std::fmt::Write as _;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use skep_artifact::hook::Hook;

/// Longest name of one folder entry (`NAME_MAX`).
pub(crate) const NAME_BYTES_MAX: usize = 255;

/// Names of a generation's pins that backends share.
pub(crate) const SLOTS_PIN: &str = "slots";
pub(crate) const COUNTERS_PIN: &str = "counters";
pub(crate) const DROPS_PIN: &str = "drops";
pub(crate) const TIMING_PIN: &str = "timing";
pub(crate) const TELLING_PIN: &str = "telling";

const CLSACT_SUFFIX: &str = "-clsact";
const PROGRAM_PIN: &str = "program";
const GENERATION_PREFIX: &str = "gen-";
/// Where a bpffs is expected.
const USUAL_MOUNT: &str = "/sys/fs/bpf";
/// `BPF_FS_MAGIC`.
const BPFFS_MAGIC: u64 = 0xcafe_4a11;

/// A hook of an interface as the pins name it: valid across namespaces and renames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct HookKey {
    /// Inode number of the network namespace.
    pub(crate) netns: u64,
    pub(crate) ifindex: u32,
    pub(crate) hook: Hook,
}

/// The folder of one hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HookDir {
    path: PathBuf,
    /// A folder that stands for "the clsact of this interface was made by us": both tc hooks share it.
    made_clsact: PathBuf,
}

/// The folder of one generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GenerationDir {
    path: PathBuf,
}

impl HookDir {
    pub(crate) fn of(root: &Path, key: &HookKey) -> Self {
        let HookKey { netns, ifindex, hook } = key;
        Self {
            path: root.join(format!("{netns}-{ifindex}-{hook}")),
            made_clsact: root.join(format!("{netns}-{ifindex}{CLSACT_SUFFIX}")),
        }
    }

    /// Where it is noted that we made the interface's clsact.
    pub(crate) fn made_clsact(&self) -> &Path {
        &self.made_clsact
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn link(&self) -> PathBuf {
        self.path.join("link")
    }

    pub(crate) fn generation(&self, number: u64) -> GenerationDir {
        GenerationDir { path: self.path.join(format!("{GENERATION_PREFIX}{number}")) }
    }

    /// Numbers of the generations that lie here, ascending; none where there is no folder.
    pub(crate) fn generations(&self) -> io::Result<Vec<u64>> {
        let mut numbers: Vec<u64> = names_in(&self.path)?
            .iter()
            .filter_map(|name| name.strip_prefix(GENERATION_PREFIX)?.parse().ok())
            .collect();
        numbers.sort_unstable();
        Ok(numbers)
    }
}

impl GenerationDir {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn dispatcher(&self) -> PathBuf {
        self.path.join("dispatcher")
    }

    pub(crate) fn slots(&self) -> PathBuf {
        self.path.join(SLOTS_PIN)
    }

    pub(crate) fn counters(&self) -> PathBuf {
        self.path.join(COUNTERS_PIN)
    }

    /// The pin of a map that belongs to the chain.
    pub(crate) fn shared(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The ring buffer of drop events.
    pub(crate) fn drops(&self) -> PathBuf {
        self.path.join(DROPS_PIN)
    }

    /// The setting that says which packets are timed.
    pub(crate) fn timing(&self) -> PathBuf {
        self.path.join(TIMING_PIN)
    }

    /// The setting that says which drops are told.
    pub(crate) fn telling(&self) -> PathBuf {
        self.path.join(TELLING_PIN)
    }

    pub(crate) fn record(&self) -> PathBuf {
        self.path.join("record")
    }

    /// Where a new record waits to take the place of the old one.
    pub(crate) fn next_record(&self) -> PathBuf {
        self.path.join("next-record")
    }

    /// The pins of the members' programs; none where there is no folder.
    pub(crate) fn programs(&self) -> io::Result<Vec<PathBuf>> {
        let members = self.members();
        Ok(names_in(&members)?.iter().map(|name| members.join(name).join(PROGRAM_PIN)).collect())
    }

    pub(crate) fn members(&self) -> PathBuf {
        self.path.join("members")
    }

    pub(crate) fn member(&self, policy: &str, name: &str) -> PathBuf {
        self.members().join(member_name(policy, name))
    }

    pub(crate) fn program(&self, policy: &str, name: &str) -> PathBuf {
        self.member(policy, name).join(PROGRAM_PIN)
    }

    pub(crate) fn maps(&self, policy: &str, name: &str) -> PathBuf {
        self.member(policy, name).join("maps")
    }

    pub(crate) fn map(&self, policy: &str, name: &str, map: &str) -> PathBuf {
        self.maps(policy, name).join(escaped(map))
    }
}

/// The folder name of a member. Its length must be checked against [`NAME_BYTES_MAX`].
pub(crate) fn member_name(policy: &str, name: &str) -> String {
    format!("{}+{}", escaped(policy), escaped(name))
}

/// A name as bpffs takes it; different names stay different.
pub(crate) fn escaped(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02x}");
        }
    }
    out
}

/// The name that was [`escaped`]; a damaged one is given back as it is.
pub(crate) fn unescaped(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let digits = if *first == b'%' { tail.get(..2) } else { None };
        let code = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        rest = match code {
            Some(code) => {
                bytes.push(code);
                &tail[2..]
            }
            None => {
                bytes.push(*first);
                tail
            }
        };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| name.to_owned())
}

/// The hooks that have a folder under `root`.
pub(crate) fn hooks_in(root: &Path) -> io::Result<Vec<HookKey>> {
    Ok(names_in(root)?.iter().filter_map(|name| hook_key(name)).collect())
}

/// The notes under `root` that we made a clsact: namespace and interface of each, and its folder.
pub(crate) fn clsact_notes(root: &Path) -> io::Result<Vec<(u64, u32, PathBuf)>> {
    let read = |name: &String| {
        let (netns, ifindex) = name.strip_suffix(CLSACT_SUFFIX)?.split_once('-')?;
        Some((netns.parse().ok()?, ifindex.parse().ok()?, root.join(name)))
    };
    Ok(names_in(root)?.iter().filter_map(read).collect())
}

fn hook_key(name: &str) -> Option<HookKey> {
    let (netns, rest) = name.split_once('-')?;
    let (ifindex, hook) = rest.split_once('-')?;
    Some(HookKey {
        netns: netns.parse().ok()?,
        ifindex: ifindex.parse().ok()?,
        hook: hook.parse().ok()?,
    })
}

fn names_in(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// Removes a folder and everything in it; fine where it is gone already.
pub(crate) fn remove_folder(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The inode number of the calling thread's network namespace.
pub(crate) fn current_netns() -> io::Result<u64> {
    Ok(std::fs::metadata("/proc/thread-self/ns/net")?.ino())
}

/// Makes sure that `root` is a folder on a bpffs: makes it, mounts one over it if needed. Under
/// `/sys/fs/bpf` the one that belongs there is mounted first, as systemd does at boot: sysfs itself
/// takes no folders.
pub(crate) fn prepare_root(root: &Path) -> io::Result<()> {
    let usual = Path::new(USUAL_MOUNT);
    if root.starts_with(usual) {
        ensure_bpffs(usual)?;
    }
    std::fs::create_dir_all(root)?;
    ensure_bpffs(root)
}

fn ensure_bpffs(folder: &Path) -> io::Result<()> {
    let magic = rustix::fs::statfs(folder)?.f_type;
    if u64::try_from(magic).ok() == Some(BPFFS_MAGIC) {
        return Ok(());
    }
    rustix::mount::mount(
        "bpf",
        folder,
        "bpf",
        rustix::mount::MountFlags::NOSUID
            | rustix::mount::MountFlags::NODEV
            | rustix::mount::MountFlags::NOEXEC,
        Some(c"mode=0700"),
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use skep_artifact::hook::Hook;

    use super::{HookKey, escaped, hook_key, member_name, unescaped};

    #[test]
    fn names_without_dots_and_slashes_and_never_two_alike() {
        assert_eq!(escaped(".rodata"), "%2erodata");
        assert_eq!(unescaped("%2erodata"), ".rodata");
        assert_eq!(unescaped(&escaped("50%/x")), "50%/x");
        assert_eq!(member_name("edge/base", "a+b"), "edge%2fbase+a%2bb");
        assert_ne!(member_name("a+b", "c"), member_name("a", "b+c"));
        assert_ne!(escaped("%2e"), escaped("."));
    }

    #[test]
    fn folder_names_read_back_as_the_hook_they_name() {
        let key = HookKey { netns: 4_026_531_840, ifindex: 7, hook: Hook::TcIngress };
        assert_eq!(hook_key("4026531840-7-tc-ingress"), Some(key));
        assert_eq!(hook_key("4026531840-7"), None);
        assert_eq!(hook_key("x-7-xdp"), None);
    }
}
