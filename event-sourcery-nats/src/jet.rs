//! A JetStream stream: what is asked of its leader, of its replicas, and what is written to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::context::{RequestError, RequestErrorKind};
use async_nats::jetstream::response::Response;
use async_nats::{Client, HeaderMap, Message, Request};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use event_sourcery::{Error, Result};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::timeout;
use uuid::Uuid;

use crate::NAME;
use crate::answers::{Refusal, away, lost_connection, said, unknown};

const EXPECTED: &str = "Nats-Expected-Last-Subject-Sequence";
const EXPECTED_OF: &str = "Nats-Expected-Last-Subject-Sequence-Subject";
const BATCH: &str = "Nats-Batch-Id";
const BATCH_SEQUENCE: &str = "Nats-Batch-Sequence";
const BATCH_COMMIT: &str = "Nats-Batch-Commit";

/// How many messages a batch may have.
pub(crate) const MOST_MESSAGES: usize = 1_000;

/// How many questions are asked at a time where the leader is read, if the messages are small.
const AT_A_TIME: usize = 64;

/// How many bytes a page has, but for its last message.
const PAGE_BYTES: usize = 1 << 20;

/// How large messages are taken to be of which none was read.
const UNKNOWN: usize = PAGE_BYTES / 8;

/// The leader's code for "no such message".
const NO_MESSAGE: u64 = 10_037;

/// A stream of JetStream.
#[derive(Debug, Clone)]
pub(crate) struct Jet {
    context: Context,
    client: Client,
    name: String,
    /// How long an answer may take.
    patience: Duration,
    /// The largest message of the page that was last read of the leader, in bytes.
    largest: Arc<AtomicUsize>,
}

/// A message that is stored.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) sequence: u64,
    pub(crate) subject: String,
    pub(crate) payload: Bytes,
}

/// A message to be stored.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) subject: String,
    pub(crate) payload: Bytes,
    /// What has to be the last sequence of a subject, literal, or with wildcards where nothing in flight can match.
    pub(crate) expects: Option<(String, u64)>,
}

#[derive(Deserialize)]
struct Got {
    message: GotMessage,
}

#[derive(Deserialize)]
struct GotMessage {
    subject: String,
    seq: u64,
    #[serde(default)]
    data: String,
}

#[derive(Deserialize)]
struct Acknowledged {
    seq: u64,
}

/// What a stream says of itself.
#[derive(Deserialize)]
struct Information {
    ts: String,
    state: InformationState,
}

#[derive(Deserialize)]
struct InformationState {
    last_seq: u64,
}

impl Jet {
    pub(crate) fn new(context: Context, name: String, patience: Duration) -> Self {
        let largest = Arc::new(AtomicUsize::new(UNKNOWN));
        Self { client: context.client(), context, name, patience, largest }
    }

    /// The last message of a subject, as the leader has it.
    pub(crate) async fn last(&self, subject: &str) -> Result<Option<Stored>> {
        self.get(json!({ "last_by_subj": subject })).await
    }

    /// The first message at or behind a sequence, as the leader has it.
    pub(crate) async fn next(&self, subjects: &str, from: u64) -> Result<Option<Stored>> {
        self.get(json!({ "seq": from.max(1), "next_by_subj": subjects })).await
    }

    /// The message of a sequence, as the leader has it.
    pub(crate) async fn at(&self, sequence: u64) -> Result<Option<Stored>> {
        if sequence == 0 { Ok(None) } else { self.get(json!({ "seq": sequence })).await }
    }

    async fn get(&self, question: Value) -> Result<Option<Stored>> {
        match self.ask::<Got>("STREAM.MSG.GET", &question).await.map_err(away)? {
            Response::Err { error } if error.error_code().0 == NO_MESSAGE => Ok(None),
            Response::Err { error } => Err(said(error)),
            Response::Ok(Got { message }) => {
                let payload = STANDARD.decode(&message.data);
                let payload = payload.map_err(|problem| Error::backend(NAME, problem))?;
                Ok(Some(Stored { sequence: message.seq, subject: message.subject, payload: payload.into() }))
            }
        }
    }

    /// What the leader answers. The client counts the time only once it has room to send the question.
    async fn ask<V: DeserializeOwned>(
        &self,
        what: &str,
        question: &Value,
    ) -> Result<Response<V>, RequestError> {
        let asking = self.context.request(format!("{what}.{}", self.name), question);
        let late = |elapsed| RequestError::with_source(RequestErrorKind::TimedOut, elapsed);
        timeout(self.patience, asking).await.unwrap_or_else(|elapsed| Err(late(elapsed)))
    }

    /// Messages from a sequence on, as the leader has them: none where there are none. What is stored meanwhile may be there without what
    /// is stored before it: whoever reads on has to know that all of what he takes was there when he asked.
    ///
    /// A leader cannot be asked for so many bytes. So as many messages are asked for at a time as fit into a page, if they are as large as the
    /// last ones; and a page that is full ends there: what was asked for beyond it is let go as it comes.
    pub(crate) async fn page_of_the_leader(
        &self,
        subjects: &str,
        from: u64,
        most: u64,
    ) -> Result<Vec<Stored>> {
        let fit = PAGE_BYTES / self.largest.load(Ordering::Relaxed).max(1);
        let count = usize::try_from(most).unwrap_or(AT_A_TIME).min(fit).clamp(1, AT_A_TIME);
        let questions = (from..).take(count).map(|sequence| self.next(subjects, sequence));
        let mut answers = stream::iter(questions).buffered(count);
        let (mut page, mut bytes, mut largest): (Vec<Stored>, _, _) = (Vec::new(), 0, 0);
        while let Some(answer) = answers.try_next().await? {
            let Some(message) = answer else { continue };
            // Where there is nothing at a sequence, the answer is the one behind it.
            if page.last().is_some_and(|last| last.sequence == message.sequence) {
                continue;
            }
            let size = message.payload.len();
            (bytes, largest) = (bytes + size, size.max(largest));
            page.push(message);
            if bytes >= PAGE_BYTES {
                break;
            }
        }
        if largest > 0 {
            self.largest.store(largest, Ordering::Relaxed);
        }
        page.sort_by_key(|message| message.sequence);
        page.dedup_by_key(|message| message.sequence);
        Ok(page)
    }

    /// Messages from a sequence on, as one of the replicas has them: it may lack the latest, and none of those between.
    pub(crate) async fn page(&self, subjects: &str, from: u64, most: u64) -> Result<Vec<Stored>> {
        let inbox = self.client.new_inbox();
        let listening = timeout(self.patience, self.client.subscribe(inbox.clone()));
        let mut answers = listening.await.map_err(lost_connection)?.map_err(lost_connection)?;
        let question = json!({
            "seq": from.max(1), "next_by_subj": subjects, "batch": most.max(1), "max_bytes": PAGE_BYTES
        });
        let request = Request::new().inbox(inbox).payload(question.to_string().into());
        let subject = format!("DIRECT.GET.{}", self.name);
        let asking = timeout(self.patience, self.context.send_request(subject, request));
        asking.await.map_err(lost_connection)?.map_err(lost_connection)?;
        let mut page = Vec::new();
        loop {
            let answer = timeout(self.patience, answers.next()).await.map_err(lost_connection)?;
            let answer = answer.ok_or_else(|| lost_connection("the connection is closed"))?;
            match answer.status.map(|status| status.as_u16()) {
                None => page.push(direct(answer)?),
                // The end of the page, or nothing at all.
                Some(204 | 404) => return Ok(page),
                Some(503) => return Err(lost_connection("there is no replica for now")),
                Some(status) => {
                    return Err(Error::backend(NAME, format!("a direct get was answered by {status}")));
                }
            }
        }
    }

    /// Publishes all of them or none, and returns the sequence of the last; they follow each other.
    pub(crate) async fn publish(&self, mut messages: Vec<Outgoing>) -> Result<u64, Refusal> {
        let Some(last) = messages.pop() else {
            return Err(Error::bug("a batch of no messages").into());
        };
        let mut headers = headers(&last);
        if !messages.is_empty() {
            if messages.len() >= MOST_MESSAGES {
                let count = messages.len() + 1;
                let problem =
                    format!("it takes {count} messages, and JetStream stores 1,000 at once: split it");
                return Err(Error::backend(NAME, problem).into());
            }
            let batch = Uuid::new_v4().simple().to_string();
            for (number, message) in (1..).zip(&messages) {
                self.send(message, &batch, number).await?;
            }
            into_batch(&mut headers, &batch, messages.len() + 1);
            headers.insert(BATCH_COMMIT, "1");
        }
        let request = Request::new().headers(headers).payload(last.payload).timeout(Some(self.patience));
        let asking = timeout(self.patience, self.client.send_request(last.subject, request));
        let answer = asking.await.map_err(Error::outcome_unknown)?.map_err(Refusal::unanswered)?;
        match serde_json::from_slice::<Response<Acknowledged>>(&answer.payload) {
            Ok(Response::Ok(acknowledged)) => Ok(acknowledged.seq),
            Ok(Response::Err { error }) => Err(Refusal::said(error)),
            Err(problem) => Err(Error::outcome_unknown(problem).into()),
        }
    }

    /// A message of a batch that is not its last: nothing of it counts before that is acknowledged.
    async fn send(&self, message: &Outgoing, batch: &str, number: usize) -> Result<(), Refusal> {
        let mut headers = headers(message);
        into_batch(&mut headers, batch, number);
        let (subject, payload) = (message.subject.clone(), message.payload.clone());
        let sending = timeout(self.patience, self.client.publish_with_headers(subject, headers, payload));
        let sent = sending.await.map_err(Error::unavailable)?;
        sent.map_err(|failure| Error::unavailable(failure).into())
    }

    /// Removes the messages of these subjects that stand before a sequence.
    pub(crate) async fn purge(&self, subjects: &str, before: u64) -> Result<()> {
        if before <= 1 {
            return Ok(());
        }
        let question = json!({ "filter": subjects, "seq": before });
        match self.ask::<Value>("STREAM.PURGE", &question).await.map_err(unknown)? {
            Response::Ok(_) => Ok(()),
            Response::Err { error } => Err(said(error)),
        }
    }

    /// The sequence that was given last, by the leader, and the time there.
    pub(crate) async fn stand(&self) -> Result<(u64, Timestamp)> {
        match self.ask::<Information>("STREAM.INFO", &json!({})).await.map_err(away)? {
            Response::Ok(Information { ts, state }) => {
                let now = ts.parse::<Timestamp>().map_err(|problem| Error::backend(NAME, problem))?;
                Ok((state.last_seq, now))
            }
            Response::Err { error } => Err(said(error)),
        }
    }
}

fn headers(message: &Outgoing) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some((subject, sequence)) = &message.expects {
        headers.insert(EXPECTED, sequence.to_string());
        headers.insert(EXPECTED_OF, subject.as_str());
    }
    headers
}

fn into_batch(headers: &mut HeaderMap, batch: &str, number: usize) {
    headers.insert(BATCH, batch);
    headers.insert(BATCH_SEQUENCE, number.to_string());
}

/// What a direct get has answered.
fn direct(answer: Message) -> Result<Stored> {
    let headers = answer.headers.unwrap_or_default();
    let said = |name: &str| headers.get(name).map(|value| value.as_str().to_owned());
    let sequence = said("Nats-Sequence").and_then(|sequence| sequence.parse::<u64>().ok());
    match (sequence, said("Nats-Subject")) {
        (Some(sequence), Some(subject)) => Ok(Stored { sequence, subject, payload: answer.payload }),
        _ => Err(Error::backend(NAME, "a direct get was answered without a sequence")),
    }
}
