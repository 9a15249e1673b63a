//! The colours of Skep in a terminal. State is never said by colour alone: a word stands beside it.

use anstyle::{Ansi256Color, Color, Style};

// The palette is honey #C98A04, moss #3E7C4F, clay #B4472E, slate #4B6478; these entries of the
// 256-colour cube come nearest and keep their contrast on light and dark grounds alike.
const HONEY: u8 = 172;
const MOSS: u8 = 71;
const CLAY: u8 = 167;
const SLATE: u8 = 67;

fn painted(text: &str, style: Style) -> String {
    format!("{style}{text}{style:#}")
}

fn colour(index: u8) -> Style {
    Style::new().fg_color(Some(Color::Ansi256(Ansi256Color(index))))
}

/// Something to act on.
pub(crate) fn honey(text: &str) -> String {
    painted(text, colour(HONEY))
}

/// Healthy, passed, added.
pub(crate) fn moss(text: &str) -> String {
    painted(text, colour(MOSS))
}

/// Failed, dropped, removed.
pub(crate) fn clay(text: &str) -> String {
    painted(text, colour(CLAY))
}

/// Neutral data.
pub(crate) fn slate(text: &str) -> String {
    painted(text, colour(SLATE))
}

/// What matters in a line.
pub(crate) fn bold(text: &str) -> String {
    painted(text, Style::new().bold())
}

/// What may be overlooked.
pub(crate) fn dim(text: &str) -> String {
    painted(text, Style::new().dimmed())
}
