//! `cargo xtask`: every task of the workspace by name. Without a name it lists them.
//!
//! Holds the list of tasks and nothing of what they do. Refuses to know our own crates: it must build on a
//! machine that has Rust and nothing else, because it installs the rest.

mod bench;
mod build;
mod demo;
mod fuzz;
mod needs;
mod pages;
mod run;
mod say;
mod setup;
mod soak;
mod test;
mod tidy;
mod tools;
mod vm;
mod web;
mod workspace;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::workspace::Workspace;

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "Every task of the Skep workspace by name.",
    disable_help_subcommand = true
)]
struct Arguments {
    #[command(subcommand)]
    task: Option<Task>,
}

#[derive(Subcommand)]
enum Task {
    /// Install what is missing: Debian packages, the wasm target, wasm-bindgen. A second run does nothing.
    Setup(setup::SetupArguments),
    /// Build every program that runs on this machine (registry, agent, command line, demo).
    Build(build::BuildArguments),
    /// Build the browser program into frontend/dist, with its sizes.
    Web(web::WebArguments),
    /// Run set-up, then every check and every test, and count what passed, failed and was skipped.
    Test(test::TestArguments),
    /// Run the main job with real parts: registry, two nodes, three programs, traffic, upgrade, attacks.
    Demo(demo::DemoArguments),
    /// Measure publish to first packet, the agent's memory, and nanoseconds a packet for several chain lengths.
    Bench(bench::BenchArguments),
    /// Run the kernel tests on Debian's kernels 6.1 and 6.12, each booted in QEMU.
    Vm(vm::VmArguments),
    /// Throw hostile bytes at every reader, led by libFuzzer; ten minutes a target.
    Fuzz(fuzz::FuzzArguments),
    /// Replace chains thousands of times under a flood, by processes that live and that are killed.
    Soak(soak::SoakArguments),
    /// Check the rules of this workspace that no compiler knows.
    Tidy(tidy::TidyArguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let Some(task) = arguments.task else {
        say::text(&Arguments::command().render_long_help().to_string());
        return ExitCode::SUCCESS;
    };
    match perform(task) {
        Ok(code) => code,
        Err(error) => {
            say::failure(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task) -> anyhow::Result<ExitCode> {
    let workspace = Workspace::locate()?;
    match task {
        Task::Setup(arguments) => setup::perform(&workspace, &arguments),
        Task::Build(arguments) => build::perform(&workspace, &arguments),
        Task::Web(arguments) => web::perform(&workspace, &arguments),
        Task::Test(arguments) => test::perform(&workspace, &arguments),
        Task::Demo(arguments) => demo::perform(&workspace, &arguments),
        Task::Bench(arguments) => bench::perform(&workspace, &arguments),
        Task::Vm(arguments) => vm::perform(&workspace, &arguments),
        Task::Fuzz(arguments) => fuzz::perform(&workspace, &arguments),
        Task::Soak(arguments) => soak::perform(&workspace, &arguments),
        Task::Tidy(arguments) => tidy::perform(&workspace, &arguments),
    }
}
