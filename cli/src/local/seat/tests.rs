//! Seats on a real file system.

use super::*;
use std::os::unix::fs::PermissionsExt as _;

const PLACE: Place = Place { netns: 4_026_531_840, ifindex: 7, hook: Hook::TcIngress };

fn seat(name: &str, holder: Holder) -> Seat {
    Seat {
        format: FORMAT,
        name: name.into(),
        interface: "eth0".into(),
        title: "thing.o".into(),
        program: "f".into(),
        priority: 5,
        proceed_on: VerdictSet::default_for(Hook::TcIngress),
        mode: Mode::Enforce,
        failure: Failure::Closed,
        settings: ConfigValues::default(),
        wish: Wish::default(),
        origin: Origin::Object { path: "thing.o".into() },
        since: 100,
        holder,
    }
}

fn object() -> Content {
    Content::Object { path: "thing.o".into(), bytes: b"ELF".to_vec() }
}

#[test]
fn a_seat_reads_back_and_is_left_over_once_its_holder_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let seats = Seats::open(&folder.path().join("seats")).unwrap();
    let _locked = seats.lock().unwrap();
    let held = seats.take(PLACE, &seat("a", Holder::Process(7)), &object()).unwrap();
    assert!(held.is_some());
    seats.take(PLACE, &seat("b", Holder::Detached), &object()).unwrap();
    assert_eq!(seats.places().unwrap(), [PLACE]);
    let standing = |seats: &Seats| {
        let stored = seats.at(PLACE).unwrap();
        stored.iter().map(|s| (s.seat.name.clone(), s.standing)).collect::<Vec<_>>()
    };
    let both = |first| [("a".to_owned(), first), ("b".to_owned(), Standing::Detached)];
    assert_eq!(standing(&seats), both(Standing::Foreground));
    drop(held);
    assert_eq!(standing(&seats), both(Standing::LeftOver));
    let stored = seats.at(PLACE).unwrap().remove(0);
    assert_eq!(stored.seat, seat("a", Holder::Process(7)));
    let (content, accepted_at) = stored.content().unwrap();
    assert!(matches!(content, Content::Object { bytes, .. } if bytes == b"ELF"));
    assert_eq!(accepted_at, 100);
    seats.forget(PLACE, "a").unwrap();
    seats.forget(PLACE, "b").unwrap();
    assert_eq!(seats.places().unwrap(), [], "the hook's folder goes with its last seat");
}

#[test]
fn a_folder_that_others_may_write_to_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o770)).unwrap();
    let error = Seats::open(folder.path()).map(drop).unwrap_err();
    assert!(error.to_string().contains("mode 0770"), "{error}");
}

#[test]
fn a_damaged_seat_and_one_of_another_version_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let seats = Seats::open(&folder.path().join("seats")).unwrap();
    seats.take(PLACE, &seat("a", Holder::Detached), &object()).unwrap();
    let path = folder.path().join("seats/4026531840-7-tc-ingress/a/seat.json");
    let text = fs::read_to_string(&path).unwrap();
    for damaged in ["", "{}", &text.replace("\"format\": 1", "\"format\": 2")] {
        fs::write(&path, damaged).unwrap();
        let error = format!("{:#}", seats.at(PLACE).map(drop).unwrap_err());
        assert!(error.contains("another version of skep"), "{error}");
        assert!(error.contains("skep run --stop"), "{error}");
    }
    assert_eq!(seats.names(PLACE).unwrap(), ["a"]);
}
