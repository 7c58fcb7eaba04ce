//! Tables, all of which look and sound alike.

use maud::{Markup, html};

/// The head of a column.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Head<'h> {
    Text(&'h str),
    Number(&'h str),
    /// For who hears the table alone.
    Unseen(&'h str),
}

/// A table, whose frame can be scrolled by keyboard too. Its caption is heard, and not seen.
pub(crate) fn table<'h>(caption: &str, heads: impl IntoIterator<Item = Head<'h>>, rows: &Markup) -> Markup {
    html! {
        div.table tabindex="0" role="region" aria-label=(caption) {
            table {
                caption { (caption) }
                thead { tr { @for head in heads { (in_its_row(head)) } } }
                tbody { (rows) }
            }
        }
    }
}

fn in_its_row(head: Head<'_>) -> Markup {
    html! {
        @match head {
            Head::Text(title) => { th scope="col" { (title) } }
            Head::Number(title) => { th.number scope="col" { (title) } }
            Head::Unseen(title) => { th scope="col" { span.unseen { (title) } } }
        }
    }
}
