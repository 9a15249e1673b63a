//! `skep`: the operator's and the publisher's command line.
//!
//! Starts, hands over to one subcommand, and turns what went wrong into one message and one exit
//! code. Refuses to know what any subcommand does.

mod archive;
mod attesting;
mod bundle;
mod cmd;
mod compile;
mod download;
mod exit;
mod keys;
mod limits;
#[cfg(feature = "local")]
mod local;
mod local_agent;
mod oci_folder;
mod output;
mod password;
mod policy_files;
mod project;
mod publishing;
mod render;
mod resolve;
mod seen_log;
mod settings;
mod signing;
mod trust_files;
mod trusting;
mod uploading;
mod wait;

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let app = cmd::App::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::report(&anyhow::Error::new(error)),
    };
    match runtime.block_on(cmd::run(app)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::report(&error),
    }
}
