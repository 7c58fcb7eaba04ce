//! Ways to the server that die in silence while a handler's transaction is open: the subscription goes on within a minute, also with
//! a single connection, and each event is handled exactly once.

use std::time::{Duration, Instant};

use event_sourcery::backend::JoinableBackend as _;
use event_sourcery::{RawEvent, StreamId};
use event_sourcery_postgres::{PostgresBackend, sqlx};
use futures_util::future::join_all;

use super::cut::Cut;
use super::proxy::Lost;
use crate::scene::{Scene, event, events, until};

/// What a handler says last, for the proxy to hear: the progress follows, of the subscription called so, and the commit.
const HEARD: &str = "SELECT 'heard'";

/// What begins a handler's transaction.
const BEGINS: &str = "SET LOCAL idle_in_transaction_session_timeout";

/// A subscription that handles three events, when the second words get no answer on a connection on which the first were said.
async fn run_with_a_loss(first: &'static str, second: &'static str) {
    let cut = Cut::new(Lost::AnswerInSilence, 1).await;
    cut.scene.run("CREATE TABLE handled (position bigint)").await;
    cut.store.append(&StreamId::random(), events(3)).await.unwrap();
    let durable = cut.store.subscribe::<RawEvent>().durable("invoices").lease(Duration::from_secs(5));
    cut.proxy.cut_at(first, second);
    let run = tokio::spawn(durable.run_within(async move |recorded, transaction| {
        let position = recorded.position.to_i64();
        let insert = sqlx::query("INSERT INTO handled VALUES ($1)").bind(position);
        insert.execute(transaction.connection()).await?;
        if position == 3 {
            sqlx::raw_sql(HEARD).execute(transaction.connection()).await?;
        }
        Ok(())
    }));
    until(async || cut.scene.number("SELECT count(*) FROM handled").await == 3).await;
    // Kept is what it has handled, and the next event is handled too.
    cut.store.append(&StreamId::random(), event()).await.unwrap();
    until(async || cut.scene.number("SELECT max(position) FROM handled").await == 4).await;
    assert_eq!(cut.scene.number("SELECT count(*) FROM handled").await, 4, "{second}");
    assert!(cut.proxy.has_cut_at(), "{second}");
    assert!(!run.is_finished());
    run.abort();
}

#[tokio::test]
async fn a_subscription_goes_on_whatever_of_its_transaction_is_lost_in_silence() {
    let losses = [(BEGINS, "BEGIN"), (HEARD, "invoices"), (HEARD, "COMMIT")];
    join_all(losses.map(|(first, second)| run_with_a_loss(first, second))).await;
}

#[tokio::test]
async fn a_commit_that_takes_long_is_waited_for_as_long_as_the_server_is_at_work() {
    let scene = Scene::new().await;
    let slow = "CREATE TABLE slow (done boolean);
                CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
                    'BEGIN PERFORM pg_sleep(12); RETURN NULL; END';
                CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED
                    FOR EACH ROW EXECUTE FUNCTION slow()";
    scene.run(slow).await;
    let backend = scene.store.backend();
    let mut handling = backend.begin_handling(Duration::from_secs(5), None).await.unwrap();
    let insert = sqlx::raw_sql("INSERT INTO slow VALUES (true)");
    insert.execute(PostgresBackend::connection(&mut handling)).await.unwrap();
    let begun = Instant::now();
    backend.commit(handling).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(12));
}
