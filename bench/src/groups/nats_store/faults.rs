//! When the leader is killed; and what many streams take of a server's memory.

use std::time::{Duration, Instant};

use broker_cluster::NatsCluster;
use event_sourcery::uuid::Uuid;
use event_sourcery::{Error, Event as _, EventStore, StreamId};
use event_sourcery_nats::NatsBackend;
use futures_util::future::try_join;
use tokio::task::JoinSet;

use super::bare::Bare;
use super::{OURS, PATIENCE, Servers, Sides, connected, opened};
use crate::Result;
use crate::bench::Bench;
use crate::figure::{Figure, Pair, Target};
use crate::invoice::{InvoiceEvent, streams};
use crate::machine;

/// How long either side waits for an answer.
pub const TIMEOUT: Duration = Duration::from_secs(2);

/// How long either side pauses before it tries again.
pub const PAUSE: Duration = Duration::from_millis(10);

/// How often the leader is killed.
const KILLS: usize = 5;

const STREAMS: usize = 1_000_000;
const TASKS: usize = 64;

pub async fn measure(bench: &mut Bench, sides: &mut Sides) -> Result<()> {
    let (name, is_wanted) = (sides.name("leader-killed"), sides.wants(bench, "leader-killed"));
    let Servers::Three(cluster) = &mut sides.servers else { return Ok(()) };
    if !is_wanted {
        return Ok(());
    }
    let mut pairs = Vec::new();
    for _ in 0..bench.pairs.min(KILLS) {
        let (ours, bare) = kill_leader(cluster).await?;
        // Ours may take a second longer.
        pairs.push(Pair { ours: milliseconds(ours), baseline: milliseconds(bare + Duration::from_secs(1)) });
    }
    let baseline = "a bare client, and a second";
    bench.report(Figure::of(&name, "ms to the next append", &pairs, baseline, Target::AtMost(1.0)))
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// How long after its leader's death a stream takes the next message, from either side. Both are connected to another server.
async fn kill_leader(cluster: &mut NatsCluster) -> Result<(Duration, Duration)> {
    let context = connected(&cluster.urls()).await?;
    let found = context.get_stream(OURS).await?.cached_info().cluster.clone();
    let leader = found.and_then(|found| found.leader).ok_or("nobody leads")?;
    let other = ["node0", "node1", "node2"].into_iter().find(|node| *node != leader).ok_or("one node")?;
    let url = [cluster.node(other).url()];
    let store = EventStore::new(opened(&url, 3).await?);
    let mut by_hand = connected(&url).await?;
    by_hand.set_timeout(TIMEOUT);
    let bare = Bare::of(by_hand, OURS);
    let (stream, mut subject, payload) = (StreamId::random(), bare.subject(), b"{}".to_vec());
    append_surely(&store, &stream, 0).await?;
    bare.publish(&mut subject, payload.clone()).await?;

    cluster.node(&leader).kill();
    let killed = Instant::now();
    let ours = since(killed, append_surely(&store, &stream, 1));
    let theirs = since(killed, bare.publish_surely(&mut subject, &payload));
    let both = try_join(ours, theirs).await;
    cluster.node(&leader).start_again();
    append_surely(&store, &stream, 2).await?;
    both
}

/// How long after that moment the work is done.
async fn since(moment: Instant, work: impl Future<Output = Result<()>>) -> Result<Duration> {
    work.await?;
    Ok(moment.elapsed())
}

async fn append_surely(store: &EventStore<NatsBackend>, stream: &StreamId, version: u64) -> Result<()> {
    let event = InvoiceEvent::nth(version).with_id(Uuid::now_v7());
    loop {
        match store.append(stream, event.clone()).expected_version(version).await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_retryable() || matches!(error, Error::OutcomeUnknown { .. }) => {
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// What a server holds in memory with so many streams of three events, beside what it held without them.
pub async fn memory(bench: &mut Bench) -> Result<()> {
    let servers = Servers::start(1);
    let Servers::One(nats) = &servers else { return Ok(()) };
    let store = EventStore::new(opened(&[nats.url()], 1).await?);
    let held = || nats.process_ids().into_iter().map(machine::resident_of).sum::<Result<f64>>();
    let (before, mut running) = (held()?, JoinSet::new());
    let streams = streams("memory", bench.count(STREAMS))?;
    for part in streams.chunks(streams.len().div_ceil(TASKS)) {
        let (store, part) = (store.clone(), part.to_vec());
        running.spawn(async move {
            for stream in &part {
                store.append(stream, InvoiceEvent::several(3)).await?;
            }
            Ok::<(), Error>(())
        });
    }
    let began = Instant::now();
    while let Some(finished) = running.join_next().await {
        finished??;
    }
    // Its own tidying up is not waited for longer than servers are.
    tokio::time::sleep(PATIENCE.min(began.elapsed())).await;
    let pairs = [Pair { ours: held()? / 1e6, baseline: before / 1e6 }];
    bench.report(Figure::of("nats/store/memory", "MB", &pairs, "the server without them", None))
}
