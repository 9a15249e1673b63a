//! Policy documents and revisions: what is refused, and what resolving writes out.

use crate::wish::{policy, program};
use skep_artifact::digest::Digest;
use skep_artifact::hook::{Hook, Verdict, VerdictSet};
use skep_fleet::policy::{
    Attach, MemberError, PRIORITY_DEFAULT, PROGRAMS_MAX, PackageRange, PolicyDocument, PolicyError,
    ProgramDefaults, REVISION_BYTES_MAX, ResolvedPackage,
};
use skep_fleet::{AttachMode, Backend, How, PolicyRevision, selector::Selector};

fn document(programs: &str) -> PolicyDocument {
    serde_json::from_str(&format!(
        r#"{{"kind":"Policy","name":"fw","nodes":{{"matchLabels":{{"role":"edge"}}}},
            "attach":{{"interfaces":{{"match":["eth*"]}},"hook":"xdp"}},"programs":{programs}}}"#
    ))
    .unwrap()
}

fn defaults(name: &str) -> ProgramDefaults {
    ProgramDefaults { name: name.to_owned(), priority: None, proceed_on: None }
}

fn found(programs: Vec<ProgramDefaults>) -> ResolvedPackage {
    let version = semver::Version::new(1, 4, 2);
    ResolvedPackage { version, index: Digest::of(b"index"), programs }
}

fn resolve(programs: &str, has: Vec<ProgramDefaults>) -> Result<PolicyRevision, PolicyError> {
    let lookup = |_: &PackageRange, _: Hook| Some(found(has.clone()));
    document(programs).resolve(7, &lookup)
}

#[track_caller]
fn reason(refused: Result<PolicyRevision, PolicyError>) -> MemberError {
    match refused {
        Err(PolicyError::Member { source, .. }) => *source,
        other => panic!("a member must be refused, not {other:?}"),
    }
}

#[test]
fn a_verdict_of_another_hook_is_refused() {
    let wish = r#"[{"name":"a","package":"skep/firewall","proceedOn":["pipe"]}]"#;
    let refused = reason(resolve(wish, vec![defaults("main")]));
    assert!(matches!(refused, MemberError::ForeignVerdict { .. }));
}

#[test]
fn resolving_fixes_the_version_and_writes_every_default_out() {
    let wish = r#"[{"name":"guard","package":"skep/firewall@^1.4"}]"#;
    let revision = resolve(wish, vec![defaults("xdp_firewall")]).unwrap();
    let pinned = &revision.programs[0];
    assert_eq!(revision.revision, 7);
    assert_eq!(pinned.version, semver::Version::new(1, 4, 2));
    assert_eq!(pinned.program, "xdp_firewall");
    assert_eq!(pinned.priority, PRIORITY_DEFAULT);
    assert_eq!(pinned.proceed_on, VerdictSet::default_for(Hook::Xdp));
}

#[test]
fn the_document_wins_over_the_package_and_the_package_over_the_default() {
    let declared = ProgramDefaults {
        name: "main".to_owned(),
        priority: Some(20),
        proceed_on: Some(VerdictSet::of(&[Verdict::Pass, Verdict::Tx])),
    };
    let wish = r#"[{"name":"a","package":"skep/firewall"}]"#;
    let from_package = resolve(wish, vec![declared.clone()]).unwrap();
    assert_eq!(from_package.programs[0].priority, 20);
    assert!(from_package.programs[0].proceed_on.contains(Verdict::Tx));
    let wish = r#"[{"name":"a","package":"skep/firewall","priority":5,"proceedOn":["pass"]}]"#;
    let from_document = resolve(wish, vec![declared]).unwrap();
    assert_eq!(from_document.programs[0].priority, 5);
    assert!(!from_document.programs[0].proceed_on.contains(Verdict::Tx));
}

#[test]
fn a_program_must_be_named_when_there_are_several() {
    let two = || vec![defaults("one"), defaults("two")];
    let unnamed = resolve(r#"[{"name":"a","package":"skep/firewall"}]"#, two());
    assert!(matches!(reason(unnamed), MemberError::WhichProgram { .. }));
    let named = resolve(r#"[{"name":"a","package":"skep/firewall","program":"two"}]"#, two());
    assert_eq!(named.unwrap().programs[0].program, "two");
    let wrong = resolve(r#"[{"name":"a","package":"skep/firewall","program":"three"}]"#, two());
    assert!(matches!(reason(wrong), MemberError::NoSuchProgram { .. }));
    let none = resolve(r#"[{"name":"a","package":"skep/firewall"}]"#, vec![]);
    assert!(matches!(reason(none), MemberError::NoSuchProgram { .. }));
}

#[test]
fn a_package_nobody_published_is_named() {
    let wish = r#"[{"name":"a","package":"skep/firewall@^9"}]"#;
    let refused = document(wish).resolve(1, &|_, _| None).unwrap_err();
    let reason = reason(Err(refused));
    assert!(reason.to_string().contains("skep/firewall@^9"), "{reason}");
}

#[test]
fn unknown_keys_are_refused() {
    let typo = r#"[{"name":"a","package":"skep/firewall","prio":5}]"#;
    let text = format!(
        r#"{{"kind":"Policy","name":"fw","nodes":{{"everyNode":true}},"attach":{{"interfaces":{{"match":["*"]}},"hook":"xdp"}},"programs":{typo}}}"#
    );
    assert!(serde_json::from_str::<PolicyDocument>(&text).is_err());
}

#[track_caller]
fn refused(change: impl Fn(&mut PolicyRevision), expected: fn(&PolicyError) -> bool) {
    let mut revision = policy("fw", &["eth0"], vec![program("m", "a/b", 1)]);
    revision.check().unwrap();
    change(&mut revision);
    let error = revision.check().unwrap_err();
    assert!(expected(&error), "{error:?}");
    let bytes = serde_json::to_vec(&revision).unwrap();
    assert!(PolicyRevision::from_json(&bytes).is_err(), "a node must refuse it as well");
}

#[test]
fn contradictory_revisions_are_refused() {
    use PolicyError as E;
    refused(|r| r.revision = 0, |e| matches!(e, E::RevisionZero { .. }));
    refused(|r| r.programs.clear(), |e| matches!(e, E::NoPrograms { .. }));
    refused(|r| r.removed = true, |e| matches!(e, E::TombstoneWithPrograms { .. }));
    refused(|r| r.nodes = Selector::default(), |e| matches!(e, E::Selector { .. }));
    refused(|r| r.attach.interfaces.patterns.clear(), |e| matches!(e, E::Interfaces { .. }));
    refused(
        |r| r.attach.interfaces.patterns = vec!["!eth0".to_owned()],
        |e| matches!(e, E::Interfaces { .. }),
    );
    refused(
        |r| r.programs.push(program("m", "a/c", 2)),
        |e| matches!(e, E::DuplicateMember { .. }),
    );
    refused(
        |r| {
            let many = 0..u32::try_from(PROGRAMS_MAX).unwrap() + 1;
            r.programs = many.map(|n| program(&format!("m{n}"), "a/b", n)).collect();
        },
        |e| matches!(e, E::TooManyPrograms { .. }),
    );
    let foreign: fn(&PolicyError) -> bool = |e| matches!(e, E::ForeignHow { .. });
    refused(|r| r.attach.backend = Backend::Tcx, foreign);
    refused(|r| (r.attach.hook, r.attach.backend) = (Hook::TcEgress, Backend::Libxdp), foreign);
    refused(|r| (r.attach.hook, r.attach.mode) = (Hook::TcEgress, AttachMode::Native), foreign);
}

#[test]
fn how_to_attach_is_read_signed_and_left_out_where_nobody_asked() {
    let text = r#"{ "interfaces": { "match": ["eth0"] }, "hook": "xdp", "backend": "fused",
                    "mode": "native", "takeover": true, "allowGap": true, "loseState": true }"#;
    let attach: Attach = serde_json::from_str(text).unwrap();
    let (backend, mode) = (Backend::Fused, AttachMode::Native);
    assert_eq!(
        attach.how(),
        How { backend, mode, takeover: true, allow_gap: true, lose_state: true }
    );
    let mut fw = policy("fw", &["eth0"], vec![program("m", "a/b", 1)]);
    let plain = String::from_utf8(fw.to_json().unwrap()).unwrap();
    for word in ["backend", "takeover", "allowGap", "native"] {
        assert!(!plain.contains(word), "an older node must be able to read {plain}");
    }
    fw.attach = attach;
    assert_eq!(PolicyRevision::from_json(&fw.to_json().unwrap()).unwrap(), fw);
    assert!(serde_json::from_str::<Attach>(&text.replace("fused", "l3af")).is_err());
}

#[test]
fn a_tombstone_is_a_valid_revision() {
    let fw = policy("fw", &["eth0"], vec![program("m", "a/b", 1)]);
    let bytes = fw.tombstone(2).to_json().unwrap();
    assert!(PolicyRevision::from_json(&bytes).unwrap().removed);
}

#[test]
fn what_is_signed_is_read_back_unchanged() {
    let fw = policy("fw", &["eth*", "!eth1"], vec![program("m", "a/b", 1)]);
    assert_eq!(PolicyRevision::from_json(&fw.to_json().unwrap()).unwrap(), fw);
}

#[test]
fn an_oversize_revision_is_refused_before_it_is_parsed() {
    let blank = vec![b' '; REVISION_BYTES_MAX + 1];
    assert!(matches!(PolicyRevision::from_json(&blank), Err(PolicyError::TooLarge { .. })));
}
