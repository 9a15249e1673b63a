//! Where settings come from, and what is remembered.

use super::*;

fn flags(config: &Path) -> Flags {
    Flags {
        server: None,
        token: None,
        token_file: None,
        ca: None,
        context: None,
        config: Some(config.to_owned()),
    }
}

fn nothing(_: &str) -> Option<String> {
    None
}

#[test]
fn a_flag_beats_the_file_and_the_file_beats_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let text = "current = \"lab\"\n[context.lab]\nserver = \"https://lab:1\"\ntoken = \"t\"\n";
    fs::write(&path, text).unwrap();
    let from_file = Settings::settle(flags(&path), &nothing).unwrap();
    assert_eq!(from_file.server.as_deref(), Some("https://lab:1"));
    assert_eq!(from_file.token.as_deref(), Some("t"));
    let flag = Flags { server: Some("https://other:2".into()), ..flags(&path) };
    let from_flag = Settings::settle(flag, &nothing).unwrap();
    assert_eq!(from_flag.server.as_deref(), Some("https://other:2"));
}

#[test]
fn what_login_remembers_is_private_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("skep/config.toml");
    let first = Flags {
        server: Some("https://lab:1".into()),
        token: Some("secret".into()),
        context: Some("lab".into()),
        ..flags(&path)
    };
    Settings::settle(first, &nothing).unwrap().remember(None).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let again = Settings::settle(flags(&path), &nothing).unwrap();
    assert_eq!(again.context(), "lab");
    assert_eq!(again.token.as_deref(), Some("secret"));
}

#[test]
fn unknown_keys_and_unknown_contexts_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    fs::write(&path, "[context.lab]\nserver = \"https://lab:1\"\ntokn = \"t\"\n").unwrap();
    assert!(matches!(Settings::settle(flags(&path), &nothing), Err(SettingsError::Parse { .. })));
    fs::write(&path, "[context.lab]\nserver = \"https://lab:1\"\n").unwrap();
    let other = Flags { context: Some("prod".into()), ..flags(&path) };
    let Err(error) = Settings::settle(other, &nothing) else { panic!("accepted") };
    assert!(error.to_string().ends_with("has no context 'prod'. It has: lab."), "{error}");
}

#[test]
fn without_a_home_only_what_needs_one_fails() {
    let flags = Flags { config: None, ..flags(Path::new("unused")) };
    let settings = Settings::settle(flags, &nothing).unwrap();
    assert!(matches!(settings.key_default(), Err(SettingsError::NoHome)));
}

#[test]
fn without_a_server_the_error_says_how_to_set_one() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings::settle(flags(&folder.path().join("none.toml")), &nothing).unwrap();
    let error = settings.client().map(drop).unwrap_err();
    assert!(error.to_string().contains("skep login"), "{error}");
}

#[test]
fn logging_out_forgets_the_token_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let flags = |context: &str| Flags {
        server: Some("https://lab:1".into()),
        context: Some(context.into()),
        ..flags(&path)
    };
    for context in ["lab", "prod"] {
        let settings = Settings::settle(flags(context), &nothing).unwrap();
        settings.with_token("secret".to_owned()).remember(None).unwrap();
    }
    Settings::settle(flags("lab"), &nothing).unwrap().forget_token().unwrap();
    let after = |context| Settings::settle(flags(context), &nothing).unwrap();
    assert!(!after("lab").has_token() && after("prod").has_token());
    assert_eq!(after("lab").server.as_deref(), Some("https://lab:1"));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}
