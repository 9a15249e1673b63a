//! People at their terminals: invited, signed up, in a namespace together, out again.

use serde_json::Value;
use skep_e2e::stage::Stage;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};

const PASSWORD: &str = "correct horse battery\n";

/// Somebody with a home folder of their own and no token.
struct Person<'a> {
    stage: &'a Stage,
    home: String,
}

impl Person<'_> {
    fn command(&self, words: &[&str]) -> Command {
        let operator = &self.stage.world.operator;
        let home = operator.file(&self.home);
        std::fs::create_dir_all(&home).unwrap();
        let mut command = operator.command(words).unwrap();
        command.env("HOME", home).env_remove("SKEP_TOKEN_FILE");
        command
    }

    fn say(&self, words: &[&str], input: &str) -> Output {
        let mut command = self.command(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    #[track_caller]
    fn skep(&self, words: &[&str], input: &str) -> String {
        let output = self.say(words, input);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "skep {}: {said}", words.join(" "));
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.skep(&[&["--json"], words].concat(), "")).unwrap()
    }
}

#[test]
fn two_people_are_invited_share_a_namespace_and_leave() {
    if !crate::can_run("people::two_people_are_invited_share_a_namespace_and_leave") {
        return;
    }
    let stage = Stage::set().unwrap();
    let operator = &stage.world.operator;
    let person = |name: &str| Person { stage: &stage, home: name.to_owned() };
    let (anna, bob) = (person("anna"), person("bob"));
    for (one, name) in [(&anna, "anna"), (&bob, "bob")] {
        let refused = one.say(&["account", "sign-up", name, "--password-stdin"], PASSWORD);
        assert_eq!(refused.status.code(), Some(3), "without an invite");
        let invite = operator.skep(&["account", "invite"]).unwrap();
        let words = ["account", "sign-up", name, "--password-stdin", "--invite", invite.trim()];
        one.skep(&words, PASSWORD);
        assert_eq!(one.json(&["whoami"])["account"]["name"], name);
    }
    let config = operator.file("anna/.config/skep/config.toml");
    assert_eq!(std::fs::metadata(config).unwrap().permissions().mode() & 0o777, 0o600);

    let key = stage.publisher.public.as_str();
    anna.skep(&["namespace", "claim", "acme", "--key", key], "");
    let invite = anna.skep(&["namespace", "invite", "acme", "--role", "maintainer"], "");
    bob.skep(&["namespace", "accept", invite.trim()], "");
    let again = bob.say(&["namespace", "accept", invite.trim()], "");
    assert_eq!(again.status.code(), Some(3), "an invite is answered once");
    let members = anna.json(&["namespace", "members", "acme"]);
    assert_eq!(members["members"][1]["account"], "bob");
    assert_eq!(members["members"][1]["role"], "maintainer");

    let wish = ["token", "create", "--name", "ci", "--scope", "publish", "--namespace", "acme/one"];
    let token = bob.skep(&wish, "");
    assert!(token.starts_with("skep_"));
    let listed = bob.json(&["token", "list"]);
    let id = listed["tokens"][0]["id"].as_str().unwrap();
    let by_token = ["whoami", "--token", token.trim()];
    assert_eq!(bob.json(&by_token)["token"]["namespace"], "acme/*".replace('*', "one"));
    bob.skep(&["token", "revoke", id], "");
    assert_eq!(bob.say(&by_token, "").status.code(), Some(3));

    let audit = anna.json(&["audit", "--namespace", "acme"]);
    let actions: Vec<&str> = audit["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    assert!(actions.contains(&"invite.accepted") && actions.contains(&"token.made"), "{actions:?}");
    assert_eq!(bob.say(&["audit", "--namespace", "acme"], "").status.code(), Some(3));

    anna.skep(&["namespace", "remove", "acme", "bob"], "");
    let last = anna.say(&["namespace", "remove", "acme", "anna"], "");
    assert_eq!(last.status.code(), Some(3), "the last owner stays");

    anna.skep(&["logout"], "");
    assert_eq!(anna.say(&["whoami"], "").status.code(), Some(3));
    anna.skep(&["login", "--user", "anna", "--password-stdin"], PASSWORD);
    assert_eq!(anna.json(&["whoami"])["account"]["name"], "anna");
    let wrong = anna.say(&["login", "--user", "anna", "--password-stdin"], "wrong wrong wrong\n");
    assert_eq!(wrong.status.code(), Some(3));
}
