//! What most pages show: ids, times, numbers, links, tables of events, and where a listing goes on.

use std::time::Duration;

use event_sourcery::jiff::Timestamp;
use event_sourcery::look::{Counted, Mark, Seen, SubscriptionId};
use event_sourcery::uuid::Uuid;
use event_sourcery::{Status, StreamId, TenantId};
use maud::{Markup, html};

use crate::ask::Ask;
use crate::table::Head::{Number, Text};
use crate::table::table;

/// How many of a UUID's characters stand for it: its last, for the first of two that were made one after the other are the same.
const SHORT: usize = 8;

/// An id: shortened for the eye, whole for who copies it.
pub(crate) fn id(id: Uuid) -> Markup {
    let whole = id.to_string();
    let (beginning, end) =
        whole.split_at_checked(whole.len().saturating_sub(SHORT)).unwrap_or(("", whole.as_str()));
    html! { code.id title=(whole) { span { (beginning) } (end) } }
}

pub(crate) fn time(at: Timestamp) -> Markup {
    let whole = at.to_string();
    html! { time datetime=(whole) title=(whole) { (at.strftime("%Y-%m-%d %H:%M:%S").to_string()) } }
}

/// A number with its thousands apart.
pub(crate) fn number(number: impl Into<i128>) -> String {
    let number: i128 = number.into();
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count, and whether it is one.
pub(crate) fn count(counted: &Counted) -> Markup {
    html! { @if !counted.is_exact { "at least " } (number(counted.count)) }
}

pub(crate) fn duration(lasting: Duration) -> String {
    match lasting.as_secs() {
        0 => format!("{} ms", lasting.as_millis()),
        seconds @ 1..60 => format!("{seconds} s"),
        seconds @ 60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds @ 3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        seconds => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// Whose something is, where more than one tenant is seen.
pub(crate) fn tenant(ask: &Ask<'_>, whose: &TenantId) -> Markup {
    html! {
        @if whose.is_default() { span.note { "default" } }
        @else { a href=(ask.link("streams", &[("tenant", whose.as_str())])) { (whose.as_str()) } }
    }
}

pub(crate) fn category(ask: &Ask<'_>, stream: &StreamId) -> Markup {
    let category = stream.stored_category();
    html! { @if !category.is_empty() { a href=(ask.link("streams", &[("category", category)])) { (category) } } }
}

/// The address of a stream's page.
pub(crate) fn stream_link(ask: &Ask<'_>, whose: &TenantId, stream: &StreamId) -> String {
    let (id, name) = (stream.uuid().to_string(), stream.name().unwrap_or_default());
    ask.link(
        "stream",
        &[
            ("id", id.as_str()),
            ("name", name),
            ("category", stream.stored_category()),
            ("tenant", whose.as_str()),
        ],
    )
}

/// A stream's name, or its id.
pub(crate) fn named(stream: &StreamId) -> Markup {
    html! {
        @match stream.name() {
            Some(name) => { span.name { (name) } }
            None => { (id(stream.uuid())) }
        }
    }
}

pub(crate) fn stream(ask: &Ask<'_>, whose: &TenantId, of: &StreamId) -> Markup {
    html! { a href=(stream_link(ask, whose, of)) { (named(of)) } }
}

/// The address of an event's page.
pub(crate) fn event_link(ask: &Ask<'_>, event: Uuid) -> String {
    ask.link("event", &[("id", event.to_string().as_str())])
}

/// The name of an event's type, which leads to the event.
pub(crate) fn event(ask: &Ask<'_>, seen: &Seen) -> Markup {
    html! {
        a href=(event_link(ask, seen.uuid())) { span.name { (seen.name()) } }
        @if seen.unreadable().is_some() { " " strong.problem { "unreadable" } }
    }
}

/// A subscription's name, which leads to it.
pub(crate) fn subscription(ask: &Ask<'_>, of: &SubscriptionId) -> Markup {
    html! {
        a href=(ask.link("subscription", &[("name", &*of.name), ("tenant", of.tenant.as_str())])) {
            (subscription_name(of))
        }
    }
}

pub(crate) fn subscription_name(of: &SubscriptionId) -> String {
    if of.is_outbox() { "the outbox's publisher".to_owned() } else { of.name.to_string() }
}

/// How far a subscription is behind.
pub(crate) fn behind(status: &Status) -> Markup {
    html! {
        @if status.has_more { "at least " }
        (number(status.events_behind)) " events"
        @if !status.behind.is_zero() { ", " (duration(status.behind)) }
    }
}

/// Events of many streams.
pub(crate) fn events(ask: &Ask<'_>, caption: &str, events: &[Seen]) -> Markup {
    let heads = [Number("Position"), Text("Time (UTC)"), Text("Event"), Text("Stream"), Number("Version")];
    let heads = heads.into_iter().chain([Text("Category")]);
    let heads = heads.chain(ask.sees_all().then_some(Text("Tenant"))).chain([Text("Id")]);
    html! {
        (table(caption, heads, &html! { @for seen in events { (event_row(ask, seen)) } }))
        @if events.is_empty() { p.note { "There are none here." } }
    }
}

fn event_row(ask: &Ask<'_>, seen: &Seen) -> Markup {
    html! {
        tr {
            td.number { (number(seen.position().to_i64())) }
            td { (time(seen.created_at())) }
            th scope="row" { (event(ask, seen)) }
            td { (stream(ask, seen.tenant_id(), seen.stream_id())) }
            td.number { @if let Some(version) = seen.version() { (number(version)) } }
            td { (category(ask, seen.stream_id())) }
            @if ask.sees_all() { td { (tenant(ask, seen.tenant_id())) } }
            td { (id(seen.uuid())) }
        }
    }
}

/// Where a listing goes on, and where it begins.
pub(crate) fn pager(ask: &Ask<'_>, next: Option<&Mark>, older: &str) -> Markup {
    let is_first = ask.fields.get("from").is_none();
    html! {
        @if !is_first || next.is_some() {
            nav.pager aria-label="Pages of this list" {
                @if !is_first { a href=(ask.again("from", &[])) { "First page" } }
                @if let Some(next) = next { a rel="next" href=(ask.again("from", &[next.to_string().as_str()])) { (older) } }
            }
        }
    }
}

/// What is brought up to date while it is looked at: one of a name on a page.
pub(crate) fn live(name: &str, body: &Markup) -> Markup {
    html! { div id={ "live-" (name) } data-live { (body) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_for_people() {
        assert_eq!([0_i64, 999, 1_000, -1_234_567].map(number), ["0", "999", "1,000", "-1,234,567"]);
        let told = [0, 59, 61, 3_661, 90_000].map(|seconds| duration(Duration::from_secs(seconds)));
        assert_eq!(told, ["0 ms", "59 s", "1 min 1 s", "1 h 1 min", "1 d 1 h"]);
    }

    #[test]
    fn an_id_is_shortened_and_whole_at_once() {
        let shown = id(Uuid::from_u128(0x0197_1234_5678_7abc_8def_0123_4567_89ab)).into_string();
        let whole = r#"<code class="id" title="01971234-5678-7abc-8def-0123456789ab"><span>01971234-5678-7abc-8def-0123</span>456789ab</code>"#;
        assert_eq!(shown, whole);
    }
}
