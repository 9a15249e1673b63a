//! `skep-fuzz-seeds <folder>`: writes the seeds of every target into a folder of its name, for
//! libFuzzer to start from. Knows names of files, not what is in them.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        return ExitCode::FAILURE;
    };
    let written = skep_fuzz::TARGETS.iter().try_for_each(|target| {
        let folder = folder.join(target.name);
        std::fs::create_dir_all(&folder)?;
        skep_fuzz::seeds(target.name).iter().enumerate().try_for_each(|(number, seed)| {
            std::fs::write(folder.join(format!("seed-{number}")), seed)
        })
    });
    if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
