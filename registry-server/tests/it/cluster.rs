//! A throw-away PostgreSQL for one test: in a folder of its own, on a socket of its own, ended and
//! removed when the test ends, however it ends. Refuses to know what is stored in it.

use skep_registry_server::store::Place;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a server may take to answer: far more than the half second it takes on a busy machine.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// Keeps the server: does what it is told in words, and when nobody can tell it any more, because the
/// test is over or was killed, ends the server and removes its folder.
const KEEPER: &str = r#"
trap '' INT TERM HUP
folder=$1; shift
while read -r word; do
  case $word in
    start) "$@" >>"$folder/log" 2>&1 </dev/null & server=$! ;;
    stop) kill -QUIT "$server"; wait "$server"; server= ;;
  esac
  echo done
done
if [ -n "$server" ]; then kill -QUIT "$server"; wait "$server"; fi
rm -rf "$folder"
"#;

/// The databases that every case runs on.
pub(crate) enum Database {
    Sqlite,
    Postgres(Cluster),
}

impl Database {
    /// A fresh one, of the kind that the run is for: `cargo xtask test` runs all cases once for each.
    pub(crate) fn fresh() -> Self {
        match std::env::var("SKEP_TEST_DATABASE").as_deref() {
            Err(_) | Ok("sqlite") => Self::Sqlite,
            Ok("postgres") => Self::Postgres(Cluster::start()),
            Ok(other) => panic!("SKEP_TEST_DATABASE is sqlite or postgres, not {other}"),
        }
    }

    /// Its address, when it is not a file in the data folder.
    pub(crate) fn url(&self) -> Option<String> {
        match self {
            Self::Sqlite => None,
            Self::Postgres(cluster) => Some(cluster.url()),
        }
    }

    /// Does something behind the back of a registry that is stopped.
    pub(crate) async fn execute(&self, data: &Path, statements: &[&'static str]) {
        use sqlx::Connection as _;
        sqlx::any::install_default_drivers();
        let file = || format!("sqlite://{}", data.join("registry.sqlite").display());
        let url = self.url().unwrap_or_else(file);
        let mut connection = sqlx::AnyConnection::connect(&url).await.unwrap();
        for statement in statements {
            sqlx::query(*statement).execute(&mut connection).await.unwrap();
        }
        connection.close().await.unwrap();
    }

    pub(crate) fn place(&self, data: &Path) -> Place {
        self.url().map_or_else(|| Place::in_folder(data), Place::Postgres)
    }
}

/// A running PostgreSQL.
pub(crate) struct Cluster {
    folder: PathBuf,
    keeper: Child,
    words: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Cluster {
    /// A fresh, empty one.
    pub(crate) fn start() -> Self {
        Self::from(&template())
    }

    /// Another one that holds the same, as a copy of its disk would.
    pub(crate) fn copy(&mut self) -> Self {
        self.stop();
        let copy = Self::from(&self.folder.join("data"));
        self.go_on();
        copy
    }

    fn from(data: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("skep-postgres-").tempdir().unwrap().keep();
        std::os::unix::fs::chown(&folder, owner(), owner()).unwrap();
        run(Command::new("cp").arg("-a").arg(data).arg(folder.join("data")));
        let _ = std::fs::remove_file(folder.join("data/postmaster.pid"));
        let mut keeper = Command::new("setsid")
            .args(["sh", "-c", KEEPER, "keeper"])
            .arg(&folder)
            .args(as_owner())
            .arg(binaries().join("postgres"))
            .arg("-D")
            .arg(folder.join("data"))
            .arg("-k")
            .arg(&folder)
            // No socket on the network; nothing here must survive a power cut.
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "full_page_writes=off"])
            .args(["-c", "shared_buffers=16MB", "-c", "max_wal_size=64MB"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("setsid and sh are there");
        let (words, answers) = (keeper.stdin.take(), keeper.stdout.take());
        let answers = BufReader::new(answers.unwrap());
        let mut cluster = Self { folder, keeper, words, answers };
        cluster.go_on();
        cluster
    }

    /// The address of its database.
    pub(crate) fn url(&self) -> String {
        format!("postgres://skep@localhost/postgres?host={}", self.folder.display())
    }

    /// Starts the server again.
    pub(crate) fn go_on(&mut self) {
        self.tell("start");
        let begun = Instant::now();
        let mut ask = Command::new(binaries().join("pg_isready"));
        ask.arg("-q").arg("-h").arg(&self.folder).stdin(Stdio::null());
        while !ask.status().unwrap().success() {
            let log = self.folder.join("log");
            let said = || std::fs::read_to_string(&log).unwrap_or_default();
            assert!(begun.elapsed() < READY_TIMEOUT, "PostgreSQL does not answer: {}", said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends the server as a power cut would.
    pub(crate) fn stop(&mut self) {
        self.tell("stop");
    }

    /// Every file of its tables and its log of changes.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.folder.join("data")];
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                let path = entry.path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        files
    }

    fn tell(&mut self, word: &str) {
        writeln!(self.words.as_mut().unwrap(), "{word}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        assert_eq!(answer, "done\n");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.words = None;
        let _ = self.keeper.wait();
    }
}

/// The newest PostgreSQL of this machine.
fn binaries() -> PathBuf {
    let all = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut with_server: Vec<PathBuf> =
        all.map(|e| e.path().join("bin")).filter(|bin| bin.join("initdb").exists()).collect();
    with_server.sort();
    with_server.pop().expect("PostgreSQL is installed: cargo xtask setup does it")
}

/// PostgreSQL refuses to run as root.
fn as_owner() -> Vec<String> {
    if rustix::process::getuid().is_root() {
        let arguments = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"];
        return arguments.map(str::to_owned).to_vec();
    }
    vec!["env".to_owned()]
}

fn owner() -> Option<u32> {
    if !rustix::process::getuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.starts_with("postgres:"));
    line.and_then(|line| line.split(':').nth(2)).map(|uid| uid.parse().unwrap())
}

/// A cluster that was just made and never started: making one takes seconds, copying one does not.
/// The first test that needs it makes it, the others wait.
fn template() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let version = binaries().parent().and_then(Path::file_name).unwrap().to_owned();
    let template = folder.join(format!("postgres-{}", version.display()));
    let lock = std::fs::File::create(folder.join("postgres.lock")).unwrap();
    lock.lock().unwrap();
    if !template.exists() {
        let made = TempDir::new().unwrap();
        std::os::unix::fs::chown(made.path(), owner(), owner()).unwrap();
        let mut program = as_owner();
        let mut initdb = Command::new(program.remove(0));
        initdb.args(program).arg(binaries().join("initdb")).arg("-D").arg(made.path().join("data"));
        initdb.args(["-U", "skep", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"]);
        run(initdb.args(["--no-sync", "--no-instructions"]).stdout(Stdio::null()));
        // Beside first: half a copy must not be taken for a template.
        let beside = folder.join("postgres-half");
        let _ = std::fs::remove_dir_all(&beside);
        run(Command::new("cp").arg("-a").arg(made.path().join("data")).arg(&beside));
        std::fs::rename(&beside, &template).unwrap();
    }
    template
}

fn run(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}
