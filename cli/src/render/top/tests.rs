//! The view as a person meets it: keys pressed, rows and pictures looked at.

use super::draw::{Paint, draw};
use super::*;
use crate::local::reading::MemberReading;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use skep_artifact::hook::Hook;

fn member(name: &str, what: &str, priority: u32, verdicts: &[(Verdict, u64)]) -> MemberReading {
    let packets = verdicts.iter().map(|(_, count)| count).sum();
    MemberReading {
        policy: "edge".into(),
        name: name.into(),
        what: what.into(),
        priority,
        packets,
        bytes: packets * 100,
        verdicts: verdicts.to_vec(),
        ns: packets * 31,
        timed: packets,
        ..MemberReading::default()
    }
}

fn readings(scale: u64) -> Vec<Reading> {
    let chain = |keeper, interface: &str, hook, backend: &str, members| Reading {
        keeper,
        interface: interface.into(),
        hook,
        backend: backend.into(),
        why: String::new(),
        xdp_mode: if hook == Hook::Xdp { "native".into() } else { String::new() },
        generation: 41,
        members,
    };
    let mut silent = member("dns", "skep/dnsmon 0.3.0", 50, &[(Verdict::Unspec, 40 * scale)]);
    silent.missed = 7;
    vec![
        chain(
            Keeper::Agent,
            "eth1",
            Hook::Xdp,
            "slots",
            vec![
                member(
                    "guard",
                    "skep/firewall 1.4.2",
                    10,
                    &[(Verdict::Drop, 48_200 * scale), (Verdict::Pass, 1_190_000 * scale)],
                ),
                member(
                    "limiter-of-the-edge",
                    "acme/ratelimit-with-a-long-name 1.4.2",
                    20,
                    &[(Verdict::Drop, 11_000 * scale), (Verdict::Pass, 1_179_000 * scale)],
                ),
            ],
        ),
        chain(Keeper::Run, "eth0", Hook::TcIngress, "tcx", vec![silent]),
    ]
}

fn view() -> View {
    let mut view = View::new("edge-07".into(), 1);
    view.take(&readings(3), Some((&readings(1), 2.0)));
    view
}

fn names(view: &View) -> Vec<String> {
    let name = |row: Row<'_>| match row {
        Row::Chain(chain) => chain.interface.clone(),
        Row::Member { member, chosen: true, .. } => format!(">{}", member.name),
        Row::Member { member, .. } => format!(" {}", member.name),
    };
    view.rows().into_iter().map(name).collect()
}

fn press(view: &mut View, keys: &str) {
    for key in keys.chars() {
        assert_eq!(view.press(Key::Char(key)), Next::GoOn);
    }
}

fn picture(view: &View, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, view, Paint::Plain)).unwrap();
    terminal.backend().to_string()
}

#[test]
fn chains_are_ordered_by_place_and_then_as_asked_for() {
    let mut view = view();
    let by_place = ["eth0", ">dns", "eth1", " guard", " limiter-of-the-edge"];
    assert_eq!(names(&view), by_place);
    press(&mut view, "s");
    assert_eq!(view.sort, Sort::Packets);
    assert_eq!(names(&view), ["eth1", ">guard", " limiter-of-the-edge", "eth0", " dns"]);
    press(&mut view, "sss");
    assert_eq!(view.sort, Sort::Missed);
    assert_eq!(names(&view), by_place);
    press(&mut view, "s");
    assert_eq!(view.sort, Sort::Place);
}

#[test]
fn a_filter_is_typed_kept_and_cleared_and_q_is_a_letter_in_it() {
    let mut view = view();
    press(&mut view, "/firew");
    assert_eq!(names(&view), ["eth1", ">guard"]);
    view.press(Key::Enter);
    assert_eq!(view.press(Key::Char('q')), Next::Quit);
    view.press(Key::Escape);
    assert_eq!(names(&view).len(), 5);
    press(&mut view, "/q");
    assert_eq!(names(&view), [""; 0]);
    view.press(Key::Backspace);
    press(&mut view, "run");
    assert_eq!(names(&view), ["eth0", ">dns"], "who keeps a chain can be asked for");
    assert_eq!(view.press(Key::Interrupt), Next::Quit);
}

#[test]
fn the_cursor_stays_on_a_member_whatever_happens_to_the_others() {
    let mut view = view();
    for _ in 0..9 {
        view.press(Key::Down);
    }
    assert_eq!(view.chosen().unwrap().1.name, "limiter-of-the-edge");
    view.take(&readings(1)[1..], None);
    assert_eq!(names(&view), ["eth0", ">dns"]);
    view.press(Key::Up);
    assert_eq!(view.chosen().unwrap().1.name, "dns");
    view.take(&[], None);
    assert_eq!(view.chosen(), None);
    assert_eq!(view.press(Key::Down), Next::GoOn);
}

#[test]
fn a_paused_view_keeps_its_numbers() {
    let mut view = view();
    press(&mut view, " ");
    view.take(&[], None);
    assert_eq!(view.chains().len(), 2);
    press(&mut view, " ");
    view.take(&[], None);
    assert_eq!(view.chains().len(), 0);
}

#[test]
fn a_terminal_of_80_columns_shows_everything_that_matters() {
    insta::assert_snapshot!("top_80x24", picture(&view(), 80, 24));
}

#[test]
fn a_wide_terminal_has_room_for_names() {
    let mut view = view();
    press(&mut view, "s/eth");
    insta::assert_snapshot!("top_120x12", picture(&view, 120, 12));
}

#[test]
fn in_a_small_window_the_cursor_stays_in_sight() {
    let mut view = view();
    view.press(Key::PageDown);
    let drawn = picture(&view, 80, 6);
    assert!(drawn.contains(">  20 limiter"), "{drawn}");
    for (width, height) in [(1, 1), (10, 2), (20, 5), (300, 3)] {
        picture(&view, width, height);
    }
}

#[test]
fn an_empty_host_says_what_fills_it() {
    let drawn = picture(&View::new("edge-07".into(), 1), 80, 8);
    assert!(drawn.contains("skep run NAME --interface IFACE"), "{drawn}");
}

#[test]
fn colours_only_where_they_are_wanted() {
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    for (paint, coloured) in [(Paint::Colours, true), (Paint::Plain, false)] {
        terminal.draw(|frame| draw(frame, &view(), paint)).unwrap();
        let cells = terminal.backend().buffer().content();
        let any = cells.iter().any(|cell| cell.fg != ratatui::style::Color::Reset);
        assert_eq!(any, coloured);
    }
}
