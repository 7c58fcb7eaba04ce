//! The yardstick: an `async-nats` client that publishes the same messages with the same expectations, and reads them.

use async_nats::jetstream::Context;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::stream::Config;
use async_nats::{HeaderMap, Request};
use event_sourcery::uuid::Uuid;
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};

use crate::Result;
use crate::invoice::InvoiceEvent;

/// How many messages are asked for at a time.
const PAGE: usize = 1_000;

/// A JetStream stream that is written by hand.
#[derive(Clone)]
pub struct Bare {
    pub context: Context,
    name: String,
}

/// A subject, and the sequence of its last message.
#[derive(Clone)]
pub struct Subject {
    name: String,
    last: u64,
}

/// What stands before an event in a message of ours.
#[derive(Deserialize)]
#[expect(dead_code, reason = "read from the message, and not asked for")]
struct Line {
    id: Uuid,
    name: String,
    at: i64,
}

impl Bare {
    /// A new stream with the settings of ours.
    pub async fn create(context: Context, name: &str, replicas: usize) -> Result<Self> {
        let config = Config {
            name: name.to_owned(),
            subjects: vec![format!("{name}.>")],
            num_replicas: replicas,
            allow_direct: true,
            allow_atomic_publish: true,
            ..Config::default()
        };
        context.create_stream(config).await?;
        Ok(Self::of(context, name))
    }

    /// A stream that is there.
    pub fn of(context: Context, name: &str) -> Self {
        Self { context, name: name.to_owned() }
    }

    /// A subject without messages, as long as one of ours.
    pub fn subject(&self) -> Subject {
        Subject { name: format!("{}.e.-.-.{}", self.name, Uuid::new_v4().simple()), last: 0 }
    }

    /// Publishes where the subject is as it is known to be.
    pub async fn publish(&self, subject: &mut Subject, payload: Vec<u8>) -> Result<()> {
        let (name, headers) = (subject.name.clone(), expecting(subject));
        let sent = self.context.publish_with_headers(name, headers, payload.into()).await?;
        subject.last = sent.await?.sequence;
        Ok(())
    }

    /// The same, as often as it takes: a message that was stored unheard is found by its expectation.
    pub async fn publish_surely(&self, subject: &mut Subject, payload: &[u8]) -> Result<()> {
        loop {
            let (name, headers) = (subject.name.clone(), expecting(subject));
            let sent = self.context.publish_with_headers(name, headers, payload.to_vec().into()).await?;
            match sent.await {
                Ok(acknowledged) => {
                    subject.last = acknowledged.sequence;
                    return Ok(());
                }
                Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => {
                    // Where nobody can tell, it is tried again.
                    let last = self.last(subject).await.unwrap_or(subject.last);
                    if last != subject.last {
                        subject.last = last;
                        return Ok(());
                    }
                }
                Err(_) => {}
            }
            tokio::time::sleep(super::faults::PAUSE).await;
        }
    }

    async fn last(&self, subject: &Subject) -> Result<u64> {
        let stream = self.context.get_stream(&self.name).await?;
        Ok(stream.get_last_raw_message_by_subject(&subject.name).await?.sequence)
    }

    /// Messages of the subject, all or none of them, each with this payload.
    pub async fn batch(&self, subject: &mut Subject, count: usize, payload: &[u8]) -> Result<()> {
        let (client, id) = (self.context.client(), Uuid::new_v4().simple().to_string());
        let name = subject.name.clone();
        for number in 1..=count {
            let mut headers = if number == 1 { expecting(subject) } else { HeaderMap::new() };
            headers.insert("Nats-Batch-Id", id.as_str());
            headers.insert("Nats-Batch-Sequence", number.to_string());
            if number < count {
                client.publish_with_headers(name.clone(), headers, payload.to_vec().into()).await?;
                continue;
            }
            headers.insert("Nats-Batch-Commit", "1");
            let request = Request::new().headers(headers).payload(payload.to_vec().into());
            let answer = client.send_request(name.clone(), request).await?;
            let acknowledged: Value = serde_json::from_slice(&answer.payload)?;
            subject.last = acknowledged["seq"].as_u64().ok_or("the batch was refused")?;
        }
        Ok(())
    }

    /// The payload of the newest message.
    pub async fn newest(&self) -> Result<Vec<u8>> {
        let mut stream = self.context.get_stream(&self.name).await?;
        let last = stream.info().await?.state.last_sequence;
        Ok(stream.get_raw_message(last).await?.payload.to_vec())
    }

    /// The events of one of our streams, in order: direct gets in pages, decoded.
    pub async fn load(&self, subject: &str) -> Result<Vec<InvoiceEvent>> {
        let (client, mut events, mut next) = (self.context.client(), Vec::new(), 1);
        loop {
            let inbox = client.new_inbox();
            let mut answers = client.subscribe(inbox.clone()).await?;
            let question = json!({
                "seq": next, "next_by_subj": subject, "batch": PAGE, "max_bytes": 8 << 20
            });
            let to = format!("$JS.API.DIRECT.GET.{}", self.name);
            client.publish_with_reply(to, inbox, question.to_string().into()).await?;
            let before = events.len();
            while let Some(answer) = answers.next().await {
                // The end of the page, or nothing at all.
                if answer.status.is_some() {
                    break;
                }
                let headers = answer.headers.ok_or("a message without headers")?;
                let sequence = headers.get("Nats-Sequence").ok_or("a message without a sequence")?;
                next = sequence.as_str().parse::<u64>()? + 1;
                events.push(decoded(&answer.payload)?);
            }
            if events.len() < before + PAGE {
                return Ok(events);
            }
        }
    }
}

fn expecting(subject: &Subject) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Expected-Last-Subject-Sequence", subject.last.to_string());
    headers.insert("Nats-Expected-Last-Subject-Sequence-Subject", subject.name.as_str());
    headers
}

/// The event of a message that holds one.
fn decoded(message: &[u8]) -> Result<InvoiceEvent> {
    let mut parts = message.splitn(3, |byte| *byte == b'\n');
    let mut part = || parts.next().ok_or("a message is shorter than ours are");
    let (head, line, data) = (part()?, part()?, part()?);
    serde_json::from_slice::<IgnoredAny>(head)?;
    match serde_json::from_slice::<Line>(line)?.name.as_str() {
        "InvoiceIssued" => Ok(InvoiceEvent::Issued(first(data)?)),
        "InvoicePaid" => Ok(InvoiceEvent::Paid(first(data)?)),
        unknown => Err(format!("no event is named {unknown:?}").into()),
    }
}

/// The first of the values that stand one behind the other: the payload, which the context follows.
fn first<T: DeserializeOwned>(values: &[u8]) -> Result<T> {
    let mut values = serde_json::Deserializer::from_slice(values).into_iter::<T>();
    Ok(values.next().ok_or("there is no payload")??)
}
