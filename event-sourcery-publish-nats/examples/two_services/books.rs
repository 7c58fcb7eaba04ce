//! The books: enter each order once, however often it is delivered.

use std::path::Path;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::{Context, Message};
use event_sourcery::EventStore;
use event_sourcery_sqlite::{Inbox, SqliteBackend};
use futures_util::StreamExt as _;
use serde::Deserialize;
use tokio::time::sleep;

use crate::Failure;
use crate::messages::{OrderPlaced, connect, stream};

const TABLE: &str = "CREATE TABLE IF NOT EXISTS sales (
    id INTEGER PRIMARY KEY, customer TEXT NOT NULL, number INTEGER NOT NULL, cents INTEGER NOT NULL
)";

/// What books read of a message: a CloudEvent.
#[derive(Deserialize)]
struct Delivered {
    id: String,
    data: OrderPlaced,
}

#[derive(Clone)]
struct Books {
    store: EventStore<SqliteBackend>,
    inbox: Inbox,
}

/// Enters what comes, until it is told to end.
pub(crate) async fn run(folder: &Path, nats: &str) -> Result<(), Failure> {
    let store = EventStore::new(SqliteBackend::open(folder.join("books.db")).await?);
    let inbox = store.transaction::<_, Failure, _>(|tx| {
        tx.connection().execute(TABLE, [])?;
        Ok(Inbox::open(tx.connection(), "books")?)
    });
    let books = Books { inbox: inbox.await?, store };
    let jetstream = connect(nats).await?;
    tokio::select! {
        told = tokio::signal::ctrl_c() => Ok(told?),
        never = books.follow(&jetstream) => match never {},
    }
}

impl Books {
    /// Follows the shop, whatever becomes of the broker.
    async fn follow(&self, jetstream: &Context) -> std::convert::Infallible {
        loop {
            let Err(failure) = self.enter_all(jetstream).await;
            eprintln!("once more: {failure}");
            sleep(Duration::from_millis(200)).await;
        }
    }

    async fn enter_all(&self, jetstream: &Context) -> Result<std::convert::Infallible, Failure> {
        // One message at a time: a message that is delivered again comes before those behind it. So the order holds.
        let one_by_one = pull::Config {
            durable_name: Some("books".to_owned()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: Duration::from_secs(2),
            max_ack_pending: 1,
            ..pull::Config::default()
        };
        let consumer = stream(jetstream).await.get_or_create_consumer("books", one_by_one).await?;
        let mut messages = consumer.messages().await?;
        while let Some(message) = messages.next().await {
            let message = message?;
            self.enter(&message).await?;
            // Only now, and in any case: what is entered is not to come again.
            message.double_ack().await?;
        }
        Err("the broker delivers nothing any more".into())
    }

    /// The entry and the message's id, in one transaction.
    async fn enter(&self, message: &Message) -> Result<(), Failure> {
        let Delivered { id, data: order } = serde_json::from_slice(&message.payload)?;
        let inbox = self.inbox.clone();
        let entered = self.store.transaction::<_, Failure, _>(move |tx| {
            inbox.handle(tx, &id, |tx| {
                let insert = "INSERT INTO sales (customer, number, cents) VALUES (?1, ?2, ?3)";
                tx.connection().execute(insert, (&order.customer, order.number, order.cents))?;
                println!("{}: order {}", order.customer, order.number);
                Ok(())
            })
        });
        entered.await.map(drop)
    }
}
