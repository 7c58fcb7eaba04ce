//! Nodes that die, freeze and come back while clients append.

use std::time::{Duration, Instant};

use broker_cluster::NatsCluster;
use event_sourcery::uuid::Uuid;
use event_sourcery::{Error, Event as _, EventStore, Recorded, StreamId, WrappedEvent};
use event_sourcery_nats::NatsBackend;
use event_sourcery_nats::async_nats::ConnectOptions;
use event_sourcery_nats::async_nats::jetstream::{self, Context};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use crate::scene::{DURABLE, PATIENCE, Paid, connect, open, options};

const TIMEOUT: Duration = Duration::from_secs(3);

/// No call takes longer: elections and races are waited for for 20 seconds, and then two answers. And the machine may have other work.
const LONGEST: Duration = Duration::from_secs(20 + 2 * 3 + 4);

/// Three servers, a store that has a replica on each, and a stream in it.
pub(crate) struct Three {
    pub(crate) cluster: NatsCluster,
    pub(crate) store: EventStore<NatsBackend>,
    pub(crate) stream: StreamId,
    context: Context,
}

impl Three {
    pub(crate) async fn start() -> Self {
        Self::on(NatsCluster::start_with(DURABLE)).await
    }

    /// On a network that can be cut between the servers.
    pub(crate) async fn apart() -> Self {
        Self::on(NatsCluster::start_apart(DURABLE)).await
    }

    async fn on(cluster: NatsCluster) -> Self {
        let urls = cluster.urls().join(",");
        let (store, context) = (store_at(&urls).await, connect(&urls).await);
        Self { cluster, store, stream: StreamId::from_name("1").unwrap(), context }
    }

    pub(crate) async fn append(&self, number: u64) {
        append(&self.store, &self.stream, number).await;
    }

    /// The server that leads the stream of events.
    pub(crate) async fn leader(&self) -> String {
        let began = Instant::now();
        loop {
            let found = self.context.get_stream("SHOP").await.ok();
            if let Some(leader) = found.and_then(|found| found.cached_info().cluster.clone()?.leader) {
                return leader;
            }
            assert!(began.elapsed() < PATIENCE, "somebody leads");
            sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn others(&self) -> Vec<String> {
        let leader = self.leader().await;
        ["node0", "node1", "node2"].map(str::to_owned).into_iter().filter(|node| *node != leader).collect()
    }

    /// Fails unless the stream holds so many events, each once, and so does the store.
    pub(crate) async fn holds(&self, last: u64) {
        let other = store_at(&self.cluster.urls().join(",")).await;
        let (expected, events) = ((1..=last).collect::<Vec<_>>(), loaded(&other, &self.stream).await);
        assert_eq!(events.iter().map(|event| event.event.number).collect::<Vec<_>>(), expected);
        assert_eq!(events.iter().map(|event| event.version.unwrap()).collect::<Vec<_>>(), expected);
        let (mut all, mut positions) = (other.read_all::<Paid>().stream(), Vec::new());
        while let Some(event) = all.try_next().await.unwrap() {
            positions.push(event.position);
        }
        assert_eq!(positions.len() as u64, last);
        assert!(positions.windows(2).all(|pair| pair[0] < pair[1]), "{positions:?}");
    }
}

pub(crate) async fn store_at(urls: &str) -> EventStore<NatsBackend> {
    EventStore::new(open(options(urls, "SHOP").await.replicas(3).timeout(TIMEOUT)).await)
}

/// The events of a stream, as soon as the nodes agree on who leads.
async fn loaded(store: &EventStore<NatsBackend>, stream: &StreamId) -> Vec<WrappedEvent<Paid>> {
    let began = Instant::now();
    loop {
        match store.load_stream(stream).await {
            Ok(events) => return events,
            Err(error) => assert!(error.is_retryable() && began.elapsed() < PATIENCE, "{error:?}"),
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// Appends once, and fails where the caller is told anything else than that nobody has answered, or is told late.
pub(crate) async fn attempt(store: &EventStore<NatsBackend>, stream: &StreamId, number: u64) -> bool {
    let began = Instant::now();
    let event = Paid { number }.with_id(Uuid::new_v5(&stream.uuid(), &number.to_be_bytes()));
    let told = store.append(stream, event).expected_version(number - 1).await;
    assert!(began.elapsed() < LONGEST, "after {:?}: {told:?}", began.elapsed());
    match told {
        Ok(_) => true,
        // Busy: what was not answered is in flight still.
        Err(Error::OutcomeUnknown { .. } | Error::Unavailable { .. } | Error::Busy { .. }) => false,
        // A leader that was frozen answers until it knows that there is another one.
        Err(Error::Conflict { actual, .. }) if actual < number - 1 => false,
        Err(error) => panic!("{}", error.in_full()),
    }
}

/// Appends until it is acknowledged, with the same id each time: as a client does that wants to be sure.
pub(crate) async fn append(store: &EventStore<NatsBackend>, stream: &StreamId, number: u64) {
    let began = Instant::now();
    while !attempt(store, stream, number).await {
        assert!(began.elapsed() < 2 * PATIENCE, "it goes on");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn every_acknowledged_event_is_there_once_after_the_leader_was_killed() {
    let mut three = Three::start().await;
    for number in 1..=120 {
        if number % 40 == 0 {
            let leader = three.leader().await;
            three.cluster.node(&leader).kill();
            three.append(number).await;
            three.cluster.node(&leader).start_again();
        } else {
            three.append(number).await;
        }
    }
    three.holds(120).await;
}

#[tokio::test]
async fn a_follower_that_is_killed_is_not_noticed() {
    let mut three = Three::start().await;
    let (leader, others) = (three.leader().await, three.others().await);
    let store = store_at(&three.cluster.node(&leader).url()).await;
    for number in 1..=20 {
        if number == 10 {
            three.cluster.node(&others[0]).kill();
        }
        assert!(attempt(&store, &three.stream, number).await, "{number} is acknowledged");
    }
    three.holds(20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_killed_one_after_the_other_and_a_subscription_misses_nothing() {
    let mut three = Three::start().await;
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let subscription = three.store.subscribe::<Paid>().durable("seen").until(stopped);
    let running =
        tokio::spawn(subscription.run(async move |event: Recorded<Paid>, _store: EventStore<_>| {
            let _ = sender.send(event.wrapped_event.event.number);
            Ok(())
        }));
    for node in 0..3_u64 {
        let name = format!("node{node}");
        three.append(10 * node + 1).await;
        three.cluster.node(&name).kill();
        for number in 10 * node + 2..=10 * node + 9 {
            three.append(number).await;
        }
        three.cluster.node(&name).start_again();
        three.append(10 * node + 10).await;
    }
    // Each of them at least once, in their order.
    let mut seen = Vec::new();
    while seen.len() < 30 {
        let number = timeout(2 * PATIENCE, receiver.recv()).await.expect("the next event").unwrap();
        if !seen.contains(&number) {
            seen.push(number);
        }
    }
    assert_eq!(seen, (1..=30).collect::<Vec<_>>());
    drop(stop);
    drop(running.await.unwrap());
    three.holds(30).await;
}

/// Clients of other nodes go on with the next leader; one that is connected to the frozen node leaves it once its pings are not answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_leader_is_left_by_those_who_are_connected_to_it_too() {
    let mut three = Three::start().await;
    let (leader, others) = (three.leader().await, three.others().await);
    let elsewhere = store_at(&three.cluster.node(&others[0]).url()).await;
    let pings = ConnectOptions::new().ping_interval(Duration::from_secs(1));
    let client = pings.connect(three.cluster.node(&leader).url()).await.unwrap();
    let options = NatsBackend::options(jetstream::new(client), "SHOP").replicas(3).servers_sync_always();
    let at_the_leader = EventStore::new(open(options.timeout(TIMEOUT)).await);
    let own = StreamId::random();
    append(&elsewhere, &own, 1).await;
    append(&at_the_leader, &three.stream, 1).await;

    three.cluster.node(&leader).freeze();
    tokio::join!(append(&elsewhere, &own, 2), append(&at_the_leader, &three.stream, 2));
    three.cluster.node(&leader).thaw();
    let told = async { while three.leader().await == leader {} };
    timeout(PATIENCE, told).await.expect("the frozen one knows that another one leads");
    // What it still had to do, it does not do a second time.
    append(&elsewhere, &own, 3).await;
    append(&at_the_leader, &three.stream, 3).await;
    for (store, stream) in [(&at_the_leader, &own), (&elsewhere, &three.stream)] {
        let events = loaded(store, stream).await;
        assert_eq!(events.iter().map(|event| event.event.number).collect::<Vec<_>>(), [1, 2, 3]);
    }
}

#[tokio::test]
async fn without_a_majority_nothing_is_acknowledged_and_with_one_again_it_goes_on() {
    let mut three = Three::start().await;
    three.append(1).await;
    let others = three.others().await;
    for node in &others {
        three.cluster.node(node).kill();
    }
    for _ in 0..3 {
        assert!(!attempt(&three.store, &three.stream, 2).await, "one of three is no majority");
    }
    for node in &others {
        three.cluster.node(node).start_again();
    }
    three.append(2).await;
    three.append(3).await;
    three.holds(3).await;
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_all_nodes_were_killed_at_once() {
    let mut three = Three::start().await;
    for number in 1..=20 {
        three.append(number).await;
    }
    for node in ["node0", "node1", "node2"] {
        three.cluster.node(node).kill();
    }
    assert!(!attempt(&three.store, &three.stream, 21).await, "nobody is there");
    for node in ["node0", "node1", "node2"] {
        three.cluster.node(node).start_again();
    }
    three.append(21).await;
    three.holds(21).await;
}
