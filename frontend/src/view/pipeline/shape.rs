//! What a picture of a chain is made of: shapes at their places, and what each stands for.
//! Refuses to know chains, and how a shape is put on the screen.

/// Which way packets run in the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Left to right, drops leave downwards; for wide screens.
    Across,
    /// Top to bottom, drops leave sideways; for narrow ones.
    Down,
}

/// What a shape stands for; decides its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// Packets on their way.
    Flow,
    /// Packets dropped.
    Drop,
    /// Packets that leave the chain without being dropped.
    Aside,
    /// No packets now.
    Idle,
    /// A member whose verdicts count.
    Card,
    /// A member that only watches.
    Watcher,
}

/// How a text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Name,
    Plain,
    Small,
    Alarm,
}

/// Where a text stands relative to its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// One thing to draw. Lengths are CSS pixels.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    Rect { x: f64, y: f64, width: f64, height: f64, ink: Ink },
    Path { d: String, ink: Ink },
    Text { x: f64, y: f64, anchor: Anchor, face: Type, text: String },
}

/// A drawn chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    pub width: f64,
    pub height: f64,
    pub shapes: Vec<Shape>,
    /// The picture in one sentence, for those who do not see it.
    pub label: String,
}
