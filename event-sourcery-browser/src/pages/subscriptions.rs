//! Durable subscriptions: how far each has come.

use std::time::Instant;

use event_sourcery::Status;
use event_sourcery::look::{ListRequest, Mark, SubscriptionSummary};
use maud::{Markup, html};

use crate::ask::Ask;
use crate::failure::Failure;
use crate::layout::Sheet;
use crate::show::{behind, live, number, pager, subscription, tenant};
use crate::table::Head::{Number, Text};

/// How many a page has: each is asked how far it is behind.
const ITEMS: usize = 20;

pub(crate) async fn page(ask: &Ask<'_>) -> Result<Sheet, Failure> {
    let Table { markup, next } = table(ask, ITEMS).await?;
    let body = html! { (live("subscriptions", &markup)) (pager(ask, next.as_ref(), "More subscriptions")) };
    Ok(Sheet::new("Subscriptions", body))
}

/// A page of subscriptions, and where the next one begins.
pub(super) struct Table {
    pub(super) markup: Markup,
    pub(super) next: Option<Mark>,
}

pub(super) async fn table(ask: &Ask<'_>, most: usize) -> Result<Table, Failure> {
    let look = ask.store.look();
    let mut request = ListRequest::new(most).with_from(ask.from()?);
    request.tenant = ask.whose()?;
    let page = look.subscriptions(request).await?;
    let mut rows = Vec::new();
    for summary in &page.items {
        let status = if summary.record.is_some() { look.status(&summary.id).await? } else { None };
        if let Some(status) = &status {
            ask.shared.samples.behind(Instant::now(), &summary.id, status.events_behind);
        }
        rows.push(row(ask, summary, status.as_ref()));
    }
    let heads = [Text("Subscription")].into_iter().chain(ask.sees_all().then_some(Text("Tenant")));
    let heads = heads.chain([Number("Checkpoint"), Text("Behind"), Number("Members"), Number("Segments")]);
    let markup = html! {
        (crate::table::table("Durable subscriptions", heads, &html! { @for row in &rows { (row) } }))
        @if rows.is_empty() { p.note { "None has run yet." } }
    };
    Ok(Table { markup, next: page.next })
}

fn row(ask: &Ask<'_>, summary: &SubscriptionSummary, status: Option<&Status>) -> Markup {
    html! {
        tr {
            th scope="row" { (subscription(ask, &summary.id)) }
            @if ask.sees_all() { td { (tenant(ask, &summary.id.tenant)) } }
            td.number { @if let Some(position) = summary.position() { (number(position.to_i64())) } }
            td {
                @match status {
                    Some(status) => { (behind(status)) }
                    None => { strong.problem { "unreadable" } }
                }
            }
            td.number { @if let Some(status) = status { (status.members) } }
            td.number { @if let Some(record) = &summary.record { (record.segments.len()) } }
        }
    }
}
