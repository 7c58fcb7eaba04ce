//! What passes the outbox's filter where events are appended in a closure.

use event_sourcery::backend::{Backend as _, OutboxRequest};
use event_sourcery::{Error, EventStore, MemoryBackend, Position, RawEvent, StreamId};

#[tokio::test]
async fn what_a_closure_appends_passes_the_filter_and_is_there_only_if_it_is_kept() {
    let store = EventStore::new(MemoryBackend::new());
    let store = store.with_outbox(|event| event.event_name == "Paid").unwrap();
    for is_kept in [false, true] {
        let done = store.transaction::<_, Error, _>(move |tx| {
            let events = [RawEvent::new("Paid", "{}")?, RawEvent::new("Viewed", "{}")?];
            tx.append(&StreamId::random(), events).run()?;
            if is_kept { Ok(()) } else { Err(Error::Closed) }
        });
        assert_eq!(done.await.is_ok(), is_kept);
        let entries = store.backend().outbox(OutboxRequest::new(Position::START, 10)).await.unwrap().records;
        let names: Vec<_> = entries.iter().map(|record| &*record.event.name).collect();
        assert_eq!(names, if is_kept { vec!["Paid"] } else { vec![] });
    }
}
