//! What the picture of a chain promises.

use super::*;
use crate::view::samples;

fn across(chain: &ChainStatus) -> Picture {
    draw(chain, &chain::totals(chain), Measure::Total, Direction::Across)
}

fn bands(picture: &Picture, wanted: Ink) -> Vec<f64> {
    let height = |shape: &Shape| match shape {
        Shape::Rect { height, ink, .. } if *ink == wanted => Some(*height),
        _ => None,
    };
    picture.shapes.iter().filter_map(height).collect()
}

fn streams(picture: &Picture, wanted: Ink) -> usize {
    let hit = |s: &&Shape| matches!(s, Shape::Path { ink, .. } if *ink == wanted);
    picture.shapes.iter().filter(hit).count()
}

#[test]
fn the_band_narrows_by_what_is_dropped() {
    let picture = across(&samples::chain());
    let heights = bands(&picture, Ink::Flow);
    assert_eq!(heights[0], BAND_MAX);
    // guard drops 40 of 1000.
    assert!(heights.contains(&(BAND_MAX * 0.96)), "{heights:?}");
    assert_eq!(streams(&picture, Ink::Drop), 2);
    assert_eq!(streams(&picture, Ink::Aside), 0);
}

#[test]
fn one_dropped_packet_in_a_million_is_still_drawn() {
    let mut chain = samples::chain();
    chain.members[0].counters.packets = 1_000_000;
    chain.members[0].counters.verdicts = samples::verdicts(&[("pass", 999_999), ("drop", 1)]);
    chain.members.truncate(1);
    assert_eq!(streams(&across(&chain), Ink::Drop), 1);
}

#[test]
fn no_packets_is_a_hairline_and_says_so() {
    let chain = samples::chain();
    let nothing: Vec<Amounts> = chain.members.iter().map(|_| Amounts::default()).collect();
    let picture = draw(&chain, &nothing, Measure::PerSecond, Direction::Across);
    assert!(bands(&picture, Ink::Flow).is_empty());
    assert!(bands(&picture, Ink::Idle).iter().all(|h| *h == 1.0));
    let says = |s: &Shape| matches!(s, Shape::Text { text, .. } if text == words::NO_PACKETS);
    assert!(picture.shapes.iter().any(says));
}

#[test]
fn an_observer_is_drawn_as_a_watcher() {
    let picture = across(&samples::chain());
    assert_eq!(bands(&picture, Ink::Card).len(), 2);
    assert_eq!(bands(&picture, Ink::Watcher).len(), 1);
}

#[test]
fn what_a_packet_costs_stands_on_the_card_once_it_was_measured() {
    let texts = |chain: &ChainStatus| -> Vec<String> {
        across(chain)
            .shapes
            .into_iter()
            .filter_map(|shape| match shape {
                Shape::Text { text, .. } => Some(text),
                Shape::Rect { .. } | Shape::Path { .. } => None,
            })
            .collect()
    };
    let mut chain = samples::chain();
    assert!(!texts(&chain).iter().any(|text| text.contains("a packet")));
    (chain.members[0].counters.ns, chain.members[0].counters.timed) = (3_100, 100);
    assert!(texts(&chain).contains(&"31 ns a packet".to_owned()));
}

#[test]
fn the_label_tells_the_picture_in_a_sentence() {
    assert_eq!(
        across(&samples::chain()).label,
        "Chain on eth0, xdp: 1.00 k packets come in; guard passes 96 % and drops 4.0 %; \
         limiter passes 98 % and drops 2.1 %; flows observes."
    );
}

#[test]
fn every_shape_lies_inside_the_picture() {
    let mut chain = samples::chain();
    chain.members[0].counters.verdicts =
        samples::verdicts(&[("pass", 500), ("drop", 300), ("tx", 200)]);
    for direction in [Direction::Across, Direction::Down] {
        let picture = draw(&chain, &chain::totals(&chain), Measure::Total, direction);
        for shape in &picture.shapes {
            if let Shape::Rect { x, y, width, height, .. } = shape {
                assert!(*x >= 0.0 && *y >= 0.0, "{shape:?}");
                assert!(x + width <= picture.width && y + height <= picture.height, "{shape:?}");
            }
        }
    }
}

#[test]
fn an_empty_chain_draws_without_panic() {
    let mut chain = samples::chain();
    chain.members.clear();
    for direction in [Direction::Across, Direction::Down] {
        assert!(draw(&chain, &[], Measure::Total, direction).width > 0.0);
    }
}
