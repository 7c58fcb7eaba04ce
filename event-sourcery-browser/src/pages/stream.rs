//! A stream, from its end backwards.

use event_sourcery::look::{CursorSummary, CursorsRequest, Seen};
use event_sourcery::{StreamId, TenantId};
use maud::{Markup, html};

use super::ITEMS;
use super::beside::Lane;
use crate::ask::Ask;
use crate::failure::Failure;
use crate::layout::Sheet;
use crate::show::{category, event, id, live, number, pager, tenant, time};

/// How many characters of a payload are shown beside its event.
const GLIMPSE: usize = 160;

/// How many projectors' cursors are listed.
const CURSORS: usize = 20;

pub(crate) async fn page(ask: &Ask<'_>) -> Result<Sheet, Failure> {
    let store = ask.store_of(ask.fields.get("tenant"))?;
    let asked = ask.stream()?;
    let page = store.look().backwards(&asked, ask.from()?, ITEMS).await?;
    let is_first = ask.fields.get("from").is_none();
    if page.items.is_empty() && is_first {
        return Err(Failure::NotFound("stream"));
    }
    let of_stream =
        CursorsRequest::new(CURSORS).with_tenant(store.tenant_id().clone()).with_stream(asked.clone());
    let cursors = if is_first { store.look().cursors(of_stream).await?.items } else { Vec::new() };
    let list = html! { (table(ask, &page.items)) (pager(ask, page.next.as_ref(), "Older events")) };
    let body = html! {
        (facts(ask, store.tenant_id(), &asked, page.items.first().filter(|_| is_first)))
        @if is_first { (live("events", &list)) } @else { (list) }
        @if !cursors.is_empty() { (projectors(&cursors)) }
    };
    let title =
        asked.name().map_or_else(|| format!("Stream {}", asked.uuid()), |name| format!("Stream {name}"));
    Ok(Sheet::new(title, body))
}

fn facts(ask: &Ask<'_>, whose: &TenantId, stream: &StreamId, last: Option<&Seen>) -> Markup {
    let lane = Lane::new(whose, stream).to_string();
    html! {
        dl.facts {
            div { dt { "Id" } dd { (id(stream.uuid())) } }
            @if stream.category().is_some() { div { dt { "Category" } dd { (category(ask, stream)) } } }
            @if ask.sees_all() { div { dt { "Tenant" } dd { (tenant(ask, whose)) } } }
            @if let Some(last) = last {
                div {
                    dt { "Version" }
                    dd { @if let Some(version) = last.version() { (number(version)) } @else { "none: it is not versioned" } }
                }
            }
        }
        p { a href=(ask.link("beside", &[("stream", lane.as_str())])) { "Put beside others" } }
    }
}

fn table(ask: &Ask<'_>, events: &[Seen]) -> Markup {
    html! {
        div.table tabindex="0" role="region" aria-label="Events" {
            table {
                caption { "Events, the last one first" }
                thead {
                    tr {
                        th.number scope="col" { "Version" }
                        th scope="col" { "Time (UTC)" }
                        th scope="col" { "Event" }
                        th scope="col" { "Payload" }
                        th.number scope="col" { "Position" }
                        th scope="col" { "Id" }
                    }
                }
                tbody { @for seen in events { (row(ask, seen)) } }
            }
        }
        @if events.is_empty() { p.note { "There are none here." } }
    }
}

fn row(ask: &Ask<'_>, seen: &Seen) -> Markup {
    let glimpse: String = seen.data().chars().take(GLIMPSE).collect();
    html! {
        tr {
            td.number { @if let Some(version) = seen.version() { (number(version)) } }
            td { (time(seen.created_at())) }
            th scope="row" { (event(ask, seen)) }
            td.glimpse { code { (glimpse) } }
            td.number { (number(seen.position().to_i64())) }
            td { (id(seen.uuid())) }
        }
    }
}

fn projectors(cursors: &[CursorSummary]) -> Markup {
    html! {
        section {
            h2 { "Projectors that follow it" }
            div.table tabindex="0" role="region" aria-label="Projectors" {
                table {
                    caption { "Projectors that follow this stream" }
                    thead { tr { th scope="col" { "Projector" } th.number scope="col" { "Has come to version" } } }
                    tbody {
                        @for cursor in cursors {
                            tr {
                                th scope="row" { span.name { (&*cursor.id.projector) } }
                                td.number { (number(cursor.cursor.version)) }
                            }
                        }
                    }
                }
            }
        }
    }
}
