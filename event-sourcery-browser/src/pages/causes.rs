//! Why things happened: what an event has caused, and the events of a correlation as a graph of causes.

use std::collections::HashMap;

use event_sourcery::look::Seen;
use event_sourcery::uuid::Uuid;
use maud::{Markup, html};

use crate::ask::Ask;
use crate::failure::Failure;
use crate::layout::Sheet;
use crate::show::{event, event_link, id, pager, stream, tenant, time};

/// How deep a graph goes on one page.
const DEEP: usize = 24;

/// What an event has caused.
pub(crate) async fn below(ask: &Ask<'_>) -> Result<Sheet, Failure> {
    let causes = ask.store.look().caused_by(ask.id("id")?).await?.ok_or(Failure::NotFound("event"))?;
    let found: Vec<&Seen> = std::iter::once(causes.root()).chain(causes.all()).collect();
    let body = html! {
        p { a href=(event_link(ask, causes.root().uuid())) { "The event itself" } }
        (graph(ask, &found))
        @if causes.all().is_empty() { p.note { "It has caused nothing that is known here." } }
        @if !causes.is_whole() {
            p.note { "There may be more: the store was not looked through to its end. Look from one of the last events on." }
        }
    };
    Ok(Sheet::new(format!("What {} has caused", causes.root().name()), body))
}

/// The events of a correlation.
pub(crate) async fn correlation(ask: &Ask<'_>) -> Result<Sheet, Failure> {
    let correlation = ask.id("id")?;
    let page = ask.store.look().correlated(correlation, ask.from()?).await?;
    let mut found: Vec<&Seen> = page.items.iter().collect();
    found.sort_by_key(|seen| seen.position());
    let body = html! {
        p { "Correlation " (id(correlation)) ". What stands below an event was caused by it." }
        (graph(ask, &found))
        @if found.is_empty() { p.note { "There are none in this part of the store." } }
        p.note { "No index has correlations: each page looks through one stretch of the store, from the newest event back." }
        (pager(ask, page.next.as_ref(), "Look further back"))
    };
    Ok(Sheet::new("Correlation", body))
}

/// Events below what caused them, by positions. A cause stands before its effects: what tells otherwise has no cause here.
fn graph(ask: &Ask<'_>, found: &[&Seen]) -> Markup {
    let positions: HashMap<Uuid, _> = found.iter().map(|seen| (seen.uuid(), seen.position())).collect();
    let mut effects: HashMap<Option<Uuid>, Vec<&Seen>> = HashMap::new();
    for seen in found {
        let cause = seen.context().ok().and_then(|context| context.causation_id());
        let is_here = |id: &Uuid| positions.get(id).is_some_and(|position| *position < seen.position());
        effects.entry(cause.filter(is_here)).or_default().push(seen);
    }
    html! { div.graph { (branches(ask, &effects, None, 0)) } }
}

fn branches(
    ask: &Ask<'_>,
    effects: &HashMap<Option<Uuid>, Vec<&Seen>>,
    of: Option<Uuid>,
    depth: usize,
) -> Markup {
    let below = effects.get(&of).map(Vec::as_slice).unwrap_or_default();
    html! {
        @if !below.is_empty() {
            ol {
                @for seen in below {
                    li {
                        (event(ask, seen)) " "
                        span.place {
                            (time(seen.created_at())) " in " (stream(ask, seen.tenant_id(), seen.stream_id()))
                            @if ask.sees_all() { " of " (tenant(ask, seen.tenant_id())) }
                        }
                        @if depth < DEEP { (branches(ask, effects, Some(seen.uuid()), depth + 1)) }
                        @else if effects.contains_key(&Some(seen.uuid())) {
                            p { a href=(ask.link("causes", &[("id", seen.uuid().to_string().as_str())])) { "What it has caused" } }
                        }
                    }
                }
            }
        }
    }
}
