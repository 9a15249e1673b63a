//! Attacks on who signed a role file.

use crate::world::{Attack, check, key, policy_text};

/// Adds the group order to a signature's scalar: valid under lax rules, another spelling of the same signature.
fn malleate(signature: &str) -> String {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut carry = 0u16;
    let scalar = (0..32).map(|index| {
        let at = 64 + 2 * index;
        let sum = u16::from_str_radix(&signature[at..at + 2], 16).unwrap()
            + u16::from(ORDER[index])
            + carry;
        carry = sum >> 8;
        format!("{:02x}", sum & 0xff)
    });
    let scalar: String = scalar.collect();
    format!("{}{scalar}", &signature[..64])
}

const SIGNATURES: &[Attack] = &[
    ("empty policy", |w| w.policy = String::new(), "package.namespace_not_allowed"),
    (
        "policy of a neighbour",
        |w| w.policy = w.policy.replace("acme", "acne"),
        "package.namespace_not_allowed",
    ),
    (
        "key the policy does not know",
        |w| {
            let s = w.signed();
            w.sign(&s, &[9])
        },
        "package.signature_untrusted",
    ),
    (
        "operator's key in the publisher's place",
        |w| {
            let s = w.signed();
            w.sign(&s, &[7])
        },
        "package.signature_untrusted",
    ),
    (
        "unsigned role",
        |w| {
            let s = w.signed();
            w.sign(&s, &[])
        },
        "package.signature_untrusted",
    ),
    ("one of two signatures", |w| w.policy = policy_text(&[1, 2], 2), "package.threshold_not_met"),
    (
        "one of two and a stranger's",
        |w| {
            w.policy = policy_text(&[1, 2], 2);
            let s = w.signed();
            w.sign(&s, &[1, 9])
        },
        "package.threshold_not_met",
    ),
    (
        "one key signs twice",
        |w| {
            w.policy = policy_text(&[1, 2], 2);
            let s = w.signed();
            w.sign(&s, &[1, 1])
        },
        "package.signature_duplicated",
    ),
    (
        "flipped bit in the signature",
        |w| {
            w.edit_signature(|s| {
                if s.starts_with('0') { s.replacen('0', "1", 1) } else { format!("0{}", &s[1..]) }
            })
        },
        "package.signature_invalid",
    ),
    ("malleable signature", |w| w.edit_signature(|s| malleate(&s)), "package.signature_invalid"),
    ("short signature", |w| w.edit_signature(|s| s[..126].to_owned()), "package.signature_invalid"),
    ("long signature", |w| w.edit_signature(|s| format!("{s}00")), "package.signature_invalid"),
    ("signature of words", |w| w.edit_signature(|_| "please".into()), "package.signature_invalid"),
    ("all-zero signature", |w| w.edit_signature(|_| "0".repeat(128)), "package.signature_invalid"),
    (
        "stranger's signature under a known key id",
        |w| {
            let s = w.signed();
            w.sign(&s, &[9]);
            let (known, stranger) =
                (key(1).public().key_id().hex(), key(9).public().key_id().hex());
            w.edit_role(&stranger, &known)
        },
        "package.signature_invalid",
    ),
    (
        "good signature and a bad one by the other key",
        |w| {
            let s = w.signed();
            w.sign(&s, &[1, 9]);
            let (known, stranger) =
                (key(2).public().key_id().hex(), key(9).public().key_id().hex());
            w.edit_role(&stranger, &known)
        },
        "package.signature_invalid",
    ),
    (
        "crowd of signatures",
        |w| {
            let s = w.signed();
            w.sign(&s, &[9; 33])
        },
        "package.role_too_large",
    ),
    (
        "role changed after signing",
        |w| w.edit_role("\"release\":9", "\"release\":99"),
        "package.signature_invalid",
    ),
    (
        "key id in capitals",
        |w| {
            let id = key(1).public().key_id().hex();
            w.edit_role(&id, &id.to_uppercase())
        },
        "package.role_malformed",
    ),
];

#[test]
fn signatures_that_do_not_count_are_refused_by_name() {
    check(SIGNATURES);
}
