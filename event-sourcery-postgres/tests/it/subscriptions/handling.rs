//! A handler's transaction: ended by the server where it freezes, and never taken for committed where it is not.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use event_sourcery::backend::{Backend as _, JoinableBackend as _, StreamProgress};
use event_sourcery::{Error, RawEvent, StreamId};
use event_sourcery_postgres::{PostgresBackend, sqlx};

use super::{Subscription, blocked};
use crate::scene::{event, length, until};

#[tokio::test]
async fn a_transaction_that_freezes_is_ended_and_holds_nobody_up() {
    let (subscription, leases) = Subscription::of_member(1).await;
    let (backend, store) = (&subscription.backend, &subscription.scene.store);
    for ends_by_commit in [true, false] {
        // Longer than what comes before it is waited for, on a busy machine too.
        let idle = Duration::from_secs(3);
        let mut frozen = backend.begin_handling(idle, None).await.unwrap();
        let stream = StreamId::random();
        let drawn = store.within(&mut frozen).append(&stream, event()).await.unwrap();
        let after = store.append(&StreamId::random(), event()).await.unwrap();
        assert!(backend.position().await.unwrap().to_i64() < drawn.position.to_i64());
        assert_eq!(backend.held_up_by().await.unwrap().len(), 1);

        until(async || after.position.is_covered_by(backend.position().await.unwrap())).await;

        assert_eq!(backend.held_up_by().await.unwrap(), []);
        let refused = if ends_by_commit {
            backend.commit(frozen).await.unwrap_err()
        } else {
            let request = subscription.request(&leases, Some(1), Vec::new());
            backend.join(&mut frozen).progress(&request).await.unwrap_err()
        };
        assert!(matches!(refused, Error::Unavailable { .. } | Error::OutcomeUnknown { .. }), "{refused:?}");
        assert_eq!(length(store, &stream).await, 0);
    }
}

/// The server rolls such a transaction back when it is asked to commit, and the driver does not tell.
#[tokio::test]
async fn a_handler_that_keeps_a_failed_statement_to_itself_does_not_make_progress() {
    let (subscription, leases) = Subscription::of_member(1).await;
    let (backend, stream) = (&subscription.backend, StreamId::random());
    let mut handling = backend.begin_handling(Duration::from_secs(10), None).await.unwrap();
    subscription.scene.store.within(&mut handling).append(&stream, event()).await.unwrap();
    let kept_quiet = sqlx::query("SELECT 1 / 0").execute(PostgresBackend::connection(&mut handling)).await;
    assert!(kept_quiet.is_err());
    let request = subscription.request(&leases, Some(1), Vec::new());
    let refused = backend.join(&mut handling).progress(&request).await.unwrap_err();
    assert!(matches!(refused, Error::RolledBack { .. }), "{refused}");
    drop(handling);
    assert_eq!(subscription.positions().await, [0]);
    assert_eq!(length(&subscription.scene.store, &stream).await, 0);
}

/// What it has written would be kept without its checkpoint, or the checkpoint without what it has written.
#[tokio::test]
async fn a_handler_that_ends_its_transaction_makes_no_progress_in_another_one() {
    let (subscription, leases) = Subscription::of_member(1).await;
    let (backend, stream) = (&subscription.backend, subscription.new_stream().await);
    for end in ["COMMIT", "ROLLBACK", "COMMIT; BEGIN", "ROLLBACK AND CHAIN"] {
        let mut handling = backend.begin_handling(Duration::from_secs(10), None).await.unwrap();
        sqlx::raw_sql(end).execute(PostgresBackend::connection(&mut handling)).await.unwrap();
        for streams in [Vec::new(), vec![StreamProgress::Block(blocked(&stream, 1))]] {
            let request = subscription.request(&leases, Some(1), streams);
            let refused = backend.join_handling(&mut handling).progress(&request).await.unwrap_err();
            assert!(matches!(refused, Error::Backend { .. }), "{end}: {refused:?}");
            assert!(refused.in_full().contains("the transaction has been ended"), "{end}: {refused}");
        }
        drop(handling);
        assert_eq!(
            (subscription.positions().await, subscription.blocked().await.len()),
            (vec![0], 0),
            "{end}"
        );
    }
    let mut handling = backend.begin_handling(Duration::from_secs(10), None).await.unwrap();
    sqlx::raw_sql("SAVEPOINT own; ROLLBACK TO own")
        .execute(PostgresBackend::connection(&mut handling))
        .await
        .unwrap();
    let request = subscription.request(&leases, Some(1), Vec::new());
    backend.join_handling(&mut handling).progress(&request).await.unwrap();
    backend.commit(handling).await.unwrap();
    assert_eq!(subscription.positions().await, [1]);
}

#[tokio::test]
async fn a_handler_that_ends_its_transaction_has_failed() {
    for end in ["COMMIT", "ROLLBACK"] {
        let scene = crate::scene::Scene::new().await;
        let store = &scene.store;
        store.append(&StreamId::random(), event()).await.unwrap();
        let durable = || store.subscribe::<RawEvent>().durable("invoices").attempts(1);
        let run = tokio::spawn(durable().run_within(async move |_, transaction| {
            sqlx::query(end).execute(transaction.connection()).await?;
            Ok(())
        }));
        until(async || durable().parked().await.unwrap().len() == 1).await;
        run.abort();
        let parked = durable().parked().await.unwrap().remove(0);
        assert!(parked.error.contains("the transaction has been ended"), "{end}: {}", parked.error);
    }
}

/// A handler that passes over what others have locked would pass over what its own last attempt has, and make nothing of the event. Here that has
/// left a statement under way, behind which it is taken back.
#[tokio::test]
async fn what_a_failed_attempt_has_locked_is_free_for_the_next_one() {
    let scene = crate::scene::Scene::new().await;
    scene.run("CREATE TABLE jobs AS SELECT 7 AS job").await;
    scene.store.append(&StreamId::random(), event()).await.unwrap();
    let durable = || scene.store.subscribe::<RawEvent>().durable("jobs");
    let taken = Arc::new(Mutex::new(Vec::new()));
    let noting = Arc::clone(&taken);
    let run = tokio::spawn(durable().pauses(Duration::ZERO, Duration::ZERO).run_within(
        async move |_, transaction| {
            let take = "DELETE FROM jobs WHERE job IN (SELECT job FROM jobs FOR UPDATE SKIP LOCKED)";
            let jobs = sqlx::query(take).execute(transaction.connection()).await?.rows_affected();
            let attempt = {
                let mut taken = noting.lock().unwrap();
                taken.push(jobs);
                taken.len()
            };
            if attempt == 1 {
                let goes_on = sqlx::raw_sql("SELECT pg_sleep(1)").execute(transaction.connection());
                let _ = tokio::time::timeout(Duration::from_millis(50), goes_on).await;
                return Err("the printer is out of paper".into());
            }
            Ok(())
        },
    ));
    until(async || durable().status().await.unwrap().is_some_and(|status| status.events_behind == 0)).await;
    until(async || durable().blocked().await.unwrap().is_empty()).await;
    run.abort();
    assert_eq!(*taken.lock().unwrap(), [1, 1]);
    assert_eq!(scene.number("SELECT count(*) FROM jobs").await, 0);
}

/// As a standby is, while it waits to be promoted.
#[tokio::test]
async fn a_store_that_cannot_be_written_for_a_while_is_waited_for() {
    let scene = crate::scene::Scene::new().await;
    let (store, handled) = (scene.store.clone(), Arc::new(AtomicUsize::new(0)));
    let noting = Arc::clone(&handled);
    let durable = store.subscribe::<RawEvent>().durable("invoices").lease(Duration::from_millis(300));
    let run = tokio::spawn(durable.run(async move |_, _| {
        noting.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }));
    let is_handled = async |count| until(async || handled.load(Ordering::SeqCst) >= count).await;
    store.append(&StreamId::random(), event()).await.unwrap();
    is_handled(1).await;
    let set_read_only = |read_only| {
        scene.database.psql(&format!(
            "BEGIN READ WRITE;
             ALTER DATABASE {} SET default_transaction_read_only = {read_only};
             COMMIT;
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
            scene.database.name()
        ));
    };

    set_read_only("on");
    let refused = async || store.append(&StreamId::random(), event()).await;
    until(async || matches!(refused().await, Err(Error::ReadOnly { .. }))).await;
    // Longer than its lease.
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(!run.is_finished());
    set_read_only("off");

    until(async || store.append(&StreamId::random(), event()).await.is_ok()).await;
    is_handled(2).await;
    run.abort();
}

#[tokio::test]
async fn it_is_begun_in_one_round_trip_and_its_limits_end_with_it() {
    let subscription = Subscription::new().await;
    let options = PostgresBackend::options(subscription.scene.database.url()).max_connections(1);
    let backend = options.open().await.unwrap();
    let shown = async |connection: &mut sqlx::PgConnection, what: &'static str| -> String {
        sqlx::query_scalar(what).fetch_one(connection).await.unwrap()
    };
    for (idle, expected) in
        [(Duration::ZERO, "1ms"), (Duration::from_secs(7), "7s"), (Duration::MAX, "2147483647ms")]
    {
        let mut handling = backend.begin_handling(idle, None).await.unwrap();
        if idle > Duration::ZERO {
            let connection = PostgresBackend::connection(&mut handling);
            assert_eq!(shown(connection, "SHOW idle_in_transaction_session_timeout").await, expected);
            let connection = PostgresBackend::connection(&mut handling);
            assert_eq!(shown(connection, "SHOW transaction_isolation").await, "read committed");
            backend.commit(handling).await.unwrap();
            let mut connection = backend.pool().acquire().await.unwrap();
            assert_eq!(shown(&mut connection, "SHOW idle_in_transaction_session_timeout").await, "0");
        }
    }
}

/// With as few connections as a store can have: one that stays with a handler would be missed.
#[tokio::test]
async fn a_handler_past_its_time_gives_its_connection_back_and_leaves_no_transaction_open() {
    let scene = crate::scene::Scene::new().await;
    let options = PostgresBackend::options(scene.database.url()).max_connections(2);
    let store = event_sourcery::EventStore::new(options.open().await.unwrap());
    let (hung, written) = (StreamId::random(), StreamId::random());
    store.append(&hung, event()).await.unwrap();
    let durable = || {
        let durable = store.subscribe::<RawEvent>().event_names(["Happened"]).durable("invoices");
        durable.attempts(2).pauses(Duration::from_millis(1), Duration::from_millis(1))
    };
    let (handled, hangs, writes) = (Arc::new(AtomicUsize::new(0)), hung.clone(), written.clone());
    let noting = Arc::clone(&handled);
    let run = tokio::spawn(durable().handler_timeout(Duration::from_secs(1)).run_within(
        async move |recorded, transaction| {
            if recorded.stream_id == hangs {
                let written = RawEvent::new("Written", "{}")?;
                transaction.store().append(&writes, written).no_versioning().await?;
                sqlx::query("SELECT pg_sleep(3600)").execute(transaction.connection()).await?;
            }
            noting.fetch_add(1, Ordering::SeqCst);
            Ok(())
        },
    ));
    until(async || durable().parked().await.unwrap().len() == 1).await;
    for count in 1..=4 {
        store.append(&StreamId::random(), event()).await.unwrap();
        until(async || handled.load(Ordering::SeqCst) >= count).await;
    }
    run.abort();
    let parked = durable().parked().await.unwrap().remove(0);
    assert_eq!((parked.stream, parked.attempts), (hung, 2));
    assert!(parked.error.contains("handler_timeout"), "{}", parked.error);
    assert_eq!(length(&store, &written).await, 0);
    let open = "SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND (state LIKE 'idle in transaction%' OR query LIKE '%pg_sleep(3600)%'
                    AND state = 'active' AND pid <> pg_backend_pid())";
    until(async || scene.number(open).await == 0).await;
}
