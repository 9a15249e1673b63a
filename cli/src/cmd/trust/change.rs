//! Making the document that follows another one.

use super::{NamespaceKeys, Source};
use crate::cmd::Session;
use crate::exit::Ends;
use crate::trust_files::{self, Shown};
use anyhow::Context as _;
use skep_artifact::key::PublicKey;
use skep_trust::tuf::{
    DelegationDraft, Document, RoleKeysDraft, RootDraft, TARGETS_BYTES_MAX, TargetsDraft,
    is_reserved,
};

#[derive(clap::Args)]
pub(crate) struct DelegateArgs {
    #[command(flatten)]
    to: NamespaceKeys,
    #[command(flatten)]
    source: Source,
}

/// A role whose keys are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Role {
    Root,
    Targets,
    Snapshot,
    Timestamp,
    Selfservice,
}

#[derive(clap::Args)]
pub(crate) struct RotateArgs {
    role: Role,
    /// A public key of the role from now on; give it once for every key
    #[arg(long = "key", value_name = "PUBLIC_KEY", required = true)]
    keys: Vec<PublicKey>,
    /// How many of them must sign
    #[arg(long, default_value_t = 1)]
    threshold: usize,
    #[command(flatten)]
    source: Source,
}

/// A document that is renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    Root,
    Targets,
}

#[derive(clap::Args)]
pub(crate) struct RenewArgs {
    kind: Kind,
    #[command(flatten)]
    source: Source,
}

impl Source {
    async fn read(&self, kind: &str, session: &Session) -> anyhow::Result<Document> {
        let document = match &self.from {
            Some(path) => trust_files::read(path)?,
            None => {
                let client = session.settings.client()?;
                let bytes = client.tuf_file(&format!("{kind}.json"), TARGETS_BYTES_MAX).await?;
                let bytes = bytes.ok_or_else(|| {
                    Ends::not_found(format!("The registry has no {kind} yet. A ceremony makes the first one: `skep trust init`."))
                })?;
                trust_files::of_bytes(&bytes)?
            }
        };
        if document.kind() != kind {
            let said =
                format!("A {} file was given where a {kind} file is needed.", document.kind());
            return Err(Ends::usage(said).into());
        }
        Ok(document)
    }

    fn expires_at(&self, session: &Session) -> i64 {
        session.now().saturating_add(i64::from(self.days) * 86_400)
    }

    fn write(&self, document: Option<Document>, session: &Session) -> anyhow::Result<()> {
        let document =
            document.context("The clock of this machine is far off; set it and try again.")?;
        trust_files::write_new(&self.out, &document)?;
        let shown = Shown::of(&document);
        session.out.result(&shown, || {
            format!(
                "{}Made {}. Next: its keepers run `skep trust sign {}`, then `skep trust add`.\n",
                shown.text(session.now()),
                self.out.display(),
                self.out.display()
            )
        })
    }
}

pub(super) async fn delegate(args: &DelegateArgs, session: &Session) -> anyhow::Result<()> {
    let NamespaceKeys { namespace, keys, threshold, remove } = &args.to;
    if is_reserved(namespace) {
        let said = format!("No namespace may be called {namespace}: a role of the repository is.");
        return Err(Ends::usage(said).into());
    }
    let document = args.source.read("targets", session).await?;
    let mut draft = TargetsDraft::of(&document)?;
    draft.version += 1;
    draft.expires_at = args.source.expires_at(session);
    let before = draft.namespaces.len();
    draft.namespaces.retain(|delegation| delegation.namespace != *namespace);
    if *remove {
        if draft.namespaces.len() == before {
            return Err(Ends::not_found(format!("{namespace} is not delegated.")).into());
        }
    } else {
        let signers = role(keys, *threshold)?;
        draft.namespaces.push(DelegationDraft { namespace: namespace.clone(), signers });
        draft.namespaces.sort_by(|a, b| a.namespace.cmp(&b.namespace));
    }
    args.source.write(draft.document(), session)
}

pub(super) async fn rotate(args: &RotateArgs, session: &Session) -> anyhow::Result<()> {
    let keys = role(&args.keys, args.threshold)?;
    let kind = if args.role == Role::Selfservice { "targets" } else { "root" };
    let document = args.source.read(kind, session).await?;
    let expires_at = args.source.expires_at(session);
    if args.role == Role::Selfservice {
        let mut draft = TargetsDraft::of(&document)?;
        draft.version += 1;
        draft.expires_at = expires_at;
        draft.selfservice = args.keys.first().cloned();
        return args.source.write(draft.document(), session);
    }
    let mut draft = RootDraft::of(&document)?;
    draft.version += 1;
    draft.expires_at = expires_at;
    match args.role {
        Role::Root => draft.root = keys,
        Role::Targets => draft.targets = keys,
        Role::Snapshot => draft.snapshot = keys,
        Role::Timestamp | Role::Selfservice => draft.timestamp = keys,
    }
    args.source.write(draft.document(), session)
}

pub(super) async fn renew(args: &RenewArgs, session: &Session) -> anyhow::Result<()> {
    let expires_at = args.source.expires_at(session);
    let document = match args.kind {
        Kind::Root => {
            let document = args.source.read("root", session).await?;
            let draft = RootDraft::of(&document)?;
            RootDraft { version: draft.version + 1, expires_at, ..draft }.document()
        }
        Kind::Targets => {
            let document = args.source.read("targets", session).await?;
            let draft = TargetsDraft::of(&document)?;
            TargetsDraft { version: draft.version + 1, expires_at, ..draft }.document()
        }
    };
    args.source.write(document, session)
}

fn role(keys: &[PublicKey], threshold: usize) -> anyhow::Result<RoleKeysDraft> {
    let mut ids: Vec<_> = keys.iter().map(PublicKey::key_id).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.len() != keys.len() || threshold == 0 || threshold > keys.len() {
        let said = format!(
            "{threshold} of {} different keys cannot sign. Give each key once, and --threshold from 1 to their number.",
            ids.len()
        );
        return Err(Ends::usage(said).into());
    }
    Ok(RoleKeysDraft { keys: keys.to_vec(), threshold })
}
