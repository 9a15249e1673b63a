//! `cargo xtask vm`: boots Debian's kernels in QEMU and runs the tests that talk to a kernel inside, one row of
//! results for each kernel. Knows the order of the steps; refuses to know what the tests find out.

mod closure;
mod compile;
mod guest;
mod heard;
mod image;
mod kernel;
mod machine;
mod modules;
mod programs;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::test::report::{Report, Row};
use crate::vm::compile::Compiler;
use crate::vm::guest::{Job, Program};
use crate::vm::heard::Heard;
use crate::vm::kernel::Fetched;
use crate::vm::machine::{Ending, Machine};
use crate::vm::programs::Build;
use crate::workspace::Workspace;
use crate::{run, say, setup};

/// The kernels of the matrix: what Debian 12 and Debian 13 run. 6.1 is from before tcx, 6.12 after it.
const SERIES: [&str; 2] = ["6.1", "6.12"];

/// Tests of chains of extension programs, which many a host refuses, so that no other step runs them. All the others, floods
/// and kills of such chains among them, take ten minutes emulated and run when `cargo xtask vm` is asked for.
const ONLY_THERE: &str = "libxdp::";

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
    /// Run this benchmark of the dispatcher inside; what follows `--` goes to it. Its figures are good as ratios only.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["list", "shell_command"])]
    bench: Option<String>,
    /// Build the tests optimised also where few of them run: for times of our own code.
    #[arg(long)]
    optimised: bool,
    /// Keep the image and the console's log, and say how to boot it by hand.
    #[arg(long)]
    keep: bool,
    /// Minutes a kernel may take from start to power-off.
    #[arg(long, default_value_t = machine::MINUTES_MAX)]
    minutes: u64,
    /// Run only tests whose name contains this text.
    filter: Option<String>,
    /// Arguments of the benchmark.
    #[arg(last = true, requires = "bench")]
    arguments: Vec<String>,
}

pub(crate) fn perform(workspace: &Workspace, arguments: &VmArguments) -> Result<ExitCode> {
    say::step("set-up", "what is missing is named, then installed");
    setup::install(workspace)?;
    say::step("tests", "built once, for every kernel");
    let few = arguments.list || arguments.filter.is_some() || arguments.shell_command.is_some();
    let build = if few && !arguments.optimised { Build::AsOnTheHost } else { Build::Optimised };
    let programs = match &arguments.bench {
        Some(bench) => programs::bench(workspace, bench)?,
        None => programs::tests(workspace, build)?,
    };
    if arguments.list {
        for program in &programs {
            let mut list = std::process::Command::new(&program.path);
            say::text(&run::captured(list.arg("--list").args(&arguments.filter))?);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let job = match (&arguments.bench, &arguments.shell_command) {
        (Some(_), _) => Job::Bench { arguments: arguments.arguments.clone() },
        (None, Some(command)) => Job::Command(command.clone()),
        (None, None) => Job::Tests { filter: arguments.filter.clone() },
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

/// A row for each kernel, for `cargo xtask test`, and one for what is left to `cargo xtask vm`.
pub(crate) fn rows(workspace: &Workspace) -> Vec<Row> {
    let programs = match programs::tests(workspace, Build::AsOnTheHost) {
        Ok(programs) => programs,
        Err(error) => return vec![Row::failed("kernels", &error)],
    };
    let options = Options { keep: false, minutes: machine::MINUTES_MAX, counted: true };
    let compiler = Compiler::new(&workspace.root);
    let job = Job::Tests { filter: Some(ONLY_THERE.to_owned()) };
    let mut rows: Vec<Row> = SERIES
        .iter()
        .map(|series| row(workspace, series, &programs, &job, &options, &compiler))
        .collect();
    let rest = "the tests that the machine's own kernel runs too; `cargo xtask vm` runs all of them on both kernels";
    rows.push(Row::skipped("kernels, the rest", vec![rest.to_owned()]));
    rows
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
        return Ok(heard.finish(status == 0));
    }
    anyhow::ensure!(status == 0, "the command ended with {status}");
    Ok(vec![Row::passed("command")])
}

/// The folder whose tests run inside.
fn package_folder(workspace: &Workspace) -> PathBuf {
    workspace.root.join("chain-dispatcher")
}
