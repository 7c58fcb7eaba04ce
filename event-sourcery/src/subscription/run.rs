//! The loop of a durable subscription: take a share of the segments, read on from their checkpoints, hand over, keep the
//! progress; renew the leases meanwhile.
//!
//! What makes it safe is not the loop but the token of each lease: progress is written only where it is still the
//! segment's. Whatever goes wrong, the loop starts again from what the store says.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::convert::Infallible;
use std::future::pending;
use std::marker::PhantomData;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};
use uuid::Uuid;

use super::deliver::{Budget, Deliver, Delivered, whole};
use super::durable::Start;
use super::feed::Feed;
use super::tail::Tail;
use crate::backend::{
    Backend, BlockedRequest, BlockedStream, Filter, Lease, LoadRequest, ProgressRequest, RenewRequest,
    ScanRequest, Segments, Span, StoredRecord, StreamProgress, SubscriptionChange, SubscriptionId,
    SubscriptionRecord,
};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::position::Position;
use crate::retry::Retry;
use crate::stream_id::{StreamId, TenantId};
use crate::wrapped_event::Recorded;

/// How many events are read at once.
const PAGE: usize = 256;

/// How many segments a subscription has that was not told.
const SEGMENTS: u16 = 8;

/// How long events are handed over before their progress is kept, if there are enough of them.
const KEEP_AFTER: Duration = Duration::from_millis(200);

/// How often is looked, at least, for blocked streams that somebody has asked to be tried again.
const LOOK: Duration = Duration::from_millis(500);

/// How many blocked streams, or events of one of them, are tried before reading on.
const RETRIED: usize = 16;

/// The pauses while the store is away.
const OUTAGE: Retry = Retry {
    attempts: u32::MAX,
    first_pause: Duration::from_millis(20),
    longest_pause: Duration::from_secs(10),
};

/// What is done when the subscription is to stop.
pub(super) type Until = Option<Pin<Box<dyn Future<Output = ()> + Send>>>;

/// What is to be run.
pub(super) struct Plan {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) tail: Arc<Tail>,
    pub(super) id: SubscriptionId,
    pub(super) filter: Filter,
    pub(super) start: Start,
    pub(super) segments: Option<u16>,
    pub(super) lease: Duration,
    pub(super) batch: usize,
    pub(super) retry: Retry,
}

/// Runs until it is told to stop, or trying again cannot help.
pub(super) async fn run<E: Event, D: Deliver<E>>(plan: Plan, until: Until, deliver: D) -> Result<()> {
    let stop = Stop::default();
    let stopping = async {
        if let Some(until) = until {
            until.await;
            stop.request();
        }
        pending::<Infallible>().await
    };
    let runner =
        Runner { plan, deliver, stop: &stop, member: Uuid::new_v4(), failures: 0, event: PhantomData };
    match select(pin!(runner.run()), pin!(stopping)).await {
        Either::Left((ended, _)) => ended,
        Either::Right((never, _)) => match never {},
    }
}

/// Whether to stop.
#[derive(Default)]
struct Stop {
    requested: Arc<AtomicBool>,
    told: Notify,
}

impl Stop {
    fn request(&self) {
        self.requested.store(true, Ordering::Release);
        self.told.notify_one();
    }

    fn is_requested(&self) -> bool {
        self.requested.load(Ordering::Acquire)
    }

    /// Waits for something until a time, but not beyond the request to stop. `None` where it did not come.
    async fn wait<T>(&self, until: Instant, waiting: impl Future<Output = T>) -> Option<T> {
        if self.is_requested() {
            return None;
        }
        match select(pin!(timeout_at(until, waiting)), pin!(self.told.notified())).await {
            Either::Left((waited, _)) => waited.ok(),
            Either::Right(_) => None,
        }
    }

    async fn pause(&self, until: Instant) {
        self.wait(until, pending::<()>()).await;
    }
}

struct Runner<'r, E, D> {
    plan: Plan,
    deliver: D,
    stop: &'r Stop,
    member: Uuid,
    /// How often in a row it had to start again.
    failures: u32,
    event: PhantomData<fn() -> E>,
}

/// What a runner knows while its leases stay the same.
struct Session {
    /// How many segments there are.
    of: u16,
    held: BTreeMap<u16, Held>,
    /// When the leases were last asked for.
    asked: Instant,
    /// The store's clock then.
    clock: Timestamp,
    /// Streams of these segments that may be blocked, and others that were: nobody else blocks them.
    blocked: HashSet<Key>,
    /// When to look for blocked streams that are due.
    look_at: Instant,
    feed: Feed,
    /// What was read and is not handled.
    pending: VecDeque<Arc<StoredRecord>>,
    /// How many to take next, after a failure.
    sizes: VecDeque<usize>,
}

/// A stream and whose it is.
type Key = (TenantId, StreamId);

/// A segment that is ours.
#[derive(Clone, Copy)]
struct Held {
    lease: Lease,
    /// How far it is handled, or waits for a blocked stream. The checkpoint may be further back.
    position: Position,
}

impl<E: Event, D: Deliver<E>> Runner<'_, E, D> {
    async fn run(mut self) -> Result<()> {
        loop {
            match self.work().await {
                Ok(()) => return Ok(()),
                // Nothing is kept of what was lost, and nothing is left to be saved.
                Err(Error::LeaseLost { .. }) if self.stop.is_requested() => {
                    return self.leave(Vec::new()).await;
                }
                Err(error) if passes(&error) && !self.stop.is_requested() => {
                    self.failures = self.failures.saturating_add(1);
                    let pause = OUTAGE.pause_without_end(self.failures);
                    let subscription = &*self.plan.id.name;
                    if matches!(error, Error::LeaseLost { .. }) {
                        tracing::debug!(subscription, "a lease was lost: reading again where it stands");
                    } else {
                        tracing::warn!(subscription, %error, ?pause, "a subscription is interrupted, and tries again");
                    }
                    self.stop.pause(Instant::now() + pause).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Works until it is told to stop.
    async fn work(&mut self) -> Result<()> {
        // Now is when it runs first, however often it has to start again.
        self.plan.start = Start::After(self.plan.start.position(&*self.plan.backend).await?);
        let mut session = self.join(Vec::new()).await?;
        loop {
            if self.stop.is_requested() {
                return self.leave(session.reached()).await;
            }
            if Instant::now() >= self.renew_at(&session) {
                session = self.renew(session).await?;
            }
            if session.held.is_empty() {
                self.stop.pause(self.renew_at(&session)).await;
                continue;
            }
            self.retry_what_is_due(&mut session).await?;
            if session.pending.is_empty() {
                self.read(&mut session).await?;
            } else {
                self.handle(&mut session).await?;
            }
        }
    }

    /// Leases are renewed three times before they end.
    fn renew_at(&self, session: &Session) -> Instant {
        super::later(session.asked, self.plan.lease / 3)
    }

    async fn ask(
        &self,
        reached: Vec<(Lease, Position)>,
        share: bool,
    ) -> Result<(SubscriptionRecord, Instant)> {
        let Plan { id, segments, lease, backend, .. } = &self.plan;
        let create = self.plan.create();
        let asked = Instant::now();
        let request = RenewRequest { member: self.member, create, lasting: *lease, reached, share };
        let record = backend.change_subscription(id.clone(), SubscriptionChange::Renew(request)).await?;
        let record = record.ok_or_else(|| self.lost())?;
        let found = record.segments.len();
        if let Some(wanted) = segments.filter(|wanted| usize::from(*wanted) != found) {
            let problem = format!(
                "the subscription {:?} has {found} segments, and {wanted} were asked for: their count is fixed when it \
                 first runs; remove it to begin anew",
                id.name
            );
            return Err(Error::InvalidOption { option: "segments", problem });
        }
        Ok((record, asked))
    }

    /// Takes a share of the work, and finds out where it stands.
    async fn join(&self, reached: Vec<(Lease, Position)>) -> Result<Session> {
        let (record, asked) = self.ask(reached, true).await?;
        self.begin(&record, asked).await
    }

    async fn begin(&self, record: &SubscriptionRecord, asked: Instant) -> Result<Session> {
        let held: BTreeMap<_, _> = record
            .leases_of(self.member)
            .map(|(lease, position)| (lease.segment, Held { lease, position }))
            .collect();
        let of = u16::try_from(record.segments.len()).unwrap_or(SEGMENTS);
        let segments = Segments::new(of, held.keys().copied());
        let filter =
            Filter { segments: (!segments.are_all()).then_some(segments), ..self.plan.filter.clone() };
        let from = held.values().map(|held| held.position).min().unwrap_or(Position::START);
        // After the leases were given: nobody else can block streams in these segments from here on.
        let blocked = self.blocked(segments).await?;
        Ok(Session {
            of,
            held,
            asked,
            clock: self.clock(record),
            blocked,
            look_at: asked,
            feed: Feed::new(Arc::clone(&self.plan.backend), Arc::clone(&self.plan.tail), filter, from),
            pending: VecDeque::new(),
            sizes: VecDeque::new(),
        })
    }

    /// The store's clock when the leases were given.
    fn clock(&self, record: &SubscriptionRecord) -> Timestamp {
        let until = record.members.iter().find(|member| member.id == self.member).map(|member| member.until);
        let lease = SignedDuration::try_from(self.plan.lease).unwrap_or(SignedDuration::MAX);
        until.and_then(|until| until.checked_sub(lease).ok()).unwrap_or_else(Timestamp::now)
    }

    async fn blocked(&self, segments: Segments) -> Result<HashSet<Key>> {
        let (subscription, limit) = (self.plan.id.clone(), PAGE);
        let mut request = BlockedRequest {
            subscription,
            segments: Some(segments),
            due: false,
            after: Position::START,
            limit,
        };
        let mut all = HashSet::new();
        loop {
            let page = self.plan.backend.blocked_streams(request.clone()).await?;
            let last = page.last().filter(|_| page.len() == limit).map(|last| last.position);
            all.extend(page.into_iter().map(|blocked| (blocked.tenant, blocked.stream)));
            match last {
                Some(last) => request.after = last,
                None => return Ok(all),
            }
        }
    }

    /// Renews the leases, gives up or takes on segments, and begins anew with others.
    async fn renew(&self, mut session: Session) -> Result<Session> {
        let (record, asked) = self.ask(session.reached(), true).await?;
        let same = record.leases_of(self.member).map(|(lease, _)| lease);
        if same.eq(session.held.values().map(|held| held.lease)) {
            (session.asked, session.clock) = (asked, self.clock(&record));
            return Ok(session);
        }
        self.begin(&record, asked).await
    }

    /// Saves the checkpoints and lets others take over.
    async fn leave(&self, reached: Vec<(Lease, Position)>) -> Result<()> {
        let change = SubscriptionChange::Leave { member: self.member, reached };
        self.plan.backend.change_subscription(self.plan.id.clone(), change).await?;
        Ok(())
    }

    /// Reads on, or waits until there is something to read.
    async fn read(&mut self, session: &mut Session) -> Result<()> {
        let page = session.feed.read(PAGE).await?;
        session.pending = page.records.into();
        if session.pending.is_empty() {
            session.pass(page.next);
            self.failures = 0;
            if page.at_end {
                let due = if session.blocked.is_empty() { self.renew_at(session) } else { session.look_at };
                let until = due.min(self.renew_at(session));
                self.stop.wait(until, session.feed.wait()).await;
            }
        }
        Ok(())
    }

    /// Hands over some of what is pending.
    async fn handle(&mut self, session: &mut Session) -> Result<()> {
        let size = session.sizes.pop_front().unwrap_or(self.plan.batch);
        let Load { taken, events, undecodable } = session.take(size);
        let handed = Arc::new(Handed::new(self.plan.id.clone(), &taken));
        if events.is_empty() {
            if !taken.is_empty() {
                self.plan.backend.progress(handed.progress(taken.len())).await?;
                session.consumed(&taken);
            }
            match undecodable {
                Some((record, error)) if taken.is_empty() => {
                    self.block(session, &[], &record, 1, error, None).await?
                }
                Some((record, _)) => session.pending.push_front(record),
                None => {}
            }
            session.pass_page();
            return Ok(());
        }
        if let Some((record, _)) = undecodable {
            session.pending.push_front(record);
        }
        let delivered = {
            let handed = Arc::clone(&handed);
            self.deliver(session, events, move |kept| handed.progress(handed.items(kept))).await?
        };
        self.failures = 0;
        let Delivered { kept, failed } = delivered;
        let consumed = if kept == 0 { 0 } else { handed.items(kept) };
        let (done, rest) = taken.split_at(consumed.min(taken.len()));
        session.consumed(done);
        if let Some((at, error)) = failed {
            if at > kept {
                // Those before it by themselves, then it alone: only then it is the one that failed.
                session.sizes = VecDeque::from([at - kept, 1]);
            } else if let Some(place) = rest.iter().position(|item| item.is_handled) {
                let (before, failing) = rest.split_at(place);
                if let Some((failing, behind)) = failing.split_first() {
                    session.put_back(behind);
                    let pause = self.plan.retry.pause(1);
                    self.block(session, before, &failing.record, 1, error, pause).await?;
                    session.pass_page();
                    return Ok(());
                }
            }
        }
        session.put_back(rest);
        session.pass_page();
        Ok(())
    }

    /// Blocks the stream of an event that failed; `before` are events in front of it that wait.
    async fn block(
        &self,
        session: &mut Session,
        before: &[Taken],
        record: &Arc<StoredRecord>,
        attempts: u32,
        error: String,
        pause: Option<Duration>,
    ) -> Result<()> {
        let Some(held) = session.held_of(record) else { return Ok(()) };
        let (position, now) = (record.event.position, session.now());
        let blocked = BlockedStream {
            tenant: record.tenant.clone(),
            stream: record.stream.clone(),
            segment: held.lease.segment,
            after: held.position,
            position,
            attempts,
            error,
            retry_at: pause.map(|pause| later(now, pause)),
            since: now,
        };
        self.tell(&blocked, record);
        let mut progress = Handed::new(self.plan.id.clone(), before).progress(before.len());
        progress.leases.retain(|lease| *lease != held.lease);
        progress.leases.push(held.lease);
        progress.position = Some(position);
        progress.streams.push(StreamProgress::Block(blocked));
        self.plan.backend.progress(progress).await?;
        session.consumed(before);
        session.reach(held.lease.segment, position);
        session.blocked.insert((record.tenant.clone(), record.stream.clone()));
        session.look_at = session.look_at.min(super::later(Instant::now(), pause.unwrap_or(LOOK)));
        Ok(())
    }

    fn tell(&self, blocked: &BlockedStream, record: &StoredRecord) {
        let BlockedStream { stream, position, attempts, error, retry_at, .. } = blocked;
        let (subscription, event) = (&*self.plan.id.name, &*record.event.name);
        match retry_at {
            Some(_) => {
                tracing::warn!(subscription, event, %stream, %position, attempts, error, "handling an event failed");
            }
            None => {
                tracing::error!(subscription, event, %stream, %position, attempts, error, "an event is parked");
            }
        }
    }

    /// Tries again what has waited long enough.
    async fn retry_what_is_due(&mut self, session: &mut Session) -> Result<()> {
        if session.blocked.is_empty() || Instant::now() < session.look_at {
            return Ok(());
        }
        let request = BlockedRequest {
            subscription: self.plan.id.clone(),
            segments: Some(Segments::new(session.of, session.held.keys().copied())),
            due: true,
            after: Position::START,
            limit: RETRIED,
        };
        let due = self.plan.backend.blocked_streams(request).await?;
        session.look_at = Instant::now();
        if due.len() < RETRIED {
            session.look_at += self.plan.retry.first_pause.clamp(Duration::from_millis(10), LOOK);
        }
        for blocked in due {
            if self.stop.is_requested() || Instant::now() >= self.renew_at(session) {
                return Ok(());
            }
            self.retry(session, blocked).await?;
        }
        Ok(())
    }

    /// Goes on with a blocked stream: its failed event, and those behind it.
    async fn retry(&mut self, session: &mut Session, mut blocked: BlockedStream) -> Result<()> {
        for _ in 0..RETRIED {
            if self.stop.is_requested() {
                return Ok(());
            }
            let Some(held) = session.held.get(&blocked.segment).copied() else { return Ok(()) };
            let key = (blocked.tenant.clone(), blocked.stream.clone());
            let id = self.plan.id.clone();
            let progress = |change| ProgressRequest {
                subscription: id.clone(),
                leases: vec![held.lease],
                position: Some(held.position),
                streams: vec![change],
            };
            let freed = || StreamProgress::Free(blocked.at(), key.0.clone(), key.1.clone());
            let (record, is_last) = match self.next_of(&blocked, held.position).await? {
                NextOf::Event { record, is_last } => (record, is_last),
                NextOf::Unwanted(position) => {
                    let behind = blocked.behind(position);
                    let change = StreamProgress::Change(blocked.at(), behind.clone());
                    self.plan.backend.progress(progress(change)).await?;
                    blocked = behind;
                    continue;
                }
                NextOf::Nothing => {
                    self.plan.backend.progress(progress(freed())).await?;
                    session.blocked.remove(&key);
                    return Ok(());
                }
            };
            let position = record.event.position;
            let behind = blocked.behind(position);
            let change = if is_last { freed() } else { StreamProgress::Change(blocked.at(), behind.clone()) };
            let (error, pause) = match Recorded::<E>::decode(&record) {
                Err(error) => (whole(&error), None),
                Ok(event) => {
                    let kept = progress(change);
                    let delivered = self.deliver(session, vec![event], move |_| kept.clone()).await?;
                    let Some((_, error)) = delivered.failed else {
                        if is_last {
                            session.blocked.remove(&key);
                            return Ok(());
                        }
                        blocked = behind;
                        continue;
                    };
                    (error, self.plan.retry.pause(blocked.attempts_at(position)))
                }
            };
            let failed = BlockedStream {
                position,
                attempts: blocked.attempts_at(position),
                error,
                retry_at: pause.map(|pause| later(session.now(), pause)),
                ..blocked.clone()
            };
            self.tell(&failed, &record);
            let change = StreamProgress::Change(blocked.at(), failed);
            return self.plan.backend.progress(progress(change)).await;
        }
        session.look_at = Instant::now();
        Ok(())
    }

    /// What comes next in a blocked stream, up to a position.
    async fn next_of(&self, blocked: &BlockedStream, up_to: Position) -> Result<NextOf> {
        let BlockedStream { tenant, stream, after, position, .. } = blocked;
        let passes = |name: &str| self.plan.filter.passes(tenant, stream, name);
        let failed = self.event_at(*position, tenant, stream).await?;
        // What is gone tells nothing of where its stream goes on.
        let mut span = if failed.is_some() { Span::After(*position) } else { Span::Full };
        let mut found = failed.filter(|failed| after < position && passes(&failed.event.name));
        loop {
            let (tenant, stream) = (tenant.clone(), stream.clone());
            let page =
                self.plan.backend.load(LoadRequest { tenant, stream, span, limit: Some(PAGE) }).await?;
            if matches!(span, Span::After(anchor) if page.first_position.is_some_and(|first| first > anchor))
            {
                // It was deleted meanwhile, and made anew.
                (span, found) = (Span::Full, None);
                continue;
            }
            let last = page.events.last().map(|last| last.position).filter(|_| page.has_more);
            for event in page.events {
                if event.position > up_to {
                    return Ok(NextOf::last(found));
                }
                if event.position <= *after || !passes(&event.name) {
                    continue;
                }
                if let Some(found) = found {
                    return Ok(NextOf::Event { record: found, is_last: false });
                }
                let (tenant, stream) = (blocked.tenant.clone(), blocked.stream.clone());
                found = Some(StoredRecord { stream, tenant, event });
            }
            match (last, found) {
                (None, found) => return Ok(NextOf::last(found)),
                (Some(_), Some(record)) => return Ok(NextOf::Event { record, is_last: false }),
                (Some(last), None) if last > *after => return Ok(NextOf::Unwanted(last)),
                (Some(last), None) => (span, found) = (Span::After(last), None),
            }
        }
    }

    /// The event of a stream at a position, if it is still there.
    async fn event_at(
        &self,
        position: Position,
        tenant: &TenantId,
        stream: &StreamId,
    ) -> Result<Option<StoredRecord>> {
        let filter = Filter { tenant: Some(tenant.clone()), ..Filter::default() };
        let after = Position::from_i64(position.to_i64() - 1);
        let page =
            self.plan.backend.scan(ScanRequest { after, up_to: Some(position), filter, limit: 1 }).await?;
        Ok(page.records.into_iter().find(|record| record.stream == *stream))
    }

    /// Hands events over, and renews the leases as long as it takes.
    async fn deliver(
        &mut self,
        session: &mut Session,
        events: Vec<Recorded<E>>,
        progress: impl Fn(usize) -> ProgressRequest + Send + Sync + 'static,
    ) -> Result<Delivered> {
        let until = self.renew_at(session).min(Instant::now() + KEEP_AFTER);
        let budget = Budget { until, stop: Arc::clone(&self.stop.requested) };
        let asked = Mutex::new(session.asked);
        let Runner { plan, deliver, member, .. } = self;
        let delivering = deliver.deliver(events, Box::new(progress), budget);
        match select(pin!(delivering), pin!(plan.keep_leases(*member, &asked))).await {
            Either::Left((delivered, _)) => delivered,
            Either::Right((never, _)) => match never {},
        }
    }

    fn lost(&self) -> Error {
        Error::LeaseLost { subscription: self.plan.id.name.to_string() }
    }
}

impl Plan {
    /// With how many segments, and where, the subscription begins if it is new.
    fn create(&self) -> (u16, Position) {
        let start = match self.start {
            Start::After(position) => position,
            Start::Beginning | Start::Now => Position::START,
        };
        (self.segments.unwrap_or(SEGMENTS), start)
    }

    /// Keeps what is held, and takes nothing on, as long as a handler is at work.
    async fn keep_leases(&self, member: Uuid, asked: &Mutex<Instant>) -> Infallible {
        let at = || *asked.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            sleep_until(super::later(at(), self.lease / 3)).await;
            let now = Instant::now();
            let create = self.create();
            let (reached, lasting) = (Vec::new(), self.lease);
            let change =
                SubscriptionChange::Renew(RenewRequest { member, create, lasting, reached, share: false });
            if let Err(error) = self.backend.change_subscription(self.id.clone(), change).await {
                tracing::warn!(subscription = &*self.id.name, %error, "leases could not be renewed");
            }
            *asked.lock().unwrap_or_else(PoisonError::into_inner) = now;
        }
    }
}

/// What comes next in a blocked stream.
enum NextOf {
    /// An event, and whether nothing is known to follow it.
    Event { record: StoredRecord, is_last: bool },
    /// Nothing that is wanted up to here, where one of its events stands. There are more behind.
    Unwanted(Position),
    /// Nothing.
    Nothing,
}

impl NextOf {
    fn last(found: Option<StoredRecord>) -> Self {
        found.map_or(Self::Nothing, |record| Self::Event { record, is_last: true })
    }
}

impl BlockedStream {
    /// The stream once everything up to an event of it is handled, while those behind it still wait.
    fn behind(&self, position: Position) -> Self {
        let (error, retry_at) = (String::new(), Some(self.since));
        Self { after: position, position, attempts: 0, error, retry_at, ..self.clone() }
    }

    /// How often the event at this position has failed, once it fails again.
    fn attempts_at(&self, position: Position) -> u32 {
        if self.position == position { self.attempts.saturating_add(1) } else { 1 }
    }
}

/// An event that was taken from what is pending.
#[derive(Clone)]
struct Taken {
    record: Arc<StoredRecord>,
    lease: Lease,
    /// Whether it is to be handled; otherwise it waits for a blocked stream.
    is_handled: bool,
}

/// What was taken to be handed over.
struct Load<E> {
    taken: Vec<Taken>,
    events: Vec<Recorded<E>>,
    /// The event that ended it, because it cannot be decoded.
    undecodable: Option<(Arc<StoredRecord>, String)>,
}

impl Session {
    fn held_of(&self, record: &StoredRecord) -> Option<Held> {
        self.held.get(&Segments::number_of(record.stream.uuid(), self.of)).copied()
    }

    /// The store's clock.
    fn now(&self) -> Timestamp {
        later(self.clock, self.asked.elapsed())
    }

    fn reached(&self) -> Vec<(Lease, Position)> {
        self.held.values().map(|held| (held.lease, held.position)).collect()
    }

    fn reach(&mut self, segment: u16, position: Position) {
        if let Some(held) = self.held.get_mut(&segment) {
            held.position = held.position.max(position);
        }
    }

    /// Nothing up to here is left to be handled, in any segment.
    fn pass(&mut self, position: Position) {
        for held in self.held.values_mut() {
            held.position = held.position.max(position);
        }
    }

    /// Once nothing is pending, all that was read is passed.
    fn pass_page(&mut self) {
        if self.pending.is_empty() {
            self.pass(self.feed.cursor());
        }
    }

    /// Takes events to hand over, and those between them that have to wait.
    fn take<E: Event>(&mut self, most: usize) -> Load<E> {
        let mut load = Load { taken: Vec::new(), events: Vec::new(), undecodable: None };
        while load.events.len() < most {
            let Some(record) = self.pending.pop_front() else { break };
            let Some(held) = self.held_of(&record).filter(|held| held.position < record.event.position)
            else {
                continue;
            };
            let is_handled = !self.blocked.contains(&(record.tenant.clone(), record.stream.clone()));
            if is_handled {
                match Recorded::decode(&record) {
                    Ok(event) => load.events.push(event),
                    Err(error) => {
                        load.undecodable = Some((record, whole(&error)));
                        break;
                    }
                }
            }
            load.taken.push(Taken { record, lease: held.lease, is_handled });
        }
        load
    }

    fn put_back(&mut self, taken: &[Taken]) {
        for item in taken.iter().rev() {
            self.pending.push_front(Arc::clone(&item.record));
        }
    }

    /// Progress that was kept.
    fn consumed(&mut self, taken: &[Taken]) {
        let Some(last) = taken.last() else { return };
        let segments: BTreeSet<u16> = taken.iter().map(|item| item.lease.segment).collect();
        for segment in segments {
            self.reach(segment, last.record.event.position);
        }
    }
}

/// What was handed over, as the progress that it makes.
struct Handed {
    subscription: SubscriptionId,
    items: Vec<(Position, Lease, Option<Key>)>,
}

impl Handed {
    fn new(subscription: SubscriptionId, taken: &[Taken]) -> Self {
        let item = |taken: &Taken| {
            let record = &taken.record;
            let waits = (!taken.is_handled).then(|| (record.tenant.clone(), record.stream.clone()));
            (record.event.position, taken.lease, waits)
        };
        Self { subscription, items: taken.iter().map(item).collect() }
    }

    /// How many items are done once so many events are handled: those that wait behind the last of them too.
    fn items(&self, handled: usize) -> usize {
        let mut events = self.items.iter().enumerate().filter(|(_, (.., waits))| waits.is_none());
        events.nth(handled).map_or(self.items.len(), |(next, _)| next)
    }

    /// The progress of the first items. That streams wait is checked with it: one that was deleted meanwhile, and made
    /// anew, does not.
    fn progress(&self, items: usize) -> ProgressRequest {
        let done = self.items.get(..items).unwrap_or(&self.items);
        let leases: BTreeSet<Lease> = done.iter().map(|(_, lease, _)| *lease).collect();
        let waiting: HashSet<&Key> = done.iter().filter_map(|(.., waits)| waits.as_ref()).collect();
        let waits = |(tenant, stream): &Key| StreamProgress::Waits(tenant.clone(), stream.clone());
        ProgressRequest {
            subscription: self.subscription.clone(),
            leases: leases.into_iter().collect(),
            position: done.last().map(|(position, ..)| *position),
            streams: waiting.into_iter().map(waits).collect(),
        }
    }
}

/// Whether the loop can go on after an error, by starting again from what the store says.
fn passes(error: &Error) -> bool {
    error.is_retryable() || matches!(error, Error::OutcomeUnknown { .. } | Error::LeaseLost { .. })
}

/// A time that much later, as far as there is one.
fn later(time: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}
