//! The publisher.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use async_nats::connection::State;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::{GetStreamError, PublishAckFuture};
use async_nats::jetstream::message::PublishMessage;
use async_nats::{HeaderMap, HeaderValue};
use event_sourcery::outbox::{BoxFuture, OutboxEntry, PublishError, Publisher, in_rounds};
use event_sourcery::{RawEvent, Recorded};
use event_sourcery_cloudevents::{Binding, CloudEvents, Form};
use futures_util::future::join_all;

use crate::answers::{answer, found_nobody};
use crate::subjects::{check, matches, usual};
use crate::weakness::Weakness;

/// How many messages are on their way at once.
const BATCH: usize = 1_000;

type Subject = dyn Fn(&Recorded<RawEvent>) -> String + Send + Sync;

/// Publishes to a stream of NATS JetStream.
///
/// Each message carries the event's id as `Nats-Msg-Id`: a repeat within the stream's `duplicate_window` is not stored again. It names
/// the stream that has to take it. It counts as published when the stream has acknowledged it: [`weaknesses`](Self::weaknesses) tells
/// what that may be worth, and is written to the log, as a warning, before the first message.
///
/// Messages of different streams of the store are on their way together, up to [`batch`](Self::with_batch); those of one, one after
/// the other. So the order within each holds, whatever is lost or late, for whoever drops repeats by their id.
///
/// What JetStream says of a message itself (too large, no subject that the stream takes) is
/// [`refused`](PublishError::refused). Everything else (nobody there, an election, a full stream or disk, an answer that takes longer
/// than the context's time-out, 5 seconds unless set) is [`away`](PublishError::away): nothing is parked for it. A message that was given up
/// may be stored all the same; its repeat has the same id.
///
/// Let the client try to connect until it succeeds (`retry_on_initial_connect`), or a service cannot start before its broker.
pub struct NatsPublisher {
    context: Context,
    stream: String,
    subject: Box<Subject>,
    events: CloudEvents,
    form: Form,
    batch: usize,
    has_warned: AtomicBool,
}

impl NatsPublisher {
    /// Publishes to this stream, which has to be there: create it with the settings that you want. The subjects are
    /// `prefix.category.type`, such as `shop.invoices.Paid`, with `-` where a stream has no category; names are encoded as
    /// [`token`](event_sourcery_cloudevents::token) says. The stream has to take them, as `prefix.>`.
    #[must_use]
    pub fn new(
        context: Context,
        stream: impl Into<String>,
        prefix: impl Into<String>,
        events: CloudEvents,
    ) -> Self {
        let prefix = prefix.into();
        Self {
            context,
            stream: stream.into(),
            subject: Box::new(move |recorded| usual(&prefix, recorded)),
            events,
            form: Form::default(),
            batch: BATCH,
            has_warned: AtomicBool::new(false),
        }
    }

    /// The same with subjects of your own. Pass names that others have chosen through [`token`](event_sourcery_cloudevents::token). One
    /// that is no subject, or that the stream does not take, refuses the message.
    #[must_use]
    pub fn with_subject(
        self,
        subject: impl Fn(&Recorded<RawEvent>) -> String + Send + Sync + 'static,
    ) -> Self {
        Self { subject: Box::new(subject), ..self }
    }

    /// The same in another form: structured, unless told otherwise.
    #[must_use]
    pub fn with_form(self, form: Form) -> Self {
        Self { form, ..self }
    }

    /// The same with so many messages on their way at once, at least one; 1,000 unless told otherwise.
    #[must_use]
    pub fn with_batch(self, batch: usize) -> Self {
        Self { batch: batch.max(1), ..self }
    }

    /// What the stream acknowledges and may lose, as far as it can be seen.
    ///
    /// # Errors
    ///
    /// The client's, where the stream does not answer, or is not there.
    pub async fn weaknesses(&self) -> Result<Vec<Weakness>, GetStreamError> {
        let stream = self.context.get_stream(&self.stream).await?;
        Ok(Weakness::of(&stream.cached_info().config))
    }

    /// Once, and only once somebody was there to ask.
    async fn warn(&self) {
        if self.has_warned.load(Ordering::Relaxed) {
            return;
        }
        let Ok(weaknesses) = self.weaknesses().await else { return };
        self.has_warned.store(true, Ordering::Relaxed);
        for weakness in weaknesses {
            tracing::warn!(stream = self.stream, "published events may be lost: {weakness}");
        }
    }

    async fn round(&self, round: Vec<&OutboxEntry>) -> Vec<Result<(), PublishError>> {
        if self.context.client().connection_state() != State::Connected {
            return round.iter().map(|_| Err(PublishError::away("there is no connection to NATS"))).collect();
        }
        let mut sent = Vec::with_capacity(round.len());
        for entry in round {
            sent.push(self.send(entry).await);
        }
        join_all(sent.into_iter().map(|sent| self.acknowledged(sent))).await
    }

    async fn send(&self, entry: &OutboxEntry) -> Result<(String, PublishAckFuture), PublishError> {
        let recorded = entry.recorded();
        let event = self.events.event(recorded).map_err(PublishError::refused)?;
        let subject = check((self.subject)(recorded)).map_err(PublishError::refused)?;
        let message = event.message(self.form, Binding::Nats);
        let mut headers = HeaderMap::new();
        if self.form == Form::Structured {
            headers.insert("Content-Type", message.content_type);
        }
        for (name, value) in &message.headers {
            headers.insert(name.as_str(), value.as_str());
        }
        let id = recorded.wrapped_event.uuid.to_string();
        headers.insert(async_nats::header::NATS_MESSAGE_ID, id.as_str());
        let stream: HeaderValue = self.stream.parse().map_err(PublishError::away)?;
        headers.insert(async_nats::header::NATS_EXPECTED_STREAM, stream);
        let message = PublishMessage::build().payload(message.body.into()).headers(headers);
        let acknowledgement = self.context.send_publish(subject.clone(), message).await.map_err(answer)?;
        Ok((subject, acknowledgement))
    }

    async fn acknowledged(
        &self,
        sent: Result<(String, PublishAckFuture), PublishError>,
    ) -> Result<(), PublishError> {
        let (subject, acknowledgement) = sent?;
        let Err(failure) = acknowledgement.await else { return Ok(()) };
        if found_nobody(&failure) && self.is_not_taken(&subject).await {
            let problem = format!("the stream {} does not take the subject {subject:?}", self.stream);
            return Err(PublishError::refused(problem));
        }
        Err(answer(failure))
    }

    /// Whether the stream is there, and says that it takes no such subject.
    async fn is_not_taken(&self, subject: &str) -> bool {
        let Ok(stream) = self.context.get_stream(&self.stream).await else { return false };
        let taken = &stream.cached_info().config.subjects;
        !taken.iter().any(|pattern| matches(pattern, subject))
    }
}

impl Publisher for NatsPublisher {
    fn batch(&self) -> usize {
        self.batch
    }

    fn publish<'a>(&'a self, entries: &'a [OutboxEntry]) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        Box::pin(async move {
            if !entries.is_empty() && self.context.client().connection_state() == State::Connected {
                self.warn().await;
            }
            in_rounds(entries, move |round| self.round(round)).await
        })
    }
}

/// Nothing of how the server is reached.
impl fmt::Debug for NatsPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsPublisher")
            .field("stream", &self.stream)
            .field("events", &self.events)
            .field("form", &self.form)
            .field("batch", &self.batch)
            .finish_non_exhaustive()
    }
}
