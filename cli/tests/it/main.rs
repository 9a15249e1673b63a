//! The real `skep` on the roads that need no registry. Roads with one are in `e2e`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

mod new_and_build;
mod without_registry;
mod wrong_input;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder with a home of its own, gone when dropped.
struct Desk {
    folder: tempfile::TempDir,
}

/// How a run of `skep` ended.
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Desk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn skep(&self, words: &[&str]) -> Ended {
        self.skep_with(words, &[])
    }

    fn skep_with(&self, words: &[&str], variables: &[(&str, &str)]) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_skep"));
        command.args(words).current_dir(self.folder.path()).env("HOME", self.folder.path());
        let ours = ["SERVER", "TOKEN", "TOKEN_FILE", "CA", "KEY", "CONTEXT", "CONFIG", "CLANG"];
        for name in ours {
            command.env_remove(format!("SKEP_{name}"));
        }
        command.env_remove("XDG_CONFIG_HOME").envs(variables.iter().copied());
        ended(command.output().unwrap())
    }

    /// A new package, built.
    fn package(&self, name: &str, hook: &str) -> PathBuf {
        self.skep(&["new", name, "--hook", hook]).ok();
        let folder = self.path(name.split_once('/').unwrap().1);
        self.skep(&["build", folder.to_str().unwrap()]).ok();
        folder
    }
}

fn ended(output: Output) -> Ended {
    Ended {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Ended {
    /// What it printed, after it succeeded.
    #[track_caller]
    fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.err);
        self.out
    }

    #[track_caller]
    fn json(self) -> serde_json::Value {
        serde_json::from_str(&self.ok()).unwrap()
    }

    /// It failed with this code, said these things on standard error and nothing on standard output.
    #[track_caller]
    fn fails(self, code: i32, said: &[&str]) {
        assert_eq!(self.code, Some(code), "{}{}", self.out, self.err);
        assert_eq!(self.out, "");
        for what in said {
            assert!(self.err.contains(what), "'{what}' is not in: {}", self.err);
        }
    }
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "'{from}' is not in {}", path.display());
    std::fs::write(path, text.replace(from, to)).unwrap();
}
