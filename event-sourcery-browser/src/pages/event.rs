//! An event, with its payload and its context.

use event_sourcery::Context;
use event_sourcery::look::{LOOKS_AT, Mark, Seen};
use event_sourcery::uuid::Uuid;
use maud::{Markup, html};
use serde_json::Value;

use crate::ask::Ask;
use crate::failure::Failure;
use crate::layout::Sheet;
use crate::show::{category, id, number, stream, tenant, time};
use crate::tree::{stored, tree};

pub(crate) async fn page(ask: &Ask<'_>) -> Result<Sheet, Failure> {
    let found = ask.store.look().event(ask.id("id")?).await?;
    let seen = found.ok_or(Failure::NotFound("event"))?;
    let context = seen.context();
    let body = html! {
        @if let Some(problem) = seen.unreadable() {
            p.problem { "Its row cannot be read as a whole: " (problem) }
        }
        (facts(ask, &seen))
        @match &context {
            Ok(context) => { (relations(ask, &seen, context)) }
            Err(_) => { p.problem { "Its context cannot be read." } }
        }
        section {
            h2 { "Payload" }
            (stored(seen.data(), "payload"))
        }
        @if let Ok(context) = &context {
            section {
                h2 { "Context" }
                (shown(context))
            }
        }
    };
    Ok(Sheet::new(format!("Event {}", seen.name()), body))
}

fn facts(ask: &Ask<'_>, seen: &Seen) -> Markup {
    html! {
        dl.facts {
            div { dt { "Stream" } dd { (stream(ask, seen.tenant_id(), seen.stream_id())) } }
            @if let Some(version) = seen.version() { div { dt { "Version" } dd { (number(version)) } } }
            div { dt { "Position" } dd { (number(seen.position().to_i64())) } }
            div { dt { "Time (UTC)" } dd { (time(seen.created_at())) } }
            div { dt { "Id" } dd { (id(seen.uuid())) } }
            @if seen.stream_id().category().is_some() {
                div { dt { "Category" } dd { (category(ask, seen.stream_id())) } }
            }
            @if ask.sees_all() { div { dt { "Tenant" } dd { (tenant(ask, seen.tenant_id())) } } }
            div { dt { "Form" } dd { (number(u64::from(seen.schema_version()))) } }
            @if !seen.tags().is_empty() {
                div { dt { "Tags" } dd { @for tag in seen.tags() { span.text { (tag.as_str()) } " " } } }
            }
        }
    }
}

/// What it is related to: its causes, its effects, and what happened for the same request.
fn relations(ask: &Ask<'_>, seen: &Seen, context: &Context) -> Markup {
    // The search goes back from there, half of it before the event: what the same request has caused stands close by.
    let from = Mark::at(seen.position().to_i64().saturating_add(LOOKS_AT as i64 / 2)).to_string();
    let own = seen.uuid().to_string();
    let of = |id: Uuid| id.to_string();
    html! {
        ul.links {
            @if let Some(cause) = context.causation_id() {
                li { "Caused by " a href=(ask.link("search", &[("id", of(cause).as_str())])) { (id(cause)) } }
            }
            li { a href=(ask.link("causes", &[("id", own.as_str())])) { "What it has caused" } }
            @if let Some(correlation) = context.correlation_id() {
                li {
                    "Of the correlation "
                    a href=(ask.link("correlation", &[("id", of(correlation).as_str()), ("from", from.as_str())])) {
                        (id(correlation))
                    }
                }
            }
        }
    }
}

/// A context as a tree. What is encrypted stands in it under the empty key: it is nothing to read.
fn shown(context: &Context) -> Markup {
    let mut value = serde_json::to_value(context).unwrap_or(Value::Null);
    let sealed = value.as_object_mut().and_then(|root| root.remove(""));
    html! {
        (tree(&value))
        @if sealed.is_some() { p.note { "Fields of the payload are encrypted, and masked here." } }
    }
}
