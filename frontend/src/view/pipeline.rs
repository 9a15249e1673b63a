//! The chain as a pipeline: where bands, cards and labels stand. Width of a band is proportional to
//! packets, what is dropped leaves the line in clay. It refuses to know colours and the DOM.

mod shape;
#[cfg(test)]
mod tests;

pub use shape::{Anchor, Direction, Ink, Picture, Shape, Type};

use crate::view::chain::{self, Amounts, Flow};
use crate::view::feed::Measure;
use crate::view::format;
use crate::words;
use skep_api::v1::chains::{ChainStatus, MemberStatus};
use skep_artifact::hook::Mode;

/// Thickness of the band of the busiest member.
const BAND_MAX: f64 = 40.0;
/// Thinnest band that is not nothing; a single dropped packet must be seen.
const BAND_MIN: f64 = 2.0;
const CARD_WIDTH: f64 = 208.0;
const CARD_HEIGHT: f64 = 140.0;
const CARD_RADIUS_SPACE: f64 = 12.0;
const GAP: f64 = 56.0;
/// Room for the name of the interface.
const END: f64 = 104.0;
/// Room for the name of the stack behind its arrow.
const STACK_WIDTH: f64 = 136.0;
/// Room above cards for packets that leave upwards.
const ABOVE: f64 = 36.0;
/// Room below cards for drops and their labels.
const BELOW: f64 = 72.0;
/// Distance from a card's top to its band.
const BAND_TOP: f64 = 58.0;
const ARROW: f64 = 8.0;
/// Characters of a member's name that fit on a card.
const NAME_CHARS: usize = 22;
/// Characters of a package name with version that fit on a card.
const PACKAGE_CHARS: usize = 28;

struct Drawing<'c> {
    chain: &'c ChainStatus,
    flows: Vec<Flow>,
    missed: Vec<f64>,
    /// Nanoseconds per packet.
    times: Vec<Option<f64>>,
    measure: Measure,
    /// Packets that make a band of [`BAND_MAX`].
    most: f64,
    shapes: Vec<Shape>,
}

/// Draws a chain.
#[must_use]
pub fn draw(
    chain: &ChainStatus,
    amounts: &[Amounts],
    measure: Measure,
    direction: Direction,
) -> Picture {
    let pairs = chain.members.iter().zip(amounts);
    let flows: Vec<Flow> = pairs.map(|(m, a)| chain::flow(chain.hook, m, a)).collect();
    let most = flows.iter().map(|f| f.entering).fold(0.0, f64::max);
    let missed = amounts.iter().map(|a| a.missed).collect();
    let times = amounts.iter().map(|a| a.ns_per_packet).collect();
    let mut drawing = Drawing { chain, flows, missed, times, measure, most, shapes: Vec::new() };
    let (width, height) = match direction {
        Direction::Across => drawing.across(),
        Direction::Down => drawing.down(),
    };
    let label = drawing.label();
    Picture { width, height, shapes: drawing.shapes, label }
}

impl Drawing<'_> {
    fn thick(&self, packets: f64) -> f64 {
        if packets <= 0.0 || self.most <= 0.0 {
            return 0.0;
        }
        (BAND_MAX * packets / self.most).max(BAND_MIN)
    }

    fn amount(&self, packets: f64) -> String {
        match self.measure {
            Measure::PerSecond => format::rate(packets),
            Measure::Total => format::short_count(packets),
        }
    }

    fn text(&mut self, x: f64, y: f64, anchor: Anchor, face: Type, text: String) {
        self.shapes.push(Shape::Text { x, y, anchor, face, text });
    }

    /// A band along the line of the picture; a hairline when nothing flows.
    fn band(&mut self, along: (f64, f64), across: (f64, f64), direction: Direction) {
        let ((from, to), (at, thick)) = (along, across);
        let (at, thick, ink) =
            if thick > 0.0 { (at, thick, Ink::Flow) } else { (at, 1.0, Ink::Idle) };
        self.shapes.push(match direction {
            Direction::Across => {
                Shape::Rect { x: from, y: at, width: to - from, height: thick, ink }
            }
            Direction::Down => Shape::Rect { x: at, y: from, width: thick, height: to - from, ink },
        });
    }

    fn across(&mut self) -> (f64, f64) {
        let line = ABOVE + BAND_TOP;
        let entering = self.flows.first().map_or(0.0, |f| f.entering);
        let mut x = END;
        let mut y = line;
        let mut thick = self.thick(entering);
        self.band((END - 28.0, END), (y, thick), Direction::Across);
        self.text(
            0.0,
            line + 12.0,
            Anchor::Start,
            Type::Name,
            format::clipped(&self.chain.interface, 10),
        );
        self.text(0.0, line + 30.0, Anchor::Start, Type::Small, self.amount(entering));
        for i in 0..self.flows.len() {
            let flow = self.flows[i];
            self.card(i, x, ABOVE);
            let end = x + CARD_WIDTH;
            let aside = self.thick(flow.early + flow.diverted);
            let drop = self.thick(flow.dropped);
            let onward = self.thick(flow.onward);
            let whole = thick.max(aside + onward + drop);
            self.band((x, end - 64.0), (y, thick), Direction::Across);
            if drop > 0.0 {
                self.drop_down(end - 64.0, y + whole - drop, drop);
                let words = words::dropped(
                    &format::percent(flow.dropped, flow.entering),
                    &self.amount(flow.dropped),
                );
                let below = ABOVE + CARD_HEIGHT + BELOW - 12.0;
                self.text(end - 40.0, below, Anchor::Middle, Type::Alarm, words);
            }
            if aside > 0.0 {
                self.rise(end, y, aside);
                let words = words::aside(
                    flow.early,
                    flow.diverted,
                    &self.amount(flow.early + flow.diverted),
                );
                self.text(end + GAP / 2.0, 14.0, Anchor::Middle, Type::Small, words);
            }
            y += aside;
            thick = onward;
            self.band((end - 64.0, end + GAP), (y, thick), Direction::Across);
            x = end + GAP;
        }
        let middle = y + thick / 2.0;
        self.shapes.push(arrow_right(x, middle, thick));
        self.text(x + ARROW + 8.0, line + 12.0, Anchor::Start, Type::Name, words::STACK.to_owned());
        let out = self.flows.last().map_or(0.0, |f| f.onward);
        self.text(x + ARROW + 8.0, line + 30.0, Anchor::Start, Type::Small, self.amount(out));
        (x + STACK_WIDTH, ABOVE + CARD_HEIGHT + BELOW)
    }

    /// The clay stream that turns off the line at (`x`, `y`) and leaves the card at its bottom.
    fn drop_down(&mut self, x: f64, y: f64, thick: f64) {
        const TURN: f64 = 10.0;
        let (bottom, left) = (y + thick, x + TURN);
        let right = left + thick;
        let end = ABOVE + CARD_HEIGHT + BELOW - 36.0;
        let d = format!(
            "M{x:.1} {y:.1}Q{right:.1} {y:.1} {right:.1} {:.1}L{right:.1} {end:.1}h{a:.1}L{:.1} {:.1}L{:.1} {end:.1}h{a:.1}L{left:.1} {:.1}Q{left:.1} {bottom:.1} {x:.1} {bottom:.1}Z",
            bottom + TURN,
            f64::midpoint(left, right),
            end + ARROW,
            left - ARROW / 2.0,
            bottom + TURN,
            a = ARROW / 2.0,
        );
        self.shapes.push(Shape::Path { d, ink: Ink::Drop });
    }

    /// The stream that leaves the line upwards, between two cards.
    fn rise(&mut self, x: f64, y: f64, thick: f64) {
        let (left, right) = (x + GAP / 2.0 - thick / 2.0, x + GAP / 2.0 + thick / 2.0);
        let bottom = y + thick;
        let top = 30.0;
        let from = x - 64.0;
        let d = format!(
            "M{from:.1} {y:.1}L{:.1} {y:.1}Q{left:.1} {y:.1} {left:.1} {:.1}L{left:.1} {top:.1}h-{a:.1}L{:.1} {:.1}L{:.1} {top:.1}h-{a:.1}L{right:.1} {y:.1}Q{right:.1} {bottom:.1} {:.1} {bottom:.1}L{from:.1} {bottom:.1}Z",
            left - 6.0,
            y - 6.0,
            f64::midpoint(left, right),
            top - ARROW,
            right + ARROW / 2.0,
            left - 6.0,
            a = ARROW / 2.0,
        );
        self.shapes.push(Shape::Path { d, ink: Ink::Aside });
    }

    fn card(&mut self, i: usize, x: f64, y: f64) {
        let member = &self.chain.members[i];
        let ink = if member.mode == Mode::Observe { Ink::Watcher } else { Ink::Card };
        self.shapes.push(Shape::Rect { x, y, width: CARD_WIDTH, height: CARD_HEIGHT, ink });
        let left = x + CARD_RADIUS_SPACE;
        let name = format::clipped(&member.name, NAME_CHARS);
        let package = format!("{} {}", member.package, member.version);
        let priority = member.priority.to_string();
        let fate = self.fate(i, member);
        self.text(left, y + 22.0, Anchor::Start, Type::Name, name);
        let right = x + CARD_WIDTH - CARD_RADIUS_SPACE;
        self.text(right, y + 22.0, Anchor::End, Type::Small, priority);
        self.text(
            left,
            y + 42.0,
            Anchor::Start,
            Type::Small,
            format::clipped(&package, PACKAGE_CHARS),
        );
        self.text(left, y + CARD_HEIGHT - 14.0, Anchor::Start, Type::Plain, fate);
        if let Some(ns) = self.times[i] {
            let text = words::time_a_packet(&format::nanoseconds(ns));
            self.text(left, y + CARD_HEIGHT - 30.0, Anchor::Start, Type::Small, text);
        }
        let missed = self.missed[i];
        if missed > 0.0 {
            let text = words::missed(&self.amount(missed));
            self.text(left, y + CARD_HEIGHT + 18.0, Anchor::Start, Type::Alarm, text);
        }
    }

    fn fate(&self, i: usize, member: &MemberStatus) -> String {
        let flow = &self.flows[i];
        let share = |part| format::percent(part, flow.entering);
        match member.mode {
            Mode::Observe if flow.would_drop > 0.0 => words::would_drop(&share(flow.would_drop)),
            Mode::Observe => words::OBSERVES.to_owned(),
            Mode::Enforce if flow.entering <= 0.0 => words::NO_PACKETS.to_owned(),
            Mode::Enforce => words::passes(&share(flow.onward), &self.amount(flow.onward)),
        }
    }

    fn down(&mut self) -> (f64, f64) {
        const LEFT: f64 = 8.0;
        const CARD_AT: f64 = 64.0;
        const STEP: f64 = CARD_HEIGHT + GAP;
        let width = CARD_AT + CARD_WIDTH + 24.0;
        let entering = self.flows.first().map_or(0.0, |f| f.entering);
        let mut thick = self.thick(entering);
        let mut y = 40.0;
        let title = format!("{} · {}", self.chain.interface, self.amount(entering));
        self.text(LEFT, 16.0, Anchor::Start, Type::Name, format::clipped(&title, 40));
        self.band((24.0, y), (LEFT, thick), Direction::Down);
        for i in 0..self.flows.len() {
            let flow = self.flows[i];
            self.card(i, CARD_AT, y);
            let turn = y + CARD_HEIGHT - 30.0;
            self.band((y, turn), (LEFT, thick), Direction::Down);
            let (onward, drop) = (self.thick(flow.onward), self.thick(flow.dropped));
            let aside = self.thick(flow.early + flow.diverted);
            if drop > 0.0 {
                let at = LEFT + thick.max(onward + aside + drop) - drop;
                self.turn_out(at, turn, drop, (CARD_AT, y + CARD_HEIGHT + 14.0), Ink::Drop);
                let words = words::dropped(
                    &format::percent(flow.dropped, flow.entering),
                    &self.amount(flow.dropped),
                );
                self.text(
                    CARD_AT + 28.0,
                    y + CARD_HEIGHT + 18.0,
                    Anchor::Start,
                    Type::Alarm,
                    words,
                );
            }
            if aside > 0.0 {
                self.turn_out(
                    LEFT + onward,
                    turn,
                    aside,
                    (CARD_AT, y + CARD_HEIGHT + 40.0),
                    Ink::Aside,
                );
                let words = words::aside(
                    flow.early,
                    flow.diverted,
                    &self.amount(flow.early + flow.diverted),
                );
                self.text(
                    CARD_AT + 28.0,
                    y + CARD_HEIGHT + 44.0,
                    Anchor::Start,
                    Type::Small,
                    words,
                );
            }
            thick = onward;
            self.band((turn, y + STEP), (LEFT, thick), Direction::Down);
            y += STEP;
        }
        self.shapes.push(arrow_down(LEFT + thick / 2.0, y, thick));
        let out = self.flows.last().map_or(0.0, |f| f.onward);
        let end = format!("{} · {}", words::STACK, self.amount(out));
        self.text(LEFT, y + ARROW + 22.0, Anchor::Start, Type::Name, end);
        (width, y + ARROW + 32.0)
    }

    /// The stream that turns off a line running down, to an arrow at `to`.
    fn turn_out(&mut self, x: f64, y: f64, thick: f64, to: (f64, f64), ink: Ink) {
        let (right, (to_x, to_y)) = (x + thick, to);
        // The label beside it has one line: a broad stream narrows to an arrow of that height.
        let half = (thick / 2.0).min(7.0);
        let (top, bottom) = (to_y - half, to_y + half);
        let d = format!(
            "M{x:.1} {y:.1}L{right:.1} {y:.1}Q{right:.1} {top:.1} {:.1} {top:.1}L{to_x:.1} {top:.1}v-{a:.1}L{:.1} {to_y:.1}L{to_x:.1} {:.1}v-{a:.1}L{:.1} {bottom:.1}Q{x:.1} {bottom:.1} {x:.1} {y:.1}Z",
            right + 6.0,
            to_x + ARROW,
            bottom + ARROW / 2.0,
            right + 2.0,
            a = ARROW / 2.0,
        );
        self.shapes.push(Shape::Path { d, ink });
    }

    fn label(&self) -> String {
        let members: Vec<String> = self
            .chain
            .members
            .iter()
            .zip(&self.flows)
            .map(|(member, flow)| match member.mode {
                Mode::Observe => words::label_observer(&member.name),
                Mode::Enforce => words::label_member(
                    &member.name,
                    &format::percent(flow.onward, flow.entering),
                    &format::percent(flow.dropped, flow.entering),
                ),
            })
            .collect();
        let entering = self.flows.first().map_or(0.0, |f| f.entering);
        words::label_chain(
            &self.chain.interface,
            self.chain.hook.as_str(),
            &self.amount(entering),
            &members.join("; "),
        )
    }
}

fn arrow_right(x: f64, y: f64, thick: f64) -> Shape {
    let half = thick.max(1.0) / 2.0 + ARROW / 2.0;
    let d = format!("M{x:.1} {:.1}L{:.1} {y:.1}L{x:.1} {:.1}Z", y - half, x + ARROW, y + half);
    Shape::Path { d, ink: if thick > 0.0 { Ink::Flow } else { Ink::Idle } }
}

fn arrow_down(x: f64, y: f64, thick: f64) -> Shape {
    let half = thick.max(1.0) / 2.0 + ARROW / 2.0;
    let d = format!("M{:.1} {y:.1}L{x:.1} {:.1}L{:.1} {y:.1}Z", x - half, y + ARROW, x + half);
    Shape::Path { d, ink: if thick > 0.0 { Ink::Flow } else { Ink::Idle } }
}
