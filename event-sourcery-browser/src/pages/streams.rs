//! Streams: of a tenant, of a category, by how their names begin, or the newest first.

use event_sourcery::Category;
use event_sourcery::look::{StreamSummary, StreamsRequest};
use maud::{Markup, html};

use super::ITEMS;
use super::beside::Lane;
use crate::ask::Ask;
use crate::failure::Failure;
use crate::layout::Sheet;
use crate::show::{category, named, number, pager, stream_link, tenant, time};
use crate::table::Head::{Number, Text, Unseen};
use crate::table::table;

pub(crate) async fn page(ask: &Ask<'_>) -> Result<Sheet, Failure> {
    let mut request = match (ask.fields.get("named"), ask.fields.get("by")) {
        (None, None | Some("newest")) => StreamsRequest::newest(ITEMS),
        (prefix, _) => StreamsRequest::named(prefix.unwrap_or_default(), ITEMS),
    };
    request.tenant = ask.whose()?;
    request.category = ask.fields.get("category").map(Category::new).transpose()?;
    let page = ask.store.look().streams(request.with_from(ask.from()?)).await?;
    let heads = [Unseen("Put beside others"), Text("Stream"), Number("Version"), Text("Last event")];
    let heads = heads.into_iter().chain([Text("Time (UTC)"), Text("Category")]);
    let heads = heads.chain(ask.sees_all().then_some(Text("Tenant")));
    let rows = html! { @for summary in &page.items { (row(ask, summary)) } };
    let body = html! {
        (form(ask))
        form.wide action=(ask.link("beside", &[])) {
            (table("Streams", heads, &rows))
            @if page.items.is_empty() { p.note { "There are none here." } }
            @else { button type="submit" { "Put those that are ticked beside each other" } }
        }
        (pager(ask, page.next.as_ref(), "More streams"))
    };
    Ok(Sheet::new("Streams", body))
}

fn row(ask: &Ask<'_>, summary: &StreamSummary) -> Markup {
    let StreamSummary { tenant: whose, stream, .. } = summary;
    let lane = Lane::new(whose, stream).to_string();
    html! {
        tr {
            td { input type="checkbox" name="stream" value=(lane) aria-label={ "Put " (stream.to_string()) " beside others" }; }
            th scope="row" { a href=(stream_link(ask, whose, stream)) { (named(stream)) } }
            td.number { @if let Some(version) = summary.version { (number(version)) } @else { span.note { "none" } } }
            td {
                span.name { (&*summary.event_name) }
                @if summary.unreadable.is_some() { " " strong.problem { "unreadable" } }
            }
            td { (time(summary.created_at)) }
            td { (category(ask, stream)) }
            @if ask.sees_all() { td { (tenant(ask, whose)) } }
        }
    }
}

fn form(ask: &Ask<'_>) -> Markup {
    let value = |name| ask.fields.get(name).unwrap_or_default();
    let by_name = ask.fields.get("named").is_some() || ask.fields.get("by") == Some("name");
    html! {
        form.filter role="search" aria-label="Which streams" action=(ask.link("streams", &[])) {
            p { label for="named" { "Name begins with" } input id="named" name="named" value=(value("named")) autocomplete="off"; }
            p { label for="category" { "Category" } input id="category" name="category" value=(value("category")) autocomplete="off"; }
            @if ask.sees_all() {
                p { label for="tenant" { "Tenant" } input id="tenant" name="tenant" value=(value("tenant")) autocomplete="off"; }
            }
            p {
                label for="by" { "Order" }
                select id="by" name="by" {
                    option value="newest" selected[!by_name] { "begun last first" }
                    option value="name" selected[by_name] { "by name" }
                }
            }
            button type="submit" { "Show" }
        }
    }
}
