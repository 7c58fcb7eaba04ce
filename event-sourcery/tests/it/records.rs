//! What a test makes by hand is what a store hands over.

use event_sourcery::jiff::Timestamp;
use event_sourcery::uuid::Uuid;
use event_sourcery::{
    Context, Event as _, EventStore, MemoryBackend, RawEvent, Recorded, StreamId, TenantId, WrappedEvent,
};

fn paid() -> RawEvent {
    RawEvent::new("Paid", "{}").unwrap()
}

#[tokio::test]
async fn a_record_made_by_hand_is_the_one_that_is_read() {
    let (id, stream, acme) = (Uuid::now_v7(), StreamId::random(), TenantId::new("acme").unwrap());
    let (context, time) = (Context::new().with_correlation_id(id), Timestamp::from_second(9).unwrap());
    let store = EventStore::new(MemoryBackend::new()).for_tenant(acme.clone());
    let event = paid().with_id(id).with_created_at(time).with_context(context.clone());
    store.append(&stream, event).await.unwrap();
    let read = store.read_all::<RawEvent>().stream().try_next().await.unwrap().unwrap();

    let by_hand = WrappedEvent::new(paid()).with_id(id).with_created_at(time).with_context(context);
    let by_hand = Recorded::new(by_hand.with_version(1), stream, read.position).with_tenant_id(acme);
    assert_eq!(by_hand, read);
    assert_eq!((by_hand.event(), read.into_event()), (&paid(), paid()));
}

#[test]
fn an_event_made_by_hand_has_an_id_and_a_time_of_its_own_and_no_more() {
    let (one, other) = (WrappedEvent::new(paid()), WrappedEvent::new(paid()));
    assert_ne!(one.uuid, other.uuid);
    assert_eq!((one.version, &one.context), (None, &Context::new()));
    assert_eq!(one.created_at.subsec_nanosecond() % 1_000, 0, "as it would be read");
    assert_eq!(one.with_version(3).with_version(None).version, None);
}
