//! A store in a schema of its own, where Python is led by the search path.

use event_sourcery::{EventStore, StreamId};
use event_sourcery_postgres::PostgresBackend;
use reference::invoicing::{numbered, paid, payments};
use reference::{Expected, SharedDatabase as _, event, payments_in_python};

use super::postgres::Postgres;

#[tokio::test(flavor = "multi_thread")]
async fn both_work_on_a_store_in_a_schema_of_its_own() {
    let database = Postgres::create().await;
    database.run("CREATE SCHEMA billing");
    let mut python = database.python_with(&[("search_path", "billing")]);
    python.create_all();
    let stream = StreamId::from_name("invoices/1003").unwrap();
    python.create(&stream, &[event(&paid("1"))]);

    let backend = PostgresBackend::options(database.rust_url()).schema("billing").open().await.unwrap();
    let rust = EventStore::new(backend);

    rust.append(&stream, paid("2")).expected_version(1).await.unwrap();
    python.append(&stream, Expected::Version(2), &[event(&paid("3"))]).unwrap();
    assert_eq!(payments(&rust.load_stream(&stream).await.unwrap()), numbered(1..=3));
    assert_eq!(payments_in_python(&python.load(&stream)), numbered(1..=3));
    let elsewhere = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(database.number(elsewhere), Some(0));
}
