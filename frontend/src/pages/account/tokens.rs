//! API tokens: the list, making one (its secret is shown once), revoking one. It refuses to keep secrets.

use crate::browser;
use crate::client::Method;
use crate::components::copy::CopyBox;
use crate::components::form::{Choice, Field, Refusal, Send, Sending};
use crate::components::notice::{Loading, NoticeBox};
use crate::components::table::Table;
use crate::components::time::Ago;
use crate::session::Session;
use crate::view::{account, link};
use crate::words;
use leptos::prelude::*;
use skep_api::v1::accounts::AccountRole;
use skep_api::v1::tokens::{CreateToken, CreatedToken, Scope, TokenInfo, TokenList};

/// The section; a role where an account may make more.
#[component]
pub fn Tokens(role: Option<AccountRole>) -> impl IntoView {
    let session = Session::of_app();
    let changes = RwSignal::new(0u32);
    let list = LocalResource::new(move || {
        changes.track();
        async move { session.get::<TokenList>("/v1/tokens").await }
    });
    let rows = move || match list.get() {
        None => view! { <Loading blocks=1 /> }.into_any(),
        Some(Err(failure)) => view! { <NoticeBox notice=failure.notice() /> }.into_any(),
        Some(Ok(list)) => table(list.tokens, changes),
    };
    view! {
        <section aria-labelledby="tokens">
            <h2 id="tokens">{words::TOKENS}</h2>
            <p class="fine">{words::TOKENS_LEAD}</p>
            {rows}
            {role.map(|role| view! { <Make role changes /> })}
        </section>
    }
}

fn table(tokens: Vec<TokenInfo>, changes: RwSignal<u32>) -> AnyView {
    if tokens.is_empty() {
        return view! { <p>{words::NO_TOKENS}</p> }.into_any();
    }
    let rows = tokens.into_iter().map(|token| view! { <Row token changes /> }).collect_view();
    let heads = vec![
        words::COL_NAME,
        words::COL_ALLOWS,
        words::COL_USED,
        words::COL_EXPIRES,
        words::COL_CHANGE,
    ];
    view! { <Table caption=words::TOKENS heads>{rows}</Table> }.into_any()
}

#[component]
fn Row(token: TokenInfo, changes: RwSignal<u32>) -> impl IntoView {
    let session = Session::of_app();
    let sending = Sending::default();
    let path = format!("/v1/tokens/{}", link::escaped(&token.id));
    let revoke = move |_| {
        let path = path.clone();
        let asked = async move { session.done(Method::Delete, &path, None::<&()>).await };
        sending.run(asked, move |()| changes.update(|n| *n += 1));
    };
    let used = match token.last_used_at {
        Some(at) => view! { <Ago at /> }.into_any(),
        None => view! { {words::NEVER} }.into_any(),
    };
    let (day, exact) = browser::day(token.expires_at);
    let label = words::revoke_label(&token.name);
    view! {
        <tr>
            <th scope="row">{token.name.clone()}</th>
            <td class="mono">{account::token_allows(&token)}</td>
            <td>{used}</td>
            <td title=exact>{day}</td>
            <td>
                <button type="button" class="quiet" aria-label=label on:click=revoke>{words::REVOKE}</button>
                <Refusal sending />
            </td>
        </tr>
    }
}

#[component]
fn Make(role: AccountRole, changes: RwSignal<u32>) -> impl IntoView {
    let session = Session::of_app();
    let sending = Sending::default();
    let name = RwSignal::new(String::new());
    let pattern = RwSignal::new(String::new());
    let scope = RwSignal::new(account::scope(Scope::Publish).to_owned());
    let lives = account::token_lives();
    let life = RwSignal::new(lives.get(1).map(|(secs, _)| secs.clone()).unwrap_or_default());
    let made: RwSignal<Option<CreatedToken>> = RwSignal::new(None);
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let wish = CreateToken {
            name: name.get_untracked(),
            scope: account::scope_named(&scope.get_untracked()),
            namespace: Some(pattern.get_untracked().trim().to_owned()).filter(|p| !p.is_empty()),
            valid_secs: life.get_untracked().parse().unwrap_or_default(),
        };
        let asked = async move { session.send(Method::Post, "/v1/tokens", &wish).await };
        sending.run(asked, move |token: CreatedToken| {
            made.try_set(Some(token));
            changes.update(|n| *n += 1);
        });
    };
    let secret = move || {
        made.get().map(|token| {
            view! {
                <section class="notice empty" id="new-token" role="status">
                    <h3>{words::token_made(&token.info.name)}</h3>
                    <p>{words::SECRET_ONCE}</p>
                    <CopyBox text=token.secret what=words::TOKEN_SECRET.to_owned() />
                </section>
            }
        })
    };
    view! {
        {secret}
        <section class="panel narrow-panel" aria-labelledby="make-token">
            <h3 id="make-token">{words::MAKE_TOKEN}</h3>
            <form on:submit=submit>
                <Field id="token-name" label=words::COL_NAME value=name hint=words::TOKEN_NAME_HINT />
                <Choice id="token-scope" label=words::COL_ALLOWS value=scope choices=account::scope_choices(role) />
                <Field id="token-for" label=words::TOKEN_FOR value=pattern required=false hint=words::TOKEN_FOR_HINT />
                <Choice id="token-life" label=words::COL_EXPIRES value=life choices=lives />
                <Send sending label=words::MAKE_TOKEN />
                <Refusal sending />
            </form>
        </section>
    }
}
