//! `stats`: what there is in the store, counted as far as that is cheap.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use event_sourcery::EventStore;
use event_sourcery::look::{Counted, EventsRequest, ListRequest, Mark, Page};
use serde::Serialize;

use crate::failure::Failure;
use crate::going_on::{Listing, Paging, how_to_go_on};
use crate::output::Output;
use crate::session::{Access, Session};
use crate::table::{Column, Table, left, right};

const COLUMNS: &[Column] = &[left("Name"), right("Count")];

#[derive(Debug, Args)]
pub(crate) struct Stats {
    /// Only one of the listings, page by page
    #[arg(value_enum, value_name = "WHAT")]
    of: Option<Of>,

    /// How far back events are counted: so many times 8192 of them, up to 1000
    #[arg(long, value_name = "TIMES", default_value_t = 8)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1_000))]
    stretches: u16,

    #[command(flatten)]
    paging: Paging,
}

/// What is counted.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Of {
    /// Streams of each tenant
    Tenants,
    /// Streams of each category
    Categories,
    /// Events of each type
    Events,
}

/// What a program gets of the whole.
#[derive(Serialize)]
struct StatsJson {
    /// How far readers can come.
    position: i64,
    /// Where the newest event stands.
    newest: Option<i64>,
    /// How many open transactions hold readers up; `null` for a tenant.
    holders: Option<usize>,
    tenants: CountsJson,
    categories: CountsJson,
    events: CountsJson,
}

#[derive(Serialize)]
struct CountsJson {
    items: Vec<CountJson>,
    next: Option<String>,
}

#[derive(Serialize)]
struct CountJson {
    /// Empty for the default tenant, and for streams in no category.
    name: String,
    count: u64,
    /// Whether that is all of them.
    is_exact: bool,
}

impl Stats {
    pub(crate) async fn run(self, session: &Session, out: &mut Output) -> Result<(), Failure> {
        let store = session.open(Access::Look).await?;
        let Some(of) = self.of else { return self.tell_all(&store, out).await };
        let page = self.page(&store, of, self.paging.from().cloned()).await?;
        let mut listing = Listing::begin(out, COLUMNS);
        for counted in &page.items {
            listing.item(|| CountJson::of(counted), || cells(counted, of))?;
        }
        listing.end(page.next.as_ref(), "There are none.")
    }

    async fn tell_all(&self, store: &EventStore, out: &mut Output) -> Result<(), Failure> {
        let settled = store.look().settled().await?;
        let newest = store.look().events(EventsRequest::newest(1)).await?;
        let newest = newest.items.first().map(|newest| newest.position().to_i64());
        let position = settled.position.to_i64();
        let holders = settled.holders.map(|holders| holders.len());
        let tenants = self.page(store, Of::Tenants, None).await?;
        let categories = self.page(store, Of::Categories, None).await?;
        let events = self.page(store, Of::Events, None).await?;
        if out.is_json() {
            let (tenants, categories) = (CountsJson::of(&tenants), CountsJson::of(&categories));
            let events = CountsJson::of(&events);
            return out.json(&StatsJson { position, newest, holders, tenants, categories, events });
        }
        let newest = newest.map(|newest| format!("; the newest event is at {newest}")).unwrap_or_default();
        out.line(&format!("Readers come up to position {position}{newest}."))?;
        if holders.is_some_and(|holders| holders > 0) {
            out.line("Open transactions hold them up: see `event-sourcery holders`.")?;
        }
        tell("Streams by tenant", &tenants, Of::Tenants, out)?;
        tell("Streams by category", &categories, Of::Categories, out)?;
        tell("Events by type", &events, Of::Events, out)
    }

    async fn page(&self, store: &EventStore, of: Of, from: Option<Mark>) -> Result<Page<Counted>, Failure> {
        let request = ListRequest::new(self.paging.limit()).with_from(from.clone());
        Ok(match of {
            Of::Tenants => store.look().tenants(request).await?,
            Of::Categories => store.look().categories(request).await?,
            Of::Events => self.events(store, from).await?,
        })
    }

    /// The names of events in so many stretches, added up; exact where that is the whole store.
    async fn events(&self, store: &EventStore, begun: Option<Mark>) -> Result<Page<Counted>, Failure> {
        let mut counts = BTreeMap::<_, u64>::new();
        let mut from = begun.clone();
        for _ in 0..self.stretches {
            let page = store.look().event_names(EventsRequest::newest(1).with_from(from)).await?;
            for counted in page.items {
                *counts.entry(counted.name).or_default() += counted.count;
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        let is_exact = begun.is_none() && from.is_none();
        let items = counts.into_iter().map(|(name, count)| Counted::new(name, count, is_exact));
        Ok(Page::new(items.collect(), from))
    }
}

impl CountsJson {
    fn of(page: &Page<Counted>) -> Self {
        let items = page.items.iter().map(CountJson::of).collect();
        Self { items, next: page.next.as_ref().map(Mark::to_string) }
    }
}

impl CountJson {
    fn of(counted: &Counted) -> Self {
        let Counted { name, count, is_exact, .. } = counted;
        Self { name: name.to_string(), count: *count, is_exact: *is_exact }
    }
}

fn cells(counted: &Counted, of: Of) -> Vec<String> {
    let none = match of {
        Of::Tenants => "(no tenant)",
        Of::Categories => "(no category)",
        Of::Events => "(no name)",
    };
    let name = if counted.name.is_empty() { none.to_owned() } else { counted.name.to_string() };
    let count =
        if counted.is_exact { counted.count.to_string() } else { format!("{} or more", counted.count) };
    vec![name, count]
}

fn tell(title: &str, page: &Page<Counted>, of: Of, out: &mut Output) -> Result<(), Failure> {
    out.line("")?;
    out.heading(title)?;
    let mut table = Table::new(COLUMNS);
    page.items.iter().for_each(|counted| table.row(cells(counted, of)));
    if !table.is_empty() {
        table.print(out)?;
    }
    let what = match of {
        Of::Tenants => "tenants",
        Of::Categories => "categories",
        Of::Events => "events",
    };
    match how_to_go_on(page.next.as_ref()) {
        told if told.is_empty() => Ok(()),
        told => out.line(&told.replace("with: ", &format!("with: event-sourcery stats {what} "))),
    }
}
