//! `skep log verify`: tiles → root → checkpoint, entry by entry, and the consistency with what was seen before.

use super::Trusted;
use super::served::{Differences, Said};
use crate::cmd::Session;
use crate::exit::Ends;
use crate::render::paint;
use crate::seen_log::{SeenLog, fetch, refused};
use serde::Serialize;
use skep_api::client::Client;
use skep_artifact::digest::Digest;
use skep_artifact::log::Entry;
use skep_trust::VerifiedCheckpoint;
use skep_trust::tiles::{
    ENTRY_TILE_BYTES_MAX, FromTiles, TILE_WIDTH, Tiles, entries_of, entry_tile,
};
use std::collections::BTreeMap;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  skep log verify                    the whole log
  skep log verify --from 1000        from entry 1000 on
  skep log verify --served           and that the registry shows what the log says, and nothing else
  skep log verify --log-key 'registry.example/log+2f5c1a09+AW…='

The newest checkpoint is kept beside the settings; the next run proves that the log was only added to.
Ends with 3 when the log is refused: it shrank, it forked, or its tiles do not lead to its root; with --served also
when the registry hides or shows what the log does not say. --served asks once for every package.")]
pub(crate) struct Args {
    /// First entry to prove
    #[arg(long, default_value_t = 0, value_name = "INDEX")]
    from: u64,
    /// Entry to stop before [default: the log's end]
    #[arg(long, value_name = "INDEX")]
    to: Option<u64>,
    /// Also compare what the registry serves with what the log says: versions, yanks, keys, revocations, policies
    #[arg(long, conflicts_with_all = ["from", "to"])]
    served: bool,
    #[command(flatten)]
    trusted: Trusted,
}

#[derive(Serialize)]
struct Verified {
    origin: String,
    size: u64,
    root: Digest,
    entries: u64,
    kinds: BTreeMap<String, u64>,
    unknown: u64,
    seen_before: u64,
    /// With `--served`: what could not be compared; what differs is a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<Vec<String>>,
}

pub(super) async fn run(args: &Args, client: &Client, session: &Session) -> anyhow::Result<()> {
    let named = args.trusted.log_key.as_ref();
    let mut log = SeenLog::open(client, &session.settings, named, session.out).await?;
    let seen_before = log.memory.size;
    let checkpoint = log.newest(client).await?;
    log.continue_to(client, &checkpoint).await?;
    let end = args.to.unwrap_or(checkpoint.size()).min(checkpoint.size());
    if args.from > end {
        let message =
            format!("The log has {} entries; --from is {}.", checkpoint.size(), args.from);
        return Err(Ends::usage(message).into());
    }
    let mut verified = Verified {
        origin: checkpoint.origin().to_owned(),
        size: checkpoint.size(),
        root: checkpoint.root(),
        entries: 0,
        kinds: BTreeMap::new(),
        unknown: 0,
        seen_before,
        left_out: None,
    };
    let mut said = Said::default();
    let bar = session.out.progress("verified", end - args.from);
    let mut proving = Proving::new(client, &checkpoint);
    let mut next = args.from;
    while next < end {
        for (index, entry) in proving.entries_from(next, end).await? {
            match Entry::read(&entry) {
                Ok(read) => {
                    *verified.kinds.entry(read.kind().to_owned()).or_default() += 1;
                    said.hear(&read);
                }
                // A newer registry logs what this program does not know; it is in the log all the same.
                Err(_) => verified.unknown += 1,
            }
            verified.entries += 1;
            next = index + 1;
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    if args.served {
        verified.left_out = Some(compare(&mut said, &mut log, end, client).await?);
    }
    session.out.result(&verified, || text(&verified))
}

/// Compares what the log says with what the registry serves; gives what could not be compared. What changed while it was
/// read is read again: only what the newest checkpoint does not explain is a difference.
async fn compare(
    said: &mut Said,
    log: &mut SeenLog,
    mut heard: u64,
    client: &Client,
) -> anyhow::Result<Vec<String>> {
    loop {
        let Differences { found, left_out } = said.compared(client).await?;
        if found.is_empty() {
            return Ok(left_out);
        }
        let checkpoint = log.newest(client).await?;
        log.continue_to(client, &checkpoint).await?;
        if checkpoint.size() <= heard {
            let message =
                format!("The registry does not show what its log says:\n  {}", found.join("\n  "));
            return Err(Ends::refusal(message).into());
        }
        let mut proving = Proving::new(client, &checkpoint);
        while heard < checkpoint.size() {
            for (index, entry) in proving.entries_from(heard, checkpoint.size()).await? {
                if let Ok(read) = Entry::read(&entry) {
                    said.hear(&read);
                }
                heard = index + 1;
            }
        }
    }
}

/// Entries with their proofs, tile by tile.
pub(super) struct Proving<'a> {
    client: &'a Client,
    checkpoint: &'a VerifiedCheckpoint,
    tiles: Tiles,
}

impl<'a> Proving<'a> {
    pub(super) fn new(client: &'a Client, checkpoint: &'a VerifiedCheckpoint) -> Self {
        Self { client, checkpoint, tiles: Tiles::of(checkpoint.size()) }
    }

    /// The entries of one tile from `first` on, up to `end`, each proved to be in the checkpoint's tree.
    ///
    /// # Errors
    /// A tile that proves nothing, or a registry that fails.
    pub(super) async fn entries_from(
        &mut self,
        first: u64,
        end: u64,
    ) -> anyhow::Result<Vec<(u64, Vec<u8>)>> {
        let begin = first / TILE_WIDTH * TILE_WIDTH;
        let Some((path, count)) = entry_tile(self.checkpoint.size(), begin) else {
            return Ok(Vec::new());
        };
        let bytes = self.client.log_file(&path, ENTRY_TILE_BYTES_MAX).await?;
        let entries = entries_of(&path, &bytes, count).map_err(refused)?;
        let wanted: Vec<_> =
            (begin..).zip(entries).filter(|(index, _)| (first..end).contains(index)).collect();
        self.tiles.forget_leaves();
        for (index, entry) in &wanted {
            self.prove(*index, entry).await?;
        }
        Ok(wanted)
    }

    async fn prove(&mut self, index: u64, entry: &[u8]) -> anyhow::Result<()> {
        loop {
            let proved = self.tiles.check_entry(self.checkpoint, index, entry);
            match proved.map_err(refused)? {
                FromTiles::Known(()) => return Ok(()),
                FromTiles::Needs(paths) => fetch(self.client, &mut self.tiles, paths).await?,
            }
        }
    }
}

fn text(verified: &Verified) -> String {
    let kinds: Vec<String> =
        verified.kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let before = match verified.seen_before {
        0 => "first sight of this log".to_owned(),
        seen => format!("continues the {seen} entries seen before"),
    };
    let served = match &verified.left_out {
        None => String::new(),
        Some(left_out) => {
            let left_out = left_out.iter().map(|what| format!("  not compared: {what}\n"));
            "  the registry shows what the log says\n".to_owned() + &left_out.collect::<String>()
        }
    };
    format!(
        "{} {} entries of {}  {}\n  size  {}\n  root  {}\n  {}\n{served}",
        paint::moss("Verified"),
        verified.entries,
        verified.origin,
        paint::dim(&before),
        verified.size,
        verified.root,
        kinds.join(" · "),
    )
}
