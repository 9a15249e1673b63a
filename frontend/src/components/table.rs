//! Tables that scroll inside their own box on narrow screens. They refuse to know their cells.

use crate::words;
use leptos::prelude::*;

/// A titled table with its column heads; the rows are the children.
#[component]
pub fn Table<H: IntoView + 'static>(
    #[prop(into)] caption: String,
    heads: Vec<H>,
    children: Children,
) -> impl IntoView {
    let columns = heads.into_iter().map(|head| view! { <th scope="col">{head}</th> });
    let label = words::scroll_label(&caption);
    view! {
        <div class="scroll" tabindex="0" role="region" aria-label=label>
            <table>
                <caption class="unseen">{caption}</caption>
                <thead><tr>{columns.collect_view()}</tr></thead>
                <tbody>{children()}</tbody>
            </table>
        </div>
    }
}
