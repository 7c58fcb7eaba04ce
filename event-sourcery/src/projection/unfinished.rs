//! Projections that were begun in a transaction, until they are read to their end.

use crate::backend::CursorId;
use crate::error::{Error, Result};

/// Those of one transaction. A cursor that did not move would have its events given again.
#[derive(Debug, Default)]
pub(crate) struct Unfinished(Vec<CursorId>);

impl Unfinished {
    /// Refuses to begin where another one has begun with the same cursor: both would give what is behind it.
    pub(super) fn begin(&self, id: &CursorId) -> Result<()> {
        refuse(self.0.iter().find(|unfinished| *unfinished == id))
    }

    pub(super) fn begun(&mut self, id: &CursorId) {
        self.0.push(id.clone());
    }

    pub(super) fn finished(&mut self, id: &CursorId) {
        self.0.retain(|unfinished| unfinished != id);
    }

    /// Refuses to go on with one that was not read to its end.
    pub(crate) fn check(&self) -> Result<()> {
        refuse(self.0.first())
    }
}

fn refuse(unfinished: Option<&CursorId>) -> Result<()> {
    let Some(CursorId { projector, stream, .. }) = unfinished else { return Ok(()) };
    Err(Error::UnfinishedProjection { projector: projector.to_string(), stream: stream.clone() })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{EventStore, MemoryBackend, Projected, Projector, RawEvent, Recorded, StreamId};

    type Store = EventStore<MemoryBackend>;

    async fn last_of_three() -> (Store, StreamId, Recorded<RawEvent>) {
        let (store, stream) = (EventStore::new(MemoryBackend::new()), StreamId::random());
        let three: Vec<_> = (0..3).map(|_| RawEvent::new("Happened", "{}").unwrap()).collect();
        store.append(&stream, three).await.unwrap();
        let mut all = store.subscribe::<RawEvent>().batches(3);
        let last = all.next(Duration::from_secs(20)).await.unwrap().events.pop();
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

    /// What the first has given, the second would give again.
    #[tokio::test]
    async fn another_projection_of_a_stream_cannot_begin_before_the_first_is_read_to_its_end() {
        let (store, _, last) = last_of_three().await;
        let projector = Projector::new("sums").unwrap();
        for (times, begins) in [(1, false), (4, false), (5, true), (6, true)] {
            let (mut first, mut second) = (projector.project(last.clone()), projector.project(last.clone()));
            let done = store
                .transaction(move |tx| {
                    for _ in 0..times {
                        first.next(tx)?;
                    }
                    while second.next(tx)?.is_some() {}
                    // Over is over, also while another one is under way.
                    assert!(times < 5 || first.next(tx)?.is_none());
                    Ok::<_, Error>(())
                })
                .await;
            assert_eq!(done.is_ok(), begins, "{times}: {done:?}");
        }
    }

    #[tokio::test]
    async fn a_handler_that_leaves_a_projection_early_has_failed() {
        let (store, _, _) = last_of_three().await;
        let projector = Projector::new("sums").unwrap();
        let durable = || store.subscribe::<RawEvent>().durable("sums");
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let running =
            tokio::spawn(durable().attempts(1).until(stopped).run_in_transaction(move |recorded, tx| {
                let mut projection = projector.project(recorded);
                while let Some(projected) = projection.next(tx)? {
                    if let Projected::Event(_) = projected {
                        return Ok(());
                    }
                }
                Ok(())
            }));
        let parked = async {
            loop {
                if let Some(parked) = durable().parked().await.unwrap().pop() {
                    break parked;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let parked = tokio::time::timeout(Duration::from_secs(20), parked).await.expect("it is parked");
        drop(stop);
        running.await.unwrap().unwrap();
        assert!(parked.error.contains("was not read to its end"), "{}", parked.error);
    }
}
