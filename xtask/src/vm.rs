//! `cargo xtask vm`: boots Debian's kernels in QEMU and runs the tests that talk to a kernel inside, one row of
//! results for each kernel. Knows the order of the steps; refuses to know what the tests find out.

mod closure;
mod compile;
mod guest;
mod image;
mod kernel;
mod machine;
mod modules;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::test::report::{Report, Row};
use crate::test::tally::Tally;
use crate::vm::compile::Compiler;
use crate::vm::guest::{Job, Program};
use crate::vm::kernel::Fetched;
use crate::vm::machine::{Ending, Machine};
use crate::workspace::Workspace;
use crate::{build, run, say, setup};

/// The kernels of the matrix: what Debian 12 and Debian 13 run. 6.1 is from before tcx, 6.12 after it.
const SERIES: [&str; 2] = ["6.1", "6.12"];

/// The package whose tests talk to a kernel, and those of its test programs that do.
const PACKAGE: &str = "skep-chain-dispatcher";
const TESTS: [&str; 2] = ["kernel", "programs"];

/// How the test programs are compiled.
#[derive(Clone, Copy)]
enum Build {
    /// As for the tests on the host, and so perhaps built already: for a few tests.
    AsOnTheHost,
    /// Emulated, unoptimised code takes three times as long, which is more than the time to compile it again.
    Optimised,
}

/// What a guest says between the tests and the list of those that were skipped.
const SKIPPED_MARK: &str = "@skipped";

/// From here on a reader wants to know how long a test took.
const SLOW: Duration = Duration::from_secs(3);

#[derive(clap::Args)]
pub(crate) struct VmArguments {
    /// Only this kernel: 6.1 or 6.12. Without it, each in turn.
    #[arg(long, value_parser = SERIES)]
    kernel: Option<String>,
    /// Say which tests there are, and run none.
    #[arg(long)]
    list: bool,
    /// Run this command inside instead of the tests; what it prints is shown.
    #[arg(long, value_name = "COMMAND", conflicts_with = "list")]
    shell_command: Option<String>,
    /// Keep the image and the console's log, and say how to boot it by hand.
    #[arg(long)]
    keep: bool,
    /// Minutes a kernel may take from start to power-off.
    #[arg(long, default_value_t = machine::MINUTES_MAX)]
    minutes: u64,
    /// Run only tests whose name contains this text.
    filter: Option<String>,
}

pub(crate) fn perform(workspace: &Workspace, arguments: &VmArguments) -> Result<ExitCode> {
    say::step("set-up", "what is missing is named, then installed");
    setup::install(workspace)?;
    say::step("tests", "built once, for every kernel");
    let few = arguments.list || arguments.filter.is_some() || arguments.shell_command.is_some();
    let build = if few { Build::AsOnTheHost } else { Build::Optimised };
    let programs = programs(workspace, build)?;
    if arguments.list {
        for program in &programs {
            let mut list = std::process::Command::new(&program.path);
            say::text(&run::captured(list.arg("--list").args(&arguments.filter))?);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let job = match &arguments.shell_command {
        Some(command) => Job::command(command.clone()),
        None => Job::tests(arguments.filter.clone(), SKIPPED_MARK),
    };
    let options =
        Options { keep: arguments.keep, minutes: arguments.minutes, counted: job.is_tests() };
    let mut report = Report::default();
    let compiler = Compiler::new(&workspace.root);
    for series in SERIES {
        if arguments.kernel.as_deref().is_none_or(|wanted| wanted == series) {
            report.add(row(workspace, series, &programs, &job, &options, &compiler));
        }
    }
    say::text(&report.to_string());
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A row for each kernel, for `cargo xtask test`.
pub(crate) fn rows(workspace: &Workspace) -> Vec<Row> {
    let programs = match programs(workspace, Build::Optimised) {
        Ok(programs) => programs,
        Err(error) => return vec![Row::failed("kernels", &error)],
    };
    let options = Options { keep: false, minutes: machine::MINUTES_MAX, counted: true };
    let compiler = Compiler::new(&workspace.root);
    let job = Job::tests(None, SKIPPED_MARK);
    SERIES
        .iter()
        .map(|series| row(workspace, series, &programs, &job, &options, &compiler))
        .collect()
}

/// How a kernel is booted.
struct Options {
    keep: bool,
    minutes: u64,
    /// Whether the output is that of tests, to be counted.
    counted: bool,
}

/// What one kernel found. A kernel that cannot be had is a skip with its reason; everything else that stops us fails.
fn row(
    workspace: &Workspace,
    series: &str,
    programs: &[Program],
    job: &Job,
    options: &Options,
    compiler: &Compiler,
) -> Row {
    let name = format!("kernel {series}");
    say::step(&name, "Debian's, booted in QEMU without hardware acceleration");
    match kernel::fetch(workspace, series) {
        Ok(Fetched::Here(kernel)) => {
            let found = boot(workspace, &kernel, programs, job, options, compiler);
            found.map_or_else(|error| Row::failed(&name, &error), |rows| Row::folded(&name, rows))
        }
        Ok(Fetched::Missing(reason)) => Row::skipped(&name, vec![reason]),
        Err(error) => Row::failed(&name, &error),
    }
}

fn boot(
    workspace: &Workspace,
    kernel: &kernel::Kernel,
    programs: &[Program],
    job: &Job,
    options: &Options,
    compiler: &Compiler,
) -> Result<Vec<Row>> {
    let folder = tempfile::Builder::new()
        .prefix("skep-vm-")
        .tempdir()
        .context("no temporary folder could be made")?;
    let image = folder.path().join("initramfs.cpio");
    guest::image(workspace, kernel, programs, job)?.write(&image)?;
    let machine = Machine {
        kernel: &kernel.vmlinuz,
        image: &image,
        folder: folder.path(),
        minutes: options.minutes,
    };
    say::note(&format!("Linux {}", kernel.release));
    let mut heard = Heard::new();
    let ending = machine.run(compiler, &mut |line| heard.read(line));
    if options.keep {
        say::note(&format!("Kept; boot it by hand with: {}", machine.by_hand()));
        let _ = folder.keep();
    }
    let Ending { status } = ending?;
    if options.counted {
        return Ok(heard.tally.finish(status == 0, &heard.skipped));
    }
    anyhow::ensure!(status == 0, "the command ended with {status}");
    Ok(vec![Row::passed("command")])
}

/// What a guest told so far.
struct Heard {
    tally: Tally,
    skipped: String,
    /// Whether the list of skipped tests has begun.
    listing: bool,
    /// When the last line came.
    before: Instant,
}

impl Heard {
    fn new() -> Self {
        Self {
            tally: Tally::of_cargo_test(),
            skipped: String::new(),
            listing: false,
            before: Instant::now(),
        }
    }

    fn read(&mut self, line: &str) {
        if line == SKIPPED_MARK {
            self.listing = true;
        } else if self.listing {
            self.skipped.push_str(line);
            self.skipped.push('\n');
        } else {
            self.show(line);
            self.tally.read(line);
        }
    }

    /// The line, and behind a slow test the time since the line before it.
    fn show(&mut self, line: &str) {
        let took = self.before.elapsed();
        self.before = Instant::now();
        if line.starts_with("test ") && took >= SLOW {
            say::text(&format!("{line}  ({:.0} s)", took.as_secs_f32()));
        } else {
            say::text(line);
        }
    }
}

/// Builds the test programs, with the features that every other step resolves.
fn programs(workspace: &Workspace, build: Build) -> Result<Vec<Program>> {
    let mut cargo = run::cargo(&workspace.root);
    cargo.args(["test", "--no-run", "--message-format", "json-render-diagnostics"]);
    cargo.args(build::SELECTION);
    if let Build::Optimised = build {
        cargo.args(["--profile", "vm"]);
    }
    for test in TESTS {
        cargo.args(["--test", test]);
    }
    cargo.stderr(std::process::Stdio::inherit());
    let output =
        cargo.stdin(std::process::Stdio::null()).output().context("cargo did not start")?;
    anyhow::ensure!(output.status.success(), "the tests could not be built");
    let messages = cargo_metadata::Message::parse_stream(output.stdout.as_slice());
    let mut programs = Vec::new();
    for message in messages {
        let cargo_metadata::Message::CompilerArtifact(artifact) =
            message.context("cargo said something that cannot be read")?
        else {
            continue;
        };
        let name = artifact.target.name.as_str();
        if let Some(path) = artifact.executable
            && artifact.profile.test
            && TESTS.contains(&name)
        {
            programs.push(Program { name: name.to_owned(), path: path.into_std_path_buf() });
        }
    }
    anyhow::ensure!(
        programs.len() == TESTS.len(),
        "of the tests {} of {PACKAGE} cargo built {}",
        TESTS.join(" and "),
        programs.len()
    );
    Ok(programs)
}

/// The folder whose tests run inside.
fn package_folder(workspace: &Workspace) -> PathBuf {
    workspace.root.join("chain-dispatcher")
}
