//! JSON as a tree that folds.

use maud::{Markup, html};
use serde_json::Value;

/// How many values a tree shows at most.
const VALUES: usize = 2_000;

/// How many characters of a text are shown at most.
const CHARACTERS: usize = 4_000;

/// How many bytes are read as JSON at most, and how many of a text that is shown as it is stored.
const BYTES: usize = 256 * 1_024;

/// How deep a tree is unfolded at first.
const OPEN: usize = 2;

/// A stored text: as a tree where it is JSON, and as it is stored.
pub(crate) fn stored(text: &str, what: &str) -> Markup {
    let value = if text.len() <= BYTES { serde_json::from_str::<Value>(text).ok() } else { None };
    let beginning = beginning(text, BYTES);
    html! {
        @match value {
            Some(value) => { (tree(&value)) }
            None => { p.note { "It is no JSON that can be shown as a tree: it has " (text.len()) " bytes." } }
        }
        details.stored {
            summary { "The " (what) " as it is stored" }
            pre tabindex="0" { (beginning) }
            @if beginning.len() < text.len() {
                p.note { "These are the first " (beginning.len()) " of " (text.len()) " bytes." }
            }
        }
    }
}

/// A value as a tree.
pub(crate) fn tree(value: &Value) -> Markup {
    let mut left = VALUES;
    html! { div.tree { (branch(value, 0, &mut left)) } }
}

fn branch(value: &Value, depth: usize, left: &mut usize) -> Markup {
    *left = left.saturating_sub(1);
    match value {
        Value::Null => html! { span.literal { "null" } },
        Value::Bool(yes) => html! { span.literal { (yes.to_string()) } },
        Value::Number(number) => html! { span.number { (number.to_string()) } },
        Value::String(text) => {
            let shown: String = text.chars().take(CHARACTERS).collect();
            html! {
                span.text { (shown) }
                @if shown.len() < text.len() { span.note { " (cut: it has " (text.len()) " bytes)" } }
            }
        }
        Value::Array(items) => {
            let named = items.iter().enumerate().map(|(number, item)| (number.to_string(), item));
            fold(named, (items.len(), "item"), depth, left)
        }
        Value::Object(fields) => {
            let named = fields.iter().map(|(name, value)| (name.clone(), value));
            fold(named, (fields.len(), "field"), depth, left)
        }
    }
}

fn fold<'v>(
    named: impl Iterator<Item = (String, &'v Value)>,
    (count, what): (usize, &str),
    depth: usize,
    left: &mut usize,
) -> Markup {
    let mut shown = Vec::new();
    for (name, value) in named {
        if *left == 0 {
            break;
        }
        shown.push((name, branch(value, depth + 1, left)));
    }
    let rest = count - shown.len();
    html! {
        details open[depth < OPEN] {
            summary { (count) " " (what) @if count != 1 { "s" } }
            ul {
                @for (name, value) in &shown {
                    li { span.key { (name) } " " (value) }
                }
                @if rest > 0 { li.note { (rest) " more are not shown" } }
            }
        }
    }
}

/// As much of a text as so many bytes hold.
fn beginning(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_bounded_whatever_it_is_of() {
        let wide = Value::Array(vec![Value::Null; 3 * VALUES]);
        let shown = tree(&wide).into_string();
        assert_eq!(shown.matches("<li").count(), VALUES, "one of them says how many are not shown");
        assert!(shown.contains(&format!("{} more are not shown", 2 * VALUES + 1)), "{}", shown.len());

        let long = stored(&format!("{{\"a\": \"{}\"}}", "\u{e9}".repeat(BYTES)), "payload").into_string();
        assert!(long.len() < 2 * BYTES && long.contains("as it is stored"));
    }

    #[test]
    fn what_stands_in_it_is_text() {
        let hostile = serde_json::json!({"<script>alert(1)</script>": ["</pre><img src=x onerror=alert(1)>", {"\"": 1}]});
        for shown in [tree(&hostile).into_string(), stored(&hostile.to_string(), "payload").into_string()] {
            assert!(!shown.contains("<script") && !shown.contains("<img"), "{shown}");
        }
    }
}
