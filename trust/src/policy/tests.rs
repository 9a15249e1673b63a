//! Policy files that are read, and those that are refused.

use skep_artifact::SecretKey;

use super::*;

fn key(seed: u8) -> String {
    SecretKey::from_seed([seed; 32]).public().to_string()
}

fn refusal(text: &str) -> String {
    NodePolicy::parse(text).map_or_else(|error| error.to_string(), |_| "accepted".to_owned())
}

#[test]
fn an_empty_policy_accepts_nobody() {
    let policy = NodePolicy::parse("").unwrap();
    assert_eq!(policy, NodePolicy::default());
    assert_eq!(policy.namespaces().count(), 0);
    assert_eq!(policy.operator(), None);
}

#[test]
fn every_key_of_the_file_is_read() {
    let text = format!(
        "[operator]\nkeys = [\"{}\", \"{}\"]\nthreshold = 2\n[[namespace]]\nname = \"skep\"\nkeys = [\"{}\"]\n\
         hooks = [\"xdp\", \"tc-ingress\"]\nrefuse-helpers = [\"bpf_redirect\"]\nmax-instructions = 10\nmax-map-bytes = 20\n",
        key(1),
        key(2),
        key(3)
    );
    let policy = NodePolicy::parse(&text).unwrap();
    assert_eq!(
        policy.operator().map(|signers| (signers.keys.len(), signers.threshold)),
        Some((2, 2))
    );
    let rule = policy.namespace(&"skep".parse().unwrap()).unwrap();
    assert_eq!(rule.hooks, [Hook::Xdp, Hook::TcIngress]);
    assert_eq!(
        (rule.signers.as_ref().unwrap().threshold, rule.max_instructions, rule.max_map_bytes),
        (1, Some(10), Some(20))
    );
    assert_eq!(policy.namespace(&"acme".parse().unwrap()), None);
}

#[test]
fn a_namespace_needs_keys_or_a_root_that_can_name_them() {
    let table = "[[namespace]]\nname = \"acme\"\nhooks = [\"xdp\"]\n";
    assert!(refusal(table).contains("lists no keys for acme"));
    let trusting = format!("[trust]\nroot = \"root.json\"\n{table}");
    let policy = NodePolicy::parse(&trusting).unwrap();
    assert_eq!(policy.trust_root(), Some("root.json"));
    assert_eq!(policy.namespace(&"acme".parse().unwrap()).unwrap().signers, None);
    assert!(refusal(&format!("{trusting}threshold = 2\n")).contains("threshold for acme"));
    assert!(refusal("[trust]\nroots = \"root.json\"").contains("unknown field `roots`"));
}

#[test]
fn what_becomes_of_revoked_content_is_the_namespaces_to_say_and_then_the_hooks() {
    let text = format!(
        "[operator]\nkeys = [\"{0}\"]\nenvironment = \"prod\"\nemergency = [\"{1}\"]\n\
         [on-revoke]\nxdp = \"fallback\"\n\
         [[namespace]]\nname = \"skep\"\nkeys = [\"{0}\"]\nhooks = []\non-revoke = \"detach\"\n\
         [[namespace]]\nname = \"acme\"\nkeys = [\"{0}\"]\nhooks = []\n",
        key(1),
        key(2)
    );
    let policy = NodePolicy::parse(&text).unwrap();
    assert_eq!(policy.environment(), Some("prod"));
    assert_eq!(policy.emergency().len(), 1);
    let of = |name: &str, hook| policy.on_revoke(&name.parse().unwrap(), hook);
    assert_eq!(of("skep", Hook::Xdp), OnRevoke::Detach);
    assert_eq!(of("acme", Hook::Xdp), OnRevoke::Fallback);
    assert_eq!(of("acme", Hook::TcIngress), OnRevoke::Keep);
    assert_eq!(of("nobody", Hook::TcEgress), OnRevoke::Keep);
    assert!(refusal("[on-revoke]\nxdp = \"explode\"").contains("unknown variant"));
    let crowd = vec![format!("\"{}\"", key(1)); SIGNATURES_MAX + 1].join(", ");
    let text = format!("[operator]\nkeys = [\"{}\"]\nemergency = [{crowd}]", key(1));
    assert!(refusal(&text).contains("lists 33 keys for emergencies"));
    let text = text.replacen(&format!("\"{}\", ", key(1)), "", 1);
    assert_eq!(refusal(&text), "accepted");
}

#[test]
fn a_restriction_that_is_misspelt_is_no_policy() {
    let table = |rest: &str| {
        format!("[[namespace]]\nname = \"a\"\nkeys = [\"{}\"]\nhooks = []\n{rest}", key(1))
    };
    assert_eq!(refusal(&table("")), "accepted");
    assert!(
        refusal(&table("refuse_helpers = []")).contains("line 5: unknown field `refuse_helpers`")
    );
    assert!(
        refusal(&table("refuse-helpers = [\"redirect\"]")).contains("write it with its prefix")
    );
    assert!(refusal(&table("threshold = 0")).contains("asks for 0 of 1"));
    assert!(refusal(&table("threshold = 2")).contains("asks for 2 of 1"));
    assert!(refusal(&[table(""), table("")].concat()).contains("two [[namespace]] tables for a"));
    assert!(
        refusal(&table("").replace("hooks = []", "hooks = [\"socket\"]"))
            .contains("unknown variant")
    );
    assert!(refusal(&table("").replace("hooks = []\n", "")).contains("missing field `hooks`"));
    assert!(refusal("[operator]\nkeys = []").contains("asks for 1 of 0"));
    let twice = format!("[operator]\nkeys = [\"{0}\", \"{0}\"]\nthreshold = 2", key(1));
    assert!(refusal(&twice).contains("asks for 2 of 1"));
    assert!(
        refusal(
            "[operator]\nkeys = [\"skep-ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"]"
        )
        .contains("small order")
    );
}
