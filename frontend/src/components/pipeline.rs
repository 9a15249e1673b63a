//! Draws a chain's picture as SVG: attributes and classes only, no inline style. It refuses to compute.

use crate::view::pipeline::{Anchor, Ink, Picture, Shape, Type};
use leptos::prelude::*;

/// The picture of a chain.
#[component]
pub fn Pipeline(picture: Picture, class: &'static str) -> impl IntoView {
    let view_box = format!("0 0 {:.0} {:.0}", picture.width, picture.height);
    let shapes = picture.shapes.into_iter().map(shape);
    view! {
        <svg
            class=format!("pipeline {class}")
            role="img"
            aria-label=picture.label
            viewBox=view_box
            width=format!("{:.0}", picture.width)
            height=format!("{:.0}", picture.height)
        >
            {shapes.collect_view()}
        </svg>
    }
}

fn shape(shape: Shape) -> AnyView {
    match shape {
        Shape::Rect { x, y, width, height, ink } => {
            let radius = if matches!(ink, Ink::Card | Ink::Watcher) { "6" } else { "0" };
            view! {
                <rect
                    class=ink_class(ink)
                    x=length(x)
                    y=length(y)
                    width=length(width)
                    height=length(height)
                    rx=radius
                />
            }
            .into_any()
        }
        Shape::Path { d, ink } => view! { <path class=ink_class(ink) d=d /> }.into_any(),
        Shape::Text { x, y, anchor, face, text } => view! {
            <text class=face_class(face) x=length(x) y=length(y) text-anchor=anchor_name(anchor)>
                {text}
            </text>
        }
        .into_any(),
    }
}

fn length(px: f64) -> String {
    format!("{px:.1}")
}

fn ink_class(ink: Ink) -> &'static str {
    match ink {
        Ink::Flow => "flow",
        Ink::Drop => "drop",
        Ink::Aside => "aside",
        Ink::Idle => "idle",
        Ink::Card => "member",
        Ink::Watcher => "member watcher",
    }
}

fn face_class(face: Type) -> &'static str {
    match face {
        Type::Name => "t-name",
        Type::Plain => "t-plain",
        Type::Small => "t-small",
        Type::Alarm => "t-alarm",
    }
}

fn anchor_name(anchor: Anchor) -> &'static str {
    match anchor {
        Anchor::Start => "start",
        Anchor::Middle => "middle",
        Anchor::End => "end",
    }
}
