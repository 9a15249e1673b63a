//! OCI clients that others wrote push to our registry and pull from it, logged in by token: skopeo, buildah, podman and umoci of
//! Debian, oras of PyPI. Each meets a registry process of its own on loopback.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use skep_e2e::process::{self, Background, Finished};
use skep_e2e::{programs, wait};

/// A namespace needs a key to be claimed; nothing here is signed. It is from the first test vector of RFC 8032.
const KEY: &str = "skep-ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
/// oras of PyPI, as `cargo xtask setup` installs it.
const ORAS: &str = "oras-0.2.43";

struct World {
    /// Dropped first: it writes into the folder.
    _registry: Background,
    folder: tempfile::TempDir,
    host: String,
    token: String,
}

impl World {
    fn start() -> Self {
        // podman takes the path of a layout for a name, and names have no capitals.
        static WORLDS: AtomicU32 = AtomicU32::new(0);
        let number = WORLDS.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("skep-oci-{}-{number}", std::process::id());
        let folder = tempfile::Builder::new().prefix(&prefix).rand_bytes(0).tempdir().unwrap();
        // buildah insists that the file it is told of exists.
        std::fs::write(folder.path().join("auth.json"), "{}").unwrap();
        let (data, address) = (folder.path().join("data"), folder.path().join("address"));
        let program = programs::find("skep-registry").unwrap();
        let mut serve = Command::new(&program);
        serve.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&data);
        serve.arg("--address-file").arg(&address);
        let log = folder.path().join("log");
        let mut registry = Background::start("skep-registry", &mut serve, &log).unwrap();
        let host = wait::until("the registry tells its address", wait::PATIENCE, || {
            registry.check()?;
            let text = std::fs::read_to_string(&address).unwrap_or_default();
            Ok(text.trim().strip_prefix("http://").map(str::to_owned))
        })
        .unwrap();
        let admin = std::fs::read_to_string(data.join("admin.token")).unwrap();
        let claim = serde_json::json!({ "name": "acme", "keys": [KEY], "threshold": 1 });
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail-with-body"]);
        curl.arg("--header").arg(format!("Authorization: Bearer {}", admin.trim()));
        curl.arg("--data").arg(claim.to_string());
        success(curl.arg(format!("http://{host}/v1/namespaces")));
        let mut make = Command::new(program);
        make.args(["token", "create", "--name", "ci", "--scope", "publish"]);
        let token = success(make.args(["--namespace", "acme", "--data"]).arg(&data));
        Self { _registry: registry, host, token: token.trim().to_owned(), folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `docker://host/acme/…`
    fn image(&self, name: &str) -> String {
        format!("docker://{}/acme/{name}", self.host)
    }

    /// A client with a home of its own, so that nothing a person keeps there plays a part.
    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("HOME", self.folder.path()).env_remove("XDG_RUNTIME_DIR");
        command.env("REGISTRY_AUTH_FILE", self.path("auth.json")).current_dir(self.folder.path());
        command
    }

    fn skopeo(&self, words: &[&str]) -> Finished {
        process::run(self.client("skopeo").arg("--insecure-policy").args(words)).unwrap()
    }

    fn log_in(&self, password: &str) -> Finished {
        self.skopeo(&["login", "--tls-verify=false", "-u", "anybody", "-p", password, &self.host])
    }

    /// An OCI layout with one image of one layer, made by umoci.
    fn layout(&self, content: &str) -> String {
        let (layout, files) = (self.path("layout"), self.path("files"));
        std::fs::create_dir_all(&files).unwrap();
        std::fs::write(files.join("greeting"), content).unwrap();
        let image = format!("{}:made", layout.display());
        let umoci = |words: &[&str]| success(self.client("umoci").args(words));
        umoci(&["init", "--layout", layout.to_str().unwrap()]);
        umoci(&["new", "--image", &image]);
        umoci(&["insert", "--image", &image, files.to_str().unwrap(), "/files"]);
        format!("oci:{image}")
    }
}

fn success(command: &mut Command) -> String {
    process::run(command).unwrap().expect_success().unwrap()
}

/// Whether the clients of a story are here; when not, it is counted as skipped.
fn have(test: &str, clients: &[&str]) -> bool {
    let missing = clients.iter().find(|client| {
        !Command::new(client).arg("--version").output().is_ok_and(|output| output.status.success())
    });
    match missing {
        None => crate::can_run(test),
        Some(client) => {
            crate::skip(test, &format!("{client} is not installed"));
            false
        }
    }
}

/// The storage of buildah and podman, in a folder of the test: plain copies, which need no help of the kernel.
fn storage(folder: &Path, name: &str) -> Vec<String> {
    let place = |kind: &str| folder.join(name).join(kind).display().to_string();
    let words = ["--root", &place("root"), "--runroot", &place("run"), "--storage-driver", "vfs"];
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn skopeo_logs_in_copies_lists_and_deletes() {
    if !have("foreign_oci::skopeo_logs_in_copies_lists_and_deletes", &["skopeo", "umoci"]) {
        return;
    }
    let world = World::start();
    let (layout, image) = (world.layout("hello"), world.image("deep/down/image"));
    let copy = |to: &str, more: &[&str]| {
        let mut words = vec!["copy", "--dest-tls-verify=false", "--src-tls-verify=false"];
        words.extend_from_slice(more);
        words.extend([layout.as_str(), to]);
        world.skopeo(&words)
    };
    let (one, two) = (format!("{image}:1"), format!("{image}:2"));
    let nobody = copy(&one, &[]);
    assert!(nobody.code != 0 && nobody.stderr.contains("nauthorized"), "{nobody}");
    let wrong = world.log_in("skep_wrong");
    assert!(wrong.code != 0 && wrong.stderr.contains("invalid username/password"), "{wrong}");
    world.log_in(&world.token).expect_success().unwrap();
    copy(&one, &[]).expect_success().unwrap();
    copy(&two, &["--format", "v2s2"]).expect_success().unwrap();
    let elsewhere = format!("docker://{}/other/image:1", world.host);
    let denied = copy(&elsewhere, &[]);
    assert!(denied.code != 0 && denied.stderr.contains("may not publish into other"), "{denied}");

    let inspected = world.skopeo(&["inspect", "--tls-verify=false", &one]);
    let inspected: serde_json::Value =
        serde_json::from_str(&inspected.expect_success().unwrap()).unwrap();
    assert_eq!(inspected["Layers"].as_array().unwrap().len(), 1);
    let tags = world.skopeo(&["list-tags", "--tls-verify=false", &image]);
    let tags: serde_json::Value = serde_json::from_str(&tags.expect_success().unwrap()).unwrap();
    assert_eq!(tags["Tags"], serde_json::json!(["1", "2"]));
    let docker = world.skopeo(&["inspect", "--raw", "--tls-verify=false", &two]);
    assert!(docker.expect_success().unwrap().contains("vnd.docker.distribution.manifest.v2"));

    // From one repository into another, and back out byte for byte.
    let beside = world.image("beside:1");
    let words = ["copy", "--src-tls-verify=false", "--dest-tls-verify=false", &one, &beside];
    world.skopeo(&words).expect_success().unwrap();
    let out = format!("oci:{}:out", world.path("out").display());
    let words = ["copy", "--src-tls-verify=false", &beside, &out];
    world.skopeo(&words).expect_success().unwrap();
    let raw = |place: &str| {
        let raw = world.skopeo(&["inspect", "--raw", "--tls-verify=false", place]);
        raw.expect_success().unwrap()
    };
    assert_eq!(raw(&out), raw(&layout));
    assert_eq!(raw(&out), raw(&one));

    world.skopeo(&["delete", "--tls-verify=false", &one]).expect_success().unwrap();
    let gone = world.skopeo(&["inspect", "--tls-verify=false", &one]);
    assert!(gone.code != 0 && gone.stderr.contains("manifest unknown"), "{gone}");
    world.skopeo(&["logout", &world.host]).expect_success().unwrap();
    let after = world.skopeo(&["delete", "--tls-verify=false", &two]);
    assert!(after.code != 0, "{after}");
    raw(&two);
}

#[test]
fn what_umoci_made_is_unpacked_after_a_round_trip() {
    if !have("foreign_oci::what_umoci_made_is_unpacked_after_a_round_trip", &["skopeo", "umoci"]) {
        return;
    }
    let world = World::start();
    let (layout, image) = (world.layout("from afar"), world.image("umoci:1"));
    world.log_in(&world.token).expect_success().unwrap();
    world.skopeo(&["copy", "--dest-tls-verify=false", &layout, &image]).expect_success().unwrap();
    let back = world.path("back");
    let target = format!("oci:{}:1", back.display());
    world.skopeo(&["copy", "--src-tls-verify=false", &image, &target]).expect_success().unwrap();
    let bundle = world.path("bundle");
    let mut unpack = world.client("umoci");
    unpack.args(["unpack", "--image"]).arg(format!("{}:1", back.display()));
    success(unpack.arg(&bundle));
    let greeting = std::fs::read_to_string(bundle.join("rootfs/files/greeting")).unwrap();
    assert_eq!(greeting, "from afar");
}

#[test]
fn buildah_builds_pushes_and_pulls() {
    if !have("foreign_oci::buildah_builds_pushes_and_pulls", &["buildah"]) {
        return;
    }
    let world = World::start();
    let buildah = |store: &str, words: &[&str]| {
        let mut command = world.client("buildah");
        command.args(storage(world.folder.path(), store)).args(words);
        process::run(&mut command).unwrap()
    };
    let done = |words: &[&str]| buildah("store", words).expect_success().unwrap();
    let container = done(&["from", "--isolation", "chroot", "scratch"]).trim().to_owned();
    std::fs::write(world.path("greeting"), "built").unwrap();
    done(&["copy", &container, world.path("greeting").to_str().unwrap(), "/greeting"]);
    done(&["commit", "--format", "oci", &container, "localhost/made:1"]);
    let image = world.image("buildah:1");
    let credentials = format!("anybody:{}", world.token);
    let push = ["push", "--tls-verify=false", "--creds"];
    let mut wrong = push.to_vec();
    wrong.extend(["anybody:skep_wrong", "localhost/made:1", &image]);
    let refused = buildah("store", &wrong);
    assert!(refused.code != 0, "{refused}");
    let mut right = push.to_vec();
    right.extend([credentials.as_str(), "localhost/made:1", &image]);
    done(&right);
    let id = |store| {
        let name = if store == "store" { "localhost/made:1" } else { &image["docker://".len()..] };
        let found =
            buildah(store, &["inspect", "--type", "image", "--format", "{{.FromImageID}}", name]);
        found.expect_success().unwrap().trim().to_owned()
    };
    let pull = ["pull", "--tls-verify=false", "--policy", "always", image.as_str()];
    buildah("fresh", &pull).expect_success().unwrap();
    assert_eq!(id("fresh"), id("store"));
}

#[test]
fn podman_pushes_what_it_pulled() {
    if !have("foreign_oci::podman_pushes_what_it_pulled", &["podman", "umoci", "skopeo"]) {
        return;
    }
    let world = World::start();
    let layout = world.layout("through podman");
    let podman = |store: &str, words: &[&str]| {
        let mut command = world.client("podman");
        command.args(storage(world.folder.path(), store)).args(words);
        process::run(&mut command).unwrap().expect_success().unwrap()
    };
    podman("store", &["login", "--tls-verify=false", "-u", "me", "-p", &world.token, &world.host]);
    let id = podman("store", &["pull", "--quiet", &layout]).trim().to_owned();
    let image = world.image("podman:1");
    podman("store", &["push", "--quiet", "--tls-verify=false", &id, &image]);
    let name = &image["docker://".len()..];
    let fresh = podman("fresh", &["pull", "--quiet", "--tls-verify=false", name]);
    assert_eq!(fresh.trim(), id);
    let (name, _) = name.rsplit_once(':').unwrap();
    let tags = ["search", "--tls-verify=false", "--list-tags", "--format", "{{.Tag}}", name];
    // Some releases print a heading whatever the format says.
    assert_eq!(podman("fresh", &tags).split_whitespace().last(), Some("1"));
}

/// What oras of PyPI does, in the words of its own library.
const ORAS_STORY: &str = r#"
import os, sys
import oras.client
host, token, folder = sys.argv[1:]
os.chdir(folder)
def new_client():
    # A client of this library keeps the first token that it gets, whoever and whatever that was for.
    return oras.client.OrasClient(hostname=host, insecure=True)
def logged_in():
    client = new_client()
    client.login(hostname=host, username="anybody", password=token)
    return client
target = f"{host}/acme/deep/artifact"
with open("notes.txt", "w") as file:
    file.write("not an image")
try:
    new_client().push(target=f"{target}:0", files=["notes.txt"], disable_path_validation=True)
    sys.exit("a push by nobody went through")
except Exception as error:
    print("refused:", error)
client = logged_in()
for tag in ["1", "2"]:
    answer = client.push(target=f"{target}:{tag}", files=["notes.txt"],
        manifest_annotations={"org.example.tag": tag}, disable_path_validation=True)
    assert answer.status_code == 201, answer.text
assert client.get_tags(target) == ["1", "2"], client.get_tags(target)
pulled = client.pull(target=f"{target}:1", outdir="pulled")
assert open(pulled[0]).read() == "not an image", pulled
assert logged_in().delete_tags(target, ["1"]) == ["1"]
assert client.get_tags(target) == ["2"], client.get_tags(target)
print("done")
"#;

#[test]
fn oras_of_pypi_pushes_and_pulls_an_artifact() {
    let test = "foreign_oci::oras_of_pypi_pushes_and_pulls_an_artifact";
    let python = tools().join(ORAS).join("bin").join("python");
    if !python.is_file() {
        crate::skip(test, "oras is not installed; `cargo xtask setup` does it");
        return;
    }
    if !crate::can_run(test) {
        return;
    }
    let world = World::start();
    let mut story = world.client(python.to_str().unwrap());
    story.env("DOCKER_CONFIG", world.folder.path());
    story.args(["-c", ORAS_STORY, &world.host, &world.token]).arg(world.folder.path());
    let told = success(&mut story);
    assert!(told.contains("refused:") && told.trim().ends_with("done"), "{told}");
}

/// Where `cargo xtask setup` keeps tools.
fn tools() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    cache.filter(|path| path.is_absolute()).or(home).unwrap_or_default().join("skep").join("tools")
}
