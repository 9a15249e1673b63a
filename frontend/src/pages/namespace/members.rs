//! The members of a namespace and invites into it. It refuses to know who may change them: the registry says.

use crate::client::Method;
use crate::components::copy::CopyBox;
use crate::components::form::{Choice, Refusal, Send, Sending};
use crate::components::notice::NoticeBox;
use crate::components::table::Table;
use crate::components::time::{Ago, Clock};
use crate::session::Session;
use crate::view::{account, link};
use crate::words;
use leptos::prelude::*;
use skep_api::v1::accounts::{
    ChangeMember, CreateInvite, CreatedInvite, InviteInfo, InviteList, InviteState, Member,
    MemberList, MemberRole,
};

/// Members, and for owners the invites. Somebody else's namespace shows neither.
#[component]
pub fn Members(namespace: String) -> impl IntoView {
    let session = Session::of_app();
    let base = StoredValue::new(format!("/v1/namespaces/{}", link::escaped(&namespace)));
    let changes = RwSignal::new(0u32);
    let members = LocalResource::new(move || {
        changes.track();
        async move { session.get::<MemberList>(&format!("{}/members", base.get_value())).await }
    });
    let invites = LocalResource::new(move || {
        changes.track();
        async move { session.get::<InviteList>(&format!("{}/invites", base.get_value())).await }
    });
    move || {
        let list = match members.get()? {
            Ok(list) => list,
            Err(failure) if failure.wants_sign_in() || failure.is_not_found() => return None,
            Err(failure) => {
                return Some(view! { <NoticeBox notice=failure.notice() /> }.into_any());
            }
        };
        // Only owners are told of invites, and only they may change members.
        let invites = invites.get()?.ok();
        let owner = invites.is_some();
        let row = |member: Member| view! { <Row base member owner changes /> };
        let rows = list.members.into_iter().map(row).collect_view();
        let heads =
            vec![words::COL_ACCOUNT, words::COL_ROLE, words::COL_MEMBER_SINCE, words::COL_CHANGE];
        let page = view! {
            <section aria-labelledby="members">
                <h2 id="members">{words::MEMBERS}</h2>
                <Table caption=words::MEMBERS heads>{rows}</Table>
            </section>
            {invites.map(|list| view! { <Invites base list changes /> })}
        };
        Some(page.into_any())
    }
}

#[component]
fn Row(
    base: StoredValue<String>,
    member: Member,
    owner: bool,
    changes: RwSignal<u32>,
) -> impl IntoView {
    let session = Session::of_app();
    let sending = Sending::default();
    let path = format!("{}/members/{}", base.get_value(), link::escaped(&member.account));
    let gone = path.clone();
    let remove = move |_| {
        let path = gone.clone();
        let asked = async move { session.done(Method::Delete, &path, None::<&()>).await };
        sending.run(asked, move |()| changes.update(|n| *n += 1));
    };
    let change = move |event| {
        let wish = ChangeMember { role: account::role_named(&event_target_value(&event)) };
        let path = path.clone();
        let asked = async move { session.done(Method::Put, &path, Some(&wish)).await };
        sending.run(asked, move |()| changes.update(|n| *n += 1));
    };
    let role = member.role;
    let option = move |(name, _): (String, String)| {
        let selected = account::role_named(&name) == role;
        view! { <option value=name.clone() selected=selected>{name.clone()}</option> }
    };
    let label = words::role_label(&member.account);
    let shown = if owner {
        let options = account::role_choices().into_iter().map(option).collect_view();
        view! { <select aria-label=label on:change=change>{options}</select> }.into_any()
    } else {
        view! { {account::member_role(role)} }.into_any()
    };
    let label = words::remove_label(&member.account);
    let button = owner.then(|| {
        view! { <button type="button" class="quiet" aria-label=label on:click=remove>{words::REMOVE}</button> }
    });
    view! {
        <tr>
            <th scope="row">{member.account.clone()}</th>
            <td>{shown}</td>
            <td><Ago at=member.added_at /></td>
            <td>{button} <Refusal sending /></td>
        </tr>
    }
}

#[component]
fn Invites(base: StoredValue<String>, list: InviteList, changes: RwSignal<u32>) -> impl IntoView {
    let table = if list.invites.is_empty() {
        view! { <p>{words::NO_INVITES}</p> }.into_any()
    } else {
        let row = |invite: InviteInfo| view! { <Invite base invite changes /> };
        let rows = list.invites.into_iter().map(row).collect_view();
        let heads = vec![
            words::COL_ROLE,
            words::COL_STATE,
            words::COL_BY,
            words::COL_WHEN,
            words::COL_CHANGE,
        ];
        view! { <Table caption=words::INVITES heads>{rows}</Table> }.into_any()
    };
    view! {
        <section aria-labelledby="invites">
            <h2 id="invites">{words::INVITES}</h2>
            {table}
            <MakeInvite base changes />
        </section>
    }
}

#[component]
fn Invite(base: StoredValue<String>, invite: InviteInfo, changes: RwSignal<u32>) -> impl IntoView {
    let session = Session::of_app();
    let Clock(now) = expect_context();
    let sending = Sending::default();
    let path = format!("{}/invites/{}", base.get_value(), link::escaped(&invite.id));
    let revoke = move |_| {
        let path = path.clone();
        let asked = async move { session.done(Method::Delete, &path, None::<&()>).await };
        sending.run(asked, move |()| changes.update(|n| *n += 1));
    };
    let button = (invite.state == InviteState::Open).then(|| {
        view! { <button type="button" class="quiet" on:click=revoke>{words::REVOKE}</button> }
    });
    let (role, at, by) = (invite.role, invite.created_at, invite.invited_by.clone());
    view! {
        <tr>
            <th scope="row">{account::member_role(role)}</th>
            <td>{move || account::invite_state(&invite, now.get())}</td>
            <td>{by}</td>
            <td><Ago at /></td>
            <td>{button} <Refusal sending /></td>
        </tr>
    }
}

#[component]
fn MakeInvite(base: StoredValue<String>, changes: RwSignal<u32>) -> impl IntoView {
    let session = Session::of_app();
    let sending = Sending::default();
    let role = RwSignal::new(account::member_role(MemberRole::Maintainer).to_owned());
    let lives = account::invite_lives();
    let life = RwSignal::new(lives.get(1).map(|(secs, _)| secs.clone()).unwrap_or_default());
    let made: RwSignal<Option<String>> = RwSignal::new(None);
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let wish = CreateInvite {
            role: account::role_named(&role.get_untracked()),
            valid_secs: life.get_untracked().parse().unwrap_or_default(),
        };
        let path = format!("{}/invites", base.get_value());
        let asked = async move { session.send(Method::Post, &path, &wish).await };
        sending.run(asked, move |invite: CreatedInvite| {
            made.try_set(Some(invite.secret));
        });
    };
    let secret = move || {
        made.get().map(|secret| {
            view! {
                <section class="notice empty" id="new-invite" role="status">
                    <h3>{words::INVITE_MADE}</h3>
                    <p>{words::INVITE_ONCE}</p>
                    <CopyBox text=secret what=words::INVITE.to_owned() />
                    <button type="button" class="quiet" on:click=move |_| changes.update(|n| *n += 1)>
                        {words::DONE}
                    </button>
                </section>
            }
        })
    };
    view! {
        {secret}
        <section class="panel narrow-panel" aria-labelledby="make-invite">
            <h3 id="make-invite">{words::MAKE_INVITE}</h3>
            <form on:submit=submit>
                <Choice id="invite-role" label=words::COL_ROLE value=role choices=account::role_choices() />
                <Choice id="invite-life" label=words::COL_EXPIRES value=life choices=lives />
                <Send sending label=words::MAKE_INVITE />
                <Refusal sending />
            </form>
        </section>
    }
}
