//! The ceremony, rotation and recovery of docs/trust.md, command by command; an agent that follows the root; and TUF
//! clients that others wrote, reading what our registry serves.

use std::path::{Path, PathBuf};
use std::process::Command;

use skep_e2e::process::{self, Finished};
use skep_e2e::stage::{self, Stage};
use skep_e2e::{packages, programs};

/// Commands of the page that a reader runs in order.
fn commands() -> String {
    let page = std::fs::read_to_string(programs::checkout().join("docs/trust.md")).unwrap();
    let blocks: Vec<&str> = page
        .split("<!-- run -->\n```sh\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(blocks.len() > 8, "the page has its commands");
    format!("set -eu\n{}", blocks.join("\n"))
}

/// The operator's shell, in which `skep` and `skep-registry` are found.
pub(crate) fn shell(stage: &Stage, script: &str) -> Finished {
    // A person's `skep` lends its folder and its environment to a shell.
    let command = stage.world.operator.command(&[]).unwrap();
    let skep = programs::find("skep").unwrap();
    let path = format!(
        "{}:{}",
        skep.parent().unwrap().display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let mut shell = Command::new("nsenter");
    shell
        .arg(format!("--net={}", stage.world.hub.path().display()))
        .args(["--", "sh", "-c", script])
        .current_dir(command.get_current_dir().unwrap())
        .env("PATH", path)
        .env("REGISTRY_DATA", stage.world.registry.ca().parent().unwrap());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    process::run(&mut shell).unwrap()
}

/// A package of the namespace `acme` in the operator's home, where the page looks for it.
fn put_limiter(stage: &Stage) {
    let folder = stage.world.operator.file("limiter");
    let from = stage.package("ratelimit");
    process::run(Command::new("cp").arg("-r").arg(&from).arg(&folder))
        .unwrap()
        .expect_success()
        .unwrap();
    process::run(
        Command::new("cp")
            .arg("-r")
            .arg(from.with_file_name("include"))
            .arg(folder.with_file_name("include")),
    )
    .unwrap()
    .expect_success()
    .unwrap();
    let manifest = folder.join("skep.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("skep/ratelimit", "acme/ratelimit")).unwrap();
    packages::set_version(&folder, "0.1.0").unwrap();
}

/// A small ceremony of one key each, and `skep` taken over by the offline role.
pub(crate) fn small_ceremony(stage: &Stage) {
    let script = format!(
        "set -eu
skep key new --out root.key; skep key new --out targets.key
skep trust init --out c --root-key \"$(skep key show root.key --public)\" --targets-key \"$(skep key show targets.key --public)\"
skep trust sign c/1.root.json --key root.key
skep trust sign c/1.targets.json --key targets.key
skep trust add c/1.root.json c/1.targets.json
skep trust delegate skep --key {} --out 2.targets.json
skep trust sign 2.targets.json --key targets.key
skep trust add 2.targets.json
",
        stage.publisher.public
    );
    let done = shell(stage, &script);
    assert!(done.stderr.contains("ONE KEY"), "one key is said loudly: {done}");
    done.expect_success().unwrap();
}

#[test]
fn the_commands_of_the_trust_page_do_what_it_says() {
    if !crate::can_run("trust::the_commands_of_the_trust_page_do_what_it_says") {
        return;
    }
    let stage = Stage::set().unwrap();
    put_limiter(&stage);
    let before = shell(&stage, "skep trust show").expect_success().unwrap();
    assert!(before.contains("No ceremony has been held"), "{before}");
    shell(&stage, &commands()).expect_success().unwrap();
    let shown = stage.world.operator.skep_json(&["trust", "show"]).unwrap();
    assert_eq!(shown["root"]["version"], 2);
    assert_eq!(shown["targets"]["version"], 4);
    assert_eq!(shown["delegated"][0]["namespace"], "acme");
    assert_eq!(shown["self_service"][0], "skep");
    let role = stage.world.operator.skep_json(&["role", "show", "acme"]).unwrap();
    assert_eq!((&role["version"], &role["targets"]), (&3.into(), &1.into()));
}

#[test]
fn an_agent_follows_the_root_and_refuses_what_only_signed_up() {
    if !crate::can_run("trust::an_agent_follows_the_root_and_refuses_what_only_signed_up") {
        return;
    }
    let mut stage = Stage::set().unwrap();
    stage.publish("firewall").unwrap();
    // The stranger claims a name by sign-up and publishes there.
    let stranger = stage.stranger().unwrap();
    put_limiter(&stage);
    stage.world.operator.skep(&["namespace", "claim", "acme", "--key", &stranger.public]).unwrap();
    stage
        .world
        .operator
        .skep(&["publish", "limiter", "--key", stranger.argument().unwrap()])
        .unwrap();
    small_ceremony(&stage);

    let edge = stage.world.add_node("edge-1").unwrap();
    let token = stage.node_token("role=edge").unwrap();
    let node = &mut stage.world.nodes[edge];
    let root = node.policy_file().with_file_name("root.json");
    std::fs::copy(stage.world.operator.file("c/1.root.json"), &root).unwrap();
    node.allow(&format!(
        "[trust]\nroot = \"root.json\"\n[[namespace]]\nname = \"skep\"\nhooks = [\"xdp\"]\n\
         [[namespace]]\nname = \"acme\"\nhooks = [\"xdp\"]\n[operator]\nkeys = [\"{}\"]\n",
        stage.operator.public
    ))
    .unwrap();
    node.enrol(&stage.world.registry, &token, &[]).unwrap();
    node.start_agent().unwrap();

    let guard = [stage::guard("skep/firewall@^0.1", "enforce")];
    stage.apply("guard.yaml", &stage::policy("guard", "role=edge", "xdp", &guard)).unwrap();
    stage.converged(edge).unwrap();

    let limits = [stage::limiter("acme/ratelimit@^0.1")];
    stage.apply("limits.yaml", &stage::policy("limits", "role=edge", "xdp", &limits)).unwrap();
    let (code, said) = stage.refused_with(edge, "package.self_service").unwrap();
    assert_eq!(code, "package.self_service_not_pinned", "{said}");

    // The offline role takes the name over, for the same keys: now it runs.
    let script = format!(
        "set -eu\nskep trust delegate acme --key {} --out 3.targets.json\n\
         skep trust sign 3.targets.json --key targets.key\nskep trust add 3.targets.json\n",
        stranger.public
    );
    shell(&stage, &script).expect_success().unwrap();
    // A started agent reads the repository at once; a running one within minutes.
    stage.world.nodes[edge].stop_agent().unwrap();
    stage.world.nodes[edge].start_agent().unwrap();
    stage.world.nodes[edge].wait_until_it_takes_back(&stage.world.operator).unwrap();

    // A reboot of the agent without a registry: what was accepted stays, and what is known is known.
    stage.world.registry.stop().unwrap();
    let node = &mut stage.world.nodes[edge];
    node.stop_agent().unwrap();
    node.start_agent().unwrap();
    assert_eq!(node.chains(&stage.world.operator).unwrap().len(), 1);
}

/// Where `cargo xtask setup` keeps clients that others wrote.
pub(crate) fn tool(path: &str) -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cache")))?;
    Some(cache.join("skep/tools").join(path)).filter(|path| path.exists())
}

/// Runs a foreign client's script in the hub: arguments are the repository, its first root, a target, a folder.
fn foreign(stage: &Stage, program: &Path, script: &str, folder: &str) -> Finished {
    let target = "skep/firewall/0.1.0";
    let script = programs::checkout().join("e2e/foreign").join(script);
    let mut command = Command::new("nsenter");
    command
        .arg(format!("--net={}", stage.world.hub.path().display()))
        .arg("--")
        .arg(program)
        .arg(script)
        .arg(stage.world.registry.address())
        .arg(stage.world.operator.file("c/1.root.json"))
        .args([target, folder])
        .env("SSL_CERT_FILE", stage.world.registry.ca())
        .env("REQUESTS_CA_BUNDLE", stage.world.registry.ca())
        .env("NODE_EXTRA_CA_CERTS", stage.world.registry.ca());
    if let Some(modules) = tool("tuf-js-6.0.2/node_modules") {
        command.env("NODE_PATH", modules);
    }
    process::run(&mut command).unwrap()
}

fn foreign_story(program: &Path, script: &str) {
    let stage = Stage::set().unwrap();
    stage.publish("firewall").unwrap();
    small_ceremony(&stage);
    let folder = stage.world.folder().join("foreign");
    let one = folder.join("one").display().to_string();
    let said = foreign(&stage, program, script, &one).expect_success().unwrap();
    let shown = stage.world.operator.skep_json(&["info", "skep/firewall@0.1.0"]).unwrap();
    let index = shown["index"].as_str().unwrap().trim_start_matches("sha256:");
    assert!(said.contains(index), "{said} instead of {index}");
    // Another root than the registry's: the same files are refused.
    let script_of = "set -eu\nskep key new --out m.key\n\
         skep trust init --out m --root-key \"$(skep key show m.key --public)\" --targets-key \"$(skep key show m.key --public)\"\n\
         skep trust sign m/1.root.json --key m.key\ncp c/1.root.json c/right.json\ncp m/1.root.json c/1.root.json\n";
    shell(&stage, script_of).expect_success().unwrap();
    let two = folder.join("two").display().to_string();
    let refused = foreign(&stage, program, script, &two);
    assert_ne!(refused.code, 0, "a stranger's root: {refused}");
    shell(&stage, "cp c/right.json c/1.root.json").expect_success().unwrap();
}

#[test]
fn python_tuf_reads_our_repository() {
    if !crate::can_run("trust::python_tuf_reads_our_repository") {
        return;
    }
    match tool("python-tuf-7.0.0/bin/python") {
        Some(python) => foreign_story(&python, "tuf_client.py"),
        None => crate::skip(
            "trust::python_tuf_reads_our_repository",
            "python-tuf is not installed; `cargo xtask setup` installs it",
        ),
    }
}

#[test]
fn tuf_js_reads_our_repository() {
    if !crate::can_run("trust::tuf_js_reads_our_repository") {
        return;
    }
    let node = std::env::var_os("PATH").and_then(|path| {
        std::env::split_paths(&path).map(|folder| folder.join("node")).find(|path| path.is_file())
    });
    match (node, tool("tuf-js-6.0.2/node_modules")) {
        (Some(node), Some(_)) => foreign_story(&node, "tuf_client.js"),
        _ => crate::skip(
            "trust::tuf_js_reads_our_repository",
            "tuf-js is not installed; `cargo xtask setup` installs it where node and npm are",
        ),
    }
}
