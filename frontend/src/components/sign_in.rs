//! The box that takes an API token. It refuses to judge it.

use crate::components::copy::CopyBox;
use crate::session::{Session, TokenFault};
use crate::words;
use leptos::html::Input;
use leptos::prelude::*;
use leptos_router::hooks::use_navigate;

/// The box. Where `next` is given, the reader is led there.
#[component]
pub(crate) fn TokenBox(next: Option<String>) -> impl IntoView {
    let session = Session::of_app();
    let go = use_navigate();
    let field: NodeRef<Input> = NodeRef::new();
    let fault: RwSignal<Option<TokenFault>> = RwSignal::new(None);
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let text = field.get_untracked().map(|input| input.value()).unwrap_or_default();
        let taken = session.take_token(&text);
        fault.try_set(taken.err());
        if let (Ok(()), Some(next)) = (taken, &next) {
            go(next, Default::default());
        }
    };
    let fault_text = move || {
        fault.get().map(|fault| match fault {
            TokenFault::Empty => words::TOKEN_EMPTY,
            TokenFault::Shape => words::TOKEN_SHAPE,
        })
    };
    view! {
        <section class="panel sign-in" aria-labelledby="sign-in-title">
            <h2 id="sign-in-title">{words::SIGN_IN_TITLE}</h2>
            <p>{words::SIGN_IN_TEXT}</p>
            <form on:submit=submit>
                <div class="field">
                    <label for="token">{words::SIGN_IN_LABEL}</label>
                    <input
                        id="token"
                        type="password"
                        autocomplete="off"
                        spellcheck="false"
                        node_ref=field
                        aria-describedby="token-fault"
                        aria-invalid=move || fault.get().is_some().to_string()
                    />
                </div>
                <button type="submit">{words::SIGN_IN_BUTTON}</button>
                <p id="token-fault" class="fault" aria-live="polite">{fault_text}</p>
            </form>
            <p class="fine">{words::SIGN_IN_HINT}</p>
            <CopyBox text=words::SIGN_IN_COMMAND.to_owned() what=words::SIGN_IN_HINT.to_owned() />
        </section>
    }
}
