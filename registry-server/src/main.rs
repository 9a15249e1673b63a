//! `skep-registry`: subcommands, signals, and what is printed at start. Refuses to know what the
//! server does.

mod offline;

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand};
use skep_api::v1::tokens::Scope;
use skep_artifact::name::Namespace;
use skep_registry_server::app::{self, NewToken};
use skep_registry_server::config::{ServeFlags, Settings};
use skep_registry_server::storage::{Storage, StorageFlags};
use skep_registry_server::store::{Place, Store};
use skep_registry_server::tuf::keys::{ROLES, ServerKeys};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Parser)]
#[command(name = "skep-registry", version, about = "The Skep registry: packages, search, fleet.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server
    Serve(ServeFlags),
    /// API tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// The server's own keys of the trust documents
    #[command(subcommand)]
    Trust(TrustCommand),
    /// Bring the database of a data folder to this version's form
    Migrate {
        #[command(flatten)]
        kept: Kept,
        /// Take the schema away instead, with everything in it. Back the registry up first
        #[arg(long, requires = "yes")]
        down: bool,
        /// Say that everything in the database may go
        #[arg(long, requires = "down")]
        yes: bool,
    },
    /// Write everything into a folder, while the server goes on
    ///
    /// Into the folder of an earlier backup it adds the blobs that are new. The folder holds keys and
    /// hashes of secrets: keep it as you keep those.
    Backup {
        #[command(flatten)]
        kept: Kept,
        /// The folder of the backup
        #[arg(long)]
        to: PathBuf,
    },
    /// Put a backup into an empty database, of either kind, and a fresh data folder
    ///
    /// Everything is verified first. A backup from SQLite goes into PostgreSQL and back.
    Restore {
        #[command(flatten)]
        kept: Kept,
        /// The folder of the backup
        #[arg(long)]
        from: PathBuf,
    },
    /// Remove blobs that no version names and that are older than a day
    #[command(after_help = "While a server uses the folder, `skep admin gc` does it there.")]
    Gc(Kept),
    /// Print the key of the transparency log, as node policies name it; makes it when there is none
    LogKey(Kept),
    /// Compare every stored blob with its digest
    #[command(
        after_help = "Exit codes: 0 all is as it was published, 1 it could not be read, 3 something is broken.

A server may be using the folder: a blob that is repaired is served without a restart.
`skep admin scrub` does the same through the server."
    )]
    Scrub {
        #[command(flatten)]
        kept: Kept,
        /// A registry that has the same packages; what is broken here is fetched from it
        #[arg(long, value_name = "URL")]
        repair_from: Option<String>,
    },
}

/// Where a command finds what the server keeps.
#[derive(clap::Args)]
struct Kept {
    /// The server's data folder
    #[arg(long)]
    data: PathBuf,
    #[command(flatten)]
    storage: StorageFlags,
}

impl Kept {
    fn read(&self) -> anyhow::Result<Storage> {
        let storage = Storage::read(&self.data, &self.storage, &|name| std::env::var(name).ok());
        storage.map_err(|faults| {
            let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("{}", lines.join("\n"))
        })
    }
}

#[derive(Subcommand)]
enum TrustCommand {
    /// Make one more key for a role; it signs as soon as a new root (or targets, for selfservice) names it
    NewKey {
        /// The server's data folder
        #[arg(long)]
        data: PathBuf,
        /// snapshot, timestamp or selfservice
        #[arg(long, value_parser = parse_role)]
        role: &'static str,
    },
}

#[derive(Subcommand)]
enum TokenCommand {
    /// Make a token, whether the server runs or not; prints its secret
    Create {
        #[command(flatten)]
        kept: Kept,
        /// Who or what will use it
        #[arg(long)]
        name: String,
        /// admin, publish, operate or read-fleet
        #[arg(long, value_parser = parse_scope)]
        scope: Scope,
        /// The namespace a publish token is for
        #[arg(long)]
        namespace: Option<Namespace>,
        /// Days it stays valid
        #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u16).range(1..=365))]
        days: u16,
    },
}

fn parse_role(text: &str) -> Result<&'static str, String> {
    let known = ROLES.into_iter().find(|role| *role == text);
    known.ok_or_else(|| "a role is snapshot, timestamp or selfservice".to_owned())
}

fn parse_scope(text: &str) -> Result<Scope, String> {
    serde_json::from_value(text.into())
        .map_err(|_| "a scope is admin, publish, operate or read-fleet".to_owned())
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match Arguments::parse().command {
        Command::Serve(flags) => serve(&flags).await,
        Command::Token(TokenCommand::Create { kept, name, scope, namespace, days }) => {
            token_create(&kept.read()?, name, scope, namespace, days).await
        }
        Command::Trust(TrustCommand::NewKey { data, role }) => {
            let key = ServerKeys::add(&data, role)?;
            say(&key.to_string())
        }
        Command::Migrate { kept, down, .. } => offline::migrate(&kept.read()?, down).await,
        Command::Backup { kept, to } => offline::write_backup(&kept.read()?, &to).await,
        Command::Restore { kept, from } => offline::restore(&kept.read()?, &from).await,
        Command::LogKey(kept) => offline::log_key(&kept.read()?).await,
        Command::Gc(kept) => offline::gc(&kept.read()?).await,
        Command::Scrub { kept, repair_from } => {
            return offline::scrub(&kept.read()?, repair_from).await;
        }
    }?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(flags: &ServeFlags) -> anyhow::Result<()> {
    let settings = match Settings::read(flags, &|name| std::env::var(name).ok()) {
        Ok(settings) => settings,
        Err(faults) => {
            let lines: Vec<String> = faults.iter().map(|fault| format!("  {fault}")).collect();
            bail!("The settings cannot be used:\n{}", lines.join("\n"));
        }
    };
    let bound = app::bind(&settings).await?;
    let stopping = bound.app.stopping.clone();
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        stopping.cancel();
    });
    say(&format!("Skep registry at {}", bound.address))?;
    if let Some(path) = &bound.admin_token {
        say(&format!("Admin token in {}", path.display()))?;
    }
    let ca = settings.storage.data.join("ca.pem");
    if bound.address.starts_with("https") && ca.exists() {
        say(&format!("Clients trust it with --ca {}", ca.display()))?;
    }
    if let Some(path) = &settings.address_file {
        write_address(path, &bound.address)?;
    }
    Ok(bound.serve().await?)
}

/// Written beside and renamed, so that a reader never sees half of it. The port is bound already:
/// whoever connects now is answered as soon as the server runs.
fn write_address(path: &Path, address: &str) -> anyhow::Result<()> {
    let beside = path.with_extension("tmp");
    std::fs::write(&beside, address)
        .and_then(|()| std::fs::rename(&beside, path))
        .with_context(|| format!("cannot write the address to {}", path.display()))
}

async fn open_store(storage: &Storage) -> anyhow::Result<Store> {
    if let Place::Sqlite(path) = &storage.database
        && !path.exists()
    {
        bail!("{} is not the data folder of a registry.", storage.data.display());
    }
    Ok(Store::open(&storage.database).await?)
}

async fn token_create(
    storage: &Storage,
    name: String,
    scope: Scope,
    namespace: Option<Namespace>,
    days: u16,
) -> anyhow::Result<()> {
    if (scope == Scope::Publish) != namespace.is_some() {
        bail!("A publish token is for one namespace, the others are for none: see --namespace.");
    }
    let store = open_store(storage).await?;
    let namespace = namespace.map(|n| n.to_string());
    let valid_secs = i64::from(days) * 86_400;
    let new = NewToken { name, scope, namespace, valid_secs };
    let (info, secret) = app::create_token(&store, new, None).await?;
    store.close().await;
    tracing::info!("made token {}", info.id);
    say(secret.reveal())
}

fn say(line: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{line}").context("cannot write to standard output")
}
