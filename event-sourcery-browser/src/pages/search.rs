//! Search: for events by type, category, tenant and time, and for whatever has an id.

use std::sync::Arc;

use event_sourcery::jiff::Timestamp;
use event_sourcery::jiff::civil::DateTime;
use event_sourcery::jiff::tz::TimeZone;
use event_sourcery::look::{EventsRequest, Look, Mark, Seen};
use event_sourcery::uuid::Uuid;
use event_sourcery::{Category, StreamId};
use maud::{Markup, html};

use super::ITEMS;
use crate::ask::Ask;
use crate::failure::Failure;
use crate::layout::Sheet;
use crate::show::{event, events, id, pager, stream};

/// How many events are looked at in search of a time: so many halvings end between any two positions.
const PROBES: usize = 80;

pub(crate) async fn page(ask: &Ask<'_>) -> Result<Sheet, Failure> {
    if ask.fields.get("id").is_some() {
        return by_id(ask, ask.id("id")?).await;
    }
    let mut request = EventsRequest::newest(ITEMS);
    request.names = ask.fields.get("type").map(|name| Arc::from([Arc::<str>::from(name)]));
    request.category = ask.fields.get("category").map(Category::new).transpose()?;
    request.tenant = ask.whose()?;
    let until = ask.fields.get("until").map(instant).transpose()?;
    request.from = match (ask.from()?, until) {
        (None, Some(until)) => Some(behind(ask.store.look(), until).await?),
        (from, _) => from,
    };
    let mut page = ask.store.look().events(request).await?;
    // Times do not always grow with positions, and in a large store a small tenant's are not halved to the end.
    page.items.retain(|seen| until.is_none_or(|until| seen.created_at() <= until));
    let body = html! {
        (form(ask))
        (events(ask, "Events, the newest first", &page.items))
        @if page.items.is_empty() && page.next.is_some() {
            p { "There are none in this stretch of the store: a page looks at a bounded number of events. Go on to look further." }
        }
        (pager(ask, page.next.as_ref(), "Older events"))
    };
    Ok(Sheet::new("Search", body))
}

/// What an id stands for: an event, a stream, a correlation, or several of them.
async fn by_id(ask: &Ask<'_>, wanted: Uuid) -> Result<Sheet, Failure> {
    let look = ask.store.look();
    let found = look.event(wanted).await?;
    let of_this_id =
        StreamId::from_uuid(wanted).in_category(ask.fields.get("category").unwrap_or_default())?;
    let store = ask.store_of(ask.fields.get("tenant"))?;
    let last = store.look().backwards(&of_this_id, None, 1).await?;
    let text = wanted.to_string();
    let body = html! {
        (form(ask))
        h2 { "What has the id " (id(wanted)) }
        ul.links {
            @if let Some(seen) = &found { li { "The event " (event(ask, seen)) } }
            @if !last.items.is_empty() { li { "The stream " (stream(ask, store.tenant_id(), &of_this_id)) } }
            li { "Perhaps a " a href=(ask.link("correlation", &[("id", text.as_str())])) { "correlation" } }
        }
        @if found.is_none() && last.items.is_empty() {
            p.note {
                "There is no such event, and no such stream in the category and of the tenant that are told. If something was caused "
                "by it, it was a command."
            }
        }
    };
    Ok(Sheet::new("Search", body))
}

/// A time as it is typed, or as an event has it.
fn instant(text: &str) -> Result<Timestamp, Failure> {
    let problem = "give a time in UTC, such as 2026-01-31T12:00";
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(instant);
    }
    let time: DateTime = text.parse().map_err(|_| Failure::field("until", problem))?;
    TimeZone::UTC.to_timestamp(time).map_err(|_| Failure::field("until", problem))
}

/// A mark behind the events up to a time, found by halving: times mostly grow with positions. What stands up to `low` is not later;
/// what follows on `high` is.
async fn behind(look: Look<'_>, time: Timestamp) -> Result<Mark, Failure> {
    // What is visible above the settled position counts as well.
    let newest = look.events(EventsRequest::newest(1)).await?.items.first().map(position);
    let (mut low, mut high) = (0, look.settled().await?.position.to_i64().max(newest.unwrap_or(0)));
    let mut from = high / 2;
    for _ in 0..PROBES {
        if low >= high {
            break;
        }
        let page = look.events(EventsRequest::first(1).with_from(Some(Mark::at(from)))).await?;
        let goes_on =
            page.next.and_then(|next| next.number().ok()).filter(|next| (from + 1..high).contains(next));
        match (page.items.first(), goes_on) {
            (Some(seen), _) if seen.created_at() <= time => low = position(seen).min(high),
            // Nothing that is seen here, and it was not looked through so far.
            (None, Some(next)) => {
                from = next;
                continue;
            }
            _ => high = low + (high - low) / 2,
        }
        from = low + (high - low) / 2;
    }
    Ok(Mark::at(high.saturating_add(1)))
}

fn position(seen: &Seen) -> i64 {
    seen.position().to_i64()
}

fn form(ask: &Ask<'_>) -> Markup {
    let value = |name| ask.fields.get(name).unwrap_or_default();
    html! {
        form.filter role="search" aria-label="Events" action=(ask.link("search", &[])) {
            p { label for="type" { "Type of event" } input id="type" name="type" value=(value("type")) autocomplete="off"; }
            p { label for="category" { "Category" } input id="category" name="category" value=(value("category")) autocomplete="off"; }
            @if ask.sees_all() {
                p { label for="tenant" { "Tenant" } input id="tenant" name="tenant" value=(value("tenant")) autocomplete="off"; }
            }
            p { label for="until" { "Until (UTC)" } input id="until" name="until" type="datetime-local" step="1" value=(value("until")); }
            p { label for="id" { "Id of anything" } input id="id" name="id" value=(value("id")) autocomplete="off" spellcheck="false"; }
            button type="submit" { "Search" }
        }
        p { a href=(ask.link("streams", &[("by", "name")])) { "Streams by name" } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_a_form_and_as_an_event_has_it() {
        let noon = "2026-01-31T12:00:00Z".parse::<Timestamp>().unwrap();
        for text in ["2026-01-31T12:00", "2026-01-31T12:00:00", "2026-01-31T12:00:00Z"] {
            assert_eq!(instant(text).unwrap(), noon, "{text}");
        }
        assert!(matches!(instant("yesterday"), Err(Failure::Field { field: "until", .. })));
    }
}
