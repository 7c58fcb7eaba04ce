//! The publisher.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use event_sourcery::outbox::{BoxFuture, OutboxEntry, PublishError, Publisher, in_rounds};
use event_sourcery_cloudevents::{Binding, CloudEvents, Form};
use futures_util::future::join_all;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, Uri};

use crate::addresses::{PrivateAddress, is_public};
use crate::answers::Answer;
use crate::client::{Client, client};
use crate::signature::Secret;

/// How many messages are on their way at once.
const BATCH: usize = 8;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Publishes to a webhook: each message is a `POST` to one address.
///
/// It is signed as Standard Webhooks says: `webhook-id` is the event's id, the same however often it is sent, and
/// `webhook-signature` is an HMAC-SHA256 over `id.timestamp.body`. It counts as published when it was answered with 2xx: whoever answers so
/// has it on disk, or nobody knows. How other answers are read:
///
/// | answer | is |
/// |---|---|
/// | 400, 413, 422 and other 4xx | [`refused`](PublishError::refused): this message |
/// | 401 to 405, 407, 408, 410, 421, 425, 426, 429 | [`away`](PublishError::away): the address, the rights, too much at once |
/// | 3xx | away: redirects are not followed, as the signature would go elsewhere, or the body be lost |
/// | 502 to 504, 507, 509, 511, 520 to 530 | away: what stands before the receiver |
/// | 500 and other 5xx | refused if another message that was on its way with it was accepted, and away otherwise |
/// | none in 10 seconds, no connection, no trust | away |
///
/// `Retry-After`, in seconds or as a date, is passed on with each of them.
///
/// Messages of different streams are on their way together, up to [`batch`](Self::with_batch); those of one, one after the other. So
/// the order within each holds for whoever drops repeats by their id.
///
/// It connects to addresses of the internet only, which is checked on what a name stands for when it is connected to:
/// whoever names the address of a webhook must not reach your network by it. [`in_own_network`](Self::in_own_network) is for addresses
/// of your own. It asks no proxy, and trusts the certificates that the machine trusts.
pub struct WebhookPublisher {
    uri: Uri,
    secrets: Vec<Secret>,
    events: CloudEvents,
    form: Form,
    batch: usize,
    patience: Duration,
    client: Client,
}

/// Why there is no publisher for an address.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidEndpoint {
    /// It is no address of HTTP.
    #[error(
        "this is no address of a webhook: give one such as https://books.example/events, without a user or a password"
    )]
    NotAnAddress,
    /// It is not encrypted.
    #[error("a webhook in the internet is reached by https: anybody on the way could read its messages")]
    NotEncrypted,
    /// It is not one of the internet.
    #[error(transparent)]
    PrivateAddress(PrivateAddress),
    /// The certificates that the machine trusts cannot be read.
    #[error("the certificates that this machine trusts cannot be read: install them (ca-certificates)")]
    NoCertificates(#[source] std::io::Error),
}

impl WebhookPublisher {
    /// Publishes to this address in the internet, by https. It connects when it has something to publish.
    ///
    /// # Errors
    ///
    /// [`InvalidEndpoint`], by variant.
    pub fn new(address: &str, secret: Secret, events: CloudEvents) -> Result<Self, InvalidEndpoint> {
        let uri = parsed(address)?;
        if !is_https(&uri) {
            return Err(InvalidEndpoint::NotEncrypted);
        }
        if let Some(address) = literal(&uri).filter(|address| !is_public(*address)) {
            let host = uri.host().unwrap_or_default().to_owned();
            return Err(InvalidEndpoint::PrivateAddress(PrivateAddress { host, address }));
        }
        Self::to(uri, false, secret, events)
    }

    /// Publishes to this address, wherever it is, by https or by http: for addresses that you have chosen yourself.
    ///
    /// # Errors
    ///
    /// [`InvalidEndpoint`], by variant.
    pub fn in_own_network(
        address: &str,
        secret: Secret,
        events: CloudEvents,
    ) -> Result<Self, InvalidEndpoint> {
        Self::to(parsed(address)?, true, secret, events)
    }

    fn to(uri: Uri, any_address: bool, secret: Secret, events: CloudEvents) -> Result<Self, InvalidEndpoint> {
        let client = client(any_address, is_https(&uri)).map_err(InvalidEndpoint::NoCertificates)?;
        let (secrets, form) = (vec![secret], Form::default());
        Ok(Self { uri, secrets, events, form, batch: BATCH, patience: PATIENCE, client })
    }

    /// The same, signed with this secret too: while receivers change from one to the other, each finds its own.
    #[must_use]
    pub fn with_another_secret(mut self, secret: Secret) -> Self {
        self.secrets.push(secret);
        self
    }

    /// The same in another form: structured, unless told otherwise.
    #[must_use]
    pub fn with_form(self, form: Form) -> Self {
        Self { form, ..self }
    }

    /// The same with so many messages on their way at once, at least one; 8 unless told otherwise.
    #[must_use]
    pub fn with_batch(self, batch: usize) -> Self {
        Self { batch: batch.max(1), ..self }
    }

    /// The same with so much time for an answer, connecting included; 10 seconds unless told otherwise.
    #[must_use]
    pub fn with_timeout(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    async fn round(&self, round: Vec<&OutboxEntry>) -> Vec<Result<(), PublishError>> {
        let answers = join_all(round.into_iter().map(|entry| self.answer(entry))).await;
        let accepts_others = answers.iter().any(|answer| matches!(answer, Ok(Answer::Accepted)));
        let result = |answer: Result<Answer, PublishError>| answer?.into_result(accepts_others);
        answers.into_iter().map(result).collect()
    }

    async fn answer(&self, entry: &OutboxEntry) -> Result<Answer, PublishError> {
        let request = self.request(entry)?;
        match tokio::time::timeout(self.patience, self.client.request(request)).await {
            Ok(Ok(response)) => Ok(Answer::of(response.status(), response.headers(), SystemTime::now())),
            Ok(Err(failure)) => Err(PublishError::away(failure)),
            Err(elapsed) => Err(PublishError::away(elapsed)),
        }
    }

    fn request(&self, entry: &OutboxEntry) -> Result<Request<Full<Bytes>>, PublishError> {
        let event = self.events.event(entry.recorded()).map_err(PublishError::refused)?;
        let message = event.message(self.form, Binding::Http);
        let id = entry.recorded().wrapped_event.uuid.to_string();
        let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let signatures: Vec<_> =
            self.secrets.iter().map(|secret| secret.sign(&id, timestamp, &message.body)).collect();
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(self.uri.clone())
            .header(CONTENT_TYPE, message.content_type)
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signatures.join(" "));
        for (name, value) in message.headers {
            request = request.header(name, value);
        }
        request.body(Full::from(message.body)).map_err(PublishError::refused)
    }
}

/// An address of HTTP, in full, and without a password, which others would be shown.
fn parsed(address: &str) -> Result<Uri, InvalidEndpoint> {
    let uri: Uri = address.parse().map_err(|_| InvalidEndpoint::NotAnAddress)?;
    let is_http = uri.scheme_str() == Some("http");
    let has_user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    let has_host = uri.host().is_some_and(|host| !host.is_empty());
    if (is_http || is_https(&uri)) && has_host && !has_user {
        Ok(uri)
    } else {
        Err(InvalidEndpoint::NotAnAddress)
    }
}

fn is_https(uri: &Uri) -> bool {
    uri.scheme_str() == Some("https")
}

/// The address where it stands there as such: no name is looked up then.
fn literal(uri: &Uri) -> Option<IpAddr> {
    let host = uri.host()?;
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).parse().ok()
}

impl Publisher for WebhookPublisher {
    fn batch(&self) -> usize {
        self.batch
    }

    fn publish<'a>(&'a self, entries: &'a [OutboxEntry]) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        Box::pin(in_rounds(entries, move |round| self.round(round)))
    }
}

/// Not the path, nor what follows: some addresses are secrets.
impl fmt::Debug for WebhookPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookPublisher")
            .field("host", &self.uri.host())
            .field("events", &self.events)
            .field("form", &self.form)
            .field("batch", &self.batch)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}
