//! The store at a glance.

use std::time::Instant;

use event_sourcery::backend::Backend as _;
use event_sourcery::look::{COUNTS_TO, Counted, EventsRequest, LOOKS_AT, ListRequest, Page, SettledPosition};
use maud::{Markup, html};

use super::subscriptions;
use crate::ask::Ask;
use crate::failure::Failure;
use crate::layout::Sheet;
use crate::plot::plot;
use crate::show::{count, events, live, number};
use crate::table::Head::{Number, Text};
use crate::table::table;

/// How many of each there are at a glance.
const FEW: usize = 12;

pub(crate) async fn page(ask: &Ask<'_>) -> Result<Sheet, Failure> {
    let look = ask.store.look();
    let settled = look.settled().await?;
    let tenants = if ask.sees_all() { Some(look.tenants(ListRequest::new(FEW)).await?) } else { None };
    let categories = look.categories(ListRequest::new(FEW)).await?;
    let names = look.event_names(EventsRequest::newest(1)).await?;
    let newest = look.events(EventsRequest::newest(FEW)).await?;
    let subscriptions = subscriptions::table(ask, FEW).await?;
    let body = html! {
        (live("settled", &position(ask, &settled)))
        section {
            h2 { "Subscriptions" }
            (live("subscriptions", &subscriptions.markup))
            @if subscriptions.next.is_some() { p { a href=(ask.link("subscriptions", &[])) { "All subscriptions" } } }
        }
        section {
            h2 { "The newest events" }
            (live("newest", &events(ask, "The newest events of the store", &newest.items)))
            p { a href=(ask.link("search", &[])) { "Search for others" } }
        }
        div.columns {
            @if let Some(tenants) = &tenants {
                (counts("Tenants", "Streams", tenants, "default", |name| ask.link("streams", &[("tenant", name)])))
            }
            (counts("Categories", "Streams", &categories, "none", |name| ask.link("streams", &[("category", name)])))
            (counts("Types of events", "Events", &names, "none", |name| ask.link("search", &[("type", name)])))
        }
        p.note {
            "Streams are counted up to " (number(COUNTS_TO as u64)) ", and types in the newest " (number(LOOKS_AT as u64))
            " events: larger counts say \u{201c}at least\u{201d}."
        }
    };
    Ok(Sheet::new("The store at a glance", body))
}

fn position(ask: &Ask<'_>, settled: &SettledPosition) -> Markup {
    let (now, position) = (Instant::now(), settled.position.to_i64());
    html! {
        dl.facts {
            div { dt { "Settled position" } dd { (number(position)) } }
            div { dt { "Backend" } dd { (ask.store.backend().name()) } }
            @if let Some(holders) = &settled.holders {
                div {
                    dt { "Held up by" }
                    dd {
                        @if holders.is_empty() { "nobody" }
                        @else { a href=(ask.link("holders", &[])) { (holders.len()) " open transaction" @if holders.len() != 1 { "s" } } }
                    }
                }
            }
            @if !ask.sees_all() { div { dt { "Tenant" } dd { (ask.store.tenant_id().as_str()) } } }
        }
        // How much the others write is none of a tenant's business.
        @if ask.sees_all() {
            (plot(&ask.shared.samples.settled(now, position.unsigned_abs()).rates(now), "Positions a second"))
        }
    }
}

fn counts(
    title: &str,
    what: &str,
    page: &Page<Counted>,
    nameless: &str,
    link: impl Fn(&str) -> String,
) -> Markup {
    let rows = html! {
        @for counted in page.items.iter().take(FEW) {
            tr {
                th scope="row" {
                    @if counted.name.is_empty() { span.note { (nameless) } }
                    @else { a href=(link(&counted.name)) { (&*counted.name) } }
                }
                td.number { (count(counted)) }
            }
        }
    };
    html! {
        section {
            h2 { (title) }
            (table(title, [Text("Name"), Number(what)], &rows))
            @if page.items.is_empty() { p.note { "There are none." } }
            @if page.next.is_some() || page.items.len() > FEW { p.note { "There may be others." } }
        }
    }
}
