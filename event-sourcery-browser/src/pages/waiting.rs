//! What waits, in all subscriptions.

use event_sourcery::look::ListRequest;
use maud::html;

use super::subscription::waiting;
use crate::ask::Ask;
use crate::failure::Failure;
use crate::layout::Sheet;
use crate::show::{pager, subscription};

/// How many subscriptions a page goes through, and how many streams it shows of each.
const SUBSCRIPTIONS: usize = 20;
const STREAMS: usize = 5;

pub(crate) async fn page(ask: &Ask<'_>) -> Result<Sheet, Failure> {
    let look = ask.store.look();
    let mut request = ListRequest::new(SUBSCRIPTIONS).with_from(ask.from()?);
    request.tenant = ask.whose()?;
    let page = look.subscriptions(request).await?;
    let mut found = Vec::new();
    for summary in &page.items {
        let blocked = look.blocked(&summary.id, None, STREAMS).await?;
        if !blocked.items.is_empty() {
            found.push((&summary.id, blocked));
        }
    }
    let body = html! {
        @if found.is_empty() { p.note { "No stream waits in these subscriptions." } }
        @for (of, blocked) in &found {
            section {
                h2 { (subscription(ask, of)) @if ask.sees_all() && !of.tenant.is_default() { " of " (of.tenant.as_str()) } }
                (waiting(ask, of, &blocked.items))
                @if blocked.next.is_some() { p { "More of them wait in " (subscription(ask, of)) "." } }
            }
        }
        (pager(ask, page.next.as_ref(), "More subscriptions"))
    };
    Ok(Sheet::new("Streams that wait", body))
}
