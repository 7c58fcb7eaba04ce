//! What is to be published.

use event_sourcery::backend::Backend as _;
use event_sourcery::look::SubscriptionId;
use maud::html;

use super::ITEMS;
use crate::ask::Ask;
use crate::failure::Failure;
use crate::layout::Sheet;
use crate::show::{behind, events, live, pager, subscription};

pub(crate) async fn page(ask: &Ask<'_>) -> Result<Sheet, Failure> {
    if !ask.store.backend().capabilities().outbox {
        return Ok(Sheet::new("Outbox", html! { p.note { "The backend of this store has no outbox." } }));
    }
    let (look, of) = (ask.store.look(), SubscriptionId::outbox(ask.store.tenant_id().clone()));
    let page = look.outbox(ask.from()?, ITEMS).await?;
    let status = look.status(&of).await?;
    let entries = html! { (events(ask, "Entries that are not published, the oldest first", &page.items)) };
    let body = html! {
        @match &status {
            Some(status) => { p { (subscription(ask, &of)) " has left: " (behind(status)) "." } }
            None => { p.note { "Nobody has published this outbox yet." } }
        }
        @if ask.fields.get("from").is_none() { (live("entries", &entries)) } @else { (entries) }
        (pager(ask, page.next.as_ref(), "Newer entries"))
    };
    Ok(Sheet::new("Outbox", body))
}
