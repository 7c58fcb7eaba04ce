//! `holders`: which open transactions hold readers up.

use std::time::Duration;

use clap::Args;
use event_sourcery::backend::Holder;
use event_sourcery::look::EventsRequest;
use serde::Serialize;

use crate::failure::Failure;
use crate::output::Output;
use crate::session::{Access, Session};
use crate::table::{Column, Table, left, right};

const COLUMNS: &[Column] = &[
    right("Process"),
    left("Prepared"),
    right("Open for"),
    left("State"),
    left("Application"),
    left("Address"),
    left("To end it"),
];

#[derive(Debug, Args)]
pub(crate) struct Holders {}

/// What a program gets.
#[derive(Serialize)]
struct HoldersJson<'a> {
    /// How far readers can come.
    position: i64,
    /// Where the newest event stands.
    newest: Option<i64>,
    holders: Vec<HolderJson<'a>>,
}

#[derive(Serialize)]
struct HolderJson<'a> {
    pid: Option<i32>,
    prepared: Option<&'a str>,
    application_name: Option<&'a str>,
    client_address: Option<&'a str>,
    open_seconds: Option<f64>,
    state: Option<&'a str>,
    ended_by: Option<String>,
}

impl Holders {
    pub(crate) async fn run(self, session: &Session, out: &mut Output) -> Result<(), Failure> {
        if session.tenant().is_some() {
            return Err(Failure::Usage {
                what: "open transactions are no tenant's".to_owned(),
                to_do: "leave --tenant out".to_owned(),
            });
        }
        let store = session.open(Access::Look).await?;
        let settled = store.look().settled().await?;
        let newest = store.look().events(EventsRequest::newest(1)).await?;
        let newest = newest.items.first().map(|newest| newest.position().to_i64());
        let (position, holders) = (settled.position.to_i64(), settled.holders.unwrap_or_default());
        if out.is_json() {
            let holders = holders.iter().map(HolderJson::of).collect();
            return out.json(&HoldersJson { position, newest, holders });
        }
        let told = newest.map(|newest| format!("; the newest event is at {newest}")).unwrap_or_default();
        out.line(&format!("Readers come up to position {position}{told}."))?;
        if holders.is_empty() {
            return out.line("No open transaction holds them up.");
        }
        let mut table = Table::new(COLUMNS);
        holders.iter().for_each(|holder| table.row(cells(holder)));
        table.print(out)?;
        out.line("What such a transaction has appended is lost when it is ended so: see first whose it is.")
    }
}

impl<'a> HolderJson<'a> {
    fn of(holder: &'a Holder) -> Self {
        Self {
            pid: holder.pid,
            prepared: holder.prepared.as_deref(),
            application_name: holder.application_name.as_deref(),
            client_address: holder.client_address.as_deref(),
            open_seconds: holder.open_for.map(|open_for| open_for.as_secs_f64()),
            state: holder.state.as_deref(),
            ended_by: ended_by(holder),
        }
    }
}

fn cells(holder: &Holder) -> Vec<String> {
    let told = |fact: &Option<String>| fact.clone().unwrap_or_default();
    vec![
        holder.pid.map(|pid| pid.to_string()).unwrap_or_default(),
        told(&holder.prepared),
        holder.open_for.map(duration).unwrap_or_default(),
        told(&holder.state),
        told(&holder.application_name),
        told(&holder.client_address),
        ended_by(holder).unwrap_or_default(),
    ]
}

/// The statement that ends it.
fn ended_by(holder: &Holder) -> Option<String> {
    match (holder.pid, &holder.prepared) {
        (Some(pid), _) => Some(format!("SELECT pg_terminate_backend({pid})")),
        (None, Some(name)) => Some(format!("ROLLBACK PREPARED '{}'", name.replace('\'', "''"))),
        (None, None) => None,
    }
}

/// A duration, as people say it.
pub(crate) fn duration(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        seconds @ 1..=119 => format!("{seconds} s"),
        seconds @ 120..=7_199 => format!("{} min", seconds / 60),
        seconds @ 7_200..=172_799 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}
