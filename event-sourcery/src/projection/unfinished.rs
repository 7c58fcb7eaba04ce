//! Projections that were begun in a transaction, until they are read to their end.

use crate::backend::CursorId;
use crate::error::{Error, Result};

/// Those of one transaction. A cursor that did not move would have its events given again.
#[derive(Debug, Default)]
pub(crate) struct Unfinished(Vec<CursorId>);

impl Unfinished {
    pub(super) fn begun(&mut self, id: &CursorId) {
        self.0.push(id.clone());
    }

    pub(super) fn finished(&mut self, id: &CursorId) {
        self.0.retain(|unfinished| unfinished != id);
    }

    /// Refuses to go on with one that was not read to its end.
    pub(crate) fn check(&self) -> Result<()> {
        match self.0.first() {
            None => Ok(()),
            Some(CursorId { projector, stream, .. }) => {
                Err(Error::UnfinishedProjection { projector: projector.to_string(), stream: stream.clone() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::{EventStore, MemoryBackend, Projected, Projector, RawEvent, Recorded, StreamId};

    type Store = EventStore<MemoryBackend>;

    async fn last_of_three() -> (Store, StreamId, Recorded<RawEvent>) {
        let (store, stream) = (EventStore::new(MemoryBackend::new()), StreamId::random());
        let three: Vec<_> = (0..3).map(|_| RawEvent::new("Happened", "{}").unwrap()).collect();
        store.append(&stream, three).await.unwrap();
        let mut all = store.subscribe::<RawEvent>().batches(3);
        let last = all.next(std::time::Duration::from_secs(20)).await.unwrap().events.pop();
        (store, stream, last.unwrap())
    }

    #[tokio::test]
    async fn a_transaction_whose_projection_is_not_read_to_its_end_is_rolled_back() {
        let (store, stream, last) = last_of_three().await;
        let (projector, notes) = (Projector::new("sums").unwrap(), StreamId::random());
        // What is given: `Anew`, and three events; then `None`.
        for (times, is_kept) in [(0, true), (1, false), (4, false), (5, true)] {
            let (mut projection, noted) = (projector.project(last.clone()), notes.clone());
            let done = store
                .transaction(move |tx| {
                    tx.append(&noted, RawEvent::new("Noted", "{}")?).no_versioning().run()?;
                    for _ in 0..times {
                        projection.next(tx)?;
                    }
                    Ok::<_, Error>(())
                })
                .await;
            match done {
                Ok(()) => assert!(is_kept, "{times}"),
                Err(Error::UnfinishedProjection { projector, stream: of }) => {
                    assert!(!is_kept && projector == "sums" && of == stream, "{times}");
                }
                Err(other) => panic!("{times}: {other}"),
            }
        }
        assert_eq!(store.load_stream::<RawEvent>(&notes).await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn a_handler_that_leaves_a_projection_early_has_failed() {
        let (store, _, _) = last_of_three().await;
        let (projector, calls) = (Projector::new("sums").unwrap(), Arc::new(AtomicUsize::new(0)));
        let durable = || store.subscribe::<RawEvent>().durable("sums");
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let counted = Arc::clone(&calls);
        let running =
            tokio::spawn(durable().attempts(1).until(stopped).run_in_transaction(move |recorded, tx| {
                counted.fetch_add(1, Ordering::SeqCst);
                let mut projection = projector.project(recorded);
                while let Some(projected) = projection.next(tx)? {
                    if let Projected::Event(_) = projected {
                        return Ok(());
                    }
                }
                Ok(())
            }));
        let parked = loop {
            if let Some(parked) = durable().parked().await.unwrap().pop() {
                break parked;
            }
            tokio::task::yield_now().await;
        };
        drop(stop);
        running.await.unwrap().unwrap();
        assert!(parked.error.contains("was not read to its end"), "{}", parked.error);
        assert!(calls.load(Ordering::SeqCst) > 0);
    }
}
