//! `cargo xtask test`: set-up, every check, every test, and a table that counts what passed, failed and was skipped.
//! Knows the order of the steps; refuses to know what a step finds out, and never calls a skipped thing passed.

pub(crate) mod report;
pub(crate) mod tally;

use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};

use crate::build::{self, Profile, SELECTION};
use crate::test::report::{Report, Row};
use crate::test::tally::Tally;
use crate::workspace::Workspace;
use crate::{run, say, setup, tidy, vm, web};

/// Crates that must also build for the browser.
const WASM_CRATES: [&str; 8] =
    ["-p", "skep-artifact", "-p", "skep-fleet", "-p", "skep-api", "-p", "skep-frontend"];

/// With `--examples`, of which there are none, features are resolved as for clippy, and nothing is checked twice.
const DOC: [&str; 5] = ["doc", "--no-deps", "--lib", "--bins", "--examples"];

/// A test that cannot run here appends `crate::test<TAB>reason` to the file this variable names.
const SKIPS_VARIABLE: &str = "SKEP_SKIPPED_FILE";

/// Which database the cases of the server run on.
const DATABASE_VARIABLE: &str = "SKEP_TEST_DATABASE";

/// The cases that know that there are two databases, of all that are built: another selection would resolve other
/// features and build everything once more.
const SERVER_CASES: &str = "binary_id(skep-registry-server::it)";

/// Which tests of the selection run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cases {
    All,
    ServerOnPostgres,
}

/// Where fleet and browser tests find the finished programs.
const PROGRAMS_VARIABLE: &str = "SKEP_BIN_DIR";

#[derive(clap::Args)]
pub(crate) struct TestArguments {
    /// Run the tests only, without format, lints, documentation and other checks.
    #[arg(long)]
    only_tests: bool,
    /// Leave out the kernels in virtual machines, which take some minutes.
    #[arg(long)]
    without_vm: bool,
    /// Run only tests whose name contains this text, on the kernel of this machine.
    filter: Option<String>,
}

pub(crate) fn perform(workspace: &Workspace, arguments: &TestArguments) -> Result<ExitCode> {
    let mut report = Report::default();
    say::step("set-up", "what is missing is named, then installed");
    match setup::install(workspace) {
        Ok(missing) if missing.is_empty() => report.add(Row::passed("set-up")),
        Ok(missing) => report.add(Row::skipped("set-up", missing)),
        Err(error) => report.add(Row::failed("set-up", &error)),
    }
    say::step("frontend", "built for the browser, embedded in the registry");
    report.check("frontend", || web::build(workspace));
    if !arguments.only_tests {
        checks(workspace, &mut report);
    }
    tests(workspace, arguments, &mut report);
    kernels(workspace, arguments, &mut report);
    say::text(&report.to_string());
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn checks(workspace: &Workspace, report: &mut Report) {
    let cargo = || run::cargo(&workspace.root);
    say::step("format", "every file as rustfmt writes it");
    report.check("format", || run::shown(cargo().args(["fmt", "--all", "--check"])));

    say::step("tidy", "the rules of this workspace that no compiler knows");
    match tidy::findings(workspace) {
        Ok(findings) => {
            findings.iter().for_each(|finding| say::note(finding));
            report.add(tidy_row(&findings));
        }
        Err(error) => report.add(Row::failed("tidy", &error)),
    }

    // Warnings are errors here and only here, by an argument of clippy: RUSTFLAGS would rebuild every dependency.
    say::step("clippy", "lints, on every target");
    report.check("clippy", || {
        run::shown(cargo().arg("clippy").args(SELECTION).args([
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]))
    });
    say::step("wasm", "what the browser shares with the server, and the frontend");
    report.check("wasm", || {
        let mut clippy = cargo();
        clippy.args(["clippy", "--target", "wasm32-unknown-unknown"]).args(WASM_CRATES);
        run::shown(clippy.args(["--", "-D", "warnings"]))
    });
    say::step("doc", "documentation, with every link resolved");
    report.check("doc", || {
        run::shown(cargo().env("RUSTDOCFLAGS", "-D warnings").args(DOC).args(SELECTION))
    });

    say::step("linters", "cargo-deny, cargo-machete and typos, where they are installed");
    let deny: &[&str] = &["--offline", "check", "bans", "licenses", "sources"];
    for (program, arguments) in [("cargo-deny", deny), ("cargo-machete", &[]), ("typos", &[])] {
        match setup::linter(workspace, program) {
            Some(path) => report.check(program, || {
                run::shown(Command::new(path).current_dir(&workspace.root).args(arguments))
            }),
            None => report.add(Row::skipped(
                program,
                vec!["not installed; `cargo xtask setup --linters` builds it".to_owned()],
            )),
        }
    }
}

fn tidy_row(findings: &[String]) -> Row {
    if findings.is_empty() {
        Row::passed("tidy")
    } else {
        Row::counted("tidy", 0, findings.len()).with_notes(findings.to_vec())
    }
}

fn tests(workspace: &Workspace, arguments: &TestArguments, report: &mut Report) {
    say::step("programs", "built once; fleet and browser tests run these");
    if let Err(error) = build::programs(workspace, Profile::Development) {
        report.add(Row::failed("programs", &error));
        return;
    }
    say::step("tests", "unit, property, server, kernel, fleet and browser");
    match run_tests(workspace, Cases::All, arguments.filter.as_deref()) {
        Ok(rows) => rows.into_iter().for_each(|row| report.add(row)),
        Err(error) => report.add(Row::failed("tests", &error)),
    }
    say::step("tests on PostgreSQL", "the cases of the server once more, on the other database");
    match run_tests(workspace, Cases::ServerOnPostgres, arguments.filter.as_deref()) {
        Ok(rows) => rows.into_iter().for_each(|row| report.add(row.on("postgres"))),
        Err(error) => report.add(Row::failed("tests on PostgreSQL", &error)),
    }
}

/// The kernel tests once more, on Debian's kernels.
fn kernels(workspace: &Workspace, arguments: &TestArguments, report: &mut Report) {
    let why_not = if arguments.without_vm {
        Some("left out by --without-vm")
    } else if arguments.filter.is_some() {
        Some("left out, because only some tests were asked for; `cargo xtask vm` takes a filter")
    } else {
        None
    };
    match why_not {
        Some(reason) => report.add(Row::skipped("kernels", vec![reason.to_owned()])),
        None => vm::rows(workspace).into_iter().for_each(|row| report.add(row)),
    }
}

/// Crates whose tests load programs into the kernel or make namespaces.
const NEED_ROOT: [&str; 2] = ["skep-chain-dispatcher", "skep-e2e"];

/// Runs every test once, shows the output as it comes, and returns a row for each test binary.
fn run_tests(workspace: &Workspace, cases: Cases, filter: Option<&str>) -> Result<Vec<Row>> {
    let skips =
        tempfile::NamedTempFile::new().context("no file for the skipped tests could be made")?;
    let with_nextest = run::find("cargo-nextest").is_some();
    let mut command = if with_nextest { nextest(workspace) } else { cargo_test(workspace) };
    command.args(SELECTION);
    match (cases, with_nextest) {
        (Cases::All, true) => {}
        (Cases::All, false) => {
            command.args(["--lib", "--bins", "--tests"]);
        }
        (Cases::ServerOnPostgres, true) => {
            command.args(["-E", SERVER_CASES]);
        }
        (Cases::ServerOnPostgres, false) => {
            command.args(["--test", "it"]);
        }
    }
    let mut left_out = Vec::new();
    if !run::is_root() && cases == Cases::All {
        for package in NEED_ROOT {
            command.args(["--exclude", package]);
            left_out.push(format!(
                "all tests of {package}: they need root, for BPF and network namespaces"
            ));
        }
    }
    command.env(SKIPS_VARIABLE, skips.path());
    let database = if cases == Cases::All { "sqlite" } else { "postgres" };
    command.env(DATABASE_VARIABLE, database);
    command.env(PROGRAMS_VARIABLE, workspace.programs(Profile::Development.folder()));
    command.args(filter);

    // Both runners tell results on stdout or stderr depending on their version, so the two are joined.
    let (reader, writer) = std::io::pipe().context("no pipe could be made")?;
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone().context("the pipe could not be shared")?)
        .stderr(writer);
    let mut child = command.spawn().context("the test runner could not be started")?;
    // The command holds the writing ends; without dropping it the reader would wait for ever.
    drop(command);
    let mut tally = if with_nextest { Tally::of_nextest() } else { Tally::of_cargo_test() };
    for line in BufReader::new(reader).split(b'\n') {
        let line = String::from_utf8_lossy(&line.context("the runner's output could not be read")?)
            .into_owned();
        say::text(&line);
        tally.read(&line);
    }
    let status = child.wait().context("the test runner could not be waited for")?;
    let skipped =
        std::fs::read_to_string(skips.path()).context("the skipped tests could not be read")?;
    let mut rows = tally.finish(status.success(), &skipped);
    if !left_out.is_empty() {
        rows.push(Row::skipped("left out", left_out));
    }
    Ok(rows)
}

fn nextest(workspace: &Workspace) -> Command {
    let mut command = run::cargo(&workspace.root);
    command
        .args(["nextest", "run", "--no-fail-fast", "--color", "never", "--status-level", "pass"])
        // A filter may mean tests of one run only; a run of none passes nothing.
        .arg("--no-tests=pass");
    command
}

fn cargo_test(workspace: &Workspace) -> Command {
    let mut command = run::cargo(&workspace.root);
    command.args(["test", "--no-fail-fast", "--color", "never"]);
    command
}
