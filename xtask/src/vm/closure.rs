//! A program and the libraries it needs, as `ldd` names them. Refuses to know where they are put.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The libraries of a program, with the loader; none for a static one.
pub(super) fn libraries(program: &Path) -> Vec<PathBuf> {
    // ldd ends badly for a static program; it needs nothing then.
    let Ok(output) = Command::new("ldd").arg(program).output() else { return Vec::new() };
    parse(&String::from_utf8_lossy(&output.stdout))
}

/// `libz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x…)` and `/lib64/ld-linux-x86-64.so.2 (0x…)`.
fn parse(text: &str) -> Vec<PathBuf> {
    text.lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .map(PathBuf::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_libraries_and_the_loader() {
        let text =
            "\tlinux-vdso.so.1 (0x1)\n\tlibz.so.1 => /lib/libz.so.1 (0x2)\n\t/lib64/ld.so (0x3)\n";
        assert_eq!(parse(text), [PathBuf::from("/lib/libz.so.1"), PathBuf::from("/lib64/ld.so")]);
        assert!(parse("\tnot a dynamic executable\n").is_empty());
    }
}
