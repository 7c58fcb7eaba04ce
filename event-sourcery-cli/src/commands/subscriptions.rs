//! `subscriptions`: which durable subscriptions there are, how far they have come, and what has failed in them.

mod show;

use clap::{Args, Subcommand};
use event_sourcery::look::{ListRequest, Mark, SubscriptionId, SubscriptionSummary};
use event_sourcery::{Error, EventStore, Position, RawEvent, Start, Status, TenantId};
use serde::Serialize;

use super::holders::duration;
use super::mending::{self, Becomes, Mend, Waiting};
use crate::asking::Consent;
use crate::failure::Failure;
use crate::going_on::{Listing, MOST_PAGES, Paging};
use crate::output::{Output, safe};
use crate::session::{Access, Session};
use crate::table::{Column, left, right};

const COLUMNS: &[Column] = &[
    left("Tenant"),
    left("Name"),
    right("Checkpoint"),
    right("Behind"),
    right("For"),
    right("Members"),
    right("Parked"),
    right("Retrying"),
    left("Unreadable"),
];

#[derive(Debug, Args)]
pub(crate) struct Subscriptions {
    #[command(subcommand)]
    action: Option<Action>,

    #[command(flatten)]
    paging: Paging,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Shows one: its segments, its members and their leases, and what waits in it
    Show(Show),
    /// Tries a failed event again, with all its attempts before it
    Replay(MendIn),
    /// Leaves a failed event out, for good, and goes on with those behind it
    Skip(MendIn),
    /// Starts it again from somewhere: what follows is handled anew
    Reset(Reset),
}

#[derive(Debug, Args)]
struct Show {
    /// Its name
    name: String,

    #[command(flatten)]
    paging: Paging,
}

#[derive(Debug, Args)]
struct MendIn {
    /// The subscription's name
    name: String,

    #[command(flatten)]
    mend: Mend,
}

#[derive(Debug, Args)]
struct Reset {
    /// Its name
    name: String,

    /// From where: beginning, now, or behind this position
    #[arg(long, value_parser = start)]
    to: Start,

    #[command(flatten)]
    consent: Consent,
}

/// A subscription, as a program gets it.
#[derive(Serialize)]
struct SubscriptionJson<'a> {
    tenant: &'a TenantId,
    /// Empty where it is what publishes the outbox.
    name: &'a str,
    is_outbox: bool,
    /// The checkpoint that is furthest behind.
    position: Option<i64>,
    members: usize,
    events_behind: u64,
    /// Whether there may be more than were counted.
    has_more: bool,
    behind_seconds: f64,
    parked: usize,
    retrying: usize,
    /// Whether `parked` and `retrying` are all.
    is_exact: bool,
    unreadable: Option<&'a str>,
}

/// A subscription with what is asked about it.
struct Seen {
    summary: SubscriptionSummary,
    status: Option<Status>,
    waiting: Waiting,
}

impl Subscriptions {
    pub(crate) async fn run(self, session: &Session, out: &mut Output) -> Result<(), Failure> {
        if self.action.is_some() {
            self.paging.refuse_before_action()?;
        }
        match self.action {
            None => list(session, &self.paging, out).await,
            Some(Action::Show(show)) => show.run(session, out).await,
            Some(Action::Replay(mend)) => mend.run(Becomes::Replayed, session, out).await,
            Some(Action::Skip(mend)) => mend.run(Becomes::Skipped, session, out).await,
            Some(Action::Reset(reset)) => reset.run(session, out).await,
        }
    }
}

async fn list(session: &Session, paging: &Paging, out: &mut Output) -> Result<(), Failure> {
    let store = session.open(Access::Look).await?;
    let mut listing = Listing::begin(out, COLUMNS);
    let page = async |from: Option<Mark>, most: usize| -> Result<_, Failure> {
        Ok(store.look().subscriptions(ListRequest::new(most).with_from(from)).await?)
    };
    let mut summaries = Vec::new();
    let keep = |summary: SubscriptionSummary| {
        summaries.push(summary);
        Ok(())
    };
    let next = paging.walk(MOST_PAGES, page, keep).await?;
    for summary in summaries {
        let seen = Seen::of(&store, summary).await?;
        listing.item(|| seen.json(), || seen.cells())?;
    }
    listing.end(next.as_ref(), "No durable subscription has run.")
}

impl Seen {
    async fn of(store: &EventStore, summary: SubscriptionSummary) -> Result<Self, Failure> {
        // One that cannot be read is told as that, and keeps nobody from the others.
        let is_readable = summary.unreadable.is_none();
        let status = if is_readable { store.look().status(&summary.id).await? } else { None };
        let waiting =
            if is_readable { mending::count(store, &summary.id).await? } else { Waiting::default() };
        Ok(Self { summary, status, waiting })
    }

    fn json(&self) -> SubscriptionJson<'_> {
        let Self { summary, status, waiting } = self;
        let status = status.as_ref();
        SubscriptionJson {
            tenant: &summary.id.tenant,
            name: &summary.id.name,
            is_outbox: summary.id.is_outbox(),
            position: summary.position().map(Position::to_i64),
            members: status.map_or(0, |status| status.members),
            events_behind: status.map_or(0, |status| status.events_behind),
            has_more: status.is_some_and(|status| status.has_more),
            behind_seconds: status.map_or(0.0, |status| status.behind.as_secs_f64()),
            parked: waiting.parked,
            retrying: waiting.retrying,
            is_exact: waiting.is_exact,
            unreadable: summary.unreadable.as_deref(),
        }
    }

    fn cells(&self) -> Vec<String> {
        let Self { summary, status, waiting } = self;
        let status = status.as_ref();
        let is_all = waiting.is_exact || summary.unreadable.is_some();
        let behind = |status: &Status| at_least(status.events_behind, !status.has_more);
        let lag = |status: &Status| match status.behind {
            behind if behind.is_zero() => String::new(),
            behind => duration(behind),
        };
        vec![
            summary.id.tenant.as_str().to_owned(),
            told_name(&summary.id),
            summary.position().map(|position| position.to_string()).unwrap_or_default(),
            status.map(behind).unwrap_or_default(),
            status.map(lag).unwrap_or_default(),
            status.map(|status| status.members.to_string()).unwrap_or_default(),
            at_least(waiting.parked as u64, is_all),
            at_least(waiting.retrying as u64, is_all),
            summary.unreadable.clone().unwrap_or_default(),
        ]
    }
}

/// A count, which may not be all.
fn at_least(count: u64, is_all: bool) -> String {
    if is_all { count.to_string() } else { format!("{count}+") }
}

fn told_name(id: &SubscriptionId) -> String {
    if id.is_outbox() { "(the outbox)".to_owned() } else { id.name.to_string() }
}

/// The subscription of this name, of the tenant that is meant.
fn id_of(session: &Session, name: &str) -> Result<SubscriptionId, Failure> {
    if name.is_empty() {
        return Err(Failure::Usage {
            what: "a subscription has a name".to_owned(),
            to_do: "what publishes the outbox is looked after by `event-sourcery outbox`".to_owned(),
        });
    }
    Ok(SubscriptionId::new(session.tenant().cloned().unwrap_or(TenantId::DEFAULT), name))
}

/// What is kept of it, if it has ever run.
async fn find(store: &EventStore, id: &SubscriptionId) -> Result<SubscriptionSummary, Failure> {
    let found = store.look().subscription(id).await?;
    let missing = || Error::SubscriptionNotFound { subscription: id.name.to_string() };
    Ok(found.ok_or_else(missing)?)
}

impl MendIn {
    async fn run(self, to: Becomes, session: &Session, out: &mut Output) -> Result<(), Failure> {
        let id = id_of(session, &self.name)?;
        let store = session.open(Access::Change).await?;
        find(&store, &id).await?;
        self.mend.run(&store, &id, to, (session, out)).await
    }
}

impl Reset {
    async fn run(self, session: &Session, out: &mut Output) -> Result<(), Failure> {
        let id = id_of(session, &self.name)?;
        let store = session.open(Access::Change).await?;
        let summary = find(&store, &id).await?;
        let (from, at) = (told_start(self.to), session.location());
        let until_now = summary.position().map(|at| format!(", which stands at {at}")).unwrap_or_default();
        let question = format!("start the subscription {id}{until_now}, again {from}, in {at}");
        self.consent.to(&question).await?;
        store.subscribe::<RawEvent>().durable(self.name.as_str()).reset(self.to).await?;
        let position = find(&store, &id).await?.position().map(Position::to_i64);
        if out.is_json() {
            return out.json(&ResetJson { name: &self.name, position });
        }
        out.line(&safe(&format!("{id} goes on {from}: whoever runs it, runs it from there."), ""))
    }
}

/// What became of a subscription that was reset, as a program gets it.
#[derive(Serialize)]
struct ResetJson<'a> {
    name: &'a str,
    position: Option<i64>,
}

fn told_start(start: Start) -> String {
    match start {
        Start::Beginning => "from the beginning".to_owned(),
        Start::Now => "with what is appended from now on".to_owned(),
        Start::After(position) => format!("behind position {position}"),
    }
}

/// Where a subscription starts again.
fn start(text: &str) -> Result<Start, String> {
    match text {
        "beginning" => Ok(Start::Beginning),
        "now" => Ok(Start::Now),
        position => {
            let wrong = |_| "say beginning, now, or a position, behind which it starts".to_owned();
            position.parse().map(Start::After).map_err(wrong)
        }
    }
}
