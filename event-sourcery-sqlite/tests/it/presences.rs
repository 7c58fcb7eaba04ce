//! Clause 8.7: what the leases of many subscriptions cost, how earlier files get there, and what happens where the row is lost.

use std::time::{Duration, Instant};

use event_sourcery::backend::{Member, SubscriptionBackend as _, SubscriptionId, SubscriptionRecord};
use event_sourcery::{Error, EventStore, RawEvent, TenantId};
use event_sourcery_sqlite::rusqlite::Connection;
use event_sourcery_sqlite::{SqliteBackend, SqliteOptions};
use faulty_vfs::FaultyVfs;
use tempfile::TempDir;
use tokio::task::JoinSet;

type Store = EventStore<SqliteBackend>;

const LEASE: Duration = Duration::from_millis(1_500);

/// No test waits longer for what has to happen.
const SOON: Duration = Duration::from_secs(60);

/// The subscriptions of a process that have nothing to do.
struct Idle<'s> {
    store: &'s Store,
    names: Vec<String>,
    /// They end with it.
    _runs: JoinSet<event_sourcery::Result<()>>,
}

impl<'s> Idle<'s> {
    /// So many, once a presence vouches for all of them.
    async fn start(store: &'s Store, count: usize) -> Self {
        let names: Vec<_> = (0..count).map(|number| format!("{count}: {number}")).collect();
        let mut runs = JoinSet::new();
        for name in &names {
            let durable = store.subscribe::<RawEvent>().durable(name.as_str()).lease(LEASE);
            runs.spawn(durable.run(async |_, _| Ok(())));
        }
        let idle = Self { store, names, _runs: runs };
        for name in &idle.names {
            until(async || member(store, name).await.is_some_and(|member| member.vouched_for_by().is_some()))
                .await;
        }
        idle
    }

    /// How often the files are written to for so many renewals.
    async fn writes(&self, vfs: FaultyVfs, renewals: usize) -> u64 {
        let before = vfs.writes();
        for _ in 0..renewals {
            let last = member(self.store, &self.names[0]).await;
            until(async || member(self.store, &self.names[0]).await != last).await;
        }
        vfs.writes() - before
    }
}

async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let give_up = Instant::now() + SOON;
    while !is_so().await {
        assert!(Instant::now() < give_up, "it never came about");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn record(store: &Store, name: &str) -> Option<SubscriptionRecord> {
    store.backend().subscription(SubscriptionId::new(TenantId::DEFAULT, name)).await.unwrap()
}

/// The last member of a subscription by id.
async fn member(store: &Store, name: &str) -> Option<Member> {
    record(store, name).await?.members.last().copied()
}

/// The log is copied into the file now and then: the least of some tries counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_subscriptions_that_have_nothing_to_do_write_what_one_writes() {
    let (vfs, folder) = (FaultyVfs::register("idle-leases"), TempDir::new().unwrap());
    let options = SqliteOptions::new(folder.path().join("events.db")).vfs(vfs.name());
    let store = EventStore::new(options.open().await.unwrap());
    let least = async |count| {
        let idle = Idle::start(&store, count).await;
        let mut least = u64::MAX;
        for _ in 0..3 {
            least = least.min(idle.writes(vfs, 4).await);
        }
        least
    };
    let one = least(1).await;
    // What is left of that one is over.
    until(async || record(&store, "1: 0").await.unwrap().members.is_empty()).await;
    let many = least(500).await;
    println!("four renewals: {one} writes for one subscription, {many} for 500");
    // 1.3 times as many, and one renewal: a quarter of those of one.
    assert!(100 * many <= 155 * one, "{many} writes, and {one} for one");
}

#[tokio::test]
async fn a_file_of_layout_5_is_migrated_and_a_member_of_that_version_goes_by_the_rows() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("events.db");
    let letters = |store: &Store| store.subscribe::<RawEvent>().durable("letters").lease(LEASE);
    let store = EventStore::new(SqliteBackend::open(&path).await.unwrap());
    letters(&store).until(std::future::ready(())).run(async |_, _| Ok(())).await.unwrap();
    drop(store);
    let older = "DROP TABLE event_sourcery_subscription_presences;
                 DROP INDEX ix_event_sourcery_subscription_members_presence;
                 ALTER TABLE event_sourcery_subscription_members DROP COLUMN presence;
                 UPDATE event_sourcery_layout SET version = 5;
                 INSERT INTO event_sourcery_subscription_members (tenant_id, name, member, until, lasting_ms)
                 VALUES ('', 'letters', '00000000000000000000000000000001', '2999-01-01 00:00:00.000000', 600000)";
    Connection::open(&path).unwrap().execute_batch(older).unwrap();
    let Err(Error::MigrationNeeded { problem }) = SqliteOptions::new(&path).migrate(false).open().await
    else {
        panic!("a migration is needed")
    };
    let made = [
        "TABLE event_sourcery_subscription_presences",
        "INDEX ix_event_sourcery_subscription_members_presence",
    ];
    assert!(made.iter().all(|made| problem.contains(&format!("CREATE {made}"))), "{problem}");

    let store = EventStore::new(SqliteBackend::open(&path).await.unwrap());
    assert_eq!(SqliteOptions::new(&path).migration().unwrap(), "");
    let run = tokio::spawn(letters(&store).run(async |_, _| Ok(())));
    until(async || record(&store, "letters").await.unwrap().members.len() == 2).await;
    let row = "SELECT until FROM event_sourcery_subscription_members WHERE presence = 0";
    let read = || {
        let file = Connection::open(&path).unwrap();
        file.query_row(row, [], |row| row.get::<_, String>(0)).unwrap()
    };
    let first = read();
    until(async || read() != first).await;
    run.abort();
}

#[tokio::test]
async fn a_presence_whose_row_is_lost_is_made_anew_and_the_leases_go_on() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("events.db");
    let store = EventStore::new(SqliteBackend::open(&path).await.unwrap());
    let idle = Idle::start(&store, 2).await;
    let held = record(&store, &idle.names[0]).await.unwrap().segments;
    let sql = Connection::open(&path).unwrap();
    sql.execute_batch("DELETE FROM event_sourcery_subscription_presences").unwrap();
    let count = "SELECT count(*) FROM event_sourcery_subscription_presences";
    until(async || sql.query_row(count, [], |row| row.get::<_, i64>(0)).unwrap() == 1).await;
    idle_goes_on(&idle).await;
    assert_eq!(record(&store, &idle.names[0]).await.unwrap().segments, held);
}

async fn idle_goes_on(idle: &Idle<'_>) {
    for name in &idle.names {
        let last = member(idle.store, name).await.expect("it has its leases");
        until(async || member(idle.store, name).await.is_some_and(|member| member.until > last.until)).await;
    }
}
