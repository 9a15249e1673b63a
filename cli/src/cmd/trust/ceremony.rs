//! Making the first documents, and signing any of them.

use crate::cmd::Session;
use crate::exit::Ends;
use crate::keys;
use crate::project;
use crate::trust_files::{self, Shown};
use anyhow::Context as _;
use serde::Serialize;
use skep_api::v1::trust::TrustInfo;
use skep_artifact::key::PublicKey;
use skep_trust::tuf::{ROOT_BYTES_MAX, RoleKeysDraft, RootDraft, TargetsDraft};
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct InitArgs {
    /// Public key of a keeper of the root; give it once for every key
    #[arg(long = "root-key", value_name = "PUBLIC_KEY", required = true)]
    root: Vec<PublicKey>,
    /// How many of the root's keys must sign
    #[arg(long, value_name = "M")]
    root_threshold: Option<usize>,
    /// Public key of a keeper of the offline role; give it once for every key
    #[arg(long = "targets-key", value_name = "PUBLIC_KEY", required = true)]
    targets: Vec<PublicKey>,
    /// How many of the offline role's keys must sign
    #[arg(long, value_name = "M")]
    targets_threshold: Option<usize>,
    /// The registry's own keys, as `skep trust show --json` printed them; asked of the registry when left out
    #[arg(long, value_name = "FILE")]
    online: Option<PathBuf>,
    /// Leave out the self-service role: names claimed by sign-up are then not in the repository at all
    #[arg(long)]
    no_self_service: bool,
    /// Folder for the files
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Days both are valid
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..=3650))]
    days: u16,
}

#[derive(clap::Args)]
pub(crate) struct SignArgs {
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Secret key to sign with; give it once for every key
    #[arg(long = "key", env = "SKEP_KEY", value_name = "FILE")]
    pub(crate) keys: Vec<PathBuf>,
    /// Another copy of the same document, whose signatures are taken over
    #[arg(long = "merge", value_name = "FILE")]
    pub(crate) merge: Vec<PathBuf>,
}

/// The threshold a ceremony takes when none is given; fewer keys than that need a person to say so.
fn threshold(what: &str, keys: usize, given: Option<usize>, usual: usize) -> anyhow::Result<usize> {
    let threshold = given.unwrap_or(if keys == 1 { 1 } else { usual });
    if threshold == 0 || threshold > keys {
        let said = format!(
            "{threshold} of {keys} keys cannot sign {what}. Give more keys, or --{what}-threshold from 1 to {keys}."
        );
        return Err(Ends::usage(said).into());
    }
    Ok(threshold)
}

#[derive(Serialize)]
struct Made {
    root: PathBuf,
    targets: PathBuf,
    root_threshold: usize,
    targets_threshold: usize,
}

pub(super) async fn init(args: &InitArgs, session: &Session) -> anyhow::Result<()> {
    let root_threshold = threshold("root", args.root.len(), args.root_threshold, 3)?;
    let targets_threshold = threshold("targets", args.targets.len(), args.targets_threshold, 2)?;
    let info: TrustInfo = match &args.online {
        Some(path) => serde_json::from_slice(&project::read_bytes(path, ROOT_BYTES_MAX)?)
            .with_context(|| {
                format!("{} is not what `skep trust show --json` prints.", path.display())
            })?,
        None => session.settings.client()?.trust().await?,
    };
    let one = |key: &PublicKey| RoleKeysDraft { keys: vec![key.clone()], threshold: 1 };
    let expires_at = session.now().saturating_add(i64::from(args.days) * 86_400);
    let root = RootDraft {
        version: 1,
        expires_at,
        root: RoleKeysDraft { keys: args.root.clone(), threshold: root_threshold },
        targets: RoleKeysDraft { keys: args.targets.clone(), threshold: targets_threshold },
        snapshot: one(&info.online.snapshot),
        timestamp: one(&info.online.timestamp),
    };
    let targets = TargetsDraft {
        version: 1,
        expires_at,
        namespaces: Vec::new(),
        selfservice: (!args.no_self_service).then_some(info.online.selfservice),
    };
    let clock = "The clock of this machine is far off; set it and try again.";
    let made = Made {
        root: args.out.join("1.root.json"),
        targets: args.out.join("1.targets.json"),
        root_threshold,
        targets_threshold,
    };
    trust_files::write_new(&made.root, &root.document().context(clock)?)?;
    trust_files::write_new(&made.targets, &targets.document().context(clock)?)?;
    for (what, m, n) in [
        ("root", root_threshold, args.root.len()),
        ("targets", targets_threshold, args.targets.len()),
    ] {
        if m == 1 {
            session.out.say(&format!(
                "WARNING: ONE KEY OF {n} IS ENOUGH TO SIGN THE {}. Whoever has it decides what every node trusts. Good for trying things out; for anything else use 3 of 5 for the root and 2 of 3 for the targets.",
                what.to_uppercase()
            ));
        }
    }
    session.out.result(&made, || {
        format!(
            "Made {} and {}.\nNext: {root_threshold} keepers of the root and {targets_threshold} of the targets run `skep trust sign FILE --key KEY`; then `skep trust add {} {}`.\n",
            made.root.display(),
            made.targets.display(),
            made.root.display(),
            made.targets.display()
        )
    })
}

pub(super) fn sign(args: &SignArgs, session: &Session) -> anyhow::Result<()> {
    let mut document = trust_files::read(&args.file)?;
    for path in &args.merge {
        let other = trust_files::read(path)?;
        document.merge(&other).with_context(|| format!("{} was not merged.", path.display()))?;
    }
    if !args.keys.is_empty() || args.merge.is_empty() {
        for key in keys::to_sign_with(&args.keys, &session.settings)? {
            document.sign(&key)?;
        }
    }
    trust_files::replace(&args.file, &document)?;
    let shown = Shown::of(&document);
    session.out.result(&shown, || shown.text(session.now()))
}
