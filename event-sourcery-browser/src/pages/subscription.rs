//! A durable subscription: its segments, its members, and what waits in it.

use std::time::Instant;

use event_sourcery::BlockedStream;
use event_sourcery::backend::SubscriptionRecord;
use event_sourcery::look::SubscriptionId;
use event_sourcery::uuid::Uuid;
use maud::{Markup, html};

use super::ITEMS;
use super::act::{of_all, of_one};
use crate::ask::Ask;
use crate::failure::Failure;
use crate::layout::Sheet;
use crate::plot::plot;
use crate::show::{
    behind, event_link, id, live, named, number, pager, stream_link, subscription_name, tenant, time,
};
use crate::table::Head::{Number, Text};
use crate::table::table;

pub(crate) async fn page(ask: &Ask<'_>) -> Result<Sheet, Failure> {
    let (of, look) = (ask.subscription()?, ask.store.look());
    let summary = look.subscription(&of).await?.ok_or(Failure::NotFound("subscription"))?;
    let status = if summary.record.is_some() { look.status(&of).await? } else { None };
    let blocked = look.blocked(&of, ask.from()?, ITEMS).await?;
    let now = Instant::now();
    let now_behind = html! {
        dl.facts {
            @if ask.sees_all() { div { dt { "Tenant" } dd { (tenant(ask, &of.tenant)) } } }
            @if let Some(position) = summary.position() { div { dt { "Checkpoint" } dd { (number(position.to_i64())) } } }
            @if let Some(status) = &status { div { dt { "Behind" } dd { (behind(status)) } } }
        }
        @if let Some(status) = &status {
            (plot(&ask.shared.samples.behind(now, &of, status.events_behind).numbers(now), "Events behind"))
        }
    };
    let body = html! {
        (done(ask))
        @if let Some(problem) = &summary.unreadable {
            // It is what the database says, in its own words.
            p.problem { "It cannot be read" @if ask.sees_all() { ": " (problem) } @else { "." } }
        }
        (live("behind", &now_behind))
        section {
            h2 { "Streams that wait" }
            (waiting(ask, &of, &blocked.items))
            (pager(ask, blocked.next.as_ref(), "More streams"))
            @if ask.may_act && !blocked.items.is_empty() { (of_all(ask, &of)) }
        }
        @if let Some(record) = &summary.record { (live("record", &html! { div.columns { (segments(record)) (members(record)) } })) }
    };
    Ok(Sheet::new(format!("Subscription {}", subscription_name(&of)), body))
}

/// What the page that was just asked for has done.
fn done(ask: &Ask<'_>) -> Markup {
    let count = ask.fields.get("count").and_then(|count| count.parse::<u64>().ok());
    html! {
        @match (ask.fields.get("done"), count) {
            (Some("replay"), _) => { p.done role="status" { "The event is tried again." } }
            (Some("skip"), _) => { p.done role="status" { "The event was left out." } }
            (Some("replay-all"), Some(count)) => { p.done role="status" { (number(count)) " streams are tried again." } }
            (Some("skip-all"), Some(count)) => { p.done role="status" { "An event of " (number(count)) " streams was left out." } }
            _ => {}
        }
    }
}

/// Streams that wait in a subscription, each for a failed event.
pub(super) fn waiting(ask: &Ask<'_>, of: &SubscriptionId, blocked: &[BlockedStream]) -> Markup {
    if blocked.is_empty() {
        return html! { p.note { "None waits here." } };
    }
    let heads = [Text("Stream"), Text("Failed event"), Number("Position"), Text("Error"), Number("Attempts")];
    let heads = heads.into_iter().chain([Text("Since (UTC)"), Text("Tried again (UTC)")]);
    let heads = heads.chain(ask.may_act.then_some(Text("Act")));
    let rows = html! { @for one in blocked { (row(ask, of, one)) } };
    table("Streams that wait for a failed event", heads, &rows)
}

fn row(ask: &Ask<'_>, of: &SubscriptionId, one: &BlockedStream) -> Markup {
    let name = one.event_name.as_deref().unwrap_or("event");
    html! {
        tr {
            th scope="row" {
                a href=(stream_link(ask, &one.tenant, &one.stream)) { (named(&one.stream)) }
                @if ask.sees_all() && !one.tenant.is_default() { " of " (tenant(ask, &one.tenant)) }
            }
            td {
                @match one.event_id {
                    Some(event) => { a href=(event_link(ask, event)) { span.name { (name) } } }
                    None => { span.note { "not there any more" } }
                }
            }
            td.number { (number(one.position.to_i64())) }
            td.error { (one.error) }
            td.number { (one.attempts) }
            td { (time(one.since)) }
            td { @match one.retry_at { Some(at) => { (time(at)) } None => { strong { "parked" } } } }
            @if ask.may_act { td { (of_one(ask, of, one)) } }
        }
    }
}

fn segments(record: &SubscriptionRecord) -> Markup {
    let is_member = |id: Uuid| record.members.iter().any(|member| member.id == id);
    let rows = html! {
        @for (at, segment) in record.segments.iter().enumerate() {
            tr {
                th.number scope="row" { (at) }
                td.number { (number(segment.position.to_i64())) }
                td {
                    @match segment.member {
                        Some(member) => {
                            (id(member))
                            @if !is_member(member) { " " span.note { "gone: it waits to be taken over" } }
                        }
                        None => { span.note { "nobody" } }
                    }
                }
            }
        }
    };
    let heads = [Number("Segment"), Number("Checkpoint"), Text("Worked on by")];
    html! {
        section {
            h2 { "Segments" }
            (table("Segments, each with its share of the streams", heads, &rows))
        }
    }
}

fn members(record: &SubscriptionRecord) -> Markup {
    let rows = html! {
        @for member in &record.members {
            tr {
                th scope="row" { (id(member.id)) }
                td.number { (record.leases_of(member.id).count()) }
                td { (time(member.until)) }
            }
        }
    };
    let heads = [Text("Member"), Number("Segments"), Text("Until (UTC)")];
    html! {
        section {
            h2 { "Members" }
            @if record.members.is_empty() { p.note { "Nobody takes part at present." } }
            @else { (table("Members, and until when they count if they are not heard of again", heads, &rows)) }
        }
    }
}
