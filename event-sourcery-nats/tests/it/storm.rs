//! Faults at random while clients append and a subscription runs. `scripts/soak` has many of them, a run of the tests a few.

use std::collections::HashMap;
use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use broker_cluster::NatsCluster;
use event_sourcery::uuid::Uuid;
use event_sourcery::{EventStore, Recorded, StreamId};
use event_sourcery_nats::NatsBackend;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::dying::{Three, append, store_at};
use crate::scene::{PATIENCE, Paid};

const WRITERS: usize = 3;

/// Somebody who appends to a stream of his own until he is told to stop, each event until it is acknowledged.
struct Writer {
    stream: StreamId,
    acknowledged: Arc<AtomicU64>,
    writing: JoinHandle<()>,
}

impl Writer {
    async fn start(urls: &str, is_over: &Arc<AtomicBool>) -> Self {
        let (stream, acknowledged) = (StreamId::random(), Arc::new(AtomicU64::new(0)));
        let store = store_at(urls).await;
        let writing = {
            let (stream, acknowledged, is_over) =
                (stream.clone(), Arc::clone(&acknowledged), Arc::clone(is_over));
            tokio::spawn(async move {
                while !is_over.load(Ordering::SeqCst) {
                    let number = acknowledged.load(Ordering::SeqCst) + 1;
                    append(&store, &stream, number).await;
                    acknowledged.store(number, Ordering::SeqCst);
                    // Other tests want the machine as well.
                    sleep(Duration::from_millis(10)).await;
                }
            })
        };
        Self { stream, acknowledged, writing }
    }

    fn count(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Waits until two more were acknowledged, of which the second was sent after the call.
    async fn goes_on(&self) {
        let before = self.count();
        let going_on = async {
            while self.count() < before + 2 {
                assert!(!self.writing.is_finished(), "the writer failed");
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(2 * PATIENCE, going_on).await.expect("appends go on");
    }
}

/// What befalls nodes.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Kill,
    Freeze,
    CutOff,
}

/// What befalls these nodes. It is over when this returns.
async fn befall(cluster: &mut NatsCluster, nodes: &[String], fault: Fault) {
    for node in nodes {
        match fault {
            Fault::Kill => cluster.node(node).kill(),
            Fault::Freeze => cluster.node(node).freeze(),
            Fault::CutOff => cluster.cut_off(node),
        }
    }
    // Shorter and longer than an election takes.
    sleep(Duration::from_millis(fastrand::u64(0..9_000))).await;
    for node in nodes {
        match fault {
            Fault::Kill => cluster.node(node).start_again(),
            Fault::Freeze => cluster.node(node).thaw(),
            Fault::CutOff => {}
        }
    }
    cluster.mend();
}

/// Fails unless the store has what was acknowledged and nothing else, each once and in order.
async fn check(store: &EventStore<NatsBackend>, acknowledged: &HashMap<Uuid, u64>) {
    let (mut found, mut before) = (HashMap::<Uuid, u64>::new(), None);
    let mut all = store.read_all::<Paid>().stream();
    while let Some(event) = all.try_next().await.unwrap() {
        assert!(before < Some(event.position), "{:?} behind {before:?}", event.position);
        before = Some(event.position);
        let last = found.entry(event.stream_id.uuid()).or_default();
        *last += 1;
        let (number, version) = (event.wrapped_event.event.number, event.wrapped_event.version);
        assert_eq!((number, version), (*last, Some(*last)), "of {}", event.stream_id);
    }
    assert_eq!(&found, acknowledged);
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_at_random_lose_nothing_and_double_nothing() {
    let faults = env::var("EVENT_SOURCERY_FAULTS").map_or(2, |faults| faults.parse().unwrap());
    let mut three = Three::apart().await;
    let urls = three.cluster.urls().join(",");
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let subscription = three.store.subscribe::<Paid>().durable("seen").until(stopped);
    let running =
        tokio::spawn(subscription.run(async move |event: Recorded<Paid>, _store: EventStore<_>| {
            let _ = sender.send((event.stream_id.uuid(), event.wrapped_event.event.number));
            Ok(())
        }));
    let (is_over, mut writers) = (Arc::new(AtomicBool::new(false)), Vec::new());
    for _ in 0..WRITERS {
        writers.push(Writer::start(&urls, &is_over).await);
    }
    for _ in 0..faults {
        let mut nodes = ["node0", "node1", "node2"].map(str::to_owned);
        fastrand::shuffle(&mut nodes);
        let faults = [Fault::Kill, Fault::Freeze, Fault::CutOff];
        let (count, fault) = (fastrand::usize(1..=3), fastrand::choice(faults).unwrap());
        println!("{:?}: {fault:?}", &nodes[..count]);
        befall(&mut three.cluster, &nodes[..count], fault).await;
        for writer in &writers {
            writer.goes_on().await;
        }
    }
    is_over.store(true, Ordering::SeqCst);
    let mut acknowledged = HashMap::new();
    for Writer { stream, acknowledged: count, writing } in writers {
        writing.await.unwrap();
        acknowledged.insert(stream.uuid(), count.load(Ordering::SeqCst));
    }
    check(&store_at(&urls).await, &acknowledged).await;

    // The subscription has each at least once, and the next one of a stream only behind the one before.
    let mut seen = HashMap::<Uuid, u64>::new();
    while seen != acknowledged {
        let next = timeout(2 * PATIENCE, receiver.recv()).await.expect("the next event");
        let (stream, number) = next.expect("the subscription runs");
        let last = seen.entry(stream).or_default();
        assert!(number <= *last + 1, "{number} behind {last}");
        *last = number.max(*last);
    }
    drop(stop);
    drop(running.await.unwrap());
}
