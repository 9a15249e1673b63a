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
            text = match text.chars().last() {
                Some('.') => format!("{text} {}", capitalised(&said)),
                Some(':') => format!("{text} {said}"),
                _ => format!("{text}: {said}"),
            };
        }
        cause = error.source();
    }
    text
}

/// A cause that follows a full sentence begins one.
fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{said}")]
    struct Told {
        said: &'static str,
        source: Option<Box<Told>>,
    }

    fn told(said: &'static str, source: Option<Told>) -> Told {
        Told { said, source: source.map(Box::new) }
    }

    #[test]
    fn causes_follow_as_sentences_or_after_a_colon() {
        let error =
            told("It failed.", Some(told("the disk is full", Some(told("os error 28", None)))));
        assert_eq!(explain(&error), "It failed. The disk is full: os error 28");
        let repeated = told("the disk is full", Some(told("disk is full", None)));
        assert_eq!(explain(&repeated), "the disk is full");
    }
}
