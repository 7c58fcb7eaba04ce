//! The publisher.

use std::fmt;
use std::time::Duration;

use event_sourcery::outbox::{BoxFuture, OutboxEntry, PublishError, Publisher, in_rounds};
use event_sourcery::{RawEvent, Recorded};
use event_sourcery_cloudevents::{CloudEvents, Form};
use lapin::uri::AMQPUri;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::link::Link;
use crate::message::{Messages, usual};
use crate::round::{self, Broken, Ended};

/// How many messages are on their way at once.
const BATCH: usize = 500;

/// How long a round may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Publishes to an exchange of RabbitMQ.
///
/// Each message is persistent, carries the event's id as `message_id`, and is `mandatory`: one that no queue takes is given back, and
/// [`refused`](PublishError::refused). It counts as published when RabbitMQ has confirmed it. Everything else (nobody there, no such
/// exchange, a full queue that says so, an alarm of memory or disk, a confirm that does not come in 30 seconds) is
/// [`away`](PublishError::away): nothing is parked for it. A message that was given up may be stored all the same; its repeat has the same
/// id, and RabbitMQ drops no repeats.
///
/// Messages of different streams of the store are on their way together, up to [`batch`](Self::with_batch); those of one, one after
/// the other. So the order within each holds, whatever is lost or late, for whoever drops repeats by their id. Workers that share a publisher take
/// turns; give each one of its own.
///
/// **What is confirmed before it is on disk**, or at all:
/// - A durable classic queue confirms a persistent message once it is written and synced. A queue that is not durable keeps it
///   in memory.
/// - A quorum queue confirms once most of its members have written it to their logs and synced them.
/// - An exchange with several queues confirms once all have it. A queue that is full drops its oldest message, which was confirmed,
///   unless its `overflow` is `reject-publish`.
///
/// None of it can be seen through AMQP by whoever publishes, so nothing is warned of.
pub struct RabbitMqPublisher {
    address: AMQPUri,
    exchange: String,
    messages: Messages,
    batch: usize,
    patience: Duration,
    /// Not there while a round is under way on it: so a round that is given up leaves none.
    link: Mutex<Option<Link>>,
}

/// An address, or an exchange, that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is refused: {problem}")]
pub struct InvalidAddress {
    what: &'static str,
    problem: String,
}

impl RabbitMqPublisher {
    /// Publishes to this exchange of the server at this address (`amqp://user:password@host:port/vhost`, `amqps://` for TLS). The
    /// exchange has to be there. The routing keys are `category.type`, such as `invoices.Paid`, with `-` where a stream has no category;
    /// names are encoded as [`token`](event_sourcery_cloudevents::token) says. It connects when it has something to publish.
    ///
    /// # Errors
    ///
    /// [`InvalidAddress`] for an address that cannot be read, and for an exchange whose name has more than 255 bytes.
    pub fn new(
        address: &str,
        exchange: impl Into<String>,
        events: CloudEvents,
    ) -> Result<Self, InvalidAddress> {
        let exchange = exchange.into();
        if exchange.len() > 255 {
            let problem = format!("it has {} bytes, and AMQP holds 255", exchange.len());
            return Err(InvalidAddress { what: "the exchange's name", problem });
        }
        // Its own words may hold the password.
        let unreadable = |_| InvalidAddress {
            what: "the address",
            problem: "it does not read as amqp://user:password@host:port/vhost".to_owned(),
        };
        Ok(Self {
            address: address.parse().map_err(unreadable)?,
            exchange,
            messages: Messages { events, form: Form::default(), routing_key: Box::new(usual) },
            batch: BATCH,
            patience: PATIENCE,
            link: Mutex::default(),
        })
    }

    /// The same with routing keys of your own, of at most 255 bytes; a longer one refuses the message.
    #[must_use]
    pub fn with_routing_key(
        self,
        routing_key: impl Fn(&Recorded<RawEvent>) -> String + Send + Sync + 'static,
    ) -> Self {
        Self { messages: Messages { routing_key: Box::new(routing_key), ..self.messages }, ..self }
    }

    /// The same in another form: structured, unless told otherwise.
    #[must_use]
    pub fn with_form(self, form: Form) -> Self {
        Self { messages: Messages { form, ..self.messages }, ..self }
    }

    /// The same with so many messages on their way at once, at least one; 500 unless told otherwise.
    #[must_use]
    pub fn with_batch(self, batch: usize) -> Self {
        Self { batch: batch.max(1), ..self }
    }

    /// The same with so much time for connecting, and for what is on its way together; 30 seconds unless told otherwise. Longer than the lease
    /// of whoever runs the outbox, it would be published by somebody else meanwhile.
    #[must_use]
    pub fn with_timeout(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    async fn round(&self, entries: Vec<&OutboxEntry>) -> Vec<Result<(), PublishError>> {
        let mut link = self.link.lock().await;
        match self.attempt(&mut link, &entries).await {
            Ok(answers) => answers,
            Err(broken) if broken.is_of_a_message => self.one_by_one(&mut link, &entries).await,
            Err(broken) => entries.iter().map(|_| Err(broken.away())).collect(),
        }
    }

    /// All of a round break for one of its messages, and are not told for which.
    async fn one_by_one(
        &self,
        link: &mut Option<Link>,
        entries: &[&OutboxEntry],
    ) -> Vec<Result<(), PublishError>> {
        let mut answers = Vec::with_capacity(entries.len());
        for entry in entries {
            match self.attempt(link, &[*entry]).await {
                Ok(answer) => answers.extend(answer),
                Err(broken) if broken.is_of_a_message => answers.push(Err(broken.refused())),
                Err(broken) => {
                    answers.push(Err(broken.away()));
                    break;
                }
            }
        }
        answers
    }

    /// Publishes these together, on the link that is there, or on a new one; it is there afterwards if everything was answered.
    async fn attempt(
        &self,
        kept: &mut Option<Link>,
        entries: &[&OutboxEntry],
    ) -> Result<Vec<Result<(), PublishError>>, Broken> {
        let link = match kept.take().filter(Link::is_open) {
            Some(link) => link,
            None => self.connect().await?,
        };
        let deadline = Instant::now() + self.patience;
        match round::publish(&link, &self.exchange, &self.messages, entries, deadline).await {
            Ended::Answered(answers) => {
                *kept = Some(link);
                Ok(answers)
            }
            Ended::Broken(broken) => Err(broken),
        }
    }

    async fn connect(&self) -> Result<Link, Broken> {
        match timeout(self.patience, Link::open(&self.address, &self.exchange)).await {
            Ok(opened) => opened.map_err(Broken::of_the_link),
            Err(_) => Err(Broken::not_in_time()),
        }
    }
}

impl Publisher for RabbitMqPublisher {
    fn batch(&self) -> usize {
        self.batch
    }

    fn publish<'a>(&'a self, entries: &'a [OutboxEntry]) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        Box::pin(in_rounds(entries, move |round| self.round(round)))
    }
}

/// Nothing of how the server is reached.
impl fmt::Debug for RabbitMqPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitMqPublisher")
            .field("exchange", &self.exchange)
            .field("events", &self.messages.events)
            .field("form", &self.messages.form)
            .field("batch", &self.batch)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}
