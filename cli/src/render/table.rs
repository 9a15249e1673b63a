//! Columns that line up. Widths are counted before colours are put on.

use std::fmt::Write as _;

/// One cell: its text, and how it is painted.
pub(crate) struct Cell {
    text: String,
    paint: fn(&str) -> String,
    align: Align,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Align {
    Left,
    Right,
}

fn unpainted(text: &str) -> String {
    text.to_owned()
}

impl Cell {
    /// Plain text, flush left.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), paint: unpainted, align: Align::Left }
    }

    /// A number, flush right.
    pub(crate) fn number(text: impl Into<String>) -> Self {
        Self { align: Align::Right, ..Self::new(text) }
    }

    /// The same cell in a colour.
    pub(crate) fn paint(self, paint: fn(&str) -> String) -> Self {
        Self { paint, ..self }
    }
}

/// Lays rows out under each other, `indent` spaces from the left, two spaces between columns.
pub(crate) fn layout(rows: &[Vec<Cell>], indent: usize) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|c| chars(&c.text)).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = " ".repeat(indent);
        for (column, cell) in row.iter().enumerate() {
            let padding = " ".repeat(widths[column] - chars(&cell.text));
            let painted =
                if cell.text.is_empty() { String::new() } else { (cell.paint)(&cell.text) };
            let gap = if column == 0 { "" } else { "  " };
            // Writing into a String cannot fail.
            let _ = match cell.align {
                Align::Left => write!(line, "{gap}{painted}{padding}"),
                Align::Right => write!(line, "{gap}{padding}{painted}"),
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn chars(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::{paint, plain};

    #[test]
    fn columns_line_up_whatever_their_colour() {
        let rows = vec![
            vec![Cell::new("name"), Cell::number("insns")],
            vec![Cell::new("xdp_ratelimit").paint(paint::bold), Cell::number("412")],
        ];
        assert_eq!(plain(&layout(&rows, 2)), "  name           insns\n  xdp_ratelimit    412\n");
    }
}
