//! What passes the outbox's filter where events are appended in a transaction of the caller's.

use event_sourcery::{RawEvent, StreamId};

use crate::scene::Scene;

#[tokio::test]
async fn what_a_callers_transaction_appends_passes_the_filter_and_is_there_only_if_it_is_committed() {
    let scene = Scene::new().await;
    let store = scene.store.clone().with_outbox(|event| event.event_name == "Paid").unwrap();
    for is_committed in [false, true] {
        let mut tx = scene.begin().await;
        let events = ["Paid", "Viewed"].map(|name| RawEvent::new(name, "{}").unwrap());
        store.within(&mut tx).append(&StreamId::random(), events).await.unwrap();
        if is_committed {
            tx.commit().await.unwrap();
        } else {
            tx.rollback().await.unwrap();
        }
        let entries = "SELECT count(*) FROM event_sourcery_outbox_entries";
        assert_eq!(scene.number(entries).await, i64::from(is_committed));
    }
    let paid = "SELECT count(*) FROM event_sourcery_outbox_entries WHERE data::text LIKE '%Paid%'";
    assert_eq!(scene.number(paid).await, 1);
}
