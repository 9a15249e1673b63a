//! `/policies/:name`: one policy, and the chains it has a part in. It refuses to compose them itself.

use crate::browser;
use crate::components::notice::Loading;
use crate::components::time::Ago;
use crate::pages::nodes::{failed, for_somebody};
use crate::session::Session;
use crate::view::link;
use crate::view::load::Failure;
use crate::view::policy::{self, Composed, Seat};
use crate::words;
use leptos::prelude::*;
use leptos_router::components::A;
use leptos_router::hooks::use_params_map;
use skep_api::v1::nodes::NodeList;
use skep_api::v1::policies::{PolicyInfo, PolicyList};

/// The page.
#[component]
pub fn PolicyPage() -> impl IntoView {
    let params = use_params_map();
    let name = Memo::new(move |_| params.with(|p| p.get("name").unwrap_or_default()));
    move || {
        let name = name.get();
        browser::set_title(&words::title(&name));
        let title = name.clone();
        view! { <h1>{title}</h1> {move || for_somebody(|| view! { <Policy name=name.clone() /> }.into_any())} }
    }
}

#[component]
fn Policy(name: String) -> impl IntoView {
    let session = Session::of_app();
    let answer = LocalResource::new(move || fetch(session));
    move || match answer.get() {
        None => view! { <Loading blocks=3 /> }.into_any(),
        Some(Err(failure)) => failed(&failure),
        Some(Ok((policies, nodes))) => {
            match policies.policies.iter().find(|p| p.revision.name.to_string() == name) {
                Some(info) => page(info, &policy::composed(info, &policies, &nodes)),
                None => view! { <p>{words::NO_SUCH_POLICY} " " <A href="/policies">{words::TO_POLICIES}</A></p> }
                    .into_any(),
            }
        }
    }
}

async fn fetch(session: Session) -> Result<(PolicyList, NodeList), Failure> {
    let policies = session.get("/v1/policies").await?;
    Ok((policies, session.get("/v1/nodes").await?))
}

fn page(info: &PolicyInfo, chains: &[Composed]) -> AnyView {
    let row = policy::row(info);
    let node = |name: &String| {
        let (href, name) = (link::node(name), name.clone());
        view! { <li><A href=href>{name}</A></li> }
    };
    let selected = if info.nodes.is_empty() {
        view! { <p>{words::SELECTED_NONE}</p> }.into_any()
    } else {
        view! { <ul class="in-line">{info.nodes.iter().map(node).collect_view()}</ul> }.into_any()
    };
    view! {
        <p>
            {row.policy.revision} " · " {row.policy.attach} " · " {row.policy.applied_by} " "
            <Ago at=row.policy.applied_at />
        </p>
        <section aria-labelledby="composed">
            <h2 id="composed">{words::COMPOSED}</h2>
            <p class="fine">{words::COMPOSED_LEAD}</p>
            {chains.iter().map(chain).collect_view()}
        </section>
        <section aria-labelledby="selected">
            <h2 id="selected">{words::SELECTED}</h2>
            <p class="mono">{row.selects}</p>
            {selected}
        </section>
    }
    .into_any()
}

fn chain(chain: &Composed) -> impl IntoView + use<> {
    let conflict = |text: &String| {
        view! { <li><span class="mark action" aria-hidden="true">"◆"</span> " " {text.clone()}</li> }
    };
    let conflicts = if chain.conflicts.is_empty() {
        let mark = view! { <span class="mark good" aria-hidden="true">"✔"</span> };
        view! { <p class="fine">{mark} " " {words::NO_CONFLICTS}</p> }.into_any()
    } else {
        view! { <ul class="features">{chain.conflicts.iter().map(conflict).collect_view()}</ul> }
            .into_any()
    };
    let label = chain.title.clone();
    view! {
        <article class="chain">
            <h3>{chain.title.clone()} " " <span class="fine">{chain.nodes.join(", ")}</span></h3>
            <ol class="seats" aria-label=label>{chain.members.iter().map(seat).collect_view()}</ol>
            {conflicts}
        </article>
    }
}

fn seat(seat: &Seat) -> impl IntoView + use<> {
    let class = match (seat.own, seat.observes) {
        (true, true) => "own observes",
        (true, false) => "own",
        (false, true) => "observes",
        (false, false) => "",
    };
    let observes = seat.observes.then_some(words::OBSERVES);
    let (href, package) = (seat.href.clone(), seat.package.clone());
    view! {
        <li class=class>
            <strong>{seat.priority} " " {seat.name.clone()}</strong>
            <span><A href=href>{package}</A></span>
            <span class="fine">{words::wanted_by(&seat.policy)} " " {observes}</span>
        </li>
    }
}
