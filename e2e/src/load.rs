//! What the registry bears, beside Debian's `docker-registry` with the same bytes: manifests and blobs under `wrk`, the time of a
//! publish, the time of a search among many packages, memory after all of it. Both serve plain HTTP on loopback. Refuses to
//! judge the figures; `cargo xtask bench registry` prints and keeps them.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use crate::process::{self, Background};
use crate::{figures, interrupt, programs, wait};

/// Connections that ask at the same time, as the goal says.
const CONNECTIONS: u32 = 64;
/// How long one server is asked in one round; the servers take turns, so that a slow minute of the machine meets both.
const SECONDS: u32 = 6;
const ROUNDS: usize = 5;
/// Incompressible bytes in the package that is pulled, so that its layer is a blob of some 20 KB.
const PULLED_BYTES: usize = 19 << 10;
/// Incompressible bytes in the object that is published: 64 KiB with what ELF adds.
const PUBLISHED_BYTES: usize = 62 << 10;
const PUBLISHES: u32 = 60;
/// Searches, one after the other, each with other words.
const SEARCHES: u32 = 400;
/// What makes the database as large as the goal says.
const GROW: &str = include_str!("load/grow.sql");

/// What was measured.
#[derive(Debug, Serialize)]
pub struct LoadFigures {
    /// One entry a round.
    pub manifests: Vec<Pair>,
    pub blobs: Vec<Pair>,
    /// Bytes of the manifest and of the blob.
    pub manifest_bytes: u64,
    pub blob_bytes: u64,
    /// `skep publish` of a finished object, as processes: reads, signs, uploads, is verified, stored and logged; sorted.
    pub publish_ms: Vec<f64>,
    pub object_bytes: u64,
    /// Sorted.
    pub search_ms: Vec<f64>,
    pub packages: u64,
    pub versions: u64,
    /// Resident after the load of manifests, blobs and publishes.
    pub rss_kib_after_load: u64,
    /// Resident after the searches in the grown database.
    pub rss_kib_after_search: u64,
}

/// One round of both.
#[derive(Debug, Serialize)]
pub struct Pair {
    pub skep: Throughput,
    pub docker_registry: Throughput,
}

/// What `wrk` found.
#[derive(Debug, Serialize, PartialEq)]
pub struct Throughput {
    pub requests_per_sec: f64,
    pub p99_ms: f64,
}

/// A server of either kind on a free port of loopback.
struct Server {
    process: Background,
    /// `127.0.0.1:port`
    host: String,
}

struct Bench {
    folder: tempfile::TempDir,
    key: PathBuf,
}

/// Measures everything on servers of its own.
///
/// # Errors
/// When a program is missing or a server refuses what it should take.
pub fn measure() -> Result<LoadFigures> {
    let folder = tempfile::Builder::new().prefix("skep-load-").tempdir();
    let folder = folder.context("no folder could be made")?;
    let bench = Bench { key: folder.path().join("bench.key"), folder };
    let ours = bench.serve()?;
    bench.claim(&ours)?;
    bench.publish(&ours, "load", "1.0.0", PULLED_BYTES)?;
    let theirs = bench.serve_docker()?;
    let (manifest, blob) = bench.copy(&ours, &theirs)?;
    let manifest_path = "/v2/bench/load/manifests/1.0.0".to_owned();
    let blob_path = format!("/v2/bench/load/blobs/{}", blob.digest);
    let (mut manifests, mut blobs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for (path, pairs) in [(&manifest_path, &mut manifests), (&blob_path, &mut blobs)] {
            let skep = load(&ours, path)?;
            pairs.push(Pair { skep, docker_registry: load(&theirs, path)? });
        }
    }
    drop(theirs);
    let mut publish_ms = Vec::new();
    let mut object_bytes = 0;
    for round in 1..=PUBLISHES {
        object_bytes = bench.package("pub", &format!("1.0.{round}"), PUBLISHED_BYTES)?;
        let start = Instant::now();
        bench.skep(&ours, &["publish", "pub", "--key", bench.key()?])?;
        publish_ms.push(milliseconds(start.elapsed()));
    }
    publish_ms.sort_by(f64::total_cmp);
    let rss_kib_after_load = figures::resident_kib(ours.process.pid())?;
    ours.process.terminate()?;
    let (packages, versions) = bench.grow()?;
    let ours = bench.serve()?;
    let search_ms = bench.search(&ours)?;
    Ok(LoadFigures {
        manifests,
        blobs,
        manifest_bytes: manifest,
        blob_bytes: blob.size,
        publish_ms,
        object_bytes,
        search_ms,
        packages,
        versions,
        rss_kib_after_load,
        rss_kib_after_search: figures::resident_kib(ours.process.pid())?,
    })
}

#[derive(serde::Deserialize)]
struct Descriptor {
    digest: String,
    size: u64,
}

impl Bench {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn key(&self) -> Result<&str> {
        self.key.to_str().context("a key's path is text")
    }

    /// Makes a key and claims the namespace with it.
    fn claim(&self, server: &Server) -> Result<()> {
        let made = self.skep(server, &["--json", "key", "new", "--out", self.key()?])?;
        let made: serde_json::Value = serde_json::from_str(&made).context("a key is JSON")?;
        let public = made["public_key"].as_str().context("a key has a public half")?;
        self.skep(server, &["namespace", "claim", "bench", "--key", public]).map(drop)
    }

    fn serve(&self) -> Result<Server> {
        let (data, address) = (self.path("data"), self.path("address"));
        if address.exists() {
            fs::remove_file(&address).context("the old address file could not be removed")?;
        }
        let mut serve = Command::new(programs::find("skep-registry")?);
        serve.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data);
        serve.arg("--address-file").arg(&address);
        let mut process =
            Background::start("skep-registry", &mut serve, &self.path("registry.log"))?;
        let host = wait::until("the registry tells its address", wait::PATIENCE, || {
            process.check()?;
            let text = fs::read_to_string(&address).unwrap_or_default();
            Ok(text.trim().strip_prefix("http://").map(str::to_owned))
        })?;
        Ok(Server { process, host })
    }

    /// Debian's, as its own configuration has it but for folder and port: no cache of Redis, logs of errors only.
    fn serve_docker(&self) -> Result<Server> {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").context("no port is free")?;
        let host = taken.local_addr().context("a port has a number")?.to_string();
        drop(taken);
        let config = format!(
            "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n  cache:\n    blobdescriptor: inmemory\n  \
             filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {host}\n",
            self.path("docker").display()
        );
        let file = self.path("docker.yml");
        fs::write(&file, config).context("a configuration could not be written")?;
        let mut serve = Command::new("docker-registry");
        serve.arg("serve").arg(file);
        let mut process =
            Background::start("docker-registry", &mut serve, &self.path("docker.log"))?;
        wait::until("docker-registry answers", wait::PATIENCE, || {
            process.check()?;
            Ok(std::net::TcpStream::connect(&host).ok().map(drop))
        })?;
        Ok(Server { process, host })
    }

    fn skep(&self, server: &Server, words: &[&str]) -> Result<String> {
        interrupt::check()?;
        let mut skep = Command::new(programs::find("skep")?);
        skep.args(words).current_dir(self.folder.path()).env("HOME", self.folder.path());
        skep.env("SKEP_SERVER", format!("http://{}", server.host));
        skep.env("SKEP_TOKEN_FILE", self.path("data").join("admin.token"));
        skep.env_remove("SKEP_TOKEN").env_remove("SKEP_KEY").env_remove("XDG_CONFIG_HOME");
        process::run(&mut skep)?.expect_success()
    }

    /// Writes a package with a finished object; says how large the object is.
    fn package(&self, name: &str, version: &str, bytes: usize) -> Result<u64> {
        let folder = self.path(name);
        fs::create_dir_all(&folder).context("a package's folder could not be made")?;
        let manifest = format!(
            "[package]\nname = \"bench/{name}\"\nversion = \"{version}\"\nlicense = \"MIT\"\n\
             description = \"Passes every packet, and is as large as it is told.\"\n\n\
             [[object]]\npath = \"large.bpf.o\"\narch = [\"amd64\", \"arm64\"]\n\n\
             [[program]]\nname = \"large\"\ntype = \"xdp\"\nattach = [\"ingress\"]\nproceed-on = [\"pass\"]\npriority = 10\n"
        );
        fs::write(folder.join("skep.toml"), manifest).context("a manifest could not be written")?;
        let seed = version.bytes().fold(1, |sum: u64, byte| sum * 31 + u64::from(byte));
        let source = folder.join("large.bpf.c");
        fs::write(&source, source_of(bytes, seed)).context("a source could not be written")?;
        let object = folder.join("large.bpf.o");
        let mut clang = Command::new("clang");
        clang.args(["-g", "-O2", "-target", "bpf", "-c"]).arg(&source).arg("-o").arg(&object);
        process::run(&mut clang)?.expect_success()?;
        fs::remove_file(source).context("a source could not be removed")?;
        Ok(fs::metadata(object).context("clang wrote no object")?.len())
    }

    fn publish(&self, server: &Server, name: &str, version: &str, bytes: usize) -> Result<()> {
        self.package(name, version, bytes)?;
        self.skep(server, &["publish", name, "--key", self.key()?]).map(drop)
    }

    /// Brings the package over, byte for byte, and finds its largest layer: the bytes of what the tag names, and that layer.
    fn copy(&self, from: &Server, to: &Server) -> Result<(u64, Descriptor)> {
        let image = |server: &Server| format!("docker://{}/bench/load:1.0.0", server.host);
        let mut copy = Command::new("skopeo");
        copy.args(["--insecure-policy", "copy", "--all", "--preserve-digests"]);
        copy.args(["--src-tls-verify=false", "--dest-tls-verify=false"]);
        process::run(copy.args([image(from), image(to)]))?.expect_success()?;
        let get = |path: &str| -> Result<String> {
            let mut curl = Command::new("curl");
            curl.args(["--silent", "--show-error", "--fail", "--header"]).arg(ACCEPT);
            curl.arg(format!("http://{}/v2/bench/load/{path}", from.host));
            process::run(&mut curl)?.expect_success()
        };
        let index = get("manifests/1.0.0")?;
        #[derive(serde::Deserialize)]
        struct Index {
            manifests: Vec<Descriptor>,
        }
        #[derive(serde::Deserialize)]
        struct Image {
            layers: Vec<Descriptor>,
        }
        let parsed: Index = serde_json::from_str(&index).context("a tag names an index")?;
        let first = parsed.manifests.first().context("an index names an image")?;
        let image = get(&format!("manifests/{}", first.digest))?;
        let image: Image = serde_json::from_str(&image).context("an image is JSON")?;
        let largest = image.layers.into_iter().max_by_key(|layer| layer.size);
        Ok((index.len() as u64, largest.context("an image has layers")?))
    }

    /// Multiplies the one package with its one version, behind the back of a registry that is stopped.
    fn grow(&self) -> Result<(u64, u64)> {
        let database = self.path("data").join("registry.sqlite");
        let mut sqlite = Command::new("sqlite3");
        let statements = self.path("grow.sql");
        fs::write(&statements, GROW).context("the statements could not be written")?;
        // As an argument they would be taken for an option: they begin with a comment.
        let read = format!(".read {}", statements.display());
        sqlite.arg("-bail").arg(&database).arg(read);
        let told = process::run(&mut sqlite)?.expect_success()?;
        let numbers: Vec<u64> =
            told.split('|').filter_map(|number| number.trim().parse().ok()).collect();
        let [packages, versions] = numbers[..] else {
            bail!("the database did not tell how large it is: {told}");
        };
        Ok((packages, versions))
    }

    /// Words of two lists, so that some searches find thousands and some a few; all on one connection, as a page that is typed into does.
    fn search(&self, server: &Server) -> Result<Vec<f64>> {
        let mut urls = String::new();
        for number in 0..SEARCHES {
            let query = match number % 4 {
                0 => format!("w{}", number % 41),
                1 => format!("w{}%20x{}", number % 41, number % 37),
                2 => format!("load-{}", 7 + number * 211),
                _ => format!("pack%20w{}", number % 41),
            };
            let url = format!("http://{}/v1/packages?q={query}&limit=20", server.host);
            writeln!(urls, "url = \"{url}\"\noutput = \"/dev/null\"")?;
        }
        let config = self.path("searches");
        fs::write(&config, urls).context("the searches could not be written")?;
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--write-out"]);
        curl.args(["%{http_code} %{time_total}\\n", "--config"]).arg(config);
        let told = process::run(&mut curl)?.expect_success()?;
        let mut times = Vec::new();
        for line in told.lines() {
            let (code, time) = line.split_once(' ').context("a search was not told")?;
            ensure!(code == "200", "a search was answered with {code}");
            times.push(time.parse::<f64>().context("a time is a number")? * 1000.0);
        }
        ensure!(times.len() == SEARCHES as usize, "{} of {SEARCHES} searches ran", times.len());
        times.sort_by(f64::total_cmp);
        Ok(times)
    }
}

const ACCEPT: &str =
    "Accept: application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json";

/// Asks for one path as fast as answers come.
fn load(server: &Server, path: &str) -> Result<Throughput> {
    interrupt::check()?;
    let mut wrk = Command::new("wrk");
    wrk.args(["--threads", "1", "--connections", &CONNECTIONS.to_string(), "--latency"]);
    wrk.args(["--duration", &format!("{SECONDS}s"), "--header", ACCEPT]);
    let told = process::run(wrk.arg(format!("http://{}{path}", server.host)))?.expect_success()?;
    throughput(&told)
}

/// Reads what `wrk --latency` prints. Pure.
fn throughput(told: &str) -> Result<Throughput> {
    for bad in ["Non-2xx or 3xx responses", "Socket errors"] {
        ensure!(!told.contains(bad), "some requests failed: {told}");
    }
    let value = |label: &str| {
        let line = told.lines().find_map(|line| line.trim().strip_prefix(label));
        line.map(str::trim).with_context(|| format!("wrk did not tell '{label}': {told}"))
    };
    let requests_per_sec =
        value("Requests/sec:")?.parse().context("requests a second are a number")?;
    Ok(Throughput { requests_per_sec, p99_ms: duration_ms(value("99%")?)? })
}

/// `1.25ms`, `310.00us`, `1.10s`. Pure.
fn duration_ms(text: &str) -> Result<f64> {
    let units = [("us", 0.001), ("ms", 1.0), ("s", 1000.0)];
    let found = units.iter().find_map(|(unit, factor)| {
        text.strip_suffix(unit).and_then(|number| number.parse::<f64>().ok()).map(|n| n * factor)
    });
    found.with_context(|| format!("'{text}' is no duration"))
}

/// A program that passes every packet, with as many bytes beside it that no compression shortens (splitmix64).
fn source_of(bytes: usize, seed: u64) -> String {
    let mut state = seed;
    let mut noise = String::new();
    for _ in 0..bytes {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let _ = write!(noise, "{},", (mixed ^ (mixed >> 31)) & 0xff);
    }
    format!(
        "#define SEC(name) __attribute__((section(name), used))\n\
         const volatile unsigned char noise[] = {{{noise}}};\n\
         SEC(\"xdp\") int large(void *context) {{ (void)context; return noise[0] > 255 ? 1 : 2; }}\n\
         char licence[] SEC(\"license\") = \"MIT\";\n"
    )
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: &str = "Running 6s test\n  Latency Distribution\n     50%  310.00us\n     99%    1.25ms\n\
                        Requests/sec:  41234.50\n";

    #[test]
    fn reads_what_wrk_prints_and_takes_no_failed_request_for_a_fast_one() {
        let read = throughput(TOLD).unwrap();
        assert_eq!(read, Throughput { requests_per_sec: 41234.5, p99_ms: 1.25 });
        assert!(throughput(&format!("{TOLD}Non-2xx or 3xx responses: 3\n")).is_err());
        assert!(throughput("nothing").is_err());
        assert!((duration_ms("1.10s").unwrap() - 1100.0).abs() < 1e-9);
        assert!(duration_ms("1.10 minutes").is_err());
    }

    #[test]
    fn two_versions_are_other_bytes() {
        assert_ne!(source_of(64, 1), source_of(64, 2));
    }
}
