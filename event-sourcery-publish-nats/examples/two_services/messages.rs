//! What the two services agree on, and how they reach the broker.

use std::time::Duration;

use async_nats::ConnectOptions;
use async_nats::jetstream::stream::Config;
use async_nats::jetstream::{self, Context};
use event_sourcery::Event;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

/// Somebody has ordered something: the so-many-th order of this customer.
#[derive(Event, Serialize, Deserialize, Debug)]
pub(crate) struct OrderPlaced {
    pub(crate) customer: String,
    pub(crate) number: u64,
    pub(crate) cents: u64,
}

/// The stream of the broker that holds the shop's events.
pub(crate) const STREAM: &str = "SHOP";

/// What its subjects begin with.
pub(crate) const PREFIX: &str = "shop";

/// A connection that bears it when the broker is not there yet.
pub(crate) async fn connect(nats: &str) -> Result<Context, async_nats::ConnectError> {
    let client = ConnectOptions::new().retry_on_initial_connect().connect(nats).await?;
    let mut jetstream = jetstream::new(client);
    jetstream.set_timeout(Duration::from_secs(2));
    Ok(jetstream)
}

/// The broker's stream, once the broker is there. Whoever comes first creates it.
pub(crate) async fn stream(jetstream: &Context) -> jetstream::stream::Stream {
    let config =
        Config { name: STREAM.to_owned(), subjects: vec![format!("{PREFIX}.>")], ..Config::default() };
    loop {
        match jetstream.get_or_create_stream(config.clone()).await {
            Ok(stream) => return stream,
            Err(failure) => eprintln!("the broker is not there: {failure}"),
        }
        sleep(Duration::from_millis(200)).await;
    }
}
