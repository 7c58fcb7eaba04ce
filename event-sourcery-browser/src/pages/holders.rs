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
    let heads = heads.into_iter().chain([Text("Ended by")]);
    let rows = html! { @for holder in holders { (row(holder)) } };
    html! {
        (table("Open transactions that hold readers up", heads, &rows))
        p.note { "What such a transaction has appended is lost when it is ended so: see first whose it is." }
    }
}

fn row(holder: &Holder) -> Markup {
    let who = match (holder.pid, &holder.prepared) {
        (Some(pid), _) => format!("process {pid}"),
        (None, Some(name)) => format!("prepared transaction {name}"),
        (None, None) => "a prepared transaction".to_owned(),
    };
    // In SQL, as on the command line: nothing is ended from here.
    let ended_by = match (holder.pid, &holder.prepared) {
        (Some(pid), _) => Some(format!("SELECT pg_terminate_backend({pid})")),
        (None, Some(name)) => Some(format!("ROLLBACK PREPARED '{}'", name.replace('\'', "''"))),
        (None, None) => None,
    };
    let told = |text: &Option<String>| text.clone().unwrap_or_default();
    html! {
        tr {
            th scope="row" { (who) }
            td { (told(&holder.application_name)) }
            td { (told(&holder.client_address)) }
            td { (told(&holder.state)) }
            td.number { @if let Some(open_for) = holder.open_for { (duration(open_for)) } }
            td { @if let Some(ended_by) = &ended_by { code { (ended_by) } } }
        }
    }
}
