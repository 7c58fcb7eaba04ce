//! What is personal stands in no byte that was written: not in the server's files, its log of changes, a dump, its words or ours.

use std::collections::BTreeSet;
use std::path::PathBuf;

use event_sourcery::EventStore;
use event_sourcery_conformance::attack::{Life, Log, OPEN, found_in, found_in_folder};
use event_sourcery_postgres::PostgresBackend;
use postgres_cluster::Cluster;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_personal_is_found_in_any_byte_before_or_after_shredding() {
    let log = Log::taken_down();
    // It writes each statement down, and what goes with it.
    let cluster =
        Cluster::start(&[("log_statement", "all"), ("max_wal_size", "32MB"), ("min_wal_size", "32MB")]);
    let database = cluster.create_database();
    let store = EventStore::new(PostgresBackend::connect(database.url()).await.unwrap());
    let data = PathBuf::from(database.psql("SHOW data_directory"));
    let in_files = || {
        database.psql("CHECKPOINT");
        // Its log lies beside its data.
        found_in_folder(data.parent().unwrap())
    };
    let mut life = Life::lead(store.erased()).await;
    assert_eq!(in_files(), BTreeSet::from([OPEN]));
    assert_eq!(found_in_folder(&data.join("pg_wal")), BTreeSet::from([OPEN]));
    assert_eq!(found_in(cluster.dump(database.name()).as_bytes()), BTreeSet::from([OPEN]));
    assert_eq!(found_in(life.exported()), BTreeSet::from([OPEN]));

    life.forget().await;
    assert_eq!(in_files(), BTreeSet::from([OPEN]));
    assert_eq!(found_in(cluster.dump(database.name()).as_bytes()), BTreeSet::from([OPEN]));
    assert_eq!(found_in(life.exported()), BTreeSet::from([OPEN]));
    assert_eq!(found_in(life.said().join("\n").as_bytes()), BTreeSet::new());
    assert_eq!(found_in(log.text().as_bytes()), BTreeSet::from([OPEN]));
}
