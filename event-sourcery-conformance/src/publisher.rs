//! What a publisher promises, as tests: for those who write one.
//!
//! The author of a publisher writes a [`Receiver`], which tells what has arrived at the other end, and calls each function in a
//! test. They panic where a promise is broken. For tests in which the other end is killed at random there are
//! [`publish_all`] and [`assert_whole_and_in_order`].

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is test code: a panic is a failed test"
)]

mod outage;

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

pub use self::outage::{publish_all, publisher_bears_an_outage};
use event_sourcery::Position;
use event_sourcery::RawEvent;
use event_sourcery::StreamId;
use event_sourcery::outbox::{BoxFuture, OutboxEntry, PublishError, Publisher};
use event_sourcery::{Recorded, WrappedEvent};

/// The other end of a publisher under test.
pub trait Receiver: Send + Sync {
    /// The ids of the events that have arrived there so far, in their order, repeats included.
    fn arrived(&self) -> BoxFuture<'_, Vec<Uuid>>;
}

/// How long a message may be on its way.
const PATIENCE: Duration = Duration::from_secs(20);

/// An entry of a test: the so-many-th event of a stream.
#[must_use]
pub fn entry(stream: &StreamId, number: u16) -> OutboxEntry {
    let event = RawEvent::new("Numbered", json!({ "number": number }).to_string()).unwrap();
    let wrapped = WrappedEvent::new(event).with_version(u64::from(number));
    OutboxEntry::new(Recorded::new(wrapped, stream.clone(), Position::from_i64(i64::from(number))), 1)
}

fn id(entry: &OutboxEntry) -> Uuid {
    entry.recorded().wrapped_event.uuid
}

/// What has arrived once all of these have.
async fn arrived(receiver: &impl Receiver, awaited: &[OutboxEntry]) -> Vec<Uuid> {
    let until = Instant::now() + PATIENCE;
    loop {
        let arrived = receiver.arrived().await;
        if awaited.iter().all(|entry| arrived.contains(&id(entry))) {
            return arrived;
        }
        assert!(
            Instant::now() < until,
            "of {} entries not all arrived in {PATIENCE:?}: {arrived:?}",
            awaited.len()
        );
        sleep(Duration::from_millis(20)).await;
    }
}

/// What has arrived, without its repeats, holds all of these entries, those of each stream in their order.
///
/// # Panics
///
/// Where one is missing, or comes before an earlier one of its stream.
pub fn assert_whole_and_in_order(entries: &[OutboxEntry], arrived: &[Uuid]) {
    let mut streams = BTreeMap::<String, Vec<Uuid>>::new();
    for entry in entries {
        streams.entry(entry.recorded().stream_id.to_string()).or_default().push(id(entry));
    }
    for (stream, expected) in streams {
        let mut seen = HashSet::new();
        let first = arrived.iter().filter(|arrived| expected.contains(arrived) && seen.insert(**arrived));
        assert_eq!(first.copied().collect::<Vec<_>>(), expected, "the order of stream {stream}");
    }
}

/// Entries arrive, each with its event's id, in the order of their stream; in batches of any size; and again when they are published again,
/// with the same ids.
///
/// # Panics
///
/// Where the publisher breaks its promise.
pub async fn publisher_keeps_its_promises(publisher: &impl Publisher, receiver: &impl Receiver) {
    assert!(publisher.publish(&[]).await.is_empty(), "no entries, no results");
    let most = publisher.batch().clamp(1, 100);
    assert!(publisher.batch() > 0, "a publisher takes one entry at least");
    let streams: Vec<_> = (0..3).map(|_| StreamId::random()).collect();
    let entries: Vec<_> =
        (1..=40).flat_map(|number| streams.iter().map(move |stream| entry(stream, number))).collect();
    for batch in entries.chunks(most) {
        let answers = publisher.publish(batch).await;
        assert_eq!(answers.len(), batch.len(), "one result for each entry");
        for answer in answers {
            answer.expect("nothing is wrong with it");
        }
    }
    assert_whole_and_in_order(&entries, &arrived(receiver, &entries).await);
    let again = &entries[..most.min(entries.len())];
    for answer in publisher.publish(again).await {
        answer.expect("a repeat is no failure");
    }
    let arrived = arrived(receiver, &entries).await;
    let known: HashSet<_> = entries.iter().map(id).collect();
    assert!(arrived.iter().all(|arrived| known.contains(arrived)), "a repeat has the id of the first");
}

/// A message that will not be taken, `refused` in the middle of a batch, fails alone: what stands before it has arrived, what
/// stands behind it in its stream has not, and is answered [`PublishError::not_tried`].
///
/// `refused` is an entry that the other end refuses, of a stream with no other entries.
///
/// # Panics
///
/// Where the publisher breaks its promise.
pub async fn publisher_holds_back_what_stands_behind_a_refused_message(
    publisher: &impl Publisher,
    receiver: &impl Receiver,
    refused: OutboxEntry,
) {
    let (poisoned, other) = (refused.recorded().stream_id.clone(), StreamId::random());
    let batch = [entry(&poisoned, 1), entry(&other, 1), refused, entry(&poisoned, 3), entry(&other, 2)];
    let mut answers = Vec::new();
    for part in batch.chunks(publisher.batch().max(1)) {
        // Who takes fewer at once is not asked for what stands behind a failed one.
        let part: Vec<_> = part
            .iter()
            .filter(|entry| {
                !answers.iter().any(|(failed, answer): &(OutboxEntry, Result<(), PublishError>)| {
                    answer.is_err() && failed.recorded().stream_id == entry.recorded().stream_id
                })
            })
            .cloned()
            .collect();
        let results = publisher.publish(&part).await;
        assert_eq!(results.len(), part.len(), "one result for each entry");
        answers.extend(part.into_iter().zip(results));
    }
    let answer_of = |wanted: &OutboxEntry| {
        answers.iter().find(|(entry, _)| id(entry) == id(wanted)).map(|(_, answer)| answer)
    };
    assert!(matches!(answer_of(&batch[0]), Some(Ok(()))), "it stands before the refused one: {answers:?}");
    let told = answer_of(&batch[2]).unwrap().as_ref().unwrap_err();
    assert!(told.is_refused(), "the message was refused, and nobody is away: {told:?}");
    if let Some(behind) = answer_of(&batch[3]) {
        assert!(
            behind.as_ref().is_err_and(PublishError::is_not_tried),
            "it stands behind the refused one: {behind:?}"
        );
    }
    let published: Vec<_> =
        answers.iter().filter(|(_, answer)| answer.is_ok()).map(|(entry, _)| entry.clone()).collect();
    let arrived = arrived(receiver, &published).await;
    assert!(!arrived.contains(&id(&batch[3])), "what stands behind a refused message has arrived before it");
    assert!(!arrived.contains(&id(&batch[2])), "what was refused has arrived");
}

/// While the other end is away, every entry is answered so, in a time that a caller can wait for, and none is answered refused.
///
/// # Panics
///
/// Where the publisher breaks its promise.
pub async fn publisher_tells_that_the_other_end_is_away(publisher: &impl Publisher) {
    let entries: Vec<_> = (1..=2).map(|number| entry(&StreamId::random(), number)).collect();
    for batch in entries.chunks(publisher.batch().max(1)) {
        let answering = publisher.publish(batch);
        let answers =
            tokio::time::timeout(Duration::from_secs(60), answering).await.expect("it answers in time");
        assert_eq!(answers.len(), batch.len(), "one result for each entry");
        let mut any_away = false;
        for answer in answers {
            let told = answer.expect_err("nobody is there");
            assert!(!told.is_refused(), "it counts an attempt while the other end is away: {told:?}");
            any_away |= told.is_away();
        }
        assert!(any_away, "nobody says that the other end is away");
    }
}
