//! An error with all its causes as one line of text, for the boundary where it is shown. Refuses to
//! know errors.

/// The error and its causes, each one's own words, in order.
#[must_use]
pub fn explain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        // Some libraries repeat the cause in their own words.
        if !text.contains(&said) {
            let join = if text.ends_with(['.', ':']) { " " } else { ": " };
            text = format!("{text}{join}{said}");
        }
        cause = error.source();
    }
    text
}
