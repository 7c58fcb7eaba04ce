//! Tables that are not ours, or not of this version: refused, and left as they are.

use event_sourcery::{Error, StreamId};
use event_sourcery_postgres::PostgresBackend;
use postgres_cluster::{Database, Server};

use crate::scene::{event, open};

/// Whatever tells that something was changed.
fn schema(database: &Database) -> String {
    database.psql(
        "SELECT oid, relname, relfilenode, xmin FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1;
         SELECT attrelid, attname, atttypmod, xmin FROM pg_attribute WHERE attrelid IN
             (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace) ORDER BY 1, 2",
    )
}

#[tokio::test]
async fn tables_of_our_names_that_are_somebody_elses_are_refused_and_left_as_they_are() {
    for (table, lacks) in [
        ("streams (id int, title text)", "uuid"),
        ("events (id bigserial, name text)", "version"),
        ("layout (version int, html text)", "not ours"),
        ("projector_cursors (film text)", "id"),
        ("settled (so boolean)", "only_row"),
        ("outbox_entries (id int)", "created_at"),
        ("snapshots (photo bytea)", "uuid"),
        ("subscription_segments (name text)", "tenant_id"),
        ("subscription_members (name text, tenant_id text)", "member"),
        ("blocked_streams (id bigserial, stream_uuid uuid)", "category"),
        ("projected_streams (stream_uuid uuid, category text)", "tenant_id"),
        ("event_blocks (name text)", "block"),
        ("event_blocks_listed (so boolean)", "only_row"),
        ("subject_keys (tenant_id text, subject text)", "key_id"),
    ] {
        let database = Server::shared().create_database();
        let name = table.split(' ').next().unwrap();
        database.psql(&format!("CREATE TABLE {table}"));
        let before = schema(&database);
        for migrate in [true, false] {
            let options = PostgresBackend::options(database.url()).table_prefix("").migrate(migrate);
            let printed = options.migration().await.unwrap_err();
            let refused = options.open().await.unwrap_err();
            for refused in [printed, refused] {
                let Error::ForeignLayout { problem, place } = &refused else { panic!("{refused:?}") };
                assert!(problem.contains(name) && problem.contains(lacks), "{problem}");
                assert!(place.ends_with(database.name()), "{place}");
            }
        }
        assert_eq!(schema(&database), before, "{table}");
    }
}

#[tokio::test]
async fn tables_of_a_newer_version_are_refused_and_left_as_they_are() {
    let database = Server::shared().create_database();
    drop(open(&database.url()).await);
    database.psql("UPDATE event_sourcery_layout SET version = 99");
    let before = schema(&database);
    for migrate in [true, false] {
        let refused = PostgresBackend::options(database.url()).migrate(migrate).open().await.unwrap_err();
        assert!(matches!(refused, Error::NewerLayout { found: 99, known: 8 }), "{refused:?}");
    }
    assert_eq!(schema(&database), before);
    assert_eq!(database.psql("SELECT version FROM event_sourcery_layout"), "99");
}

#[tokio::test]
async fn a_database_of_another_encoding_is_refused() {
    let server = Server::shared();
    let database = server.create_database();
    let latin = format!("{}_latin", database.name());
    server.psql(
        "postgres",
        &format!("CREATE DATABASE {latin} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'"),
    );
    let refused = PostgresBackend::connect(server.url(&latin)).await.unwrap_err();
    server.psql("postgres", &format!("DROP DATABASE {latin} WITH (FORCE)"));
    assert!(
        matches!(&refused, Error::ForeignLayout { problem, .. } if problem.contains("LATIN1")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_database_of_the_callers_own_becomes_a_store_and_keeps_its_tables() {
    let database = Server::shared().create_database();
    database.psql("CREATE TABLE invoices (number text); INSERT INTO invoices VALUES ('1003')");
    let store = open(&database.url()).await;
    store.append(&StreamId::random(), event()).await.unwrap();
    assert_eq!(database.psql("SELECT number FROM invoices"), "1003");
}

/// Dropped while the store is open: a typed error that says what to do.
#[tokio::test]
async fn tables_that_vanish_are_missed_by_name() {
    let database = Server::shared().create_database();
    let store = open(&database.url()).await;
    database.psql("DROP TABLE event_sourcery_events CASCADE");
    let refused = store.append(&StreamId::random(), event()).await.unwrap_err();
    assert!(
        matches!(&refused, Error::MigrationNeeded { problem } if problem.contains("event_sourcery_events")),
        "{refused:?}"
    );
}
