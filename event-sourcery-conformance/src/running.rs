//! Durable subscriptions that run while a case goes on, and what they have handled.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use event_sourcery::backend::{Backend, BlockedStream};
use event_sourcery::{
    Durable, Error, Event, EventStore, Passed, Position, Recorded, Result, Source, StreamId, Subscribe,
    TenantId, Version,
};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::ledger::Noted;
use super::reaction::Reaction;
use super::subject::Reactor;

/// No case waits longer for what has to happen.
pub(super) const SOON: Duration = Duration::from_secs(30);

/// Waits until something is so. It fails with what it waited for.
pub(super) async fn eventually(what: &str, is_so: impl AsyncFnMut() -> bool) {
    within(SOON, what, is_so).await;
}

/// The same, where it is so much that a slow machine takes longer.
pub(super) async fn within(limit: Duration, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let give_up = Instant::now() + limit;
    while !is_so().await {
        assert!(Instant::now() < give_up, "it never came about that {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The options of a durable subscription of notes: short times, so that cases are.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) name: &'static str,
    pub(super) lease: Duration,
    pub(super) batch: usize,
    pub(super) attempts: u32,
    pub(super) pauses: (Duration, Duration),
    pub(super) segments: Option<u16>,
    pub(super) names: &'static [&'static str],
    pub(super) widen: Option<Passed>,
    pub(super) handler_timeout: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "letters",
            lease: Duration::from_secs(2),
            batch: 64,
            attempts: 3,
            pauses: (Duration::from_millis(1), Duration::from_millis(4)),
            segments: None,
            names: &["noted"],
            widen: None,
            handler_timeout: None,
        }
    }
}

impl Settings {
    /// Members that are gone are followed soon.
    pub(super) fn with_short_lease() -> Self {
        Self { lease: Duration::from_millis(120), ..Self::default() }
    }

    pub(super) fn of<B: Backend, E: Event>(&self, subscribe: Subscribe<B, E>) -> Durable<B, E> {
        let durable = subscribe
            .event_names(self.names.iter().copied())
            .durable(self.name)
            .lease(self.lease)
            .batch(self.batch)
            .attempts(self.attempts)
            .pauses(self.pauses.0, self.pauses.1);
        let durable = match self.widen {
            Some(passed) => durable.widen(passed),
            None => durable,
        };
        let durable = match self.handler_timeout {
            Some(time) => durable.handler_timeout(time),
            None => durable,
        };
        match self.segments {
            Some(count) => durable.segments(count),
            None => durable,
        }
    }
}

/// The subscription of a ledger's notes, as most cases have it.
pub(super) fn letters(store: &EventStore) -> Durable<Arc<dyn Backend>, Noted> {
    Settings::default().of(store.subscribe())
}

/// Asserts that what was to be done to a failed event was refused: its stream does not wait for it any more.
pub(super) fn assert_not_blocked(answer: Result<()>, failed: &BlockedStream) {
    assert_refused!(
        answer,
        Error::NotBlocked { subscription, stream, position }
            if subscription == "letters" && stream == failed.stream && position == failed.position,
    );
}

/// A durable subscription that runs in a task of its own, and ends with it.
pub(super) struct Running {
    stop: Option<Stop>,
    task: JoinHandle<Result<()>>,
}

/// Stops a run, which tells when it has seen that.
struct Stop {
    told: oneshot::Sender<()>,
    seen: oneshot::Receiver<()>,
}

impl Stop {
    /// With what a run waits for.
    fn new() -> (Self, impl Future<Output = ()> + Send + 'static) {
        let ((told, is_told), (sees, seen)) = (oneshot::channel(), oneshot::channel());
        let until = async move {
            drop(is_told.await);
            let _ = sees.send(());
        };
        (Self { told, seen }, until)
    }
}

impl Running {
    pub(super) fn start<E, F>(
        durable: Durable<Arc<dyn Backend>, E>,
        handler: impl Fn(Recorded<E>, EventStore) -> F + Send + Sync + 'static,
    ) -> Self
    where
        E: Event,
        F: Future<Output = Result<(), Source>> + Send + 'static,
    {
        let (stop, stopped) = Stop::new();
        let run = durable.until(stopped).run(async move |recorded, store| handler(recorded, store).await);
        Self { stop: Some(stop), task: tokio::spawn(telling(run)) }
    }

    /// Runs with a handler that takes batches.
    pub(super) fn start_batches<E, F>(
        durable: Durable<Arc<dyn Backend>, E>,
        handler: impl Fn(Vec<Recorded<E>>, EventStore) -> F + Send + Sync + 'static,
    ) -> Self
    where
        E: Event,
        F: Future<Output = Result<(), Source>> + Send + 'static,
    {
        let (stop, stopped) = Stop::new();
        let run = durable.until(stopped).run_batches(async move |batch, store| handler(batch, store).await);
        Self { stop: Some(stop), task: tokio::spawn(telling(run)) }
    }

    /// Runs with a handler that notes what it is handed.
    pub(super) fn noting(durable: Durable<Arc<dyn Backend>, Noted>, handled: &Handled) -> Self {
        let handled = handled.clone();
        Self::start(durable, move |recorded, _| {
            handled.note(&recorded);
            std::future::ready(Ok(()))
        })
    }

    /// Runs with a handler that answers one call after the other: what the plan says of an event and how often it came before.
    pub(super) fn planned(
        durable: Durable<Arc<dyn Backend>, Noted>,
        handled: &Handled,
        plan: impl Fn(&Item, usize) -> Result<(), Source> + Send + Sync + 'static,
    ) -> Self {
        let (handled, plan) = (handled.clone(), Arc::new(plan));
        Self::start(durable, move |recorded, _| {
            let (handled, plan) = (handled.clone(), Arc::clone(&plan));
            async move {
                let item = Item::of(&recorded);
                let before = handled.items().iter().filter(|other| other.position == item.position).count();
                handled.note(&recorded);
                plan(&item, before)
            }
        })
    }

    pub(super) fn exactly_once(reactor: &Arc<dyn Reactor>, settings: Settings, reaction: Reaction) -> Self {
        let (stop, stopped) = Stop::new();
        let run = reactor.run_exactly_once(settings, Box::pin(stopped), reaction);
        Self { stop: Some(stop), task: tokio::spawn(telling(run)) }
    }

    /// Stops it as its user would, and waits for its end.
    pub(super) async fn stop(mut self) {
        self.request_stop().await;
        self.ended().await.expect("a run that is stopped ends well");
    }

    /// Tells it to stop, and waits until it has seen that. It may have ended by itself.
    pub(super) async fn request_stop(&mut self) {
        if let Some(Stop { told, seen }) = self.stop.take()
            && told.send(()).is_ok()
        {
            drop(tokio::time::timeout(SOON, seen).await);
        }
    }

    /// What the run ends with.
    pub(super) async fn ended(mut self) -> Result<()> {
        let ended = tokio::time::timeout(SOON, &mut self.task).await;
        ended.expect("the run comes to an end").expect("the run does not panic")
    }

    /// Drops it wherever it is, as though its process was killed.
    pub(super) async fn kill(mut self) {
        self.task.abort();
        drop((&mut self.task).await);
    }
}

/// A case that waits in vain for what a run should do is told that it has ended.
async fn telling(run: impl Future<Output = Result<()>>) -> Result<()> {
    let ended = run.await;
    if let Err(error) = &ended {
        eprintln!("a run has ended: {error:?}");
    }
    ended
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An event that was handled.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Item {
    pub(super) stream: StreamId,
    pub(super) tenant: TenantId,
    pub(super) version: Option<Version>,
    pub(super) number: u64,
    pub(super) position: Position,
}

impl Item {
    fn of(recorded: &Recorded<Noted>) -> Self {
        Self {
            stream: recorded.stream_id.clone(),
            tenant: recorded.tenant_id.clone(),
            version: recorded.wrapped_event.version,
            number: recorded.wrapped_event.event.number,
            position: recorded.position,
        }
    }
}

/// What handlers have handled, in their order. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Handled(Arc<Mutex<Vec<Item>>>);

impl Handled {
    pub(super) fn note(&self, recorded: &Recorded<Noted>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Item::of(recorded));
    }

    pub(super) fn items(&self) -> Vec<Item> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn numbers(&self) -> Vec<u64> {
        self.items().iter().map(|item| item.number).collect()
    }

    /// The numbers of one stream.
    pub(super) fn of(&self, stream: &StreamId) -> Vec<u64> {
        self.items().iter().filter(|item| item.stream == *stream).map(|item| item.number).collect()
    }

    pub(super) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Waits until so many events are handled.
    pub(super) async fn reach(&self, count: usize) {
        eventually(&format!("{count} events are handled"), async || self.items().len() >= count).await;
    }
}
