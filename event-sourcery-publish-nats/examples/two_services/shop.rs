//! The shop: takes orders, and publishes them from its outbox.

use std::path::Path;
use std::time::Duration;

use event_sourcery::{Error, EventStore, StreamId};
use event_sourcery_cloudevents::CloudEvents;
use event_sourcery_publish_nats::NatsPublisher;
use event_sourcery_sqlite::SqliteBackend;
use tokio::time::sleep;

use crate::Failure;
use crate::messages::{OrderPlaced, PREFIX, STREAM, connect, stream};

/// Who orders.
pub(crate) const CUSTOMERS: [&str; 3] = ["ada", "alan", "grace"];

/// Takes so many orders of each customer, goes on where it was, and publishes until it is told to end.
pub(crate) async fn run(folder: &Path, nats: &str, orders: u64) -> Result<(), Failure> {
    let backend = SqliteBackend::open(folder.join("shop.db")).await?;
    let store = EventStore::new(backend).with_outbox(|event| event.event_name == "OrderPlaced")?;
    let jetstream = connect(nats).await?;
    let publisher = NatsPublisher::new(jetstream.clone(), STREAM, PREFIX, CloudEvents::from_source("/shop")?);

    let outbox = store.outbox().until(tokio::signal::ctrl_c());
    let publishing = tokio::spawn(async move {
        stream(&jetstream).await;
        outbox.run_forever(publisher).await
    });
    // Orders are taken while the broker is away, too.
    for number in 1..=orders {
        for customer in CUSTOMERS {
            order(&store, customer, number).await?;
        }
        sleep(Duration::from_millis(5)).await;
    }
    Ok(publishing.await??)
}

/// The order of this number, unless it was taken before the process was killed.
async fn order(store: &EventStore<SqliteBackend>, customer: &str, number: u64) -> Result<(), Error> {
    let stream_id = StreamId::from_name(customer)?.in_category("orders")?;
    let placed = OrderPlaced { customer: customer.to_owned(), number, cents: 100 * number };
    match store.append(&stream_id, placed).expected_version(number - 1).await {
        Err(Error::Conflict { actual, .. }) if actual >= number => Ok(()),
        placed => placed.map(drop),
    }
}
