//! Up to where an import reads while others have drawn numbers that they have not committed.

use std::time::Duration;

use event_sourcery_import::{Import, ImportError, Mapping, PostgresSource, Source as _};
use postgres_cluster::{Database, Server};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::scene::{all, memory};
use crate::servers::MESSAGES;

fn message(stream: &str) -> String {
    let columns = "position, stream_name, type, data";
    format!("INSERT INTO message_store.messages ({columns}) VALUES (0, '{stream}', 'Opened', '{{}}')")
}

async fn run(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await.unwrap();
}

/// Until somebody else has looked who is writing, after this was called. An import that does not look is not waited for for ever.
async fn somebody_looks(connection: &mut PgConnection) {
    let now = sqlx::query_scalar::<_, String>("SELECT clock_timestamp()::text");
    let now = now.fetch_one(&mut *connection).await.unwrap();
    let looking = "SELECT count(*) FROM pg_stat_activity
                   WHERE query LIKE '%virtualtransaction%' AND state = 'idle' AND query_start > $1::text::timestamptz
                     AND pid <> pg_backend_pid() AND datname = current_database()";
    for _ in 0..1_000 {
        let looks = sqlx::query_scalar::<_, i64>(looking).bind(&now).fetch_one(&mut *connection).await;
        if looks.unwrap() > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn database() -> (Database, PgConnection) {
    let database = Server::shared().create_database();
    database.psql(MESSAGES);
    let connection = PgConnection::connect(&database.url()).await.unwrap();
    (database, connection)
}

/// The first number is drawn and not committed, the second one is committed: whoever goes by the highest number that he sees, passes the
/// first one for ever.
#[tokio::test]
async fn a_number_that_is_committed_late_is_waited_for() {
    let (database, mut late) = database().await;
    run(&mut late, "BEGIN").await;
    run(&mut late, &message("account-1")).await;
    let mut other = PgConnection::connect(&database.url()).await.unwrap();
    run(&mut other, &message("account-2")).await;

    let store = memory();
    let source = PostgresSource::message_db(&database.url()).await.unwrap();
    let import = Import::new(source, &store, Mapping::new("accounts")).run();
    let (imported, ()) = tokio::join!(import, async {
        somebody_looks(&mut other).await;
        run(&mut late, "COMMIT").await;
    });
    let imported = imported.unwrap();
    assert_eq!((imported.written, imported.mark.position()), (2, 2), "{imported:?}");
    let names: Vec<_> = all(&store).await.iter().map(|event| event.stream_id.to_string()).collect();
    assert_eq!(names, ["account:account-1", "account:account-2"], "in the order of their numbers");
}

/// A transaction that is prepared goes on under another name: the one that it had is gone, and nothing is committed yet.
#[tokio::test]
async fn a_transaction_that_is_prepared_meanwhile_is_waited_for() {
    let (database, mut late) = database().await;
    run(&mut late, "BEGIN").await;
    run(&mut late, &message("account-1")).await;
    let mut source = PostgresSource::message_db(&database.url()).await.unwrap();
    let reading = async {
        let horizon = source.horizon().await.unwrap();
        (horizon, source.page(0, horizon, 10).await.unwrap().len())
    };
    let (read, ()) = tokio::join!(reading, async {
        let mut other = PgConnection::connect(&database.url()).await.unwrap();
        somebody_looks(&mut other).await;
        run(&mut late, "PREPARE TRANSACTION 'late'").await;
        somebody_looks(&mut other).await;
        run(&mut late, "COMMIT PREPARED 'late'").await;
    });
    assert_eq!(read, (1, 1));
}

/// Who writes on and on holds nobody up: those alone are waited for who had begun when the import looked.
#[tokio::test]
async fn those_who_begin_later_are_not_waited_for() {
    let (database, mut first) = database().await;
    run(&mut first, "BEGIN").await;
    run(&mut first, &message("account-1")).await;
    let mut second = PgConnection::connect(&database.url()).await.unwrap();
    let mut source = PostgresSource::message_db(&database.url()).await.unwrap();
    let (horizon, ()) = tokio::join!(source.horizon(), async {
        somebody_looks(&mut second).await;
        run(&mut second, "BEGIN").await;
        run(&mut second, &message("account-2")).await;
        run(&mut first, "COMMIT").await;
    });
    assert_eq!(horizon.unwrap(), 1, "the second one is still open");
    run(&mut second, "ROLLBACK").await;
}

/// A copy by logical replication has the rows, and not where their sequence stands.
#[tokio::test]
async fn a_sequence_that_has_not_numbered_the_events_is_refused() {
    let (database, mut other) = database().await;
    let columns = "global_position, position, stream_name, type, data";
    let copied = "(7, 0, 'account-1', 'Opened', '{}')";
    run(&mut other, &format!("INSERT INTO message_store.messages ({columns}) VALUES {copied}")).await;
    let mut source = PostgresSource::message_db(&database.url()).await.unwrap();
    let refused = source.horizon().await.unwrap_err();
    assert!(matches!(&refused, ImportError::Layout { .. }), "{refused:?}");
    assert!(refused.to_string().contains("setval"), "{refused}");
    run(&mut other, "SELECT setval('message_store.messages_global_position_seq', 7)").await;
    assert_eq!(source.horizon().await.unwrap(), 7);
}
