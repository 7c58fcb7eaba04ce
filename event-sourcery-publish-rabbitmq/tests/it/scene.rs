//! A server, an exchange with a queue on it, and what has arrived there.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use broker_cluster::RabbitMq;
use event_sourcery::outbox::BoxFuture;
use event_sourcery::uuid::Uuid;
use event_sourcery_cloudevents::CloudEvents;
use event_sourcery_conformance::publisher::Receiver;
use event_sourcery_publish_rabbitmq::RabbitMqPublisher;
use event_sourcery_publish_rabbitmq::lapin::message::Delivery;
use event_sourcery_publish_rabbitmq::lapin::options::{
    BasicGetOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use event_sourcery_publish_rabbitmq::lapin::types::FieldTable;
use event_sourcery_publish_rabbitmq::lapin::{Channel, Connection, ConnectionProperties, ExchangeKind};

pub(crate) struct Shop {
    pub(crate) rabbitmq: Option<RabbitMq>,
    url: String,
    taken: Mutex<Vec<Uuid>>,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        Self::with_settings(&[]).await
    }

    /// An exchange `shop`, with a durable queue `books` for every key that begins with `kept`, and for the usual ones of no category.
    pub(crate) async fn with_settings(settings: &[(&str, &str)]) -> Self {
        let rabbitmq = RabbitMq::start(settings);
        let url = rabbitmq.url();
        let shop = Self { rabbitmq: Some(rabbitmq), url, taken: Mutex::default() };
        let (_connection, channel) = shop.connect().await;
        exchange(&channel, "shop").await;
        queue(&channel, "books", FieldTable::default()).await;
        for key in ["kept.#", "-.#"] {
            bind(&channel, "books", "shop", key).await;
        }
        shop
    }

    pub(crate) async fn connect(&self) -> (Connection, Channel) {
        let connection = Connection::connect(&self.url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        (connection, channel)
    }

    pub(crate) fn publisher(&self) -> RabbitMqPublisher {
        self.publisher_to("shop")
    }

    pub(crate) fn publisher_to(&self, exchange: &str) -> RabbitMqPublisher {
        let events = CloudEvents::from_source("/shop").unwrap();
        RabbitMqPublisher::new(&self.url, exchange, events).unwrap().with_timeout(Duration::from_secs(5))
    }

    pub(crate) fn rabbitmq(&mut self) -> &mut RabbitMq {
        self.rabbitmq.as_mut().unwrap()
    }

    /// What was taken so far does not count any more.
    pub(crate) fn forget(&self) {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Takes what is in the queue.
    pub(crate) async fn take(&self) -> Vec<Delivery> {
        let (_connection, channel) = self.connect().await;
        let mut taken = Vec::new();
        while let Some(message) =
            channel.basic_get("books".into(), BasicGetOptions { no_ack: true }).await.unwrap()
        {
            taken.push(message.delivery);
        }
        taken
    }
}

impl Receiver for Shop {
    fn arrived(&self) -> BoxFuture<'_, Vec<Uuid>> {
        Box::pin(async move {
            let fresh = self.take().await;
            let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
            taken.extend(fresh.iter().map(id));
            taken.clone()
        })
    }
}

pub(crate) async fn exchange(channel: &Channel, name: &str) {
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let declared = channel.exchange_declare(name.into(), ExchangeKind::Topic, durable, FieldTable::default());
    declared.await.unwrap();
}

pub(crate) async fn queue(channel: &Channel, name: &str, arguments: FieldTable) {
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.into(), durable, arguments).await.unwrap();
}

pub(crate) async fn bind(channel: &Channel, queue: &str, exchange: &str, key: &str) {
    let (options, none) = (QueueBindOptions::default(), FieldTable::default());
    channel.queue_bind(queue.into(), exchange.into(), key.into(), options, none).await.unwrap();
}

pub(crate) fn id(message: &Delivery) -> Uuid {
    message.properties.message_id().as_ref().unwrap().as_str().parse().unwrap()
}
