//! A publisher that notes what it is handed, and answers as it is told.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use event_sourcery::StreamId;
use event_sourcery::outbox::{BoxFuture, OutboxEntry, PublishError, Publisher};
use tokio::time::sleep;
use uuid::Uuid;

use super::running::SOON;

/// What becomes of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Taken,
    Refused,
    Away,
    /// It arrives, and nobody is told.
    Stuck,
    /// It never arrives, and nobody is told.
    Unsent,
    /// It arrives, and is told so much later.
    Late(Duration),
}

type Plan = dyn Fn(&OutboxEntry, usize) -> Fate + Send + Sync;

/// The publisher. Clones share what they were handed.
#[derive(Clone)]
pub(super) struct Post {
    handed: Arc<Mutex<Vec<(OutboxEntry, Fate)>>>,
    at_work: Arc<Mutex<HashSet<Uuid>>>,
    /// How often an entry was handed over while it was at work on it.
    overlaps: Arc<AtomicUsize>,
    plan: Arc<Plan>,
    batch: usize,
}

impl Default for Post {
    fn default() -> Self {
        Self::that(|_, _| Fate::Taken)
    }
}

/// What has a number.
pub(super) trait Numbered {
    /// The number in the entry of an event of a ledger.
    fn number(&self) -> u64;
}

impl Numbered for OutboxEntry {
    fn number(&self) -> u64 {
        let data: serde_json::Value = serde_json::from_str(self.recorded().event().data().get()).unwrap();
        data["number"].as_u64().unwrap()
    }
}

impl Post {
    pub(super) const TAKEN: Fate = Fate::Taken;
    pub(super) const REFUSED: Fate = Fate::Refused;

    /// One that does what the plan says of an entry and how often it came before.
    pub(super) fn that(plan: impl Fn(&OutboxEntry, usize) -> Fate + Send + Sync + 'static) -> Self {
        let (handed, at_work, overlaps) = (Arc::default(), Arc::default(), Arc::default());
        Self { handed, at_work, overlaps, plan: Arc::new(plan), batch: 1 }
    }

    /// The same, which takes so many at once.
    pub(super) fn in_batches(self, batch: usize) -> Self {
        Self { batch, ..self }
    }

    fn handed(&self) -> Vec<(OutboxEntry, Fate)> {
        self.handed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The entries that it was handed, whatever became of them.
    pub(super) fn entries(&self) -> Vec<OutboxEntry> {
        self.handed().into_iter().map(|(entry, _)| entry).collect()
    }

    pub(super) fn ids(&self) -> Vec<Uuid> {
        self.entries().iter().map(|entry| entry.recorded().wrapped_event.uuid).collect()
    }

    pub(super) fn numbers(&self) -> Vec<u64> {
        self.entries().iter().map(OutboxEntry::number).collect()
    }

    pub(super) fn numbers_of(&self, stream: &StreamId) -> Vec<u64> {
        let of_it = |entry: &OutboxEntry| entry.recorded().stream_id == *stream;
        self.entries().iter().filter(|entry| of_it(entry)).map(OutboxEntry::number).collect()
    }

    /// The numbers of the entries that were taken.
    pub(super) fn taken(&self) -> Vec<u64> {
        let is_taken = |fate: &Fate| matches!(fate, Fate::Taken | Fate::Late(_));
        let taken = self.handed().into_iter().filter(|(_, fate)| is_taken(fate));
        taken.map(|(entry, _)| entry.number()).collect()
    }

    /// Whether somebody has handed it something, and was not answered.
    pub(super) fn is_at_work(&self) -> bool {
        !self.at_work.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    pub(super) fn overlaps(&self) -> usize {
        self.overlaps.load(Ordering::SeqCst)
    }

    /// What becomes of an entry, once it is on record.
    async fn take(&self, entry: &OutboxEntry) -> Result<(), PublishError> {
        let id = entry.recorded().wrapped_event.uuid;
        let before = self.ids().iter().filter(|other| **other == id).count();
        let fate = (self.plan)(entry, before);
        if fate != Fate::Unsent {
            self.handed.lock().unwrap_or_else(PoisonError::into_inner).push((entry.clone(), fate));
        }
        match fate {
            Fate::Taken => Ok(()),
            Fate::Refused => Err(PublishError::refused("it is too heavy")),
            Fate::Away => Err(PublishError::away("nobody is at the counter")),
            Fate::Stuck | Fate::Unsent => {
                sleep(SOON * 2).await;
                Err(PublishError::away("it was stuck"))
            }
            Fate::Late(by) => {
                sleep(by).await;
                Ok(())
            }
        }
    }
}

/// An entry that is being published, for as long as it is.
struct AtWork<'p>(&'p Post, Uuid);

impl<'p> AtWork<'p> {
    fn on(post: &'p Post, entry: &OutboxEntry) -> Self {
        let id = entry.recorded().wrapped_event.uuid;
        let is_first = post.at_work.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        post.overlaps.fetch_add(usize::from(!is_first), Ordering::SeqCst);
        Self(post, id)
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.at_work.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

impl Publisher for Post {
    fn batch(&self) -> usize {
        self.batch
    }

    fn publish<'a>(&'a self, entries: &'a [OutboxEntry]) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        Box::pin(async move {
            assert!(!entries.is_empty() && entries.len() <= self.batch, "{} entries", entries.len());
            let at_work: Vec<_> = entries.iter().map(|entry| AtWork::on(self, entry)).collect();
            let (mut answers, mut failed) = (Vec::new(), Vec::new());
            for entry in entries {
                let stream = &entry.recorded().stream_id;
                tokio::task::yield_now().await;
                if failed.contains(&stream) {
                    answers.push(Err(PublishError::not_tried()));
                    continue;
                }
                let answer = self.take(entry).await;
                if answer.is_err() {
                    failed.push(stream);
                }
                answers.push(answer);
            }
            drop(at_work);
            answers
        })
    }
}
