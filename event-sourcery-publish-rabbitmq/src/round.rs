//! Messages that are on their way together on one link, and what becomes of each.
//!
//! RabbitMQ gives a message back before it confirms it, and the client (lapin) hands it out with some confirm of the channel. So a round
//! has a channel to itself, is told only when all of it is confirmed, and looks its messages up by their ids; a channel on which a round
//! was not brought to its end is closed.

use std::collections::HashMap;
use std::sync::Arc;

use event_sourcery::outbox::{OutboxEntry, PublishError};
use lapin::options::BasicPublishOptions;
use lapin::{ErrorKind, PublisherConfirm};
use tokio::time::{Instant, timeout_at};

use crate::link::Link;
use crate::message::{Message, Messages};

/// AMQP's code for a message that is too large, among other things: it ends the channel.
const PRECONDITION_FAILED: u16 = 406;

/// What became of a round.
pub(crate) enum Ended {
    /// Everything was answered; the link can be used again.
    Answered(Vec<Result<(), PublishError>>),
    /// Something was not answered, or the link broke.
    Broken(Broken),
}

/// Why a round broke.
pub(crate) struct Broken {
    /// Shared by all that it happened to.
    why: Arc<dyn std::error::Error + Send + Sync>,
    /// Whether one of the messages is to blame.
    pub(crate) is_of_a_message: bool,
}

impl From<lapin::Error> for Broken {
    fn from(error: lapin::Error) -> Self {
        let is_of_a_message =
            matches!(error.kind(), ErrorKind::ProtocolError(told) if told.get_id() == PRECONDITION_FAILED);
        Self { why: Arc::new(error), is_of_a_message }
    }
}

/// A time-out, told as what it was for.
#[derive(Debug, thiserror::Error)]
#[error("RabbitMQ did not confirm in time: it may have an alarm of its memory or its disk")]
struct NotInTime;

impl Broken {
    /// None of the messages was sent yet.
    pub(crate) fn of_the_link(error: lapin::Error) -> Self {
        Self { why: Arc::new(error), is_of_a_message: false }
    }

    pub(crate) fn not_in_time() -> Self {
        Self { why: Arc::new(NotInTime), is_of_a_message: false }
    }

    pub(crate) fn away(&self) -> PublishError {
        PublishError::away(Arc::clone(&self.why))
    }

    pub(crate) fn refused(&self) -> PublishError {
        PublishError::refused(Arc::clone(&self.why))
    }
}

/// No queue has taken a message.
#[derive(Debug, thiserror::Error)]
#[error(
    "RabbitMQ gave the message back, with the code {code} ({text}): bind a queue to the exchange {exchange:?} for the routing key \
     {key:?}"
)]
struct GivenBack {
    code: u16,
    text: String,
    exchange: String,
    key: String,
}

/// A queue has not taken it, such as one that is full.
#[derive(Debug, thiserror::Error)]
#[error("RabbitMQ has not taken the message (nack): a queue may be full")]
struct NotTaken;

/// Sends these, and waits until all are confirmed.
pub(crate) async fn publish(
    link: &Link,
    exchange: &str,
    messages: &Messages,
    entries: &[&OutboxEntry],
    deadline: Instant,
) -> Ended {
    let mut sent = Vec::with_capacity(entries.len());
    for entry in entries {
        sent.push(match messages.of(entry, link.frame()) {
            Ok(message) => match send(link, exchange, &message, deadline).await {
                Ok(confirm) => Ok((message.id, confirm)),
                Err(broken) => return Ended::Broken(cause(sent, broken, deadline).await),
            },
            Err(refused) => Err(refused),
        });
    }
    match confirmed(sent, deadline).await {
        Ok(answers) => Ended::Answered(answers),
        Err(broken) => Ended::Broken(broken),
    }
}

/// Why nothing more could be sent. A channel that one of the messages has ended refuses the next one by its state alone; the reason is in
/// the confirms of those sent before.
async fn cause(sent: Vec<Sent>, broken: Broken, deadline: Instant) -> Broken {
    confirmed(sent, deadline).await.err().unwrap_or(broken)
}

async fn send(
    link: &Link,
    exchange: &str,
    message: &Message,
    deadline: Instant,
) -> Result<PublisherConfirm, Broken> {
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let (key, properties) = (message.routing_key.clone(), message.properties.clone());
    let sending =
        link.channel.basic_publish(exchange.into(), key, options, message.body.as_bytes(), properties);
    match timeout_at(deadline, sending).await {
        Ok(sent) => Ok(sent?),
        Err(_) => Err(Broken::not_in_time()),
    }
}

type Sent = Result<(String, PublisherConfirm), PublishError>;

/// What is given back comes before its confirm; the client hands it out with some confirm of the round, and not always with its own. So
/// nothing is told before all are there, and what was given back is told by its id.
async fn confirmed(sent: Vec<Sent>, deadline: Instant) -> Result<Vec<Result<(), PublishError>>, Broken> {
    let (mut taken, mut given_back) = (Vec::with_capacity(sent.len()), HashMap::new());
    for sent in sent {
        let (id, confirm) = match sent {
            Ok(sent) => sent,
            Err(refused) => {
                taken.push(Err(refused));
                continue;
            }
        };
        let confirmation = timeout_at(deadline, confirm).await.map_err(|_| Broken::not_in_time())??;
        taken.push(Ok((id, confirmation.is_ack())));
        if let Some(message) = confirmation.take_message() {
            let id = message.delivery.properties.message_id().as_ref().map(ToString::to_string);
            let given = GivenBack {
                code: message.reply_code,
                text: message.reply_text.to_string(),
                exchange: message.delivery.exchange.to_string(),
                key: message.delivery.routing_key.to_string(),
            };
            given_back.insert(id.unwrap_or_default(), given);
        }
    }
    let answer = |taken: Result<(String, bool), PublishError>| {
        let (id, is_ack) = taken?;
        match given_back.remove(&id) {
            Some(given) => Err(PublishError::refused(given)),
            None if is_ack => Ok(()),
            None => Err(PublishError::away(NotTaken)),
        }
    };
    Ok(taken.into_iter().map(answer).collect())
}
