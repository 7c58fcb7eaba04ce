//! What has failed and is not on record yet. Each failure in a commit of its own would make a commit for every stream that fails.
//!
//! It is written with whatever progress comes next, and otherwise soon: before anybody waits, before it is read which streams are due,
//! before a lease is renewed or given up. No checkpoint passes an event that is in here without it. Whoever is killed before that
//! has not counted these attempts, and makes them again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::session::{Held, LOOK, Session};
use super::{KEEP_AFTER, Runner};
use crate::backend::{self, BlockedStream, Lease, ProgressRequest, StoredRecord, StreamProgress};
use crate::error::Result;
use crate::event::Event;
use crate::position::Position;
use crate::subscription::deliver::Deliver;

/// How many streams are written in one commit.
const AT_ONCE: usize = 512;

/// Failures that are not on record yet, in their order.
#[derive(Debug, Clone, Default)]
pub(super) struct Failures {
    leases: BTreeSet<Lease>,
    /// Up to where everything was handled, or waits with them: in every segment, because they come in position order. `None`: of
    /// streams that were tried again, which say nothing of that.
    position: Option<Position>,
    streams: Vec<StreamProgress>,
    /// When the first of them came.
    since: Option<Instant>,
}

impl Failures {
    /// Adds what has become of streams.
    fn add(&mut self, progress: ProgressRequest) {
        self.since.get_or_insert_with(Instant::now);
        self.leases.extend(progress.leases);
        self.position = self.position.max(progress.position);
        self.streams.extend(progress.streams);
    }

    /// Progress together with them.
    pub(super) fn with(&self, progress: ProgressRequest) -> ProgressRequest {
        let leases: BTreeSet<Lease> = self.leases.iter().copied().chain(progress.leases).collect();
        ProgressRequest {
            leases: leases.into_iter().collect(),
            position: self.position.max(progress.position),
            streams: self.streams.iter().cloned().chain(progress.streams).collect(),
            ..progress
        }
    }

    /// Whether no checkpoint may be written without them.
    pub(super) const fn hold_up_checkpoints(&self) -> bool {
        self.position.is_some()
    }

    fn are_due(&self) -> bool {
        self.streams.len() >= AT_ONCE || self.since.is_some_and(|since| since.elapsed() >= LOOK)
    }
}

impl Session {
    /// Notes a failure, to be written with what comes next.
    pub(super) fn failed(&mut self, progress: ProgressRequest) {
        Arc::make_mut(&mut self.failures).add(progress);
    }

    /// They are on record.
    pub(super) fn failures_are_kept(&mut self) {
        if self.failures.since.is_some() {
            self.failures = Arc::default();
        }
    }
}

impl<E: Event, D: Deliver<E>> Runner<'_, E, D> {
    /// Writes failures that are not on record yet.
    pub(super) async fn keep_failures(&self, session: &mut Session) -> Result<()> {
        if session.failures.since.is_none() {
            return Ok(());
        }
        let nothing = ProgressRequest::new(self.plan.id.clone());
        self.plan.backend.progress(session.failures.with(nothing)).await?;
        session.failures_are_kept();
        Ok(())
    }

    /// The same behind an attempt that took so long. Another one may take as long, and the process may not live to see its end.
    pub(super) async fn keep_failures_after(&self, session: &mut Session, took: Duration) -> Result<()> {
        if took < KEEP_AFTER { Ok(()) } else { self.keep_failures(session).await }
    }

    /// The next event of a blocked stream has failed; without a pause, for the last time.
    pub(super) fn fails_again(
        &self,
        session: &mut Session,
        (held, blocked): (Held, &BlockedStream),
        record: &StoredRecord,
        (error, attempts, pause): (String, u32, Option<Duration>),
    ) {
        let position = record.event.position;
        let failed = BlockedStream {
            position,
            attempts,
            error,
            retry_at: pause.map(|pause| backend::later(session.now(), pause)),
            ..blocked.clone()
        };
        // Of one that somebody else was publishing, the attempts are as many as before.
        self.tell(&failed, record, attempts >= blocked.attempts_at(position));
        let progress = ProgressRequest::new(self.plan.id.clone()).with_leases(vec![held.lease]);
        session.note(blocked, Some(&failed));
        session.failed(progress.with_streams(vec![StreamProgress::Change(blocked.at(), failed)]));
        session.together.begin_anew();
    }

    /// Writes them, if they are many, or wait long enough, or may not wait.
    pub(super) async fn keep_failures_in_time(&self, session: &mut Session) -> Result<()> {
        let are_due = session.failures.are_due() || self.plan.publishes;
        if are_due { self.keep_failures(session).await } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::oneshot::{Sender, channel};
    use tokio::time::timeout;

    use super::super::run;
    use super::*;
    use crate::backend::{BlockedAt, SubscriptionId};
    use crate::event::RawEvent;
    use crate::stream_id::{StreamId, TenantId};
    use crate::subscription::deliver::{Budget, Delivered, Failure, Pause, Progress};
    use crate::telemetry::{Observed, Observer};
    use crate::wrapped_event::Recorded;
    use crate::{EventStore, MemoryBackend};

    /// It fails once. Then somebody else has the event in hand, whenever it is to be handed over.
    struct InOtherHands {
        handed_over: u32,
        is_enough: Option<Sender<()>>,
    }

    impl Deliver<RawEvent> for InOtherHands {
        async fn deliver(&mut self, _: Vec<Recorded<RawEvent>>, _: Progress, _: Budget) -> Result<Delivered> {
            self.handed_over += 1;
            let pause = match self.handed_over {
                1 => Pause::ByAttempts,
                _ => Pause::Uncounted(Duration::ZERO),
            };
            if self.handed_over == 3 {
                drop(self.is_enough.take());
            }
            let failed = Failure { at: 0, of: 1, error: "not now".to_owned(), took: Duration::ZERO, pause };
            Ok(Delivered { kept: 0, failed: Some(failed) })
        }
    }

    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Observer for Counting {
        fn observed(&self, what: &Observed<'_>) {
            if matches!(what, Observed::Failed { .. }) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    #[tokio::test]
    async fn what_counts_no_attempt_is_told_as_none_though_there_was_one_before() {
        let counting = Arc::new(Counting::default());
        let store = EventStore::new(MemoryBackend::new()).with_observer(Arc::clone(&counting));
        store.append(&StreamId::random(), RawEvent::new("Happened", "{}").unwrap()).await.unwrap();
        let (is_enough, stop) = channel::<()>();
        let durable = store.subscribe::<RawEvent>().durable("letters");
        let (plan, until) = durable.pauses(Duration::ZERO, Duration::ZERO).until(stop).plan().unwrap();
        let deliver = InOtherHands { handed_over: 0, is_enough: Some(is_enough) };
        let running = run::<RawEvent, _>(plan, until, deliver);
        timeout(Duration::from_secs(60), running).await.expect("it is tried again").unwrap();
        assert_eq!(counting.0.load(Ordering::Relaxed), 1);
    }

    fn progress(segment: u16, position: Option<i64>) -> ProgressRequest {
        let at = BlockedAt::new(Position::START, Position::from_i64(7));
        let (tenant, since) = (TenantId::DEFAULT, jiff::Timestamp::UNIX_EPOCH);
        let blocked = BlockedStream::new(tenant.clone(), StreamId::random(), segment, at, since);
        let id = SubscriptionId { tenant, name: "letters".into() };
        let request = ProgressRequest::new(id).with_leases(vec![Lease { segment, token: 1 }]);
        ProgressRequest { position: position.map(Position::from_i64), ..request }
            .with_streams(vec![StreamProgress::Block(blocked)])
    }

    #[test]
    fn progress_with_them_says_of_every_lease_how_far_it_is_and_tells_the_failures_first() {
        let mut failures = Failures::default();
        assert!(!failures.hold_up_checkpoints());
        failures.add(progress(2, None));
        assert!(!failures.hold_up_checkpoints(), "a stream that was tried again is blocked already");
        failures.add(progress(1, Some(4)));
        assert!(failures.hold_up_checkpoints());
        let later = failures.with(progress(3, Some(9)));
        let leases: Vec<_> = later.leases.iter().map(|lease| lease.segment).collect();
        assert_eq!((leases, later.position), (vec![1, 2, 3], Some(Position::from_i64(9))));
        let segment = |progress: &StreamProgress| match progress {
            StreamProgress::Block(blocked) => blocked.segment,
            other => panic!("{other:?}"),
        };
        assert_eq!(later.streams.iter().map(segment).collect::<Vec<_>>(), [2, 1, 3]);
        let alone = failures.with(ProgressRequest::new(later.subscription));
        assert_eq!(alone.position, Some(Position::from_i64(4)));
    }

    #[test]
    fn they_are_due_when_they_are_many_or_the_first_is_old() {
        let mut failures = Failures::default();
        for _ in 1..AT_ONCE {
            failures.add(progress(1, Some(4)));
        }
        failures.since = Some(Instant::now() + LOOK);
        assert!(!failures.are_due());
        failures.add(progress(1, Some(4)));
        assert!(failures.are_due());
        let mut old = Failures::default();
        old.add(progress(1, Some(4)));
        old.since = old.since.and_then(|since| since.checked_sub(LOOK));
        assert!(old.are_due());
    }
}
