//! A server, a stream on it, and what has arrived there.

use std::time::{Duration, Instant};

use async_nats::connection::State;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::stream::Config;
use async_nats::jetstream::{self, Context, Message};
use broker_cluster::Nats;
use event_sourcery::outbox::BoxFuture;
use event_sourcery::uuid::Uuid;
use event_sourcery_cloudevents::CloudEvents;
use event_sourcery_conformance::publisher::Receiver;
use event_sourcery_publish_nats::NatsPublisher;
use futures_util::TryStreamExt as _;

/// What is waited for comes within this, or never.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Shop {
    pub(crate) nats: Option<Nats>,
    pub(crate) context: Context,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        Self::with_stream(Config::default()).await
    }

    /// The stream with these settings, which takes `shop.>`, and no message above 100,000 bytes.
    pub(crate) async fn with_stream(config: Config) -> Self {
        Self::on(Nats::start(), config).await
    }

    /// The same on this server.
    pub(crate) async fn on(nats: Nats, config: Config) -> Self {
        let context = connect(&nats.url()).await;
        let (name, subjects) = ("SHOP".to_owned(), vec!["shop.>".to_owned()]);
        let stream = Config { name, subjects, max_message_size: 100_000, ..config };
        context.create_stream(stream).await.unwrap();
        Self { nats: Some(nats), context }
    }

    pub(crate) fn publisher(&self) -> NatsPublisher {
        publisher(self.context.clone())
    }

    pub(crate) fn nats(&mut self) -> &mut Nats {
        self.nats.as_mut().unwrap()
    }

    /// All messages that the stream holds, in its order.
    pub(crate) async fn messages(&self) -> Vec<Message> {
        let stream = self.context.get_stream("SHOP").await.unwrap();
        let count = usize::try_from(stream.cached_info().state.messages).unwrap();
        let unacknowledged = pull::Config { ack_policy: AckPolicy::None, ..pull::Config::default() };
        let consumer = stream.create_consumer(unacknowledged).await.unwrap();
        let mut messages = Vec::new();
        while messages.len() < count {
            let batch = consumer.fetch().max_messages(count - messages.len()).messages().await.unwrap();
            messages.extend(batch.try_collect::<Vec<_>>().await.unwrap());
        }
        messages
    }
}

impl Receiver for Shop {
    fn arrived(&self) -> BoxFuture<'_, Vec<Uuid>> {
        Box::pin(async move { self.messages().await.iter().map(id).collect() })
    }
}

/// One that publishes to the stream.
pub(crate) fn publisher(context: Context) -> NatsPublisher {
    NatsPublisher::new(context, "SHOP", "shop", CloudEvents::from_source("/shop").unwrap())
}

/// Returns once the client is connected.
async fn connect(url: &str) -> Context {
    let context = connect_later(url).await;
    let deadline = Instant::now() + PATIENCE;
    while context.client().connection_state() != State::Connected {
        assert!(Instant::now() < deadline, "no connection");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    context
}

/// A client that goes on until it is connected; it gives up an answer after two seconds.
pub(crate) async fn connect_later(url: &str) -> Context {
    let client = async_nats::ConnectOptions::new().retry_on_initial_connect().connect(url).await.unwrap();
    let mut context = jetstream::new(client);
    context.set_timeout(Duration::from_secs(2));
    context
}

pub(crate) fn id(message: &Message) -> Uuid {
    message.headers.as_ref().unwrap().get("Nats-Msg-Id").unwrap().as_str().parse().unwrap()
}
