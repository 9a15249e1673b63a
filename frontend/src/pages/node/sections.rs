//! The sections of the node page. They refuse to poll.

use crate::components::notice::NoticeBox;
use crate::components::pipeline::Pipeline;
use crate::components::table::Table;
use crate::components::time::Ago;
use crate::pages::package::facts;
use crate::view::feed::{Feed, Freshness, Measure};
use crate::view::load::{Notice, Tone};
use crate::view::node::{self, Header, MemberRow, PolicyRow, Wanted};
use crate::view::pipeline::{self, Direction};
use crate::words;
use leptos::prelude::*;
use leptos_router::components::A;
use skep_api::v1::chains::ChainStatus;
use skep_api::v1::nodes::NodeDetail;
use skep_api::v1::policies::PolicyList;

/// The page of a node that has answered at least once.
pub(super) fn page(
    name: String,
    feed: RwSignal<Feed>,
    policies: RwSignal<Option<PolicyList>>,
) -> AnyView {
    let header = Memo::new(move |_| feed.with(|f| f.newest().map(node::header)));
    let stale = Memo::new(move |_| feed.with(|f| node::stale(f.freshness())));
    let live = Memo::new(move |_| feed.with(|f| f.freshness() == Freshness::Live));
    let chains = move || {
        let policies = policies.get();
        feed.with(|f| f.newest().map(|detail| self::chains(f, detail, policies.as_ref())))
    };
    let wanting = move || {
        let list = policies.get();
        match list {
            None => view! { <p>{words::POLICIES_UNREADABLE}</p> }.into_any(),
            Some(list) => policies_table(&node::policy_rows(&name, &list)),
        }
    };
    let machine = Memo::new(move |_| feed.with(|f| f.newest().map(node::facts)));
    let features = Memo::new(move |_| feed.with(|f| f.newest().map(node::features)));
    let notes =
        Memo::new(move |_| feed.with(|f| f.newest().map(|d| d.notes.clone()).unwrap_or_default()));
    view! {
        {move || header.get().map(|h| head(h, live))}
        {move || stale.get().map(|(text, since)| old(text, since))}
        <section aria-labelledby="chains" class:old=move || !live.get()>
            <h2 id="chains">{words::CHAINS}</h2>
            {chains}
        </section>
        <section aria-labelledby="policies">
            <h2 id="policies">{words::POLICIES}</h2>
            {wanting}
        </section>
        {move || notes_list(notes.get())}
        <section aria-labelledby="facts" class="panel">
            <h2 id="facts">{words::FACTS}</h2>
            <dl>{move || machine.get().map(|all| facts(&all))}</dl>
            <h3>{words::FEATURES}</h3>
            <ul class="features">{move || features.get().map(features_list)}</ul>
        </section>
    }
    .into_any()
}

fn head(header: Header, live: Memo<bool>) -> impl IntoView {
    let seen = header.last_seen_at.map(|at| view! { " · " {words::SYNCED} " " <Ago at /> });
    let refusal = header.refusal.map(|(code, message)| {
        let notice = Notice {
            detail: Some(code),
            ..Notice::new(Tone::Refused, words::REFUSAL_TITLE, &message)
        };
        view! { <NoticeBox notice /> }
    });
    let badge = move || {
        live.get().then(|| {
            view! { " · " <span id="live" class="badge good"><span aria-hidden="true">"●"</span> " " {words::LIVE}</span> }
        })
    };
    view! {
        <header class="page-head">
            <h1>{header.name}</h1>
            <p>
                <span class=format!("mark {}", header.state.class) aria-hidden="true">{header.state.mark}</span>
                " "
                <strong>{header.state.word}</strong>
                " · "
                {header.facts.join(" · ")}
                {seen}
                {badge}
            </p>
            {refusal}
        </header>
    }
}

fn old(text: &'static str, since: Option<i64>) -> impl IntoView {
    view! {
        <p class="notice stale" role="status">
            <span class="mark" aria-hidden="true">"◇"</span>
            " "
            {since.map(|at| view! { <strong><Ago at /></strong> ": " })}
            {text}
        </p>
    }
}

fn chains(feed: &Feed, detail: &NodeDetail, policies: Option<&PolicyList>) -> AnyView {
    if detail.chains.is_empty() {
        let notice = Notice::new(Tone::Empty, words::NO_CHAINS_TITLE, words::NO_CHAINS_TEXT)
            .with_command(words::NO_CHAINS_COMMAND);
        return view! { <NoticeBox notice /> }.into_any();
    }
    let one = |chain: &ChainStatus| self::chain(feed, chain, policies);
    detail.chains.iter().map(one).collect_view().into_any()
}

fn chain(feed: &Feed, chain: &ChainStatus, policies: Option<&PolicyList>) -> impl IntoView + use<> {
    let head = node::chain_head(chain);
    let (amounts, measure) = feed.amounts(chain);
    let across = pipeline::draw(chain, &amounts, measure, Direction::Across);
    let down = pipeline::draw(chain, &amounts, measure, Direction::Down);
    let rows = node::member_rows(chain, &amounts, measure, policies);
    let explained = match measure {
        Measure::PerSecond => words::PICTURE_RATES,
        Measure::Total => words::PICTURE_TOTALS,
    };
    let heads = vec![
        words::COL_ORDER,
        words::COL_MEMBER,
        words::COL_PACKAGE,
        words::COL_WANTED,
        words::COL_MODE,
        words::COL_RATE,
        words::COL_PACKETS,
        words::COL_BYTES,
        words::COL_VERDICTS,
        words::COL_MISSED,
        words::COL_TIME,
        words::COL_PROCEED,
    ];
    let rows = rows.into_iter().map(member).collect_view();
    view! {
        <article class="chain" id=head.id>
            <h3>{head.title.clone()}</h3>
            <p class="fine">
                {head.backend} " (" {head.backend_reason} ") · " {head.generation} " · "
                {words::APPLIED} " " <Ago at=head.applied_at />
            </p>
            <div class="scroll picture" tabindex="0" role="region" aria-label=words::picture_label(&head.title)>
                <Pipeline picture=across class="wide" />
                <Pipeline picture=down class="narrow" />
            </div>
            <p class="fine">{explained}</p>
            <Table caption=head.title heads>{rows}</Table>
        </article>
    }
}

fn member(row: MemberRow) -> impl IntoView {
    let wanted = match row.wanted {
        Wanted::Unknown { policy } => view! { {policy} }.into_any(),
        Wanted::Same { policy, revision } => view! {
            <span class="mark good" aria-hidden="true">"●"</span> " " {words::wanted_same(&policy, revision)}
        }
        .into_any(),
        Wanted::Other { policy, revision, what } => view! {
            <span class="mark action" aria-hidden="true">"◐"</span> " " {words::wanted_other(&policy, revision, &what)}
        }
        .into_any(),
        Wanted::Nobody { policy } => view! {
            <span class="mark bad" aria-hidden="true">"▲"</span> " " {words::wanted_nobody(&policy)}
        }
        .into_any(),
    };
    let name = row.name.clone();
    view! {
        <tr data-member=name>
            <td class="number">{row.order}</td>
            <th scope="row">{row.name} <span class="fine mono block">{row.program}</span></th>
            <td><A href=row.package_href>{row.package}</A></td>
            <td>{wanted}</td>
            <td>{row.mode}</td>
            <td class="number rate">{row.rate}</td>
            <td class="number packets">{row.packets}</td>
            <td class="number">{row.bytes}</td>
            <td class="number">{row.verdicts}</td>
            <td class="number">{row.missed}</td>
            <td class="number">{row.time}</td>
            <td>{row.proceed_on}</td>
        </tr>
    }
}

fn policies_table(rows: &[PolicyRow]) -> AnyView {
    if rows.is_empty() {
        return view! { <p>{words::NO_POLICIES}</p> }.into_any();
    }
    let row = |p: &PolicyRow| {
        view! {
            <tr>
                <th scope="row">{p.name.clone()}</th>
                <td class="number">{p.revision.clone()}</td>
                <td>{p.attach.clone()}</td>
                <td>{p.programs.clone()}</td>
                <td>{p.applied_by.clone()}</td>
                <td><Ago at=p.applied_at /></td>
                <td class="mono" title=p.digest.clone()>{p.digest_short.clone()}</td>
            </tr>
        }
    };
    let rows = rows.iter().map(row).collect_view();
    let heads = vec![
        words::COL_POLICY,
        words::COL_REVISION,
        words::COL_ATTACH,
        words::COL_PROGRAMS,
        words::COL_APPLIED_BY,
        words::COL_WHEN,
        words::COL_DIGEST,
    ];
    view! { <Table caption=words::POLICIES heads>{rows}</Table> }.into_any()
}

fn notes_list(notes: Vec<String>) -> Option<impl IntoView> {
    let items =
        |notes: Vec<String>| notes.into_iter().map(|note| view! { <li>{note}</li> }).collect_view();
    (!notes.is_empty()).then(|| {
        view! {
            <section aria-labelledby="notes">
                <h2 id="notes">{words::NOTES}</h2>
                <ul>{items(notes)}</ul>
            </section>
        }
    })
}

fn features_list(features: Vec<(String, bool, String)>) -> impl IntoView {
    let item = |(name, supported, text): (String, bool, String)| {
        let (class, mark) = if supported { ("mark good", "●") } else { ("mark neutral", "○") };
        view! {
            <li>
                <span class=class aria-hidden="true">{mark}</span>
                " "
                <span class="mono">{name}</span>
                " "
                <span class="fine">{text}</span>
            </li>
        }
    };
    features.into_iter().map(item).collect_view()
}
