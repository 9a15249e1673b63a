//! A package as a card. It refuses to know where the list comes from.

use crate::components::time::Ago;
use crate::view::search::Card;
use leptos::prelude::*;

/// Packages as a grid of cards.
#[component]
pub fn Cards(cards: Vec<Card>) -> impl IntoView {
    let items = cards.into_iter().map(|card| view! { <li><PackageCard card /></li> });
    view! { <ul class="cards">{items.collect_view()}</ul> }
}

#[component]
fn PackageCard(card: Card) -> impl IntoView {
    let hooks = card.hooks.into_iter().map(|hook| view! { <span class="tag">{hook}</span> });
    view! {
        <article class="card">
            <h3>
                <a href=card.href>{card.name}</a>
                " "
                <span class="version">{card.version}</span>
            </h3>
            <p>{card.description}</p>
            <p class="tags">{hooks.collect_view()}</p>
            <p class="fine">{card.kernel} " · " {card.license}</p>
            <p class="fine">{card.signed_by}</p>
            <p class="fine">{card.installs} " · " <Ago at=card.published_at /></p>
        </article>
    }
}
