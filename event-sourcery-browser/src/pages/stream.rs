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
use crate::table::Head::{Number, Text};
use crate::table::table;

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
    let list = html! { (listed(ask, &page.items)) (pager(ask, page.next.as_ref(), "Older events")) };
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

fn listed(ask: &Ask<'_>, events: &[Seen]) -> Markup {
    let heads = [
        Number("Version"),
        Text("Time (UTC)"),
        Text("Event"),
        Text("Payload"),
        Number("Position"),
        Text("Id"),
    ];
    html! {
        (table("Events, the last one first", heads, &html! { @for seen in events { (row(ask, seen)) } }))
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
    let rows = html! {
        @for cursor in cursors {
            tr {
                th scope="row" { span.name { (&*cursor.id.projector) } }
                td.number { (number(cursor.cursor.version)) }
            }
        }
    };
    html! {
        section {
            h2 { "Projectors that follow it" }
            (table("Projectors that follow this stream", [Text("Projector"), Number("Has come to version")], &rows))
        }
    }
}
