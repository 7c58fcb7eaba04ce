//! What a server keeps of a key that was shredded: a dead row until its table is rewritten, and the log until its files go.

use std::fs;
use std::path::{Path, PathBuf};

use event_sourcery::backend::{Backend as _, SubjectKey};
use event_sourcery_postgres::PostgresBackend;
use postgres_cluster::Cluster;

use super::{create, shredding};

/// Whether the bytes of a key stand in a file of this folder, or of those in it.
fn is_in(folder: &Path, key: &SubjectKey) -> bool {
    let Some(wrapped) = &key.wrapped else { panic!("the key as it was") };
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().map(|entry| entry.path()).any(|path| {
        if path.is_dir() {
            return is_in(&path, key);
        }
        // A server removes files as it goes.
        let bytes = fs::read(&path).unwrap_or_default();
        bytes.windows(wrapped.bytes.len()).any(|window| *window == *wrapped.bytes)
    })
}

#[tokio::test]
async fn nothing_of_a_shredded_key_is_left_once_its_table_is_rewritten_and_the_log_of_before_is_gone() {
    let settings =
        [("autovacuum", "off"), ("wal_recycle", "off"), ("min_wal_size", "32MB"), ("max_wal_size", "32MB")];
    let cluster = Cluster::start(&settings);
    let database = cluster.create_database();
    let backend = PostgresBackend::connect(database.url()).await.unwrap();
    let subjects: Vec<_> = (100..200).map(|number| number.to_string()).collect();
    let subjects: Vec<_> = subjects.iter().map(String::as_str).collect();
    let keys = create(&backend, &subjects).await;
    let (gone, kept) = (&keys[30], &keys[31]);
    let data = PathBuf::from(database.psql("SHOW data_directory"));
    let log = data.join("pg_wal");
    assert!(is_in(&log, gone) || is_in(&log, kept), "what is split between two pages of it is not found");

    backend.append(shredding(&[&*gone.subject])).await.unwrap();
    database.psql("CHECKPOINT");
    assert!(is_in(&data.join("base"), gone), "the row as it was");

    database.psql("VACUUM FULL event_sourcery_subject_keys");
    database.psql("CHECKPOINT");
    assert!(!is_in(&data.join("base"), gone));

    for _ in 0..2 {
        database.psql("SELECT pg_switch_wal()");
        database.psql("CHECKPOINT");
    }
    assert!(!is_in(&data, gone));
    assert!(is_in(&data.join("base"), kept), "a key that is there is found");
}
