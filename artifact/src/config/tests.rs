//! Settings that become bytes, and those that do not fit.

use serde_json::json;

use super::*;

const MANIFEST: &str = r#"
package = { name = "a/b", version = "0.1.0", license = "MIT", description = "x" }
object = [{ path = "b.o" }]
program = [{ name = "f", type = "xdp" }]
[config.rate]
global = "rate"
type = "u32"
default = 1000
min = 1
max = 5000
[config.log]
global = "log"
type = "bool"
[config.block]
map = "block"
key = "cidr"
value = "u8"
[config.ports]
map = "ports"
key = "be16"
value = "u32"
"#;

fn global(name: &str, ty: IntType) -> GlobalFacts {
    let size = u32::try_from(ty.size()).unwrap();
    GlobalFacts {
        name: name.into(),
        ty: Some(ty),
        size,
        offset: 0,
        section: ".rodata".into(),
        constant: true,
    }
}

fn map(name: &str, kind: &str, key_size: u32, value_size: u32) -> MapFacts {
    let (name, kind) = (name.into(), kind.into());
    MapFacts { name, kind, key_size, value_size, max_entries: 3, flags: 0, legacy: false }
}

fn facts() -> ObjectFacts {
    ObjectFacts {
        endian: Endian::Little,
        has_btf: true,
        license: None,
        programs: vec![],
        maps: vec![map("block", "lpm_trie", 20, 1), map("ports", "hash", 2, 4)],
        globals: vec![global("rate", IntType::U32), global("log", IntType::Bool)],
        size: 0,
    }
}

fn encode_with(facts: &ObjectFacts, values: Value) -> Result<EncodedConfig, ConfigError> {
    let values = serde_json::from_value(values).unwrap();
    encode(&Manifest::parse(MANIFEST).unwrap(), facts, &values)
}

#[test]
fn defaults_fill_globals_and_config_maps_are_listed_empty() {
    let encoded = encode_with(&facts(), json!({})).unwrap();
    assert_eq!(encoded.globals, [("rate".to_owned(), 1000u32.to_le_bytes().to_vec())].into());
    assert_eq!(encoded.maps, [("block".to_owned(), vec![]), ("ports".to_owned(), vec![])].into());
}

#[test]
fn values_become_the_bytes_the_program_reads() {
    let values = json!({ "rate": 7, "log": true, "block": ["10.0.0.0/8", "2001:db8::/32"], "ports": { "443": 9 } });
    let encoded = encode_with(&facts(), values.clone()).unwrap();
    assert_eq!(encoded.globals["rate"], [7, 0, 0, 0]);
    assert_eq!(encoded.globals["log"], [1]);
    assert_eq!(encoded.maps["ports"], [(vec![1, 187], vec![9, 0, 0, 0])]);
    let mut v4 = vec![104, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 0];
    let mut v6 = vec![32, 0, 0, 0, 0x20, 0x01, 0x0d, 0xb8];
    v6.resize(20, 0);
    assert_eq!(encoded.maps["block"], [(v6.clone(), vec![1]), (v4.clone(), vec![1])]);

    let big = ObjectFacts { endian: Endian::Big, ..facts() };
    let encoded = encode_with(&big, values).unwrap();
    assert_eq!(encoded.globals["rate"], [0, 0, 0, 7]);
    assert_eq!(encoded.maps["ports"], [(vec![1, 187], vec![0, 0, 0, 9])]);
    v4[..4].reverse();
    assert_eq!(encoded.maps["block"][1].0, v4);
}

#[test]
fn a_trie_for_ipv4_takes_ipv4_only() {
    let mut facts = facts();
    facts.maps[0].key_size = 8;
    let encoded = encode_with(&facts, json!({ "block": { "192.0.2.1": 2 } })).unwrap();
    assert_eq!(encoded.maps["block"], [(vec![32, 0, 0, 0, 192, 0, 2, 1], vec![2])]);
    let refused = encode_with(&facts, json!({ "block": ["::/0"] }));
    assert!(matches!(refused, Err(ConfigError::Key { .. })));
}

#[test]
fn values_that_do_not_fit_are_refused_by_name() {
    for (values, wanted) in [
        (json!({ "rat": 1 }), "there is no setting `rat`; the package has block, log, ports, rate"),
        (json!({ "rate": 0 }), "`rate` is 0; it must be 1 to 5000"),
        (json!({ "rate": 5001 }), "`rate` is 5001; it must be 1 to 5000"),
        (json!({ "rate": -1 }), "`rate` is -1; it must be 1 to 5000"),
        (json!({ "rate": 1.5 }), "`rate` needs a whole number, not a number"),
        (json!({ "rate": "7" }), "`rate` needs a whole number, not a text"),
        (json!({ "log": 1 }), "`log` needs true or false, not a number"),
        (json!({ "block": 1 }), "`block` needs a list of keys, or keys with values, not a number"),
        (json!({ "block": [[]] }), "`block` needs keys that are texts or numbers, not a list"),
        (json!({ "block": { "10.0.0.0/8": 256 } }), "`block` is 256; it must be 0 to 255"),
        (json!({ "block": ["10.0.0.1/8"] }), "\"10.0.0.1/8\" is not a prefix"),
        (json!({ "block": ["10.0.0.0/33"] }), "is not a prefix"),
        (json!({ "block": ["::/129"] }), "is not a prefix"),
        (json!({ "block": ["10.0.0.0/+8"] }), "is not a prefix"),
        (json!({ "block": ["example.com"] }), "is not a prefix"),
        (
            json!({ "block": ["10.0.0.0/8", "::ffff:10.0.0.0/104"] }),
            "means an entry that is written already",
        ),
        (json!({ "ports": { "65536": 1 } }), "\"65536\" is not a key the map has room for"),
        (json!({ "ports": { "http": 1 } }), "\"http\" is not a whole number"),
        (json!({ "ports": [1, 2, 3, 4] }), "`ports` has 4 entries; the map holds 3"),
    ] {
        let error =
            encode_with(&facts(), values).map_or_else(|e| e.to_string(), |_| "accepted".into());
        assert!(error.contains(wanted), "{wanted}: {error}");
    }
}

#[test]
fn settings_without_a_place_in_the_object_are_refused() {
    type Change = fn(&mut ObjectFacts);
    let cases: [(Change, &str); 8] = [
        (|f| f.globals.clear(), "there is no global of that name"),
        (|f| f.globals[0].constant = false, "it is not constant"),
        (|f| f.globals[0].ty = Some(IntType::U64), "it is a u64"),
        (|f| f.globals[0].ty = None, "it is not an unsigned integer"),
        (|f| f.maps.clear(), "the object has no such map"),
        (|f| f.maps[0].kind = "hash".into(), "it is of type hash; such a setting needs lpm_trie"),
        (|f| f.maps[0].key_size = 16, "its keys have 16 bytes, which is no cidr key"),
        (|f| f.maps[1].value_size = 8, "its values have 8 bytes and a u32 has 4"),
    ];
    for (change, wanted) in cases {
        let mut facts = facts();
        change(&mut facts);
        let error =
            encode_with(&facts, json!({})).map_or_else(|e| e.to_string(), |_| "accepted".into());
        assert!(error.contains(wanted), "{wanted}: {error}");
        let again =
            check_places(&Manifest::parse(MANIFEST).unwrap(), &facts).map_err(|e| e.to_string());
        assert_eq!(again, Err(error));
    }
}
