//! From the word on the command line to bytes and what vouches for them. Refuses to know kernels.

use super::Args;
use crate::bundle::Bundle;
use crate::cmd::Session;
use crate::exit::Ends;
use crate::local::content::Content;
use crate::local::on_disk;
use crate::project::{self, MANIFEST_FILE};
use crate::resolve::Reference;
use crate::trusting::Trust;
use anyhow::Context as _;
use skep_artifact::limits::OBJECT_BYTES_MAX;
use skep_artifact::name::Namespace;
use std::io::Read as _;
use std::path::Path;

const ELF_MAGIC: &[u8] = b"\x7fELF";

/// Reads or downloads what was named; an existing path wins over a name in a registry.
///
/// # Errors
/// When there is no such thing, nobody to trust is named, or a bare object is not said to be trusted.
pub(super) async fn find(what: &str, args: &Args, session: &Session) -> anyhow::Result<Content> {
    let path = Path::new(what);
    let role = args.role.as_deref();
    let manifest = path.ends_with(MANIFEST_FILE) && path.is_file();
    let bundle = if manifest {
        on_disk::project(path.parent().unwrap_or(Path::new(".")), role)?
    } else if path.is_dir() && on_disk::is_layout(path) {
        on_disk::layout(path, role)?
    } else if path.is_dir() {
        on_disk::project(path, role)?
    } else if path.exists() && is_elf(path)? {
        return object(path, args);
    } else if path.exists() {
        on_disk::archive(path, role)?
    } else {
        let reference: Reference = what.parse().map_err(|_| {
            Ends::not_found(format!(
                "There is no file or folder {what}, and it is not the name of a package like acme/ratelimit@1.4.2."
            ))
        })?;
        // Before anything is downloaded.
        let trusted = trust(reference.name.namespace(), args, session)?;
        let client = session.settings.client()?;
        let mut bundle = Bundle::from_registry(&client, &reference, session.out).await?;
        bundle.prove(&client, &session.settings, &trusted.policy, session.out).await?;
        bundle
    };
    if args.trust_local_object {
        let message = format!(
            "{what} is a package, whose signature is verified. --trust-local-object is for object files that nobody signed; leave it out."
        );
        return Err(Ends::usage(message).into());
    }
    let trust = trust(bundle.wanted.name.namespace(), args, session)?;
    Ok(Content::Package { bundle: Box::new(bundle), trust })
}

/// Whether a file begins as every object does.
fn is_elf(path: &Path) -> anyhow::Result<bool> {
    let mut magic = Vec::new();
    let file =
        std::fs::File::open(path).with_context(|| format!("{} cannot be read.", path.display()))?;
    file.take(ELF_MAGIC.len() as u64)
        .read_to_end(&mut magic)
        .with_context(|| format!("{} cannot be read.", path.display()))?;
    Ok(magic == ELF_MAGIC)
}

fn object(path: &Path, args: &Args) -> anyhow::Result<Content> {
    if !args.trust_local_object {
        return Err(Ends::refusal(format!(
            "Refused: {} is an object file, and nobody signed it. If you know where it comes from, pass --trust-local-object; else put it into a package (`skep new`) and sign that (`skep sign`).",
            path.display()
        ))
        .into());
    }
    let bytes = project::read_bytes(path, OBJECT_BYTES_MAX)?;
    Ok(Content::Object { path: path.to_owned(), bytes })
}

fn trust(namespace: &Namespace, args: &Args, session: &Session) -> anyhow::Result<Trust> {
    if let Some(path) = &args.trust {
        return Trust::of_file(path);
    }
    if !args.keys.is_empty() {
        return Trust::of_keys(namespace, &args.keys, args.threshold);
    }
    let configured = session.settings.trust_default().ok();
    match &configured {
        Some(path) if path.is_file() => Trust::of_file(path),
        _ => {
            let place =
                configured.map_or("trust.toml".to_owned(), |path| path.display().to_string());
            Err(Ends::usage(format!(
                "Nothing says whom to trust for {namespace}/*. Pass --trust FILE (a node policy) or --key PUBLIC_KEY, or write a node policy to {place} once."
            ))
            .into())
        }
    }
}
