use event_sourcery::{Error, EventStore, MemoryBackend, RawEvent, StreamId};

async fn an_erased_store_has_no_transactions(store: EventStore) -> Result<(), Error> {
    store.transaction(|_| Ok::<(), Error>(())).await
}

async fn a_transaction_does_not_outlive_its_closure(store: EventStore<MemoryBackend>) -> Result<(), Error> {
    let mut kept = None;
    store
        .transaction(|tx| {
            kept = Some(tx);
            Ok::<(), Error>(())
        })
        .await
}

async fn an_append_in_a_transaction_is_run_not_awaited(store: EventStore<MemoryBackend>, paid: RawEvent) {
    let appended = store.transaction(|tx| tx.append(&StreamId::random(), paid)).await;
    drop(appended);
}

fn main() {}
