//! Into NATS JetStream: draining beside a bare client, and the way from a commit to a subscriber in another process.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::Instant;

use async_nats::HeaderMap;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::Config;
use async_nats::jetstream::{self, Context};
use broker_cluster::Nats;
use event_sourcery::backend::Backend;
use event_sourcery::{EventStore, Position, RawEvent, Recorded, StreamId, WrappedEvent};
use event_sourcery_cloudevents::CloudEvents;
use event_sourcery_publish_nats::NatsPublisher;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::Result;
use crate::bench::{Bench, open, rate};
use crate::figure::{Figure, Target};
use crate::groups::subscribe::{LONE_EVENTS, age, lone_events, report_lags};
use crate::invoice::{InvoiceEvent, streams};

const STREAMS: usize = 1_000;
const EVENTS_A_STREAM: u64 = 10;

/// How many messages are on their way at once, on either side.
const ON_THEIR_WAY: usize = 1_000;

/// In milliseconds.
const LIMIT: f64 = 20.0;

/// A server as it comes: it syncs every two minutes.
pub fn server() -> Nats {
    Nats::start_with("jetstream { sync_interval: 2m }")
}

pub async fn measure(bench: &mut Bench, server: &Nats) -> Result<()> {
    if bench.wants("nats/drain") {
        drain(bench, server).await?;
    }
    if bench.wants("nats/commit-to-subscriber") {
        commit_to_subscriber(bench, server).await?;
    }
    Ok(())
}

/// A new stream that takes what begins with this.
async fn stream(server: &Nats, name: &str, prefix: &str) -> Result<Context> {
    let context = jetstream::new(async_nats::connect(server.url()).await?);
    let (name, subjects) = (name.to_owned(), vec![format!("{prefix}.>")]);
    context.create_stream(Config { name, subjects, ..Config::default() }).await?;
    Ok(context)
}

async fn drain(bench: &mut Bench, server: &Nats) -> Result<()> {
    let store = open(&bench.fresh("ours")?).await?.with_outbox(|_| true)?;
    let (ours, bare) = (stream(server, "OURS", "ours").await?, stream(server, "BARE", "bare").await?);
    let publisher = NatsPublisher::new(ours, "OURS", "ours", CloudEvents::from_source("/shop")?);
    let (streams, mut version) = (streams("invoices", bench.count(STREAMS))?, 0);
    let pairs = bench
        .alternate(
            async || {
                fill_by_turns(&store, &streams, &mut version).await?;
                let began = Instant::now();
                let published = store.outbox().limit(u64::MAX).run(&publisher).await?;
                if published.is_away {
                    return Err("the server was away".into());
                }
                Ok(rate(usize::try_from(published.entries)?, began))
            },
            async || publish_bare(&bare, Ready::some(&streams)?).await,
        )
        .await?;
    let baseline = "a bare client, the same messages, acknowledged";
    bench.report(Figure::of("nats/drain", "entries/s", &pairs, baseline, Target::AtLeast(0.7)))
}

/// Puts some entries of each stream into the outbox, one at a time, so that those of all streams take turns.
async fn fill_by_turns<B: Backend>(
    store: &EventStore<B>,
    streams: &[StreamId],
    version: &mut u64,
) -> Result<()> {
    let (mut running, first) = (JoinSet::new(), *version);
    for part in streams.chunks(streams.len().div_ceil(64).max(1)) {
        let (store, part) = (store.clone(), part.to_vec());
        running.spawn(async move {
            for version in first..first + EVENTS_A_STREAM {
                for stream in &part {
                    store.append(stream, InvoiceEvent::nth(version)).expected_version(version).await?;
                }
            }
            Ok::<(), event_sourcery::Error>(())
        });
    }
    while let Some(finished) = running.join_next().await {
        finished??;
    }
    *version += EVENTS_A_STREAM;
    Ok(())
}

/// A message as it is sent.
struct Ready {
    subject: String,
    headers: HeaderMap,
    body: String,
}

impl Ready {
    /// As many as are drained in a round, with ids that were never sent.
    fn some(streams: &[StreamId]) -> Result<Vec<Self>> {
        let events = CloudEvents::from_source("/shop")?;
        let mut messages = Vec::with_capacity(streams.len() * EVENTS_A_STREAM as usize);
        for version in 0..EVENTS_A_STREAM {
            for stream in streams {
                let position = Position::from_i64(i64::try_from(messages.len())? + 1);
                messages.push(Self::of(stream, version, position, &events)?);
            }
        }
        Ok(messages)
    }

    fn of(stream: &StreamId, version: u64, position: Position, events: &CloudEvents) -> Result<Self> {
        let (name, data) = match InvoiceEvent::nth(version) {
            InvoiceEvent::Issued(issued) => ("InvoiceIssued", serde_json::to_string(&issued)?),
            InvoiceEvent::Paid(paid) => ("InvoicePaid", serde_json::to_string(&paid)?),
        };
        let wrapped = WrappedEvent::new(RawEvent::new(name, data)?).with_version(version + 1);
        let id = wrapped.uuid.to_string();
        let recorded = Recorded::new(wrapped, stream.clone(), position);
        let event = events.event(&recorded)?;
        let mut headers = HeaderMap::new();
        headers.insert("Content-Type", "application/cloudevents+json");
        headers.insert(async_nats::header::NATS_MESSAGE_ID, id.as_str());
        headers.insert(async_nats::header::NATS_EXPECTED_STREAM, "BARE");
        Ok(Self { subject: format!("bare.-.{name}"), headers, body: event.to_json() })
    }
}

/// Messages a second, each acknowledged.
async fn publish_bare(context: &Context, messages: Vec<Ready>) -> Result<f64> {
    let (began, count, mut messages) = (Instant::now(), messages.len(), messages.into_iter());
    loop {
        let mut sent = Vec::with_capacity(ON_THEIR_WAY);
        for Ready { subject, headers, body } in messages.by_ref().take(ON_THEIR_WAY) {
            let message = PublishMessage::build().payload(body.into()).headers(headers);
            sent.push(context.send_publish(subject, message).await?);
        }
        if sent.is_empty() {
            return Ok(rate(count, began));
        }
        for acknowledged in join_all(sent.into_iter().map(IntoFuture::into_future)).await {
            acknowledged?;
        }
    }
}

/// From the moment an event is made, before it is appended, until a subscriber has its message.
async fn commit_to_subscriber(bench: &mut Bench, server: &Nats) -> Result<()> {
    let count = bench.count(LONE_EVENTS);
    let store = open(&bench.fresh("ours")?).await?.erased().with_outbox(|_| true)?;
    let context = stream(server, "LONE", "lone").await?;
    let publisher = NatsPublisher::new(context, "LONE", "lone", CloudEvents::from_source("/shop")?);
    let (stop, stopped) = oneshot::channel::<()>();
    let publishing = tokio::spawn(store.outbox().until(stopped).run_forever(publisher));
    let mut child = Command::new(std::env::current_exe()?)
        .args(["subscribed", &server.url(), &count.to_string()])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
    lines.next().ok_or("the other process is not ready")??;
    lone_events(&store, "there", count).await?;
    let lags = lines.map(|line| Ok(line?.parse()?)).collect::<Result<Vec<f64>>>()?;
    child.wait()?;
    drop(stop);
    publishing.await??;
    report_lags(bench, "nats/commit-to-subscriber", lags, LIMIT)
}

/// What the other process does.
pub async fn be_subscriber(url: &str, count: &str) -> Result<()> {
    let client = async_nats::connect(url).await?;
    let mut messages = client.subscribe("lone.>").await?;
    client.flush().await?;
    println!("ready");
    std::io::stdout().flush()?;
    let mut lags = Vec::new();
    for _ in 0..count.parse::<usize>()? {
        let message = messages.next().await.ok_or("the server has ended")?;
        let event: Value = serde_json::from_slice(&message.payload)?;
        let made: Timestamp = event["time"].as_str().ok_or("an event without a time")?.parse()?;
        lags.push(age(made));
    }
    lags.iter().for_each(|lag| println!("{lag}"));
    Ok(())
}
