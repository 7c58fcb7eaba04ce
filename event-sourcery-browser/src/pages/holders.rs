//! The settled position, and who holds it up.

use event_sourcery::look::Holder;
use maud::{Markup, html};

use crate::ask::Ask;
use crate::failure::Failure;
use crate::layout::Sheet;
use crate::show::{duration, live, number};
use crate::table::Head::{Number, Text};
use crate::table::table;

pub(crate) async fn page(ask: &Ask<'_>) -> Result<Sheet, Failure> {
    let settled = ask.store.look().settled().await?;
    let now = html! {
        dl.facts { div { dt { "Settled position" } dd { (number(settled.position.to_i64())) } } }
        @match &settled.holders {
            None => { p.note { "Who holds it up is told to who sees every tenant." } }
            Some(holders) if holders.is_empty() => { p.note { "Nobody holds it up: readers come to the end." } }
            Some(holders) => { (listed(holders)) }
        }
    };
    let body = html! {
        (live("holders", &now))
        p {
            "Readers come as far as the settled position. An open transaction that may still commit an event below others holds it up; "
            "nothing is lost, and everything behind it waits until it ends."
        }
    };
    Ok(Sheet::new("Holders", body))
}

fn listed(holders: &[Holder]) -> Markup {
    let heads = [Text("Who"), Text("Application"), Text("Address"), Text("State"), Number("Open for")];
    let rows = html! { @for holder in holders { (row(holder)) } };
    table("Open transactions that hold readers up", heads, &rows)
}

fn row(holder: &Holder) -> Markup {
    let who = match (holder.pid, &holder.prepared) {
        (Some(pid), _) => format!("process {pid}"),
        (None, Some(name)) => format!("prepared transaction {name}"),
        (None, None) => "a prepared transaction".to_owned(),
    };
    let told = |text: &Option<String>| text.clone().unwrap_or_default();
    html! {
        tr {
            th scope="row" { (who) }
            td { (told(&holder.application_name)) }
            td { (told(&holder.client_address)) }
            td { (told(&holder.state)) }
            td.number { @if let Some(open_for) = holder.open_for { (duration(open_for)) } }
        }
    }
}
