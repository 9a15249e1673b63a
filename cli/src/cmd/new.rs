//! `skep new NAMESPACE/NAME --hook HOOK`: a folder that builds, loads and has a test vector.

use crate::cmd::Session;
use crate::exit::Ends;
use crate::render::paint;
use anyhow::Context as _;
use serde::Serialize;
use skep_artifact::hook::Hook;
use skep_artifact::name::PackageName;
use std::fs;
use std::path::{Path, PathBuf};

const MANIFEST: &str = include_str!("../../templates/skep.toml.in");
const README: &str = include_str!("../../templates/README.md.in");
const IGNORED: &str = "*.bpf.o\n";
const XDP_SOURCE: &str = include_str!("../../templates/xdp.bpf.c.in");
const TC_SOURCE: &str = include_str!("../../templates/tc.bpf.c.in");
const VECTOR: &str = include_str!("../../templates/vector.toml.in");

#[derive(clap::Args)]
#[command(after_help = "Examples:
  skep new acme/ratelimit --hook xdp
  skep new acme/shaper --hook tc-egress --dir ./shaper

Then: skep build ratelimit")]
pub(crate) struct Args {
    /// Namespace and name of the package
    name: PackageName,
    /// Where its program will sit: xdp, tc-ingress or tc-egress
    #[arg(long)]
    hook: Hook,
    /// The folder to make [default: the name behind the slash]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Serialize)]
struct Made {
    folder: PathBuf,
    files: Vec<PathBuf>,
}

pub(crate) fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let folder = args.dir.clone().unwrap_or_else(|| PathBuf::from(args.name.short()));
    if folder.exists() {
        return Err(Ends::usage(format!(
            "{} exists already and was not touched. Choose another folder with --dir.",
            folder.display()
        ))
        .into());
    }
    let mut made = Made { folder: folder.clone(), files: Vec::new() };
    for (name, text) in files(&args.name, args.hook) {
        write(&folder.join(&name), &text)?;
        made.files.push(name);
    }
    session.out.result(&made, || {
        let files: String = made.files.iter().map(|f| format!("  {}\n", f.display())).collect();
        format!(
            "{} {}\n{files}Next: {}\n",
            paint::moss("Made"),
            folder.display(),
            paint::bold(&format!("skep build {}", folder.display()))
        )
    })
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let failed = || format!("{} cannot be written.", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(failed)?;
    }
    fs::write(path, text).with_context(failed)
}

/// Every file of a new package, by its path inside the folder.
fn files(name: &PackageName, hook: Hook) -> Vec<(PathBuf, String)> {
    let words = Words::of(name, hook);
    let source = if hook.is_tc() { TC_SOURCE } else { XDP_SOURCE };
    [
        ("skep.toml".to_owned(), MANIFEST),
        (format!("src/{}.bpf.c", name.short()), source),
        ("README.md".to_owned(), README),
        ("tests/blocked_port.toml".to_owned(), VECTOR),
        (".gitignore".to_owned(), IGNORED),
    ]
    .map(|(path, template)| (PathBuf::from(path), words.fill(template)))
    .into()
}

/// The words a template leaves open, each written `@WORD@`.
struct Words([(&'static str, String); 9]);

impl Words {
    fn of(name: &PackageName, hook: Hook) -> Self {
        let (family, attach, pass, drop) = match hook {
            Hook::Xdp => ("xdp", "ingress", "pass", "drop"),
            Hook::TcIngress => ("tc", "ingress", "unspec", "shot"),
            Hook::TcEgress => ("tc", "egress", "unspec", "shot"),
        };
        let proceed = if hook.is_tc() { r#"["unspec", "pipe"]"# } else { r#"["pass"]"# };
        Self([
            ("@NAME@", name.to_string()),
            ("@SHORT@", name.short().to_owned()),
            ("@PROGRAM@", format!("{family}_{}", name.short().replace('-', "_"))),
            ("@FAMILY@", family.to_owned()),
            ("@HOOK@", hook.to_string()),
            ("@ATTACH@", attach.to_owned()),
            ("@PASS@", pass.to_owned()),
            ("@DROP@", drop.to_owned()),
            ("@PROCEED@", proceed.to_owned()),
        ])
    }

    fn fill(&self, template: &str) -> String {
        self.0.iter().fold(template.to_owned(), |text, (word, value)| text.replace(word, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_artifact::manifest::Manifest;

    #[test]
    fn every_hook_gets_a_manifest_that_is_accepted_and_no_open_word() {
        for hook in Hook::ALL {
            let name: PackageName = "acme/port-guard".parse().unwrap();
            let files = files(&name, hook);
            assert!(
                files.iter().all(|(_, text)| !text.replace("acme/port-guard@^", "").contains('@')),
                "{files:?}"
            );
            let manifest = Manifest::parse(&files[0].1).unwrap();
            assert_eq!(manifest.package.name, name);
            assert_eq!(manifest.hooks(), [hook]);
        }
    }
}
