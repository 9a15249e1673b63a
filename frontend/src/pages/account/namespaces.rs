//! The namespaces of an account, claiming one, answering an invite. It refuses to hold keys: only their public halves
//! are asked for.

use crate::client::Method;
use crate::components::copy::CopyBox;
use crate::components::form::{Choice, Field, Refusal, Send, Sending};
use crate::components::table::Table;
use crate::session::Session;
use crate::view::{account, link};
use crate::words;
use leptos::prelude::*;
use leptos_router::components::A;
use leptos_router::hooks::use_navigate;
use serde_json::{Value, json};
use skep_api::v1::accounts::{AnswerInvite, InviteAnswer, InviteInfo, Membership};

/// The section.
#[component]
pub fn Namespaces(memberships: Vec<Membership>) -> impl IntoView {
    let row = |membership: &Membership| {
        let (href, name) = (link::namespace(&membership.namespace), membership.namespace.clone());
        view! {
            <tr>
                <th scope="row"><A href=href>{name}</A></th>
                <td>{account::member_role(membership.role)}</td>
            </tr>
        }
    };
    let list = if memberships.is_empty() {
        view! { <p>{words::NO_NAMESPACES}</p> }.into_any()
    } else {
        let rows = memberships.iter().map(row).collect_view();
        let heads = vec![words::COL_NAMESPACE, words::COL_ROLE];
        view! { <Table caption=words::NAMESPACES heads>{rows}</Table> }.into_any()
    };
    view! {
        <section aria-labelledby="namespaces">
            <h2 id="namespaces">{words::NAMESPACES}</h2>
            {list}
            <div class="boxes">
                <Claim />
                <Answer />
            </div>
        </section>
    }
}

#[component]
fn Claim() -> impl IntoView {
    let session = Session::of_app();
    let go = use_navigate();
    let sending = Sending::default();
    let (name, key) = (RwSignal::new(String::new()), RwSignal::new(String::new()));
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let keys: Vec<String> = key.get_untracked().split_whitespace().map(str::to_owned).collect();
        let (claimed, go) = (name.get_untracked(), go.clone());
        let wish = json!({ "name": claimed, "keys": keys, "threshold": 1 });
        let asked =
            async move { session.send::<Value>(Method::Post, "/v1/namespaces", &wish).await };
        sending.run(asked, move |_| {
            session.look_again();
            go(&link::namespace(&claimed), Default::default());
        });
    };
    let command = words::KEY_COMMAND.to_owned();
    view! {
        <section class="panel" aria-labelledby="claim">
            <h3 id="claim">{words::CLAIM_TITLE}</h3>
            <p class="fine">{words::CLAIM_TEXT}</p>
            <form on:submit=submit>
                <Field id="claim-name" label=words::COL_NAMESPACE value=name />
                <Field id="claim-key" label=words::PUBLIC_KEY value=key hint=words::PUBLIC_KEY_HINT />
                <Send sending label=words::CLAIM />
                <Refusal sending />
            </form>
            <p class="fine">{words::KEY_HINT}</p>
            <CopyBox text=command what=words::KEY_HINT.to_owned() />
        </section>
    }
}

#[component]
fn Answer() -> impl IntoView {
    let session = Session::of_app();
    let sending = Sending::default();
    let secret = RwSignal::new(String::new());
    let answer = RwSignal::new("accept".to_owned());
    let answered: RwSignal<Option<InviteInfo>> = RwSignal::new(None);
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let answer = match answer.get_untracked().as_str() {
            "decline" => InviteAnswer::Decline,
            _ => InviteAnswer::Accept,
        };
        let wish = AnswerInvite { secret: secret.get_untracked().trim().to_owned(), answer };
        let asked = async move { session.send(Method::Post, "/v1/invites/answer", &wish).await };
        sending.run(asked, move |info: InviteInfo| {
            answered.try_set(Some(info));
            session.look_again();
        });
    };
    let says = move || {
        let info = answered.get()?;
        Some(words::answered(
            info.namespace.as_deref().unwrap_or_default(),
            account::member_role(info.role),
        ))
    };
    let choices = [("accept", words::ACCEPT), ("decline", words::DECLINE)];
    let choices = choices.map(|(name, title)| (name.to_owned(), title.to_owned())).into();
    view! {
        <section class="panel" aria-labelledby="answer">
            <h3 id="answer">{words::ANSWER_TITLE}</h3>
            <p class="fine">{words::ANSWER_TEXT}</p>
            <form on:submit=submit>
                <Field id="answer-secret" label=words::INVITE value=secret kind="password" />
                <Choice id="answer-choice" label=words::ANSWER value=answer choices />
                <Send sending label=words::ANSWER_SEND />
                <Refusal sending />
            </form>
            <p role="status">{says}</p>
        </section>
    }
}
