//! Poolers between the store and the server: found out, named, and worked with.

mod conformance;

use std::time::Duration;

use event_sourcery::{Error, Event as _, EventStore, RawEvent, StreamId};
use event_sourcery_postgres::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use event_sourcery_postgres::sqlx::{self, Connection as _, PgConnection};
use event_sourcery_postgres::{PostgresBackend, PostgresOptions};
use futures_util::future::join_all;
use postgres_cluster::{Database, Pooler, Pooling, Server};
use tokio::time::timeout;
use uuid::Uuid;

use crate::crashes::proxy::{Lost, Proxy};
use crate::process;
use crate::scene::{Scene, Store, Tx, event, events, insert_invoice, length, until};
use crate::settings::read_beside_a_rewrite;
use crate::settled::{Reader, append};

/// A database, reached directly and through a pooler.
struct Pooled {
    scene: Scene,
    pooler: Pooler,
}

impl Pooled {
    async fn new(pooling: Pooling, connections: u16) -> Self {
        Self { scene: Scene::new().await, pooler: Pooler::start(&Server::shared(), pooling, connections) }
    }

    /// In transaction mode. The server connection that was given back first is the next one that is given out, not the last.
    async fn in_turn(connections: u16) -> Self {
        let in_turn = [("server_round_robin", "1")];
        let pooler = Pooler::start_with(&Server::shared(), Pooling::Transaction, connections, &in_turn);
        Self { scene: Scene::new().await, pooler }
    }

    fn options(&self) -> PostgresOptions {
        PostgresBackend::options(self.pooler.url(&self.scene.database))
    }

    /// A store that knows what it speaks to.
    async fn store(&self) -> Store {
        EventStore::new(self.options().transaction_pooler(true).open().await.unwrap())
    }
}

#[tokio::test]
async fn a_pooler_in_transaction_mode_that_the_store_was_not_told_of_is_named() {
    for (connections, in_turn) in [(1, false), (2, false), (10, false), (2, true), (3, true), (10, true)] {
        let pooled = if in_turn {
            Pooled::in_turn(connections).await
        } else {
            Pooled::new(Pooling::Transaction, connections).await
        };
        // Others use it too.
        let busy = pooled.store().await;
        let appends = (0..20).map(|_| busy.append(&StreamId::random(), event()).into_future());
        join_all(appends).await;
        for _ in 0..5 {
            // With one, nothing comes of it, mostly.
            let patience = Duration::from_secs(if connections == 1 { 1 } else { 10 });
            let options = pooled.options().acquire_timeout(patience);
            let refused = options.open().await.unwrap_err();
            if connections == 1 && matches!(refused, Error::Unavailable { .. }) {
                continue;
            }
            let named = matches!(&refused, Error::InvalidOption { option: "transaction_pooler", problem }
                if problem.contains("transaction_pooler(true)"));
            assert!(named && !refused.is_retryable(), "{connections}, in turn: {in_turn}: {refused:?}");
        }
    }
}

/// One that takes the server's place under an open store, or that was not found out when the store was opened.
#[tokio::test]
async fn a_pooler_in_transaction_mode_is_named_once_a_connection_is_given_another_server_process() {
    let pooled = Pooled::new(Pooling::Transaction, 2).await;
    let of_the_pooler: PgConnectOptions = pooled.pooler.url(&pooled.scene.database).parse().unwrap();
    let of_the_server: PgConnectOptions = pooled.scene.database.url().parse().unwrap();
    let pool = PgPoolOptions::new().connect_lazy_with(of_the_server.application_name("the store"));
    let options = PostgresOptions::with_pool(pool.clone()).max_connections(1).notifications(false);
    let store = EventStore::new(options.open().await.unwrap());
    store.append(&StreamId::random(), event()).await.unwrap();
    let of_the_pooler = of_the_pooler.extra_float_digits(None);
    pool.set_connect_options(of_the_pooler.clone());
    let left = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'the store'
                AND datname = current_database()";
    pooled.scene.run(left).await;
    until(async || store.append(&StreamId::random(), event()).await.is_ok()).await;

    let mut other = PgConnection::connect_with(&of_the_pooler).await.unwrap();
    sqlx::raw_sql("BEGIN").execute(&mut other).await.unwrap();
    // As long as a connection is trusted.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let append = async || store.append(&StreamId::random(), event()).await.unwrap_err();
    let is_named = |refused: &Error| {
        matches!(refused, Error::InvalidOption { option: "transaction_pooler", problem }
        if problem.contains("another server process") && problem.contains("transaction_pooler(true)"))
    };
    let refused = append().await;
    assert!(is_named(&refused) && !refused.is_retryable(), "{refused:?}");
    // Not used again, whatever a connection would be given.
    other.close().await.unwrap();
    let refused = append().await;
    assert!(is_named(&refused), "{refused:?}");
}

#[tokio::test]
async fn a_pooler_in_statement_mode_is_refused_for_good() {
    let pooled = Pooled::new(Pooling::Statement, 10).await;
    for told in [false, true] {
        let refused = pooled.options().transaction_pooler(told).open().await.unwrap_err();
        assert!(matches!(refused, Error::InvalidOption { .. }) && !refused.is_retryable(), "{refused:?}");
    }
}

#[tokio::test]
async fn a_database_that_does_not_exist_is_named_behind_a_pooler_too() {
    let pooler = Pooler::start(&Server::shared(), Pooling::Transaction, 2);
    for told in [false, true] {
        // It answers nothing while it tries to log in by itself, and then what came of it.
        until(async || {
            let options =
                PostgresBackend::options(pooler.url_of("nowhere")).acquire_timeout(Duration::from_secs(1));
            match options.transaction_pooler(told).open().await.unwrap_err() {
                Error::Unavailable { .. } => false,
                refused => matches!(refused, Error::StoreNotFound { .. }) || panic!("{refused:?}"),
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_parameter_that_a_pooler_does_not_take_is_refused_for_good() {
    let pooled = Pooled::new(Pooling::Session, 10).await;
    let url = format!("{}?options=-c%20geqo%3Doff", pooled.pooler.url(&pooled.scene.database));
    let refused = PostgresBackend::connect(url).await.unwrap_err();
    assert!(matches!(refused, Error::InvalidOption { option: "url", .. }), "{refused:?}");
    assert!(!refused.is_retryable());
}

#[tokio::test]
async fn a_user_whom_a_pooler_does_not_know_is_refused_for_good() {
    let pooled = Pooled::new(Pooling::Transaction, 10).await;
    let url = pooled.pooler.url(&pooled.scene.database).replace("postgres@", "nobody@");
    let refused = PostgresBackend::connect(url).await.unwrap_err();
    assert!(matches!(refused, Error::InvalidOption { option: "url", .. }), "{refused:?}");
    assert!(!refused.is_retryable());
}

#[tokio::test]
async fn a_pooler_in_session_mode_is_as_good_as_the_server() {
    let pooled = Pooled::new(Pooling::Session, 20).await;
    let store = EventStore::new(pooled.options().open().await.unwrap());
    does_its_work(&pooled.scene, &store).await;
}

#[tokio::test]
async fn behind_a_pooler_in_transaction_mode_a_store_does_its_work() {
    for connections in [2, 20] {
        let pooled = Pooled::new(Pooling::Transaction, connections).await;
        does_its_work(&pooled.scene, &pooled.store().await).await;
    }
}

/// The interleavings of writers and readers, forced as they are without a pooler: server connections change from look to look.
#[test]
fn positions_that_become_visible_in_any_order_are_read_behind_a_pooler_as_without() {
    let tests = ["settled::interleavings::", "settled::short_lived::", "settled::numbering::"];
    for pooling in [Pooling::Session, Pooling::Transaction] {
        let pooler = Pooler::start(&Server::shared(), pooling, 20);
        let told = pooling == Pooling::Transaction;
        let output = process::once_more_behind_a_pooler(&tests, pooler.port(), told).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let passed = said.lines().find_map(|line| line.strip_prefix("test result: ok. ")?.split(' ').next());
        let passed: usize = passed.and_then(|passed| passed.parse().ok()).unwrap_or(0);
        assert!(output.status.success() && passed > 12, "{pooling:?}: {said}");
    }
}

/// An empty database: the tables are made through the pooler.
#[tokio::test]
async fn a_store_is_made_through_a_pooler() {
    let pooler = Pooler::start(&Server::shared(), Pooling::Transaction, 5);
    let database: Database = Server::shared().create_database();
    let options = || PostgresBackend::options(pooler.url(&database)).transaction_pooler(true);
    let opening = (0..4).map(|_| tokio::spawn(options().open()));
    for opened in join_all(opening.collect::<Vec<_>>()).await {
        let store = EventStore::new(opened.unwrap().unwrap());
        store.append(&StreamId::random(), event()).await.unwrap();
    }
    assert_eq!(options().migration().await.unwrap(), "");
}

async fn does_its_work(scene: &Scene, store: &Store) {
    let appends = (0..100).map(|_| async {
        let stream = StreamId::random();
        store.append(&stream, event()).await.unwrap();
        let several = store.append(&stream, event()).expected_version(1).and(&StreamId::random(), event());
        several.await.unwrap();
        let refused = store.append(&stream, event()).expected_version(1).await.unwrap_err();
        assert!(matches!(refused, Error::Conflict { .. }), "{refused:?}");
        assert_eq!(length(store, &stream).await, 2);
        assert_eq!(store.load_stream::<RawEvent>(&stream).versions(2..).await.unwrap().len(), 1);
    });
    join_all(appends).await;
    assert_eq!(scene.events().await, 300);
    let kept = StreamId::random();
    let mut tx = store.backend().begin().await.unwrap();
    store.within(&mut tx).append(&kept, event()).await.unwrap();
    tx.commit().await.unwrap();
    until(async || store.position().await.unwrap().to_i64() == 301).await;
    let (read, mut handled) = (store.clone(), 0);
    let until_all = async move {
        loop {
            let status = read.subscribe::<RawEvent>().durable("all").status().await.unwrap();
            if status.is_some_and(|status| status.events_behind == 0) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let all = store.subscribe::<RawEvent>().durable("all").until(until_all);
    all.run_within(async |_, _| {
        handled += 1;
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(handled, 301);
    store.delete_stream(&kept).await.unwrap();
    assert_eq!(length(&scene.store, &kept).await, 0);
}

#[tokio::test]
async fn through_a_pooler_readers_wait_for_those_who_may_still_commit_below() {
    let pooled = Pooled::new(Pooling::Transaction, 10).await;
    let store = pooled.store().await;
    let scene = pooled.scene.with_own_table().await;
    let mut reader = Reader::of(&store);
    let mut late: Tx = scene.begin().await;
    insert_invoice(&mut late, "1003").await;
    scene.store.within(&mut late).append(&StreamId::random(), event()).await.unwrap();
    let above = append(&store).await;
    reader.sees_only(&[]).await;
    let mut rolled_back = scene.begin().await;
    scene.store.within(&mut rolled_back).append(&StreamId::random(), event()).await.unwrap();
    let last = append(&store).await;
    reader.sees_only(&[]).await;
    rolled_back.rollback().await.unwrap();
    late.commit().await.unwrap();
    reader.comes_to_see(&[above - 1, above, last]).await;
}

/// What sets a transaction is a statement as well, and must not fix the moment as of which the others read.
#[tokio::test]
async fn a_table_that_is_rewritten_while_it_is_read_through_a_pooler_loses_nothing() {
    let pooled = Pooled::new(Pooling::Transaction, 20).await;
    let (store, stream) = (pooled.store().await, StreamId::random());
    store.append(&stream, events(300)).await.unwrap();
    until(async || store.position().await.unwrap().to_i64() == 300).await;
    for number in 0..5 {
        let read = read_beside_a_rewrite(&pooled.scene, &store, &stream, &format!("r{number}")).await;
        assert_eq!(read, [300; 4]);
    }
}

/// What our transactions set must not stay on a server connection that the next client gets.
#[tokio::test]
async fn nothing_stays_set_on_a_shared_server_connection() {
    let pooled = Pooled::new(Pooling::Transaction, 1).await;
    let store = pooled.store().await;
    store.append(&StreamId::random(), event()).await.unwrap();
    store.position().await.unwrap();
    let connect: PgConnectOptions = pooled.pooler.url(&pooled.scene.database).parse().unwrap();
    let mut other = PgConnection::connect_with(&connect.extra_float_digits(None)).await.unwrap();
    for (name, value) in
        [("row_security", "on"), ("lock_timeout", "0"), ("idle_in_transaction_session_timeout", "0")]
    {
        let show = sqlx::AssertSqlSafe(format!("SHOW {name}"));
        let row = sqlx::Executor::fetch_one(&mut other, sqlx::raw_sql(show)).await.unwrap();
        assert_eq!(sqlx::Row::get::<String, _>(&row, 0), value, "{name}");
    }
    let prepared = "SELECT count(*) FROM pg_prepared_statements";
    let row = sqlx::Executor::fetch_one(&mut other, sqlx::raw_sql(prepared)).await.unwrap();
    assert_eq!(sqlx::Row::get::<i64, _>(&row, 0), 0);
}

/// An append when its n-th answer is lost on the way to the pooler.
async fn append_with_a_loss(n: i64) {
    let pooled = Pooled::new(Pooling::Transaction, 10).await;
    let proxy = Proxy::to(pooled.pooler.port(), Lost::AnswerInSilence).await;
    let options = PostgresBackend::options(proxy.url(pooled.scene.database.name())).max_connections(1);
    let store = EventStore::new(options.transaction_pooler(true).open().await.unwrap());
    let (stream, id) = (StreamId::random(), Uuid::now_v7());
    let append = async || {
        let append = store.append(&stream, event().with_id(id)).into_future();
        timeout(Duration::from_secs(60), append).await.expect("an answer is waited for that does not come")
    };
    // A connection that was idle for a second is tried before it is used, which would count.
    store.append(&StreamId::random(), event()).await.unwrap();
    proxy.cut(n);
    let lost = append().await.unwrap_err();
    assert!(matches!(lost, Error::OutcomeUnknown { .. } | Error::Unavailable { .. }), "{n}: {lost:?}");
    assert!(proxy.has_cut(), "{n}");
    append().await.unwrap();
    assert_eq!(length(&pooled.scene.store, &stream).await, 1, "{n}");
}

/// Nobody knows the server's process in advance: each transaction has its own.
#[tokio::test]
async fn a_way_to_a_pooler_that_dies_in_silence_is_given_up() {
    join_all((1..=4).map(append_with_a_loss)).await;
}

#[tokio::test]
async fn a_migration_through_a_pooler_is_waited_for_as_long_as_the_server_is_at_work() {
    let (server, database) = (Server::shared(), Server::shared().create_database());
    let pooler = Pooler::start(&server, Pooling::Transaction, 10);
    database.psql(
        "CREATE TABLE slept ();
         CREATE FUNCTION sleep() RETURNS event_trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF NOT EXISTS (SELECT FROM slept) THEN
                 INSERT INTO slept DEFAULT VALUES;
                 PERFORM pg_sleep(12);
             END IF;
         END $$;
         CREATE EVENT TRIGGER slow ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION sleep()",
    );
    let options = PostgresBackend::options(pooler.url(&database)).transaction_pooler(true);
    let store = EventStore::new(options.open().await.unwrap());
    assert_eq!(database.psql("SELECT count(*) FROM slept"), "1");
    store.append(&StreamId::random(), event()).await.unwrap();
}
