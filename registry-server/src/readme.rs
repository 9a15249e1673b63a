//! A README as HTML that cannot do anything to its reader. Refuses to know whose README it is.

use std::collections::HashSet;

/// Markdown to sanitised HTML: no scripts, no styles, no frames, and no images, which would tell
/// their host who reads.
#[must_use]
pub fn to_html(markdown: &str) -> String {
    let mut options = comrak::Options::default();
    options.extension.table = true;
    options.extension.strikethrough = true;
    options.extension.autolink = true;
    options.extension.tasklist = true;
    options.extension.header_id_prefix = None;
    let html = comrak::markdown_to_html(markdown, &options);
    ammonia::Builder::default()
        .rm_tags(["img"])
        .add_tag_attributes("code", ["class"])
        // Long lines scroll, for those who have no pointer, too.
        .set_tag_attribute_value("pre", "tabindex", "0")
        .url_schemes(HashSet::from(["https", "http", "mailto"]))
        .link_rel(Some("nofollow noopener noreferrer"))
        .clean(&html)
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_markdown_and_drops_everything_active() {
        let html = to_html(
            "# Title\n\n```\nlong\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n<script>alert(1)</script>\n\n[x](javascript:alert(1)) <img src=x onerror=alert(1)> <a href=\"https://a.example\" onclick=\"x()\">y</a>",
        );
        assert!(html.contains("<h1>Title</h1>"), "{html}");
        assert!(html.contains("<td>1</td>"), "{html}");
        assert!(html.contains("<pre tabindex=\"0\">"), "{html}");
        for bad in ["<script", "javascript:", "<img", "onerror", "onclick"] {
            assert!(!html.contains(bad), "{bad} in {html}");
        }
    }
}
