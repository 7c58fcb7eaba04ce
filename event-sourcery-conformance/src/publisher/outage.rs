//! The other end is away for a while, and comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use event_sourcery::backend::{Backend as _, OutboxRequest};
use event_sourcery::outbox::{BoxFuture, OutboxEntry, PublishError, Publisher};
use event_sourcery::{EventStore, MemoryBackend, Position, RawEvent, StreamId};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{Receiver, arrived, assert_whole_and_in_order};

/// How long the other end may be away.
const OUTAGE: Duration = Duration::from_secs(120);

/// How many entries are handed over at once meanwhile.
const SOME: usize = 20;

const STREAMS: usize = 5;

/// Publishes these as an outbox does, until all of them are published: what has failed comes again, in its place. For tests in which
/// the other end is away for a while.
///
/// # Panics
///
/// Where one is refused, or not all are published within two minutes.
pub async fn publish_all(publisher: &impl Publisher, mut entries: Vec<OutboxEntry>) {
    let until = Instant::now() + OUTAGE;
    while !entries.is_empty() {
        assert!(Instant::now() < until, "{} entries are not published", entries.len());
        let batch: Vec<_> = entries.iter().take(publisher.batch().clamp(1, SOME)).cloned().collect();
        let answers = publisher.publish(&batch).await;
        let refused = answers.iter().any(|answer| answer.as_ref().is_err_and(PublishError::is_refused));
        assert!(!refused, "nothing is wrong with any of them: {answers:?}");
        if answers.iter().any(Result::is_err) {
            // As an outbox pauses: a client needs the time to find the way back.
            sleep(Duration::from_millis(10)).await;
        }
        let mut answers = answers.into_iter();
        entries.retain(|_| answers.next().is_none_or(|answer| answer.is_err()));
    }
}

/// The other end goes away in the middle, and comes back: nothing is lost, the order of each stream holds for whoever drops repeats,
/// and nothing is parked, though one attempt is all that an entry has.
///
/// `begins` brings the outage about, `ends` ends it. From an outbox of the memory backend, events of 1,000 bytes are published all the
/// while, until the publisher says that the other end is away.
///
/// # Panics
///
/// Where the publisher breaks its promise, or does not say that the other end is away, or does not go on, within two minutes each.
pub async fn publisher_bears_an_outage(
    publisher: impl Publisher + 'static,
    receiver: &impl Receiver,
    begins: impl AsyncFnOnce(),
    ends: impl AsyncFnOnce(),
) {
    let store = EventStore::new(MemoryBackend::new()).with_outbox(|_| true).unwrap();
    let streams: Vec<_> = (0..STREAMS).map(|_| StreamId::random()).collect();
    let watched = Arc::new(Watched { publisher, was_away: AtomicBool::new(false) });
    let run = tokio::spawn(store.outbox().attempts(1).run_forever(Arc::clone(&watched)));
    let mut number = 0;
    while number < 10 {
        number += 1;
        append_to_each(&store, &streams, number).await;
    }
    until_published(&store).await;

    begins().await;
    let until = Instant::now() + OUTAGE;
    while !watched.was_away.load(Ordering::SeqCst) {
        assert!(Instant::now() < until, "nobody says that the other end is away");
        number += 1;
        append_to_each(&store, &streams, number).await;
        sleep(Duration::from_millis(50)).await;
    }
    ends().await;

    until_published(&store).await;
    assert!(!run.is_finished(), "an outbox goes on until it is told to stop");
    run.abort();
    let (mut entries, mut events) = (Vec::new(), store.read_all::<RawEvent>().stream());
    while let Some(recorded) = events.try_next().await.unwrap() {
        entries.push(OutboxEntry::new(recorded, 1));
    }
    assert_whole_and_in_order(&entries, &arrived(receiver, &entries).await);
}

async fn append_to_each(store: &EventStore<MemoryBackend>, streams: &[StreamId], number: u64) {
    for stream in streams {
        let data = json!({ "number": number, "text": "x".repeat(1_000) });
        let event = RawEvent::new("Numbered", data.to_string()).unwrap();
        store.append(stream, event).expected_version(number - 1).await.unwrap();
    }
}

/// Returns once nothing is left in the outbox.
async fn until_published(store: &EventStore<MemoryBackend>) {
    let until = Instant::now() + OUTAGE;
    loop {
        let left = store.backend().outbox(OutboxRequest::new(Position::START, 1)).await.unwrap();
        if left.records.is_empty() {
            return;
        }
        assert_eq!(store.outbox().blocked().await.unwrap(), [], "nothing is wrong with any entry");
        assert!(Instant::now() < until, "not all are published {OUTAGE:?} later");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Tells whether the other end was said to be away.
struct Watched<P> {
    publisher: P,
    was_away: AtomicBool,
}

impl<P: Publisher> Publisher for Watched<P> {
    fn batch(&self) -> usize {
        self.publisher.batch()
    }

    fn publish<'a>(&'a self, entries: &'a [OutboxEntry]) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        Box::pin(async move {
            let answers = self.publisher.publish(entries).await;
            let is_away = answers.iter().any(|answer| answer.as_ref().is_err_and(PublishError::is_away));
            self.was_away.fetch_or(is_away, Ordering::SeqCst);
            answers
        })
    }
}
