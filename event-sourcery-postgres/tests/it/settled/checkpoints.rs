//! Contract 8.6 and 8.7: another server takes the place of the one that was read, or the same one starts anew, while a durable
//! subscription is at work.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use event_sourcery::backend::{
    JoinableBackend as _, Kept, Lease, ProgressRequest, RenewRequest, Scope, SubscriptionBackend as _,
    SubscriptionChange, SubscriptionId,
};
use event_sourcery::{Durable, Error, Position, RawEvent, Result, StreamId, TenantId};
use event_sourcery_postgres::PostgresBackend;
use event_sourcery_postgres::sqlx;
use event_sourcery_postgres::sqlx::types::Uuid;
use postgres_cluster::Cluster;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::address::Address;
use super::failover::{behind_an_address, open, until_replayed};
use super::settled;
use crate::scene::{Scene, Store, events, until};

const LEASE: Duration = Duration::from_secs(1);
pub(super) const CHECKPOINT: &str = "SELECT position FROM event_sourcery_subscription_segments";
const MEMBER: Uuid = Uuid::from_u128(1);

/// A server that is ahead of its standby once that was stopped.
pub(super) struct Pair {
    pub(super) primary: Cluster,
    pub(super) standby: Cluster,
}

impl Pair {
    pub(super) fn start() -> Self {
        let primary = Cluster::start(&[("wal_level", "replica"), ("max_wal_senders", "4")]);
        let standby = primary.standby();
        Self { primary, standby }
    }

    pub(super) async fn leave_the_standby_behind(&mut self) {
        until_replayed(&self.primary, &self.standby).await;
        self.standby.stop_fast();
    }

    /// The standby leads, with what it has. Nobody reaches the other one, whose connections stay open until then.
    pub(super) fn lead_to_the_standby(&mut self, address: &Address) {
        self.primary.freeze();
        self.standby.start_again();
        self.standby.promote();
        address.leads_to(self.standby.port());
        self.primary.kill();
    }

    /// The standby leads, with events of its own where the other one had others.
    async fn take_over(&mut self, address: &Address, scene: &Scene) {
        self.primary.kill();
        self.standby.start_again();
        self.standby.promote();
        address.leads_to(self.standby.port());
        append(&open(address, scene).await, 80).await;
    }

    /// What the server answers that leads now.
    pub(super) fn says(&self, scene: &Scene, sql: &str) -> String {
        self.standby.psql(scene.database.name(), sql)
    }
}

pub(super) async fn append(store: &Store, count: usize) {
    store.append(&StreamId::random(), events(count)).await.unwrap();
}

pub(super) fn letters(store: &Store) -> Durable<PostgresBackend, RawEvent> {
    store.subscribe::<RawEvent>().durable("letters").segments(1)
}

/// A subscription whose handler waits while its gate is closed.
struct Worker {
    handled: Arc<Mutex<Vec<i64>>>,
    gate: watch::Sender<bool>,
    stop: oneshot::Sender<()>,
    run: JoinHandle<Result<()>>,
}

impl Worker {
    fn on(store: &Store) -> Self {
        let ((stop, stopped), (gate, open)) = (oneshot::channel::<()>(), watch::channel(true));
        let handled = Arc::<Mutex<Vec<i64>>>::default();
        let noted = Arc::clone(&handled);
        let run = tokio::spawn(letters(store).lease(LEASE).until(stopped).run(async move |recorded, _| {
            noted.lock().unwrap().push(recorded.position.to_i64());
            passes(&open).await;
            Ok(())
        }));
        Self { handled, gate, stop, run }
    }

    async fn has_begun(&self, events: usize) {
        until(async || self.handled.lock().unwrap().len() >= events).await;
    }

    /// How it ends by itself.
    async fn ends(self) -> Result<()> {
        tokio::time::timeout(Duration::from_secs(60), self.run).await.expect("it ends").unwrap()
    }

    async fn stops(self) -> Vec<i64> {
        drop(self.stop);
        self.run.await.unwrap().unwrap();
        Arc::into_inner(self.handled).unwrap().into_inner().unwrap()
    }
}

pub(super) async fn passes(gate: &watch::Receiver<bool>) {
    let mut gate = gate.clone();
    gate.wait_for(|is_open| *is_open).await.unwrap();
}

/// It sits in a handler meanwhile, with a page in hand, and no call of it fails.
#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_stays_where_it_is_in_a_history_that_lacks_what_was_handled() {
    let mut servers = Pair::start();
    let (address, store, scene) = behind_an_address(&servers.primary).await;
    append(&store, 20).await;
    let worker = Worker::on(&store);
    until(async || servers.primary.psql(scene.database.name(), CHECKPOINT) == "20").await;
    worker.gate.send_replace(false);
    servers.leave_the_standby_behind().await;
    append(&store, 80).await;
    worker.has_begun(21).await;

    servers.take_over(&address, &scene).await;
    worker.gate.send_replace(true);
    let told = worker.ends().await;
    assert!(matches!(told, Err(Error::HistoryReplaced { .. })), "{told:?}");
    assert_eq!(servers.says(&scene, CHECKPOINT), "20");

    let again = Worker::on(&open(&address, &scene).await);
    again.has_begun(80).await;
    let there = servers.says(&scene, "SELECT id FROM event_sourcery_events WHERE id > 20 ORDER BY id");
    let there: Vec<i64> = there.lines().map(|id| id.parse().unwrap()).collect();
    assert!(there.len() == 80 && there[0] <= 100, "positions are given again: {there:?}");
    assert_eq!(again.stops().await, there);
}

/// The ways in which a checkpoint is written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    Alone,
    InAHandlersTransaction,
    Renewing,
    Leaving,
}

const WAYS: [Way; 4] = [Way::Alone, Way::InAHandlersTransaction, Way::Renewing, Way::Leaving];

impl Way {
    /// Whether this is the answer to who has no lease any more. A change is made all the same, and puts nothing down.
    pub(super) fn has_lost(self, answer: &Result<()>) -> bool {
        match self {
            Self::Alone | Self::InAHandlersTransaction => matches!(answer, Err(Error::LeaseLost { .. })),
            Self::Renewing | Self::Leaving => answer.is_ok(),
        }
    }
}

fn id() -> SubscriptionId {
    SubscriptionId::new(TenantId::DEFAULT, "letters")
}

fn renewal(reached: Vec<(Lease, Position)>) -> SubscriptionChange {
    let kept = Kept::new(Scope::default(), Position::START, Vec::new());
    let request = RenewRequest::new(MEMBER, (1, Position::START), kept, Duration::from_secs(60));
    SubscriptionChange::Renew(request.with_reached(reached))
}

/// A subscription that is a member's, and for each way a process that has read all there is.
pub(super) async fn lease_and_readers(
    store: &Store,
    another: impl AsyncFn() -> Store,
) -> (Lease, Vec<(Way, Store)>) {
    let backend = store.backend();
    let record = backend.change_subscription(id(), renewal(Vec::new())).await.unwrap().unwrap();
    let (lease, _) = record.leases_of(MEMBER).next().unwrap();
    let mut readers = Vec::new();
    for way in WAYS {
        readers.push((way, another().await));
    }
    (lease, readers)
}

/// The member's lease as it is now. Connections from before fail.
async fn lease_of_now(store: &Store) -> Lease {
    let mut lease = None;
    until(async || {
        let record = store.backend().change_subscription(id(), renewal(Vec::new())).await.ok().flatten();
        lease = record.and_then(|record| record.leases_of(MEMBER).next().map(|(lease, _)| lease));
        lease.is_some()
    })
    .await;
    lease.unwrap()
}

/// Puts it down that a position was reached. Connections from before fail.
pub(super) async fn reach(store: &Store, way: Way, lease: Lease, position: i64) -> Result<()> {
    let (backend, reached) = (store.backend(), Position::from_i64(position));
    let request = ProgressRequest::new(id()).with_leases(vec![lease]).with_position(reached);
    let leaves = SubscriptionChange::Leave { member: MEMBER, reached: vec![(lease, reached)] };
    let mut answer = None;
    until(async || {
        let answered = match way {
            Way::Alone => backend.progress(request.clone()).await,
            Way::InAHandlersTransaction => in_a_handlers_transaction(backend, &request).await,
            Way::Renewing => {
                backend.change_subscription(id(), renewal(vec![(lease, reached)])).await.map(drop)
            }
            Way::Leaving => backend.change_subscription(id(), leaves.clone()).await.map(drop),
        };
        let is_answer = !matches!(answered, Err(Error::Unavailable { .. } | Error::OutcomeUnknown { .. }));
        answer = Some(answered);
        is_answer
    })
    .await;
    answer.unwrap()
}

async fn in_a_handlers_transaction(backend: &PostgresBackend, request: &ProgressRequest) -> Result<()> {
    let mut handling = backend.begin_handling(Duration::from_secs(10), None).await?;
    backend.join_handling(&mut handling).progress(request).await?;
    backend.commit(handling).await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_way_of_writing_a_checkpoint_reaches_into_a_history_that_lacks_what_was_handled() {
    let mut servers = Pair::start();
    let (address, store, scene) = behind_an_address(&servers.primary).await;
    append(&store, 20).await;
    let (lease, readers) = lease_and_readers(&store, async || open(&address, &scene).await).await;
    servers.leave_the_standby_behind().await;
    append(&store, 80).await;
    for (_, reader) in &readers {
        assert_eq!(settled(reader).await, 100);
    }

    servers.take_over(&address, &scene).await;
    for (way, reader) in &readers {
        for _ in 0..2 {
            let told = reach(reader, *way, lease, 100).await;
            assert!(matches!(told, Err(Error::HistoryReplaced { .. })), "{way:?}: {told:?}");
        }
        assert_eq!(servers.says(&scene, CHECKPOINT), "0", "{way:?}");
    }
    // Whoever has opened it again is let in, with a lease that was given there.
    let again = open(&address, &scene).await;
    assert!(settled(&again).await > 100);
    assert!(Way::Alone.has_lost(&reach(&again, Way::Alone, lease, 30).await));
    let lease = lease_of_now(&again).await;
    reach(&again, Way::Alone, lease, 30).await.unwrap();
    assert_eq!(servers.says(&scene, CHECKPOINT), "30");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_of_writing_a_checkpoint_goes_on_with_another_lease_when_the_server_was_started_anew() {
    for is_killed in [true, false] {
        let mut cluster = Cluster::start(&[]);
        let scene = Scene::on(cluster.create_database()).await;
        append(&scene.store, 4).await;
        let (lease, readers) = lease_and_readers(&scene.store, async || scene.another_store().await).await;
        for (_, reader) in &readers {
            assert_eq!(settled(reader).await, 4);
        }
        if is_killed {
            cluster.kill();
        } else {
            cluster.stop_fast();
        }
        cluster.start_again();
        let checkpoint = || cluster.psql(scene.database.name(), CHECKPOINT);
        for ((way, reader), position) in readers.iter().zip(1_i64..) {
            let told = reach(reader, *way, lease, position).await;
            assert!(way.has_lost(&told), "{way:?}: {told:?}");
            assert_eq!(checkpoint(), (position - 1).to_string(), "{way:?}");
            let lease = lease_of_now(reader).await;
            reach(reader, *way, lease, position).await.unwrap();
            assert_eq!(checkpoint(), position.to_string(), "{way:?}");
        }
    }
}

/// It is restarted in the middle of a handler.
#[tokio::test(flavor = "multi_thread")]
async fn each_event_takes_effect_once_when_the_server_is_started_anew_under_a_handler() {
    let mut cluster = Cluster::start(&[]);
    let scene = Scene::on(cluster.create_database()).await;
    scene.run("CREATE TABLE effects (position bigint)").await;
    append(&scene.store, 5).await;
    let ((stop, stopped), (gate, open)) = (oneshot::channel::<()>(), watch::channel(false));
    let (begun, mut has_begun) = watch::channel(false);
    let durable = letters(&scene.store).lease(Duration::from_secs(30)).until(stopped);
    let run = tokio::spawn(durable.run_within(async move |recorded, tx| {
        let insert = sqlx::query("INSERT INTO effects VALUES ($1)").bind(recorded.position.to_i64());
        insert.execute(tx.connection()).await?;
        begun.send_replace(true);
        passes(&open).await;
        Ok(())
    }));
    has_begun.wait_for(|has_begun| *has_begun).await.unwrap();

    cluster.stop_fast();
    cluster.start_again();
    gate.send_replace(true);
    let effects = || {
        let counted = "SELECT count(*), count(DISTINCT position) FROM effects";
        cluster.psql(scene.database.name(), counted)
    };
    until(async || effects() == "5|5").await;
    drop(stop);
    run.await.unwrap().unwrap();
    assert_eq!(effects(), "5|5");
}
