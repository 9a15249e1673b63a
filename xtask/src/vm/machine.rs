//! One run of QEMU: the guest's words line by line as they come, its clang served, an end in bounded time. A panic, a
//! silence and a late end are failures that show what the console said last. Refuses to know what the words mean.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::vm::compile::Compiler;

/// Minutes a kernel may take: on two idle cores it takes a few, on shared ones several times as many.
pub(super) const MINUTES_MAX: u64 = 30;

/// How long a guest may say nothing: the slowest tests take about half a minute on idle cores.
const SILENCE_MAX: Duration = Duration::from_secs(300);

/// How long QEMU may take to end after the guest said it was done.
const END_MAX: Duration = Duration::from_secs(30);

/// How many of the console's last lines are shown.
const CONSOLE_LINES: usize = 30;

/// Memory: the image lies in it twice while it is unpacked.
const MEMORY_MIB: &str = "1536";

/// One processor. With two, emulation without hardware now and then runs a breakpoint that the kernel has
/// taken out again already while it patches the call of an interface's XDP program, and the guest panics in
/// `bpf_dispatcher_xdp_func`. Races between processors are tested on the machine's own kernel.
const PROCESSORS: &str = "1";

const APPEND: &str = "console=ttyS0 quiet panic=-1 oops=panic rdinit=/init";
const DONE_MARK: &str = "@done ";

/// What is booted and where its files may lie.
pub(super) struct Machine<'a> {
    pub(super) kernel: &'a Path,
    pub(super) image: &'a Path,
    /// For sockets and the console's log.
    pub(super) folder: &'a Path,
    pub(super) minutes: u64,
}

/// A guest that came to its end by itself.
pub(super) struct Ending {
    /// The exit status of its job.
    pub(super) status: i32,
}

/// A child that does not outlive us.
struct Qemu(Child);

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Machine<'_> {
    /// Boots the guest and hands each line of its job to `hear`.
    pub(super) fn run(&self, compiler: &Compiler, hear: &mut dyn FnMut(&str)) -> Result<Ending> {
        let (clang, words) = (self.listen("clang")?, self.listen("words")?);
        let mut qemu = Qemu(self.start()?);
        let deadline = Instant::now() + Duration::from_secs(self.minutes * 60);
        let (sender, receiver) = mpsc::channel();
        std::thread::scope(|scope| {
            // QEMU connects to both as it starts; when it ends, the threads read the end of their sockets.
            scope.spawn(move || -> Result<()> {
                compiler.serve(&clang.accept().context("QEMU did not connect")?.0)
            });
            scope.spawn(move || -> Result<()> {
                let (stream, _) = words.accept().context("QEMU did not connect")?;
                for line in BufReader::new(stream).split(b'\n') {
                    let line = line.context("the guest could not be heard")?;
                    let _ = sender.send(String::from_utf8_lossy(&line).into_owned());
                }
                Ok(())
            });
            let ending = self.listen_until_done(&receiver, deadline, hear);
            if ending.is_ok() {
                wait(&mut qemu.0, END_MAX);
            }
            // Before the scope waits for the threads.
            drop(qemu);
            // A QEMU that ended before it connected leaves the threads waiting for it; we connect in its place.
            for name in ["clang", "words"] {
                let _ = std::os::unix::net::UnixStream::connect(self.folder.join(name));
            }
            ending
        })
    }

    fn listen_until_done(
        &self,
        receiver: &mpsc::Receiver<String>,
        deadline: Instant,
        hear: &mut dyn FnMut(&str),
    ) -> Result<Ending> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match receiver.recv_timeout(left.min(SILENCE_MAX)) {
                Ok(line) => match line.strip_prefix(DONE_MARK) {
                    Some(status) => {
                        let status =
                            status.trim().parse().context("the guest's end has no status")?;
                        return Ok(Ending { status });
                    }
                    None => hear(&line),
                },
                Err(RecvTimeoutError::Disconnected) => {
                    bail!(
                        "the guest ended before its job was done, perhaps by a panic{}",
                        self.console()
                    )
                }
                Err(RecvTimeoutError::Timeout) if left > SILENCE_MAX => {
                    bail!(
                        "the guest said nothing for {} s{}",
                        SILENCE_MAX.as_secs(),
                        self.console()
                    )
                }
                Err(RecvTimeoutError::Timeout) => {
                    bail!("the guest was not done after {} minutes{}", self.minutes, self.console())
                }
            }
        }
    }

    fn listen(&self, name: &str) -> Result<UnixListener> {
        UnixListener::bind(self.folder.join(name)).context("no socket could be made")
    }

    fn start(&self) -> Result<Child> {
        let mut qemu = self.qemu();
        qemu.args(["-display", "none", "-monitor", "none", "-serial"]);
        qemu.arg(format!("file:{}", self.console_log().display()));
        qemu.args(["-device", "virtio-serial-pci"]);
        for (number, name) in [(1, "clang"), (2, "words")] {
            let socket = self.folder.join(name);
            qemu.arg("-chardev").arg(format!("socket,id={name},path={}", socket.display()));
            qemu.arg("-device").arg(format!("virtserialport,chardev={name},nr={number}"));
        }
        let log = std::fs::File::create(self.folder.join("qemu.log"))
            .context("QEMU's log could not be made")?;
        qemu.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        qemu.spawn().context("qemu-system-x86_64 could not be started")
    }

    fn qemu(&self) -> Command {
        // Util-linux sees to it that QEMU goes when we are killed and cannot see to it ourselves.
        let mut qemu = Command::new("setpriv");
        qemu.args(["--pdeathsig", "KILL", "qemu-system-x86_64"]);
        qemu.args(["-nodefaults", "-no-reboot", "-accel", "tcg", "-cpu", "max"]);
        qemu.args(["-m", MEMORY_MIB, "-smp", PROCESSORS, "-append", APPEND]);
        qemu.arg("-kernel").arg(self.kernel).arg("-initrd").arg(self.image);
        qemu
    }

    /// How a person boots the same image, with a shell in place of the job.
    pub(super) fn by_hand(&self) -> String {
        format!(
            "qemu-system-x86_64 -no-reboot -accel tcg -cpu max -m {MEMORY_MIB} -smp {PROCESSORS} -nographic \
             -kernel {} -initrd {} -append 'console=ttyS0 rdinit=/bin/sh'",
            self.kernel.display(),
            self.image.display()
        )
    }

    fn console_log(&self) -> std::path::PathBuf {
        self.folder.join("console.log")
    }

    /// What the console and QEMU itself said last, for the end of a sentence.
    fn console(&self) -> String {
        let read = |path: std::path::PathBuf| {
            let bytes = std::fs::read(path).unwrap_or_default();
            String::from_utf8_lossy(&bytes).replace('\r', "")
        };
        let (console, qemu) = (read(self.console_log()), read(self.folder.join("qemu.log")));
        let lines: Vec<&str> =
            console.lines().chain(qemu.lines()).filter(|line| !line.trim().is_empty()).collect();
        if lines.is_empty() {
            return "; its console said nothing".to_owned();
        }
        let last = &lines[lines.len().saturating_sub(CONSOLE_LINES)..];
        format!("; its console said last:\n    {}", last.join("\n    "))
    }
}

/// Waits for a child, at most this long.
fn wait(child: &mut Child, at_most: Duration) {
    let deadline = Instant::now() + at_most;
    while matches!(child.try_wait(), Ok(None)) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
}
