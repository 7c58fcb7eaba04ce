//! From `eventsourcing` for Python, which is at work meanwhile.

use std::collections::BTreeMap;

use event_sourcery::jiff::Timestamp;
use event_sourcery::uuid::Uuid;
use event_sourcery::{EventStore, RawEvent, Recorded, StreamId};
use event_sourcery_import::{Import, Mapping, PostgresSource, SqliteSource, TypeRule};
use event_sourcery_sqlite::SqliteBackend;
use postgres_cluster::Server;
use serde_json::json;

use crate::programs::Program;
use crate::scene::{all, data, equal, imported, is_followed, memory};

fn mapping() -> Mapping {
    Mapping::new("bank").category_of("accounts").type_names(TypeRule::LastPart)
}

#[tokio::test]
async fn a_file_of_eventsourcing_is_kept_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bank.sqlite");
    let mut bank = Program::bank(path.to_str().unwrap(), &[]);
    let account: Uuid = bank.told("open Ada\u{1f600} 2").parse().unwrap();
    bank.told(&format!("snapshot {account}"));
    bank.told("open Grace 0");

    let source = || SqliteSource::eventsourcing(&path);
    let (store, before) = (memory(), Timestamp::now());
    let planned = Import::new(source().await.unwrap(), &store, mapping()).dry_run().await.unwrap();
    assert_eq!((planned.events, planned.streams, planned.derived_ids), (4, 2, 4));
    let types = BTreeMap::from([("Deposited".to_owned(), 2), ("Opened".to_owned(), 2)]);
    assert_eq!(planned.types, types);
    assert_eq!((planned.left_out.count, planned.streams_with_holes), (0, 0), "{:?}", planned.left_out);
    assert!(all(&store).await.is_empty(), "a dry run writes nothing");

    let run = Import::new(source().await.unwrap(), &store, mapping()).run().await.unwrap();
    assert_eq!((run.written, run.is_clean()), (4, true), "{run:?}");
    let stream = StreamId::from_uuid(account).in_category("accounts").unwrap();
    let loaded = store.load_stream::<RawEvent>(&stream).await.unwrap();
    let versions: Vec<_> = loaded.iter().map(|event| event.version).collect();
    assert_eq!(versions, [Some(1), Some(2), Some(3)]);
    let events = all(&store).await;
    assert_eq!(data(&events[0])["owner"], "Ada\u{1f600}");
    assert_eq!(data(&events[2])["amount"], json!({"_type_": "decimal_str", "_data_": "1.10"}));
    assert_eq!(imported(&events[2]), json!({"from": "bank", "version": 3, "position": 3}));
    let at = events[0].wrapped_event.created_at;
    assert_eq!(data(&events[0])["timestamp"]["_data_"].as_str().unwrap().parse::<Timestamp>().unwrap(), at);
    assert!(at < before);
    assert!(equal(source().await.unwrap(), &store, &mapping()).await.unwrap());

    // Each run derives the same ids: to another store, and to this one again.
    let another = memory();
    Import::new(source().await.unwrap(), &another, mapping()).run().await.unwrap();
    let ids = |events: &[Recorded<RawEvent>]| -> Vec<_> {
        events.iter().map(|event| event.wrapped_event.uuid).collect()
    };
    assert_eq!(ids(&all(&another).await), ids(&events));
    let again = Import::new(source().await.unwrap(), &store, mapping()).run().await.unwrap();
    assert_eq!((again.written, again.present), (0, 4));
    let nothing = Import::new(source().await.unwrap(), &store, mapping()).after(run.mark).run().await;
    let nothing = nothing.unwrap();
    assert_eq!((nothing.written, nothing.present, nothing.began_anew), (0, 0, false));
}

/// Several threads of Python write, while the import goes on, is dropped in between, and begins again with its mark.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_followed_while_eventsourcing_writes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bank.sqlite");
    let mut bank = Program::bank(path.to_str().unwrap(), &[]);
    bank.told("write");
    let backend = SqliteBackend::open(folder.path().join("ours.db")).await.unwrap();
    let store = EventStore::new(backend).erased();
    let source = || SqliteSource::eventsourcing(&path);

    let (sender, mut come) = tokio::sync::watch::channel(0);
    let following = Import::new(source().await.unwrap(), &store, mapping()).on_progress(move |imported| {
        sender.send_replace(imported.written);
    });
    tokio::select! {
        ended = following.run_until(std::future::pending()) => panic!("{ended:?}"),
        // It is dropped in the middle of something.
        come = come.wait_for(|written| *written > 300) => drop(come.unwrap()),
    }
    let run = Import::new(source().await.unwrap(), &store, mapping()).run().await.unwrap();
    assert!(run.is_clean() && run.present > 300, "{run:?}");
    bank.told("stop");
    let last = Import::new(source().await.unwrap(), &store, mapping()).after(run.mark).run().await.unwrap();
    assert!(last.is_clean() && !last.began_anew, "{last:?}");
    assert!(equal(source().await.unwrap(), &store, &mapping()).await.unwrap());
}

/// Its option for functions takes no lock: transactions commit in another order than their numbers are.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_followed_while_eventsourcing_writes_without_a_lock() {
    let database = Server::shared().create_database();
    let url = database.url();
    let mut bank = Program::bank(&url, &["POSTGRES_ENABLE_DB_FUNCTIONS=y"]);
    bank.told("write");
    let source = async || PostgresSource::eventsourcing(&url, "public", "bank_events").await.unwrap();
    is_followed(&source, &memory(), &mapping(), async || drop(bank.told("stop"))).await;
}
