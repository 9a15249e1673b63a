//! The picture of `skep top`, drawn into a frame. Refuses to know what is shown (`top.rs` decides) and
//! which terminal it is.

use super::{Row, View, cost, diverted, dropped, keeper, packets_in, passed};
use crate::local::reading::{Amount, ChainRow, MemberRow};
use crate::render::units;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

/// Columns of numbers, with their widths and one space before each.
const NUMBERS: [(&str, usize); 6] =
    [("packets", 8), ("passed", 8), ("dropped", 8), ("sent off", 8), ("cost", 7), ("missed", 6)];
/// Below this width the column of packets that were sent elsewhere is left out.
const WIDE: usize = 100;
/// Columns of the cursor, the place in the chain and the space after it.
const PRIORITY: usize = 6;
/// The least that a member's name gets: the word above it.
const NAME_MIN: usize = 7;

/// Whether colours are wanted. State is never said by colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    Colours,
    Plain,
}

impl Paint {
    // The same entries of the 256-colour cube as in `paint.rs`.
    fn colour(self, index: u8) -> Style {
        match self {
            Self::Colours => Style::new().fg(Color::Indexed(index)),
            Self::Plain => Style::new(),
        }
    }

    fn honey(self) -> Style {
        self.colour(172)
    }

    fn moss(self) -> Style {
        self.colour(71)
    }

    fn clay(self) -> Style {
        self.colour(167)
    }

    fn slate(self) -> Style {
        self.colour(67)
    }
}

const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const DIM: Style = Style::new().add_modifier(Modifier::DIM);

/// Draws the whole screen.
pub(crate) fn draw(frame: &mut Frame<'_>, view: &View, paint: Paint) {
    let [title, header, body, detail, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let width = usize::from(frame.area().width);
    frame.render_widget(Paragraph::new(title_line(view, paint)), title);
    frame.render_widget(Paragraph::new(header_line(view, width)), header);
    draw_body(frame, body, view, paint);
    frame.render_widget(Paragraph::new(detail_line(view, paint)), detail);
    frame.render_widget(Paragraph::new(keys_line(view, paint)), keys);
}

fn draw_body(frame: &mut Frame<'_>, area: Rect, view: &View, paint: Paint) {
    let rows = view.rows();
    if rows.is_empty() {
        let text = if view.filter.is_empty() {
            "  No chain of Skep runs on this host.\n  `skep run NAME --interface IFACE` runs a package; `skep apply` asks the fleet for one."
        } else {
            "  Nothing here matches the filter. Esc clears it."
        };
        frame.render_widget(Paragraph::new(text), area);
        return;
    }
    let width = usize::from(area.width);
    let columns = names(view, width);
    let lines: Vec<Line<'_>> = rows
        .iter()
        .map(|row| match row {
            Row::Chain(chain) => chain_line(chain, paint),
            Row::Member { member, chosen, .. } => {
                member_line(member, *chosen, columns, width, paint)
            }
        })
        .collect();
    // The cursor stays in sight, with its chain above it where there is room.
    let cursor = rows.iter().position(|row| matches!(row, Row::Member { chosen: true, .. }));
    let height = usize::from(area.height);
    let first = cursor.map_or(0, |at| (at + 1).saturating_sub(height));
    let first = u16::try_from(first).unwrap_or(u16::MAX);
    frame.render_widget(Paragraph::new(lines).scroll((first, 0)), area);
}

fn title_line(view: &View, paint: Paint) -> Line<'static> {
    let members = view.chains().iter().map(|chain| chain.members.len()).sum();
    let mut spans = vec![
        Span::styled("skep top", BOLD),
        Span::raw(format!(
            " · {} · {} · {} · every {} s · by {}",
            view.host,
            units::plural(view.chains().len(), "chain", "chains"),
            units::plural(members, "member", "members"),
            view.interval_secs,
            view.sort.as_str()
        )),
    ];
    if view.typing || !view.filter.is_empty() {
        let cursor = if view.typing { "_" } else { "" };
        spans.push(Span::styled(format!(" · filter {}{cursor}", view.filter), paint.honey()));
    }
    if view.paused {
        spans.push(Span::styled(" · paused", paint.honey()));
    }
    Line::from(spans)
}

fn header_line(view: &View, width: usize) -> Line<'static> {
    let (name, package) = names(view, width);
    let mut text = format!("{:>5} {:<name$}{:<package$}", "place", "member", "package");
    for (title, columns) in numbers(width) {
        text.push_str(&format!(" {title:>columns$}"));
    }
    Line::styled(text, DIM)
}

/// The columns of numbers that fit.
fn numbers(width: usize) -> impl Iterator<Item = (&'static str, usize)> {
    NUMBERS.into_iter().filter(move |(title, _)| width >= WIDE || *title != "sent off")
}

/// Columns for names and for packages, from what numbers leave: names get what the longest needs, as
/// long as packages keep more than half.
fn names(view: &View, width: usize) -> (usize, usize) {
    let taken: usize = PRIORITY + numbers(width).map(|(_, columns)| columns + 1).sum::<usize>();
    let left = width.saturating_sub(taken).max(2 * NAME_MIN);
    let members = view.chains().iter().flat_map(|chain| &chain.members);
    let longest = members.map(|member| member.name.chars().count() + 1).max().unwrap_or(0);
    let name = longest.clamp(NAME_MIN, (left * 2 / 5).max(NAME_MIN));
    (name, left - name)
}

fn chain_line(chain: &ChainRow, paint: Paint) -> Line<'static> {
    let mode =
        if chain.xdp_mode.is_empty() { String::new() } else { format!(" {}", chain.xdp_mode) };
    let cost = cost(chain);
    let cost = if cost > 0.0 {
        format!(" · {} a packet", units::nanoseconds(cost))
    } else {
        String::new()
    };
    Line::from(vec![
        Span::styled(chain.interface.clone(), BOLD),
        Span::raw(format!(" {}{mode}", chain.hook)),
        Span::styled(format!(" · {}", chain.backend), paint.slate()),
        Span::raw(format!(
            " · of {} · in {}{cost}",
            keeper(chain.keeper),
            shown(packets_in(chain))
        )),
    ])
}

fn member_line(
    member: &MemberRow,
    chosen: bool,
    (name, package): (usize, usize),
    width: usize,
    paint: Paint,
) -> Line<'static> {
    let mark = if chosen { ">" } else { " " };
    let mut spans = vec![
        Span::raw(format!("{mark}{:>4} ", member.priority)),
        Span::styled(fit(&member.name, name), if chosen { BOLD } else { Style::new() }),
        Span::raw(fit(&member.what, package)),
    ];
    for (title, columns) in numbers(width) {
        let (text, style) = match title {
            "packets" => (shown(member.packets), Style::new()),
            "passed" if member.observe => ("observe".to_owned(), paint.honey()),
            "passed" => (shown(passed(member)), paint.moss()),
            "dropped" => (shown(dropped(member)), paint.clay()),
            "sent off" => (shown(diverted(member)), paint.slate()),
            "cost" => {
                (member.ns_per_packet.map_or("-".to_owned(), units::nanoseconds), Style::new())
            }
            _ if member.missed.total > 0 => (units::short_count(member.missed.total), paint.clay()),
            _ => ("0".to_owned(), Style::new()),
        };
        spans.push(Span::styled(format!(" {text:>columns$}"), style));
    }
    let line = Line::from(spans);
    if chosen { line.patch_style(Style::new().add_modifier(Modifier::REVERSED)) } else { line }
}

fn detail_line(view: &View, paint: Paint) -> Line<'static> {
    if let Some(trouble) = &view.trouble {
        return Line::styled(format!("The last reading failed: {trouble}"), paint.clay());
    }
    let Some((chain, member)) = view.chosen() else { return Line::default() };
    let mut parts = vec![format!("{} on {} {}", member.name, chain.interface, chain.hook)];
    parts.extend(
        member.verdicts.iter().map(|v| format!("{} {}", v.verdict.as_str(), shown(v.amount))),
    );
    parts.push(format!("{} in all", units::bytes(member.bytes.total)));
    Line::styled(parts.join(" · "), paint.slate())
}

fn keys_line(view: &View, paint: Paint) -> Line<'static> {
    if view.typing {
        return Line::styled("type to filter · Enter keeps it · Esc clears it", paint.honey());
    }
    Line::styled("q quit · s sort · / filter · j k or arrows choose · space pause", DIM)
}

/// A rate where it is known, the sum otherwise.
pub(crate) fn shown(amount: Amount) -> String {
    amount.per_second.map_or_else(|| units::short_count(amount.total), units::rate)
}

/// Exactly so many columns; what is too long ends in `…`.
fn fit(text: &str, columns: usize) -> String {
    let room = columns.saturating_sub(1);
    if text.chars().count() <= room {
        return format!("{text:<columns$}");
    }
    let cut: String = text.chars().take(room.saturating_sub(1)).collect();
    format!("{:<columns$}", cut + "…")
}
