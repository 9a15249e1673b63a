//! The box that takes an API token. It refuses to judge it.

use crate::components::copy::CopyBox;
use crate::session::{Session, TokenFault};
use crate::words;
use leptos::html::Input;
use leptos::prelude::*;

/// The sign-in box.
#[component]
pub fn SignIn() -> impl IntoView {
    let session = Session::of_app();
    let field: NodeRef<Input> = NodeRef::new();
    let fault: RwSignal<Option<TokenFault>> = RwSignal::new(None);
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let text = field.get_untracked().map(|input| input.value()).unwrap_or_default();
        fault.set(session.sign_in(&text).err());
    };
    let fault_text = move || {
        fault.get().map(|fault| match fault {
            TokenFault::Empty => words::TOKEN_EMPTY,
            TokenFault::Shape => words::TOKEN_SHAPE,
        })
    };
    view! {
        <section class="sign-in" aria-labelledby="sign-in-title">
            <h2 id="sign-in-title">{words::SIGN_IN_TITLE}</h2>
            <p>{words::SIGN_IN_TEXT}</p>
            <form on:submit=submit>
                <label for="token">{words::SIGN_IN_LABEL}</label>
                <div class="line">
                    <input
                        id="token"
                        type="password"
                        autocomplete="off"
                        spellcheck="false"
                        node_ref=field
                        aria-describedby="token-fault"
                        aria-invalid=move || fault.get().is_some().to_string()
                    />
                    <button type="submit">{words::SIGN_IN_BUTTON}</button>
                </div>
                <p id="token-fault" class="fault" aria-live="polite">{fault_text}</p>
            </form>
            <p class="fine">{words::SIGN_IN_HINT}</p>
            <CopyBox text=words::SIGN_IN_COMMAND.to_owned() what=words::SIGN_IN_HINT.to_owned() />
        </section>
    }
}
