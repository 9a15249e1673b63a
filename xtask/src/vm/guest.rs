//! What is inside a virtual machine: test programs, the tools they call, kernel modules, and the first process.
//! There is no clang inside: the program of that name sends the call to the host (`compile`). Refuses to know QEMU.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::run;
use crate::vm::heard::SKIPPED_MARK;
use crate::vm::image::Image;
use crate::vm::kernel::Kernel;
use crate::vm::{closure, modules, package_folder};
use crate::workspace::Workspace;

/// A test program of this machine.
pub(super) struct Program {
    pub(super) name: String,
    pub(super) path: PathBuf,
}

/// What a guest does between its start and its power-off.
pub(super) enum Job {
    /// Every test program, and then the list of the tests that said they were skipped.
    Tests { filter: Option<String> },
    /// Every program, with these arguments.
    Bench { arguments: Vec<String> },
    /// One line for the shell.
    Command(String),
}

impl Job {
    /// Whether the output is that of tests, to be counted.
    pub(super) fn is_tests(&self) -> bool {
        matches!(self, Self::Tests { .. })
    }
}

/// Modules that carry the guest's words out, then those that tests need. A kernel may have some built in.
const MODULES: [&str; 15] = [
    "virtio_pci",
    "virtio_console",
    "veth",
    "sch_ingress",
    "cls_bpf",
    "cls_matchall",
    "cls_u32",
    "act_bpf",
    "act_gact",
    "act_mirred",
    "8021q",
    "bridge",
    "dummy",
    "macvlan",
    "ifb",
];

/// Tools that tests or the first process call, of this machine. Those that are not here are not there either; busybox
/// has most of the others.
const TOOLS: [&str; 18] = [
    // Busybox's own shell would run its own `ip` and not this one.
    "dash",
    "ip",
    "tc",
    "bpftool",
    "nsenter",
    "unshare",
    "mount",
    "umount",
    "flock",
    "ethtool",
    "tcpdump",
    "taskset",
    "xdp-loader",
    "xdp-filter",
    "xdpdump",
    "xdp-bench",
    "xdp-trafficgen",
    "xdp-monitor",
];

/// Where Debian keeps the objects of libxdp and its tools.
const OBJECTS: [&str; 2] = ["/usr/lib/x86_64-linux-gnu/bpf", "/usr/lib/bpf"];

/// Floods are shorter than on the host and fewer chains are tried, because everything takes some fifteen times as long.
const COUNTS: &str = "SKEP_SOAK_SWAPS=25 SKEP_SOAK_KILLED_SWAPS=6 SKEP_SOAK_CONTROL_SECONDS=1 SKEP_CONFORMANCE_ONE_IN=4";

/// The first process: mounts, modules, the job, power-off. What it prints goes to the kernel's console.
const INIT: &str = r#"#!/bin/sh
export PATH=/usr/local/bin:/bin HOME=/tmp
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mkdir -p /dev/shm /dev/pts
mount -t devpts pts /dev/pts; mount -t tmpfs shm /dev/shm; mount -t tmpfs run /run; mount -t tmpfs tmp /tmp
mount -t bpf bpf /sys/fs/bpf; mount -t cgroup2 cgroup /sys/fs/cgroup; mount -t tracefs trace /sys/kernel/tracing
mount --make-rshared /
for module in $(cat /modules/order); do insmod "/modules/$module" || echo "no module $module"; done
ip link set lo up
sh /job >/dev/vport0p2 2>&1 </dev/null
echo "@done $?" >/dev/vport0p2
poweroff -f
"#;

/// `clang` inside: the folder and the arguments, a line each, and the C text go out; the object, or what clang said, comes
/// back. The host's side is `compile::serve`.
const CLANG: &str = r#"#!/bin/sh
exec 9>/run/clang.lock; flock 9
for word; do case "$before" in -o) object=$word;; esac; case "$word" in *.c) source=$word;; esac; before=$word; done
[ -f "$source" ] || { echo "This clang only compiles C files." >&2; exit 1; }
{ pwd; for word; do echo "$word"; done; } >/run/clang.call
exec 8<>/dev/vport0p1
{ echo "$(wc -c </run/clang.call) $(wc -c <"$source")"; cat /run/clang.call "$source"; } >&8
read -r status length <&8
if [ "$status" = 0 ]; then head -c "$length" <&8 >"$object"; else head -c "$length" <&8 >&2; fi
exit "$status"
"#;

/// The image of a guest for this kernel and this job.
pub(super) fn image(
    workspace: &Workspace,
    kernel: &Kernel,
    programs: &[Program],
    job: &Job,
) -> Result<Image> {
    let mut image = Image::default();
    for folder in ["/proc", "/sys", "/dev", "/run", "/tmp", "/root", "/etc"] {
        image.folder(folder);
    }
    busybox(&mut image)?;
    for tool in TOOLS {
        if let Some(path) = run::find(tool) {
            program(&mut image, &path, &Path::new("/usr/local/bin").join(tool))?;
        }
    }
    for folder in OBJECTS.iter().map(Path::new).filter(|folder| folder.is_dir()) {
        image.copy_folder(folder)?;
    }
    let package = package_folder(workspace);
    for folder in [package.join("bpf"), package.join("tests"), workspace.root.join("programs")] {
        image.copy_folder(&folder)?;
    }
    put_modules(&mut image, kernel)?;
    for test in programs {
        // Half of a test program are tables for debuggers.
        let stripped = tempfile::NamedTempFile::new().context("no temporary file could be made")?;
        let mut strip = std::process::Command::new("llvm-strip");
        run::captured(strip.arg("--strip-debug").arg("-o").arg(stripped.path()).arg(&test.path))?;
        image.copy(stripped.path(), inside(test))?;
        for library in closure::libraries(&test.path) {
            image.copy(&library, &library)?;
        }
    }
    image.script("/usr/local/bin/clang", CLANG);
    image.script("/job", &script(job, programs, &package));
    image.script("/init", INIT);
    Ok(image)
}

/// Where a test program is inside.
fn inside(test: &Program) -> PathBuf {
    Path::new("/tests").join(&test.name)
}

fn program(image: &mut Image, from: &Path, to: &Path) -> Result<()> {
    image.copy(from, to)?;
    for library in closure::libraries(from) {
        image.copy(&library, &library)?;
    }
    Ok(())
}

fn busybox(image: &mut Image) -> Result<()> {
    let busybox = run::find("busybox").context(
        "busybox is not installed; run `cargo xtask setup`, which installs busybox-static",
    )?;
    program(image, &busybox, Path::new("/bin/busybox"))?;
    image.symlink("/bin/sh", "/usr/local/bin/dash");
    for applet in run::captured(std::process::Command::new(&busybox).arg("--list"))?.lines() {
        let path = Path::new("/bin").join(applet);
        if !image.has(&path) {
            image.symlink(path, "busybox");
        }
    }
    Ok(())
}

fn put_modules(image: &mut Image, kernel: &Kernel) -> Result<()> {
    let mut order = String::new();
    for module in modules::in_order(&kernel.modules, &MODULES)? {
        let _ = writeln!(order, "{}.ko", module.name);
        image.file(format!("/modules/{}.ko", module.name), module.bytes);
    }
    image.file("/modules/order", order.into_bytes());
    Ok(())
}

/// The job as a script; its exit is that of the command, or whether every program succeeded.
fn script(job: &Job, programs: &[Program], package: &Path) -> String {
    let folder = quoted(&package.to_string_lossy());
    let mut text = format!(
        "export SKEP_SKIPPED_FILE=/tmp/skipped CARGO_MANIFEST_DIR={folder} {COUNTS}\n\
         touch /tmp/skipped\ncd {folder}\nstatus=0\n"
    );
    let arguments: Vec<String> = match job {
        Job::Command(command) => return format!("{text}{command}\n"),
        Job::Tests { filter } => ["--color", "never", "--test-threads", "2"]
            .map(str::to_owned)
            .into_iter()
            .chain(filter.clone())
            .collect(),
        Job::Bench { arguments } => arguments.clone(),
    };
    let arguments: Vec<String> = arguments.iter().map(|word| quoted(word)).collect();
    for program in programs {
        // As `cargo test` announces a program, for the count.
        let _ = writeln!(text, "echo '     Running {0} (/tests/{0}-guest)'", program.name);
        let _ = writeln!(text, "{} {} || status=1", inside(program).display(), arguments.join(" "));
    }
    if job.is_tests() {
        let _ = writeln!(text, "echo '{SKIPPED_MARK}'; cat /tmp/skipped");
    }
    text.push_str("exit $status\n");
    text
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_the_guest_as_they_are() {
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }

    #[test]
    fn a_failed_test_program_makes_the_job_fail_and_the_next_one_runs() {
        let programs = [
            Program { name: "a".to_owned(), path: "/x".into() },
            Program { name: "b".to_owned(), path: "/y".into() },
        ];
        let job = Job::Tests { filter: Some("swap".to_owned()) };
        let text = script(&job, &programs, Path::new("/c d"));
        assert!(text.contains("cd '/c d'\n"));
        assert!(
            text.contains("/tests/a '--color' 'never' '--test-threads' '2' 'swap' || status=1\n")
        );
        assert!(text.contains("/tests/b "));
        assert!(text.ends_with("exit $status\n"));
    }
}
