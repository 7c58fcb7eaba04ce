//! What waits for a failed event: listed, tried again, left out. For subscriptions and for the outbox.

use clap::Args;
use event_sourcery::backend::{BlockedRequest, SubscriptionBackend as _};
use event_sourcery::jiff::Timestamp;
use event_sourcery::look::{Mark, SubscriptionId};
use event_sourcery::uuid::Uuid;
use event_sourcery::{BlockedStream, EventStore, Position, StreamId, TenantId};
use serde::Serialize;

use crate::asking::Consent;
use crate::events::time;
use crate::failure::Failure;
use crate::going_on::{Listing, MOST_PAGES, Paging};
use crate::output::{Output, safe, shortened};
use crate::session::Session;
use crate::streams::{candidates, name_of};
use crate::table::{Column, left, right};

/// How much of an error a table shows.
const OF_AN_ERROR: usize = 120;

/// How many that wait are counted.
const COUNTED: usize = 1_000;

const COLUMNS: &[Column] = &[
    left("Tenant"),
    left("Category"),
    left("Stream"),
    right("Position"),
    left("Event"),
    left("Event id"),
    right("Attempts"),
    left("Since"),
    left("Next try"),
    left("Error"),
];

/// Which of what waits, and what is to become of it.
#[derive(Debug, Args)]
pub(super) struct Mend {
    /// The stream that waits, by its name or its UUID
    #[arg(value_name = "STREAM", required_unless_present_any = ["position", "all"])]
    #[arg(conflicts_with_all = ["position", "all"])]
    stream: Option<String>,

    /// Its category, if it is in one
    #[arg(long, requires = "stream")]
    category: Option<String>,

    /// The stream that waits for the event at this position
    #[arg(long, conflicts_with = "all")]
    position: Option<i64>,

    /// All that is parked now
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    consent: Consent,
}

/// What is to become of a stream that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Becomes {
    Replayed,
    Skipped,
}

/// A stream that waits, as a program gets it.
#[derive(Serialize)]
struct BlockedJson<'a> {
    tenant: &'a TenantId,
    stream: &'a StreamId,
    segment: u16,
    position: i64,
    event_id: Option<Uuid>,
    event_name: Option<&'a str>,
    attempts: u32,
    error: &'a str,
    since: Timestamp,
    /// When it is tried again; `null`: it is parked.
    retry_at: Option<Timestamp>,
}

/// A page of what waits, as a program gets it.
#[derive(Serialize)]
pub(super) struct WaitingJson<'a> {
    items: Vec<BlockedJson<'a>>,
    next: Option<String>,
}

/// What became of what waited, as a program gets it.
#[derive(Serialize)]
struct MendedJson {
    streams: usize,
    changed_meanwhile: usize,
}

/// How many streams wait.
#[derive(Default)]
pub(super) struct Waiting {
    /// Until somebody asks for them.
    pub(super) parked: usize,
    /// Until they are tried again.
    pub(super) retrying: usize,
    /// Whether those are all.
    pub(super) is_exact: bool,
}

/// Counts what waits in a subscription.
pub(super) async fn count(store: &EventStore, id: &SubscriptionId) -> Result<Waiting, Failure> {
    let request = BlockedRequest::new(id.clone()).with_page(Position::START, COUNTED).without_errors();
    let found = store.backend().blocked_streams(request).await?;
    let parked = found.iter().filter(|blocked| blocked.retry_at.is_none()).count();
    Ok(Waiting { parked, retrying: found.len() - parked, is_exact: found.len() < COUNTED })
}

/// Lists what waits in a subscription.
pub(super) async fn list(
    store: &EventStore,
    id: &SubscriptionId,
    paging: &Paging,
    out: &mut Output,
) -> Result<(), Failure> {
    let mut listing = Listing::begin(out, COLUMNS);
    let page = async |from: Option<Mark>, most: usize| -> Result<_, Failure> {
        Ok(store.look().blocked(id, from, most).await?)
    };
    let show = |blocked: BlockedStream| listing.item(|| BlockedJson::of(&blocked), || cells(&blocked));
    let next = paging.walk(MOST_PAGES, page, show).await?;
    listing.end(next.as_ref(), "Nothing waits for a failed event.")
}

/// The same, all at once.
pub(super) async fn gather(
    store: &EventStore,
    id: &SubscriptionId,
    paging: &Paging,
) -> Result<(Vec<BlockedStream>, Option<Mark>), Failure> {
    let mut found = Vec::new();
    let page = async |from: Option<Mark>, most: usize| -> Result<_, Failure> {
        Ok(store.look().blocked(id, from, most).await?)
    };
    let keep = |blocked: BlockedStream| {
        found.push(blocked);
        Ok(())
    };
    let next = paging.walk(MOST_PAGES, page, keep).await?;
    Ok((found, next))
}

impl<'a> WaitingJson<'a> {
    pub(super) fn of(blocked: &'a [BlockedStream], next: Option<&Mark>) -> Self {
        Self { items: blocked.iter().map(BlockedJson::of).collect(), next: next.map(Mark::to_string) }
    }
}

impl<'a> BlockedJson<'a> {
    fn of(blocked: &'a BlockedStream) -> Self {
        Self {
            tenant: &blocked.tenant,
            stream: &blocked.stream,
            segment: blocked.segment,
            position: blocked.position.to_i64(),
            event_id: blocked.event_id,
            event_name: blocked.event_name.as_deref(),
            attempts: blocked.attempts,
            error: &blocked.error,
            since: blocked.since,
            retry_at: blocked.retry_at,
        }
    }
}

fn cells(blocked: &BlockedStream) -> Vec<String> {
    vec![
        blocked.tenant.as_str().to_owned(),
        blocked.stream.stored_category().to_owned(),
        name_of(&blocked.stream),
        blocked.position.to_i64().to_string(),
        blocked.event_name.as_deref().unwrap_or_default().to_owned(),
        blocked.event_id.map(|id| id.to_string()).unwrap_or_default(),
        blocked.attempts.to_string(),
        time(blocked.since),
        blocked.retry_at.map_or_else(|| "parked".to_owned(), time),
        shortened(&blocked.error, OF_AN_ERROR),
    ]
}

impl Mend {
    pub(super) async fn run(
        self,
        store: &EventStore,
        id: &SubscriptionId,
        to: Becomes,
        (session, out): (&Session, &mut Output),
    ) -> Result<(), Failure> {
        let mended = if self.all {
            self.mend_all(store, id, to, session).await?
        } else {
            self.mend_one(store, id, to, session).await?
        };
        if out.is_json() {
            return out.json(&mended);
        }
        let MendedJson { streams, changed_meanwhile } = mended;
        let what = match to {
            Becomes::Replayed => "tried again, by whoever runs it: see `event-sourcery subscriptions`",
            Becomes::Skipped => "going on without the failed event",
        };
        out.line(&format!("{streams} streams are {what}."))?;
        if changed_meanwhile > 0 {
            out.line(&format!("{changed_meanwhile} others were changed by somebody else meanwhile."))?;
        }
        Ok(())
    }

    async fn mend_all(
        &self,
        store: &EventStore,
        id: &SubscriptionId,
        to: Becomes,
        session: &Session,
    ) -> Result<MendedJson, Failure> {
        let Waiting { parked, is_exact, .. } = count(store, id).await?;
        let or_more = if is_exact { "" } else { " or more" };
        let (verb, place) = (to.verb(), session.location());
        let question = format!("{verb} all that is parked, {parked}{or_more} streams, in {place}");
        self.consent.to(&question).await?;
        let mended = match to {
            Becomes::Replayed => store.look().replay_all(id).await?,
            Becomes::Skipped => store.look().skip_all(id).await?,
        };
        Ok(MendedJson { streams: mended.streams, changed_meanwhile: mended.changed_meanwhile })
    }

    async fn mend_one(
        &self,
        store: &EventStore,
        id: &SubscriptionId,
        to: Becomes,
        session: &Session,
    ) -> Result<MendedJson, Failure> {
        let blocked = self.find(store, id).await?;
        let (verb, position, stream) = (to.verb(), blocked.position, &blocked.stream);
        let error = safe(&shortened(&blocked.error, OF_AN_ERROR), "");
        let place = session.location();
        let question =
            format!("{verb} the event at {position} of {stream}, which failed with \"{error}\", in {place}");
        self.consent.to(&question).await?;
        match to {
            Becomes::Replayed => store.look().replay(id, &blocked).await?,
            Becomes::Skipped => store.look().skip(id, &blocked).await?,
        }
        Ok(MendedJson { streams: 1, changed_meanwhile: 0 })
    }

    /// The stream that is meant, as it waits now.
    async fn find(&self, store: &EventStore, id: &SubscriptionId) -> Result<BlockedStream, Failure> {
        let streams = match &self.stream {
            Some(stream) => candidates(stream, self.category.as_deref())?,
            None => Vec::new(),
        };
        let is_meant = |blocked: &BlockedStream| match self.position {
            Some(position) => blocked.position.to_i64() == position,
            None => streams.contains(&blocked.stream),
        };
        let mut from = self.position.map(|position| Mark::at(position.saturating_sub(1)));
        let mut found: Vec<BlockedStream> = Vec::new();
        loop {
            let most = if self.position.is_some() { 1 } else { COUNTED };
            let page = store.look().blocked(id, from, most).await?;
            found.extend(page.items.into_iter().filter(is_meant));
            from = page.next.filter(|_| self.position.is_none());
            if from.is_none() {
                break;
            }
        }
        let several = found.len() > 1;
        match found.pop().filter(|_| !several) {
            Some(blocked) => Ok(blocked),
            None if several => Err(Failure::Refused {
                what: "streams of several tenants are called so, and wait".to_owned(),
                to_do: "say which by --position, as the listing has it".to_owned(),
            }),
            None => Err(Failure::Refused {
                what: "no such stream waits for a failed event there".to_owned(),
                to_do: "see what does: `event-sourcery subscriptions show`, or `event-sourcery outbox waiting`; a \
                        stream of a category needs --category"
                    .to_owned(),
            }),
        }
    }
}

impl Becomes {
    const fn verb(self) -> &'static str {
        match self {
            Self::Replayed => "try again",
            Self::Skipped => "leave out, for good,",
        }
    }
}
