//! The agent's TUF client on the command line that the public conformance suite speaks (`init`, `refresh`, `download`).
//! The trust code and the fetching are the agent's own; what is here keeps files where the suite looks for them.

use anyhow::{Context as _, Result, bail};
use clap::{Parser, Subcommand};
use sha2::{Digest as _, Sha512};
use skep_api::client::{Client, ClientConfig};
use skep_artifact::digest::Digest;
use skep_node_agent::facts;
use skep_node_agent::tuf::{Mirror, drive};
use skep_trust::tuf::{Answers, Session, Stored, TufError};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Bytes of a target that are read: the suite's have a few.
const TARGET_BYTES_MAX: u64 = 64 << 20;

/// Hashes of targets, the preferred one first. Our own repository writes sha256; the suite asks for both.
const ALGORITHMS: [&str; 2] = ["sha256", "sha512"];

#[derive(Parser)]
struct Cli {
    #[arg(long)]
    metadata_dir: PathBuf,
    #[arg(long)]
    metadata_url: Option<String>,
    #[arg(long = "target-name")]
    target_names: Vec<String>,
    #[arg(long)]
    target_dir: Option<PathBuf>,
    #[arg(long)]
    target_base_url: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Init { root: PathBuf },
    Refresh,
    Download,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    match &cli.command {
        Command::Init { root } => {
            fs::copy(root, cli.metadata_dir.join("root.json"))?;
            Ok(())
        }
        Command::Refresh => refresh(&cli).await.map(drop),
        Command::Download => download(&cli).await,
    }
}

fn mirror(url: Option<&str>) -> Result<Mirror> {
    let server = url.context("an address is missing")?.to_owned();
    let client = Client::new(ClientConfig { server, ..ClientConfig::default() })?;
    Ok(Mirror { client, folder: String::new() })
}

async fn refresh(cli: &Cli) -> Result<Answers> {
    let (root, stored) = load(&cli.metadata_dir)?;
    let mut answers = Answers::new();
    let mirror = mirror(cli.metadata_url.as_deref())?;
    let driven = drive(&mirror, &mut answers, |answers| {
        Session { root: &root, stored: &stored, answers, now: facts::now() }.refresh()
    });
    let (result, next) = driven.await?;
    keep(&cli.metadata_dir, &next)?;
    result?;
    Ok(answers)
}

async fn download(cli: &Cli) -> Result<()> {
    let mut answers = refresh(cli).await?;
    let (root, stored) = load(&cli.metadata_dir)?;
    let metadata = mirror(cli.metadata_url.as_deref())?;
    let targets = mirror(cli.target_base_url.as_deref())?;
    let folder = cli.target_dir.as_deref().context("--target-dir is missing")?;
    for name in &cli.target_names {
        let driven = drive(&metadata, &mut answers, |answers| {
            Session { root: &root, stored: &stored, answers, now: facts::now() }.find(name)
        });
        let (result, next) = driven.await?;
        keep(&cli.metadata_dir, &next)?;
        let found = result?.ok_or_else(|| TufError::NotListed { path: name.clone() })?;
        if found.length > TARGET_BYTES_MAX {
            bail!("{name} is too large");
        }
        let out = folder.join(Path::new(name).file_name().context("a target without a name")?);
        let fits = |bytes: &[u8]| bytes.len() as u64 == found.length && has(bytes, &found.hashes);
        if fs::read(&out).is_ok_and(|bytes| fits(&bytes)) {
            continue;
        }
        let consistent = serde_json::from_slice::<serde_json::Value>(
            next.files.get("root.json").context("no root")?,
        )?["signed"]["consistent_snapshot"]
            .as_bool()
            .unwrap_or(false);
        let hash = ALGORITHMS.iter().find_map(|algorithm| found.hashes.get(*algorithm));
        let hash = hash.context("no hash of the target that is known here")?;
        let path = match name.rsplit_once('/') {
            _ if !consistent => format!("/{name}"),
            Some((folder, file)) => format!("/{folder}/{hash}.{file}"),
            None => format!("/{hash}.{name}"),
        };
        let path = path.replace('%', "%25").replace('#', "%23").replace('?', "%3F");
        let limit = usize::try_from(found.length)?;
        let bytes = targets.client.file(&path, limit).await?.context("the target is not there")?;
        if !fits(&bytes) {
            bail!("{name} has other bytes than were signed");
        }
        fs::write(out, &bytes)?;
    }
    Ok(())
}

/// Whether bytes have every hash that is known here, and at least one.
fn has(bytes: &[u8], hashes: &BTreeMap<String, String>) -> bool {
    let fits = |algorithm: &&str| {
        let hash = match *algorithm {
            "sha256" => Digest::of(bytes).hex(),
            _ => hex::encode(Sha512::digest(bytes)),
        };
        hashes.get(*algorithm).map(|wanted| *wanted == hash)
    };
    let known: Vec<bool> = ALGORITHMS.iter().filter_map(fits).collect();
    !known.is_empty() && known.iter().all(|fits| *fits)
}

/// Everything in the folder was verified by an earlier run, and is verified again.
fn load(folder: &Path) -> Result<(Vec<u8>, Stored)> {
    let root = fs::read(folder.join("root.json"))?;
    let mut files = BTreeMap::new();
    for name in ["root.json", "timestamp.json", "snapshot.json", "targets.json"] {
        if let Ok(bytes) = fs::read(folder.join(name)) {
            files.insert(name.to_owned(), bytes);
        }
    }
    Ok((root, Stored { files, ..Stored::default() }))
}

fn keep(folder: &Path, stored: &Stored) -> Result<()> {
    for (name, bytes) in &stored.files {
        fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_every_hash_that_is_known_here_and_at_least_one() {
        let (sha256, sha512) = (Digest::of(b"x").hex(), hex::encode(Sha512::digest(b"x")));
        let check = |hashes: &[(&str, &str)], expected: bool| {
            let owned = |(name, hash): &(&str, &str)| ((*name).to_owned(), (*hash).to_owned());
            assert_eq!(has(b"x", &hashes.iter().map(owned).collect()), expected, "{hashes:?}");
        };
        check(&[("sha256", &sha256)], true);
        check(&[("sha512", &sha512)], true);
        check(&[("sha256", &sha256), ("sha512", &sha512)], true);
        check(&[("sha256", &sha256), ("sha512", &sha256)], false);
        check(&[("sha256", &sha256), ("blake3", "00")], true);
        check(&[("blake3", &sha256)], false);
        check(&[], false);
    }
}
