//! A place to test in: two namespaces with a veth pair, a pin root with its own BPF file system,
//! objects compiled on the spot, packets. Removed when dropped.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use skep_artifact::config::EncodedConfig;
use skep_artifact::hook::{Failure, Hook, Mode, VerdictSet};
use skep_chain_dispatcher::{
    Backend, BackendChoice, Chain, Engine, EngineConfig, HookPoint, Loadable, Member, Unsupported,
    features,
};
use skep_trust::LocallyTrusted;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Two namespaces: `inner` with the interface `skep0`, `outer` with its peer `peer0`.
pub(crate) struct Place {
    inner: String,
    outer: String,
    pub(crate) root: PathBuf,
    /// Removed after the pins in it were unmounted by `drop`.
    _folder: tempfile::TempDir,
}

impl Place {
    /// Runs `test`, which needs the XDP hook, on a thread of its own that lives in the inner
    /// namespace.
    pub(crate) fn run(test: impl FnOnce(&Self) + Send) {
        Self::run_on(&[Hook::Xdp], test);
    }

    /// As `run_on`, for a test that needs a backend. Skips it, counted, where the kernel refuses it.
    pub(crate) fn run_with(backend: Backend, hooks: &[Hook], test: impl FnOnce(&Self) + Send) {
        match refused(features::offers(backend)) {
            Some(reason) => skip(&reason),
            None => Self::run_on(hooks, test),
        }
    }

    /// As `run_with`, for a test that asks for these backends by its own words.
    pub(crate) fn run_choosing(
        choices: &[BackendChoice],
        hook: Hook,
        test: impl FnOnce(&Self) + Send,
    ) {
        let backend = |choice: &BackendChoice| match choice {
            BackendChoice::Libxdp => Some(Backend::Libxdp),
            BackendChoice::Tcx => Some(Backend::Tcx),
            BackendChoice::Tc => Some(Backend::Tc),
            BackendChoice::TcxFused => Some(Backend::TcxFused),
            BackendChoice::TcFused => Some(Backend::TcFused),
            // The hook alone decides.
            BackendChoice::Auto | BackendChoice::Slots | BackendChoice::Fused => None,
        };
        let needed = choices.iter().filter_map(backend);
        match needed.filter_map(|backend| refused(features::offers(backend))).next() {
            Some(reason) => skip(&reason),
            None => Self::run_on(&[hook], test),
        }
    }

    /// As `run`, for a test that needs these hooks. Skips it, counted, where the kernel is too old
    /// for one of them or we may not ask.
    pub(crate) fn run_on(hooks: &[Hook], test: impl FnOnce(&Self) + Send) {
        if let Some(reason) = hooks.iter().find_map(|hook| missing(*hook)) {
            skip(&reason);
            return;
        }
        let place = Self::new();
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                place.enter_inner();
                test(&place);
            });
            if let Err(panic) = inside.join() {
                std::panic::resume_unwind(panic);
            }
        });
    }

    fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("skepd{}x{number}", std::process::id());
        let (inner, outer) = (format!("{name}i"), format!("{name}o"));
        let folder = tempfile::tempdir().unwrap();
        let place = Self { inner, outer, root: folder.path().join("pins"), _folder: folder };
        ip(&["netns", "add", &place.inner]);
        ip(&["netns", "add", &place.outer]);
        place.make_pair();
        place
    }

    /// Makes the veth pair; also after the test removed it.
    pub(crate) fn make_pair(&self) {
        let pair = "link add skep0 type veth peer name peer0 netns".split(' ');
        let words: Vec<&str> = ["-n", &self.inner].into_iter().chain(pair).collect();
        ip(&[&words[..], &[&self.outer]].concat());
        ip(&["-n", &self.inner, "link", "set", "skep0", "address", "02:00:00:00:00:01"]);
        ip(&["-n", &self.outer, "link", "set", "peer0", "address", "02:00:00:00:00:02"]);
        ip(&["-n", &self.inner, "addr", "add", "10.77.0.1/24", "dev", "skep0"]);
        ip(&["-n", &self.outer, "addr", "add", "10.77.0.2/24", "dev", "peer0"]);
        // No IPv6 chatter: tests count packets.
        ip(&["-n", &self.inner, "link", "set", "skep0", "addrgenmode", "none"]);
        ip(&["-n", &self.outer, "link", "set", "peer0", "addrgenmode", "none"]);
        ip(&["-n", &self.inner, "link", "set", "lo", "up"]);
        ip(&["-n", &self.inner, "link", "set", "skep0", "up"]);
        ip(&["-n", &self.outer, "link", "set", "peer0", "up"]);
    }

    pub(crate) fn remove_pair(&self) {
        ip(&["-n", &self.inner, "link", "del", "skep0"]);
    }

    /// Name of the inner namespace.
    pub(crate) fn inner(&self) -> &str {
        &self.inner
    }

    /// Name of the outer namespace.
    pub(crate) fn outer(&self) -> &str {
        &self.outer
    }

    /// The number of an interface of the inner namespace.
    pub(crate) fn ifindex(&self, interface: &str) -> u32 {
        let told = ip_says(&["-n", &self.inner, "-o", "link", "show", interface]);
        told.split(':').next().unwrap().parse().unwrap()
    }

    pub(crate) fn enter_inner(&self) {
        enter(&self.inner);
    }

    pub(crate) fn enter_outer(&self) {
        enter(&self.outer);
    }

    pub(crate) fn engine(&self) -> Engine {
        Engine::open(self.config()).unwrap()
    }

    /// An engine's settings for this place alone: nothing of the machine's own is touched.
    pub(crate) fn config(&self) -> EngineConfig {
        config_at(&self.root)
    }

    /// The BPF file system that stands for the one that libxdp's tools share; it is there once
    /// somebody needs it.
    pub(crate) fn libxdp_bpffs(&self) -> PathBuf {
        self.root.with_file_name("bpffs")
    }

    /// libxdp's folder in it.
    pub(crate) fn libxdp_root(&self) -> PathBuf {
        self.libxdp_bpffs().join("xdp")
    }

    /// A pin of the running generation: the one folder that the hook has.
    pub(crate) fn pin(&self, hook: Hook, path: &str) -> PathBuf {
        let generations = self.generations(hook);
        assert_eq!(generations.len(), 1, "one generation: {generations:?}");
        generations[0].join(path)
    }

    /// The generation folders of a hook.
    pub(crate) fn generations(&self, hook: Hook) -> Vec<PathBuf> {
        std::fs::read_dir(self.hook_folder(hook))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("gen-"))
            .collect()
    }

    /// Puts `program`, pinned, into slot 0 of the program array pinned at `map`.
    pub(crate) fn put_program(&self, map: &Path, program: &Path) {
        let map = aya::maps::MapData::from_pin(map).unwrap();
        let mut array =
            aya::maps::ProgramArray::try_from(aya::maps::Map::ProgramArray(map)).unwrap();
        let program =
            aya::programs::Xdp::from_pin(program, aya_obj::programs::XdpAttachType::Interface);
        let program = program.unwrap();
        array.set(0, program.fd().unwrap(), 0).unwrap();
    }

    /// How many hooks have pins. (A new bpffs holds two files of the kernel's own.)
    pub(crate) fn hook_folders(&self) -> usize {
        let entries = std::fs::read_dir(&self.root).unwrap();
        entries.filter(|entry| entry.as_ref().unwrap().path().is_dir()).count()
    }

    /// The folder that the pins of a hook lie in.
    pub(crate) fn hook_folder(&self, hook: Hook) -> PathBuf {
        let suffix = format!("-{hook}");
        let mut found: Vec<PathBuf> = std::fs::read_dir(&self.root)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.to_string_lossy().ends_with(&suffix))
            .collect();
        assert_eq!(found.len(), 1, "one folder for {hook}: {found:?}");
        found.remove(0)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Lazily: a test that failed may still hold something open in there.
        let _ = Command::new("umount").arg("-l").arg(&self.root).output();
        let _ = Command::new("umount").arg("-l").arg(self.libxdp_bpffs()).output();
        let _ = Command::new("ip").args(["netns", "del", &self.inner]).output();
        let _ = Command::new("ip").args(["netns", "del", &self.outer]).output();
    }
}

/// The settings of an engine for the place whose pins lie at `root`.
pub(crate) fn config_at(root: &Path) -> EngineConfig {
    EngineConfig {
        libxdp_root: root.with_file_name("bpffs").join("xdp"),
        ..EngineConfig::new(root)
    }
}

/// Why a hook cannot be tested here. A kernel that should have it is a failure, not a reason.
fn missing(hook: Hook) -> Option<String> {
    refused(features::probe(hook))
}

/// Why something cannot be tested here. A kernel that should have it is a failure, not a reason; but
/// a host may refuse extension programs on any kernel.
fn refused(probed: Result<(), Unsupported>) -> Option<String> {
    let unsupported = probed.err()?;
    if !rustix::process::geteuid().is_root() {
        return Some("needs root".to_owned());
    }
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let newer = version(&release) >= version(unsupported.since);
    let forbidden = unsupported.source.raw_os_error() == Some(libc::EPERM);
    assert!(!newer || forbidden, "Linux {} should have it: {unsupported:?}", release.trim());
    Some(unsupported.to_string())
}

/// Major and minor number of a kernel release.
fn version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Says in the file that the test runner named that this test was skipped, and why.
fn skip(reason: &str) {
    let thread = std::thread::current();
    let test = format!("{}::{}", env!("CARGO_CRATE_NAME"), thread.name().unwrap_or("a test"));
    eprintln!("skipped {test}: {reason}");
    if let Some(file) = std::env::var_os("SKEP_SKIPPED_FILE") {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(file).unwrap();
        writeln!(file, "skep-chain-dispatcher::{test}\t{reason}").unwrap();
    }
}

fn enter(namespace: &str) {
    use std::os::fd::AsFd;
    let file = std::fs::File::open(Path::new("/run/netns").join(namespace)).unwrap();
    rustix::thread::move_into_link_name_space(
        file.as_fd(),
        Some(rustix::thread::LinkNameSpaceType::Network),
    )
    .unwrap();
}

pub(crate) fn ip(arguments: &[&str]) {
    ip_says(arguments);
}

/// Runs one of xdp-tools at a time: they give up where the lock file of another is in their way.
pub(crate) fn alone<T>(tool: impl FnOnce() -> T) -> T {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    tool()
}

/// Runs ip and gives what it prints.
pub(crate) fn ip_says(arguments: &[&str]) -> String {
    let output = Command::new("ip").args(arguments).output().expect("iproute2 is installed");
    assert!(
        output.status.success(),
        "ip {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Compiles C for BPF; the same text once per process. A first line `// clang: …` adds arguments.
pub(crate) fn compile(source: &str) -> Loadable {
    static COMPILED: Mutex<BTreeMap<String, Vec<u8>>> = Mutex::new(BTreeMap::new());
    let mut compiled = COMPILED.lock().unwrap();
    let bytes = compiled.entry(source.to_owned()).or_insert_with(|| {
        let folder = tempfile::tempdir().unwrap();
        let (input, output) = (folder.path().join("t.bpf.c"), folder.path().join("t.bpf.o"));
        std::fs::write(&input, source).unwrap();
        let clang = Command::new("clang")
            .args(["-O2", "-g", "-target", "bpf", "-idirafter", "/usr/include/x86_64-linux-gnu"])
            .args(["-idirafter", "/usr/include/aarch64-linux-gnu", "-c"])
            .args(source.lines().next().and_then(|line| line.strip_prefix("// clang: ")))
            .arg(&input)
            .arg("-o")
            .arg(&output)
            .output()
            .expect("clang is installed");
        assert!(clang.status.success(), "{}", String::from_utf8_lossy(&clang.stderr));
        std::fs::read(output).unwrap()
    });
    Loadable::Local(LocallyTrusted::by_explicit_consent(bytes.clone()).unwrap())
}

/// A program that counts in a state map and answers what its config says.
pub(crate) const ANSWER: &str = r#"
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
const volatile __u32 answer = 2;
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1);
         __type(key, __u32); __type(value, __u64); } seen SEC(".maps");
static __always_inline int count(void) {
    __u32 zero = 0;
    __u64 *value = bpf_map_lookup_elem(&seen, &zero);
    if (value) __sync_fetch_and_add(value, 1);
    return answer;
}
SEC("xdp") int on_xdp(struct xdp_md *ctx) { return count(); }
SEC("tc") int on_tc(struct __sk_buff *ctx) { return count(); }
char _license[] SEC("license") = "GPL";
"#;

/// A member out of any C text.
pub(crate) fn member(name: &str, priority: u32, source: &str, program: &str, hook: Hook) -> Member {
    member_of(name, priority, compile(source), program, hook)
}

/// A member out of an object that is compiled already, with the defaults of its hook.
pub(crate) fn member_of(
    name: &str,
    priority: u32,
    object: Loadable,
    program: &str,
    hook: Hook,
) -> Member {
    Member {
        policy: "test".to_owned(),
        name: name.to_owned(),
        program: program.to_owned(),
        object,
        priority,
        proceed_on: VerdictSet::default_for(hook),
        mode: Mode::Enforce,
        failure: Failure::Closed,
        config: EncodedConfig::default(),
        migrations: BTreeMap::new(),
    }
}

/// A member that answers `answer`, with the defaults of its hook.
pub(crate) fn answering(hook: Hook, name: &str, priority: u32, answer: i32) -> Member {
    let program = if hook == Hook::Xdp { "on_xdp" } else { "on_tc" };
    let mut member = member_of(name, priority, compile(ANSWER), program, hook);
    member.config = global("answer", &answer.to_le_bytes());
    member
}

pub(crate) fn global(name: &str, value: &[u8]) -> EncodedConfig {
    EncodedConfig {
        globals: BTreeMap::from([(name.to_owned(), value.to_vec())]),
        maps: BTreeMap::new(),
    }
}

/// A chain through slots: `auto` would choose differently from kernel to kernel. On tc it is on tcx
/// where the kernel has it, else a clsact filter.
pub(crate) fn chain(hook: Hook, generation: u64, members: Vec<Member>) -> Chain {
    Chain { backend: BackendChoice::Slots, ..Chain::new(at(hook), generation, members) }
}

pub(crate) fn at(hook: Hook) -> HookPoint {
    HookPoint { interface: "skep0".to_owned(), hook }
}

/// 60 bytes of Ethernet with an unknown protocol.
pub(crate) fn packet() -> Vec<u8> {
    let mut packet = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5];
    packet.resize(60, 7);
    packet
}
