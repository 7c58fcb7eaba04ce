//! Publishing: entries of the outbox are handed to a publisher, and go once they are published.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tracing::Instrument as _;

use super::{Budget, Deliver, Delivered, Failure, Pause, Progress};
use crate::backend::{Backend, HeldEntries, Hold, HoldRequest, OutboxProgress, ProgressRequest};
use crate::error::{Error, Result};
use crate::event::RawEvent;
use crate::outbox::{OutboxEntry, PublishError, Publisher};
use crate::position::Position;
use crate::subscription::Published;
use crate::subscription::guarded::{Handled, guarded, whole};
use crate::subscription::run::{LONGEST_ASKED_FOR, Plan};
use crate::telemetry::{Observing, Sending};
use crate::wrapped_event::Recorded;

/// How soon is looked again at an entry that somebody else is publishing.
const TAKEN: Pause = Pause::Uncounted(Duration::from_millis(500));

/// What the publisher answered.
type Answers = Vec<Result<(), PublishError>>;

/// Entries that are handed to a publisher.
pub(in crate::subscription) struct Publishing<P> {
    publisher: P,
    observing: Observing,
    backend: Arc<dyn Backend>,
    /// After so long without a sign of life, a hold ends.
    idle: Duration,
    /// For how long what was published is kept.
    keep: Option<Duration>,
    /// Whether the run ends where the other end is away.
    ends: bool,
    /// How many more are handed over; `None`: as many as come.
    left: Option<u64>,
    tally: Arc<Tally>,
    /// Entries that were refused beside another one, and are not handed over again before that is on record.
    refused: HashMap<Position, Refused>,
}

/// What was published so far.
#[derive(Debug, Default)]
pub(in crate::subscription) struct Tally {
    published: AtomicU64,
    refused: AtomicU64,
    is_away: AtomicBool,
}

impl Tally {
    pub(in crate::subscription) fn told(&self) -> Published {
        Published {
            entries: self.published.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            is_away: self.is_away.load(Ordering::Relaxed),
        }
    }
}

/// Why an entry waits.
#[derive(Debug)]
struct Refused {
    error: String,
    pause: Pause,
}

/// What is known of an entry.
#[derive(Debug)]
enum State {
    /// It was published, now or before.
    Done,
    Open,
    Waits(Refused),
}

/// What came of handing over.
#[derive(Default)]
struct Handed {
    published: Vec<Position>,
    away: Option<PublishError>,
    /// So many were handed over together, and it panicked.
    panicked: Option<(usize, String)>,
}

impl<P: Publisher> Publishing<P> {
    pub(in crate::subscription) fn new(
        publisher: P,
        plan: &Plan,
        (keep, left): (Option<Duration>, Option<u64>),
        tally: Arc<Tally>,
    ) -> Self {
        let (backend, idle, ends) = (Arc::clone(&plan.backend), plan.lease, plan.ends);
        let (observing, refused) = (plan.observing.clone(), HashMap::new());
        Self { publisher, observing, backend, idle, keep, ends, left, tally, refused }
    }

    /// What is known of the entries before they are handed over.
    fn states(&mut self, positions: &[Position], free: Vec<Position>, taken: Vec<Position>) -> Vec<State> {
        let (free, taken) = (BTreeSet::from_iter(free), BTreeSet::from_iter(taken));
        let state = |position: &Position| {
            if taken.contains(position) {
                let error = "somebody else is publishing it at this moment".to_owned();
                State::Waits(Refused { error, pause: TAKEN })
            } else if !free.contains(position) {
                State::Done
            } else {
                self.refused.remove(position).map_or(State::Open, State::Waits)
            }
        };
        positions.iter().map(state).collect()
    }

    /// Hands over those that are open, in front of the first that waits, as long as there is time.
    async fn hand_over(
        &mut self,
        events: Vec<Recorded<RawEvent>>,
        states: &mut [State],
        budget: &Budget,
    ) -> Handed {
        let end = states.iter().position(|state| matches!(state, State::Waits(_))).unwrap_or(states.len());
        let (mut open, mut places) = (Vec::new(), Vec::new());
        for (place, event) in events.into_iter().enumerate().take(end) {
            if matches!(states.get(place), Some(State::Open)) {
                open.push(OutboxEntry::new(event, budget.attempt));
                places.push(place);
            }
        }
        let (mut handed, mut before) = (Handed::default(), 0);
        let most = self.publisher.batch().max(1);
        while let Some(rest) = open.get(before..).filter(|rest| !rest.is_empty()) {
            let size = rest.len().min(most).min(self.allowed());
            let Some(entries) = rest.get(..size).filter(|entries| !entries.is_empty()) else { break };
            if !budget.has_time(before) {
                break;
            }
            let answers = match self.publish(entries, budget).await {
                Ok(answers) => answers,
                Err(error) if entries.len() > 1 => {
                    handed.panicked = Some((entries.len(), error));
                    break;
                }
                Err(error) => vec![Err(PublishError::refused(error))],
            };
            let of_entries = places.iter().skip(before).zip(entries);
            if !self.heed(answers, of_entries, states, &mut handed) {
                break;
            }
            before += size;
        }
        handed
    }

    /// How many entries may still be handed over.
    fn allowed(&self) -> usize {
        self.left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX))
    }

    async fn publish(&mut self, entries: &[OutboxEntry], budget: &Budget) -> Result<Answers, String> {
        self.left = self.left.map(|left| left.saturating_sub(entries.len() as u64));
        let sending = Sending::begin(&self.observing, &budget.id, entries);
        let _at_work = budget.stop.at_work();
        let (publisher, mut answers) = (&self.publisher, Answers::new());
        let publishing = async {
            answers = publisher.publish(entries).await;
            Handled::Ok(())
        };
        let published = guarded(None, publishing.instrument(sending.span())).await;
        // A publisher may answer more than it was asked.
        sending.ended(answers.iter().take(entries.len()).filter(|answer| answer.is_ok()).count());
        published.map(|()| answers)
    }

    /// Notes what became of entries, and tells whether all of them were published.
    fn heed<'e>(
        &self,
        answers: Answers,
        entries: impl Iterator<Item = (&'e usize, &'e OutboxEntry)>,
        states: &mut [State],
        handed: &mut Handed,
    ) -> bool {
        let (mut answers, mut went_well, mut has_reason) = (answers.into_iter(), true, false);
        for (place, entry) in entries {
            let answer = answers.next().unwrap_or_else(|| Err(PublishError::not_tried()));
            let Some(state) = states.get_mut(*place) else { break };
            match answer {
                Ok(()) => {
                    *state = State::Done;
                    handed.published.push(entry.recorded().position);
                }
                Err(error) if error.is_refused() => {
                    self.tally.refused.fetch_add(1, Ordering::Relaxed);
                    *state = State::Waits(Refused::of(&error));
                    (went_well, has_reason) = (false, true);
                }
                Err(error) => {
                    went_well = false;
                    if error.is_away() {
                        (handed.away, has_reason) = (Some(error), true);
                    }
                }
            }
        }
        if !went_well && !has_reason {
            handed.away =
                Some(PublishError::away("the publisher has tried none of some entries, and says no reason"));
        }
        went_well
    }

    /// Writes progress: with the hold, or after it. Where it ended before its time, the leases still tell whether it may be written.
    async fn keep(&self, hold: Option<Box<dyn Hold>>, progress: ProgressRequest) -> Result<()> {
        if let Some(hold) = hold {
            match hold.keep(&progress).await {
                Err(Error::LeaseLost { subscription }) => return Err(Error::LeaseLost { subscription }),
                Err(error) => {
                    tracing::debug!(error = error.in_full(), "a hold on entries ended before its time")
                }
                Ok(()) => return Ok(()),
            }
        }
        self.backend.progress(progress).await
    }

    /// The other end is away: what is left waits. Where the run is about to end, it does so; otherwise it begins anew after a pause.
    fn is_away(&self, error: PublishError, budget: &Budget) -> Result<()> {
        self.tally.is_away.store(true, Ordering::Relaxed);
        if self.ends || budget.stop.is_requested() {
            tracing::warn!(error = whole(&error), "nobody takes what the outbox publishes");
            budget.stop.request();
            return Ok(());
        }
        Err(Error::PublisherAway { retry_after: error.retry_after(), source: error.into() })
    }
}

impl Refused {
    fn of(error: &PublishError) -> Self {
        let pause = error
            .retry_after()
            .map_or(Pause::ByAttempts, |least| Pause::AtLeast(least.min(LONGEST_ASKED_FOR)));
        Self { error: whole(error), pause }
    }
}

impl<P: Publisher> Deliver<RawEvent> for Publishing<P> {
    async fn deliver(
        &mut self,
        events: Vec<Recorded<RawEvent>>,
        progress: Progress,
        budget: Budget,
    ) -> Result<Delivered> {
        let begun = Instant::now();
        let positions: Vec<_> = events.iter().map(|event| event.position).collect();
        let request = HoldRequest::new(positions.clone(), self.idle);
        let HeldEntries { free, taken, hold } = self.backend.hold_entries(request).await?;
        let mut states = self.states(&positions, free, taken);
        let Handed { published, away, panicked } = self.hand_over(events, &mut states, &budget).await;
        let kept = states.iter().take_while(|state| matches!(state, State::Done)).count();
        if kept > 0 || !published.is_empty() {
            let (mut request, count) = (progress(kept), published.len() as u64);
            request.outbox = Some(OutboxProgress::new(published).keeping(self.keep));
            self.keep(hold, request).await?;
            self.tally.published.fetch_add(count, Ordering::Relaxed);
        } else if let Some(hold) = hold {
            hold.release().await;
        }
        if self.left == Some(0) {
            budget.stop.request();
        }
        let mut rest = positions.into_iter().zip(states).skip(kept);
        let first = rest.next();
        for (position, state) in rest {
            if let State::Waits(refused @ Refused { pause: Pause::ByAttempts | Pause::AtLeast(_), .. }) =
                state
            {
                self.refused.insert(position, refused);
            }
        }
        let took = begun.elapsed();
        let failed = |of, error, pause| {
            Ok(Delivered { kept, failed: Some(Failure { at: kept, of, error, took, pause }) })
        };
        match (first, panicked, away) {
            (Some((_, State::Waits(Refused { error, pause }))), ..) => failed(1, error, pause),
            (Some(_), Some((of, error)), _) => failed(of, error, Pause::ByAttempts),
            (Some(_), None, Some(error)) => {
                self.is_away(error, &budget)?;
                Ok(Delivered::kept(kept))
            }
            _ => Ok(Delivered::kept(kept)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::time::timeout;

    use super::*;
    use crate::outbox::BoxFuture;
    use crate::{EventStore, MemoryBackend, StreamId};

    /// It refuses an entry when it is asked first, and is away from then on. How often it was asked.
    #[derive(Default)]
    struct Closing(Mutex<u32>);

    impl Publisher for Closing {
        fn publish<'a>(&'a self, _: &'a [OutboxEntry]) -> BoxFuture<'a, Answers> {
            Box::pin(async move {
                let mut asked = self.0.lock().unwrap();
                *asked += 1;
                let away = || PublishError::away("it is closed");
                vec![Err(if *asked == 1 { PublishError::refused("too heavy") } else { away() })]
            })
        }
    }

    #[tokio::test]
    async fn pauses_grow_while_the_other_end_is_away_where_nothing_is_fresh_and_an_entry_is_due() {
        let store = EventStore::new(MemoryBackend::new()).with_outbox(|_| true).unwrap();
        let event = RawEvent::new("Happened", "{}").unwrap();
        store.append(&StreamId::random(), event).await.unwrap();
        let closing = Closing::default();
        let outbox = store.outbox().pauses(Duration::ZERO, Duration::ZERO);
        let run = timeout(Duration::from_secs(1), outbox.run_forever(&closing));
        assert!(run.await.is_err(), "it goes on");
        let asked = *closing.0.lock().unwrap();
        assert!((3..15).contains(&asked), "{asked} times");
    }
}
