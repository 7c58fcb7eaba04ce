//! The loop of a durable subscription: take a share of the segments, read on from their checkpoints, hand over, keep the
//! progress; renew the leases meanwhile.
//!
//! What makes it safe is not the loop but the token of each lease: progress is written only where it is still the
//! segment's. Whatever goes wrong, the loop starts again from what the store says.

mod blocked;
mod debts;
mod due;
mod failures;
mod handle;
mod heard;
mod leases;
mod process;
mod scope;
mod session;
mod sizes;
mod stop;
mod together;
mod turns;

use std::future::pending;
use std::marker::PhantomData;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::time::Instant;
use tracing::Instrument as _;
use uuid::Uuid;

pub(super) use self::heard::Heard;
use self::session::Session;
use self::stop::Stop;
use super::deletions::AsOf;
use super::deliver::{Budget, Deliver, Delivered};
use super::durable::{Passed, Start};
use super::stopping::PATIENCE;
use super::tail::Tail;
use crate::backend::{
    Backend, Filter, Lease, MOST_SEGMENTS, Present, ProgressRequest, Scope, SubscriptionId,
};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::retry::Retry;
use crate::telemetry::{Observing, spans};
use crate::wrapped_event::Recorded;

/// How many events are read at once.
const PAGE: usize = 256;

/// How many at most, however many are to be handled together.
const MOST: usize = 8_192;

/// How long events are handed over before their progress is kept, if there are enough of them.
const KEEP_AFTER: Duration = Duration::from_millis(200);

/// The pauses while the store is away.
const OUTAGE: Retry = Retry {
    attempts: u32::MAX,
    first_pause: Duration::from_millis(20),
    longest_pause: Duration::from_secs(10),
};

/// What others ask for counts up to here.
pub(super) const LONGEST_ASKED_FOR: Duration = Duration::from_secs(3_600);

/// What is done when the subscription is to stop.
pub(super) type Until = Option<Pin<Box<dyn Future<Output = ()> + Send>>>;

/// What is to be run.
pub(super) struct Plan {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) tail: Arc<Tail>,
    pub(super) id: SubscriptionId,
    /// What this member was made for.
    pub(super) filter: Filter,
    pub(super) scope: Scope,
    pub(super) start: Start,
    /// Where that was, once it was looked up.
    pub(super) begins: Option<Present>,
    pub(super) segments: Option<u16>,
    pub(super) widen: Option<Passed>,
    pub(super) narrow: bool,
    pub(super) stands_in: Mutex<Option<Scope>>,
    /// Who else takes part.
    pub(super) seen: Mutex<Heard>,
    pub(super) lease: Duration,
    pub(super) batch: usize,
    pub(super) retry: Retry,
    /// Who is told what it does.
    pub(super) observing: Observing,
    /// Whether it ends once nothing is left to be handed over for now.
    pub(super) ends: bool,
    /// Whether it publishes the entries of an outbox. Then each is tried again by itself, because a publisher is told how often it was
    /// tried; and one that was refused is put on record at once, because the other end may be away next, and the run begins anew then.
    pub(super) publishes: bool,
}

impl Plan {
    /// Refuses what was asked for and cannot be.
    pub(super) fn check(&self) -> Result<()> {
        let invalid =
            |option, problem: &str| Err(Error::InvalidOption { option, problem: problem.to_owned() });
        if self.segments.is_some_and(|count| count == 0 || count > MOST_SEGMENTS) {
            return invalid("segments", "a subscription has 1 to 64 segments");
        }
        if self.lease < Duration::from_millis(100) {
            return invalid("lease", "a lease lasts at least 100 ms");
        }
        if self.batch == 0 || self.retry.attempts == 0 {
            let option = if self.batch == 0 { "batch" } else { "attempts" };
            return invalid(option, "it has to be at least 1");
        }
        Ok(())
    }
}

/// Runs until it is told to stop, or trying again cannot help.
pub(super) async fn run<E: Event, D: Deliver<E>>(plan: Plan, until: Until, deliver: D) -> Result<()> {
    let stop = Stop::default();
    let subscription = plan.id.told().to_owned();
    let stopping = async {
        let Some(until) = until else { return pending().await };
        until.await;
        stop.request();
        stop.stopping.give_up(PATIENCE).await;
    };
    let member = plan.seen().new_member();
    let span = spans::subscribe(&plan.id, member);
    let (has_begun, failures, leases, event) = (false, 0, Vec::new(), PhantomData);
    let runner = Runner { plan, deliver, stop: &stop, member, has_begun, failures, leases, event };
    match select(pin!(runner.run().instrument(span)), pin!(stopping)).await {
        Either::Left((ended, _)) => ended,
        Either::Right(((), _)) => Err(Error::NotLeftInTime { subscription, waited: PATIENCE }),
    }
}

struct Runner<'r, E, D> {
    plan: Plan,
    deliver: D,
    stop: &'r Stop,
    member: Uuid,
    /// Whether it has ever taken its share.
    has_begun: bool,
    /// How often in a row it had to start again.
    failures: u32,
    /// What it had when it was last told.
    leases: Vec<Lease>,
    event: PhantomData<fn() -> E>,
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
                Err(error) if self.passes(&error) && !self.stop.is_requested() => {
                    self.failures = self.failures.saturating_add(1);
                    let pause = OUTAGE.pause_without_end(self.failures).max(asked_for(&error));
                    let subscription = self.plan.id.told();
                    if matches!(error, Error::LeaseLost { .. }) {
                        tracing::debug!(subscription, "a lease was lost: reading again where it stands");
                    } else {
                        tracing::warn!(
                            subscription,
                            error = error.in_full(),
                            ?pause,
                            "a subscription is interrupted, and tries again"
                        );
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
        if self.plan.begins.is_none() {
            self.plan.begins = self.begins().await?;
        }
        let mut session = self.join(Vec::new()).await?;
        self.has_begun = true;
        self.tell_of_leases(&session);
        loop {
            if self.stop.is_requested() {
                // No checkpoint passes what could not be kept.
                let kept = self.keep_failures(&mut session).await;
                return self.leave(if kept.is_ok() { session.reached() } else { Vec::new() }).await;
            }
            if Instant::now() >= self.renew_at(&session) {
                self.keep_failures(&mut session).await?;
                session = self.renew(session).await?;
                self.tell_of_leases(&session);
            }
            if session.held.is_empty() {
                if self.plan.ends {
                    return self.leave(Vec::new()).await;
                }
                self.stop.pause(self.renew_at(&session)).await;
                continue;
            }
            self.take_turn(&mut session).await?;
        }
    }

    /// Lets a stream be tried again, or fresh events be handled, whichever turn it is.
    async fn take_turn(&mut self, session: &mut Session) -> Result<()> {
        session.leave_out_deleted();
        self.keep_failures_in_time(session).await?;
        let is_due = self.is_anything_due(session).await?;
        if !is_due {
            session.turns.nothing_is_due();
        } else if session.pending.is_empty() && !session.turns.is_for_retries() {
            self.read_on(session).await?;
        }
        let begun = Instant::now();
        let are_held_up = session.failures.hold_up_checkpoints();
        let is_for_retries =
            is_due && session.turns.is_for_retries() && !(are_held_up && session.turns.put_off());
        if is_for_retries || is_due && session.pending.is_empty() {
            self.retry(session).await?;
            session.turns.retry_took(begun.elapsed());
        } else if session.pending.is_empty() {
            self.read(session).await?;
        } else {
            self.handle(session).await?;
            session.turns.fresh_took(begun.elapsed());
        }
        Ok(())
    }

    /// Where it begins if it is new; where it is not, the place may be gone.
    async fn begins(&self) -> Result<Option<Present>> {
        match self.plan.start.begin(&*self.plan.backend).await {
            Err(Error::BeyondEnd { .. }) if self.plan.is_there().await? => Ok(None),
            begins => begins.map(Some),
        }
    }

    /// Reads on, or waits until there is something to read.
    async fn read(&mut self, session: &mut Session) -> Result<()> {
        if session.at_end {
            self.keep_failures(session).await?;
            if self.plan.ends {
                self.stop.request();
                return Ok(());
            }
            match self.wait_for_news(session).await {
                Some(true) => session.at_end = false,
                Some(false) => {
                    session.pass_page();
                    return Ok(());
                }
                None => return Ok(()),
            }
        }
        self.read_on(session).await
    }

    /// Waits until there may be something to read; `None` where something else is to be done. Leases that are due meanwhile are renewed
    /// beside it, where that is all: five hundred that are idle would all begin to wait anew.
    async fn wait_for_news(&self, session: &mut Session) -> Option<bool> {
        let has_nothing_to_tell = session.has_nothing_to_tell() && self.plan.stands_in().is_none();
        let look_at = (!session.blocked.is_empty()).then_some(session.look_at);
        let mut waiting = pin!(session.feed.wait_or_pass());
        loop {
            let renew_at = self.plan.renew_at(session.asked);
            let until = look_at.map_or(renew_at, |look_at| look_at.min(renew_at));
            let news = self.stop.wait(until, waiting.as_mut()).await;
            let is_due = Instant::now() >= renew_at && !self.stop.is_requested();
            if news.is_some() || !is_due || !has_nothing_to_tell {
                return news;
            }
            let Some(renewed) = self.plan.show(self.member).await else {
                session.asks = true;
                return None;
            };
            (session.asked, session.clock) = (renewed.began, renewed.clock);
        }
    }

    /// Reads what is there, without waiting.
    async fn read_on(&mut self, session: &mut Session) -> Result<()> {
        let limit = PAGE.max(self.plan.batch.min(MOST));
        let read = self.while_leased(session.asked, session.feed.read(limit)).await?;
        let Some(page) = read else { return Ok(()) };
        session.debts.read(page.records.iter().map(|record| &record.tenant));
        (session.pending, session.at_end, session.as_of) = (page.records.into(), page.at_end, page.as_of);
        if session.has_caught_up() {
            session.sizes.begin_anew();
        }
        if session.pending.is_empty() {
            session.pass(page.next);
            session.turns.nothing_is_fresh();
            session.debts.nothing_is_fresh();
            // What has failed may be due once more: that it can be read says nothing of it.
            if session.due.first().is_none() {
                self.failures = 0;
            }
        }
        Ok(())
    }

    /// Whether it can go on after an error, by starting again from what the store says. A store that could be written before
    /// is read-only while a standby takes over.
    fn passes(&self, error: &Error) -> bool {
        error.is_retryable()
            || matches!(error, Error::OutcomeUnknown { .. } | Error::LeaseLost { .. })
            || self.has_begun && matches!(error, Error::ReadOnly { .. })
    }

    /// Hands events over that were read as of then, for the so-many-th time, and renews the leases as long as it takes.
    async fn deliver(
        &mut self,
        session: &mut Session,
        (events, as_of, attempt): (Vec<Recorded<E>>, AsOf, u32),
        progress: impl Fn(usize) -> ProgressRequest + Send + Sync + 'static,
    ) -> Result<Delivered> {
        let until = self.renew_at(session).min(Instant::now() + KEEP_AFTER);
        let (stop, deletions) = (Arc::clone(&self.stop.stopping), Arc::clone(self.plan.tail.deletions()));
        let (id, watched) = (self.plan.id.clone(), session.feed.watched());
        let budget = Budget { id, until, stop, deletions, as_of, watched, attempt };
        let asked = Mutex::new(session.asked);
        let Runner { plan, deliver, member, .. } = self;
        let delivering = deliver.deliver(events, Box::new(progress), budget);
        match select(pin!(delivering), pin!(plan.keep_leases(*member, &asked))).await {
            Either::Left((delivered, _)) => delivered,
            Either::Right((never, _)) => match never {},
        }
    }
}

/// How long to wait at least, where whoever takes what is published has said so.
fn asked_for(error: &Error) -> Duration {
    match error {
        Error::PublisherAway { retry_after: Some(pause), .. } => (*pause).min(LONGEST_ASKED_FOR),
        _ => Duration::ZERO,
    }
}
