//! Parts of forms: fields with their labels, choices, and what became of what was sent. They refuse to send.

use crate::view::load::Failure;
use crate::words;
use leptos::prelude::*;
use leptos::task::spawn_local;

/// Where a form stands: nothing sent, waiting, refused.
#[derive(Clone, Copy)]
pub struct Sending {
    busy: RwSignal<bool>,
    failure: RwSignal<Option<Failure>>,
}

impl Default for Sending {
    fn default() -> Self {
        Self { busy: RwSignal::new(false), failure: RwSignal::new(None) }
    }
}

impl Sending {
    /// Waits for an answer and hands it on; a second click while it waits does nothing.
    pub fn run<T: 'static>(
        self,
        asked: impl Future<Output = Result<T, Failure>> + 'static,
        then: impl FnOnce(T) + 'static,
    ) {
        if self.busy.get_untracked() {
            return;
        }
        self.busy.set(true);
        self.failure.set(None);
        spawn_local(async move {
            let answer = asked.await;
            // The form may be gone by now.
            self.busy.try_set(false);
            match answer {
                Ok(answer) => then(answer),
                Err(failure) => {
                    self.failure.try_set(Some(failure));
                }
            }
        });
    }
}

/// What stood in the way of the last try.
#[component]
pub fn Refusal(sending: Sending) -> impl IntoView {
    let says = move || sending.failure.get().map(|failure| failure.notice().text);
    view! { <p class="fault" role="alert">{says}</p> }
}

/// The button that sends.
#[component]
pub fn Send(sending: Sending, label: &'static str) -> impl IntoView {
    let says = move || if sending.busy.get() { words::SENDING } else { label };
    view! { <button type="submit" aria-disabled=move || sending.busy.get().to_string()>{says}</button> }
}

/// A line of text.
#[component]
pub fn Field(
    id: &'static str,
    label: &'static str,
    value: RwSignal<String>,
    #[prop(default = "text")] kind: &'static str,
    #[prop(default = "off")] autocomplete: &'static str,
    #[prop(default = "")] hint: &'static str,
    #[prop(default = true)] required: bool,
) -> impl IntoView {
    let hint_id = format!("{id}-hint");
    let described = (!hint.is_empty()).then(|| hint_id.clone());
    view! {
        <div class="field">
            <label for=id>{label}</label>
            <input
                id=id
                type=kind
                autocomplete=autocomplete
                spellcheck="false"
                required=required
                aria-describedby=described
                prop:value=move || value.get()
                on:input=move |event| value.set(event_target_value(&event))
            />
            {(!hint.is_empty()).then(|| view! { <span class="fine" id=hint_id>{hint}</span> })}
        </div>
    }
}

/// One of several: names on the wire, and what people read.
#[component]
pub fn Choice(
    id: &'static str,
    label: &'static str,
    value: RwSignal<String>,
    choices: Vec<(String, String)>,
) -> impl IntoView {
    let option = move |(name, title): (String, String)| {
        let own = name.clone();
        view! { <option value=name prop:selected=move || value.get() == own>{title}</option> }
    };
    view! {
        <div class="field">
            <label for=id>{label}</label>
            <select id=id on:change=move |event| value.set(event_target_value(&event))>
                {choices.into_iter().map(option).collect_view()}
            </select>
        </div>
    }
}
