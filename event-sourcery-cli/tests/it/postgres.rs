//! On PostgreSQL: with the rights of a reader, and while a transaction holds readers up.

use std::path::Path;

use event_sourcery::{EventStore, RawEvent, StreamId};
use event_sourcery_postgres::{PostgresBackend, PostgresOptions, Rights};
use postgres_cluster::Server;
use serde_json::{Value, json};

use crate::scene::{each, fill, printed, program};

/// The fifth question of a night: which transaction holds up the readers. Whoever asks may only read.
#[tokio::test]
async fn which_transaction_holds_up_the_readers() {
    let database = Server::shared().create_database();
    let store = EventStore::new(PostgresBackend::connect(database.url()).await.unwrap());
    fill(&store.erased()).await;
    let role = format!("reader_{}", database.name());
    database.psql(&format!("create role {role} login"));
    let grants = PostgresOptions::new(database.url()).grants(&role, Rights::Reader).await.unwrap();
    database.psql(&grants);
    let url = database.url().replace("//postgres@", &format!("//{role}@"));
    let json = |arguments: &str| -> Value {
        let arguments = arguments.split_whitespace().chain(["--json"]);
        let output = program(Path::new("."), &url).args(arguments).output().unwrap();
        serde_json::from_str(&printed(&output)).unwrap()
    };
    assert_eq!(json("holders")["holders"], json!([]));

    let mut forgotten = store.backend().begin().await.unwrap();
    let event = || RawEvent::new("Drafted", "{}").unwrap();
    store.within(&mut forgotten).append(&StreamId::random(), event()).await.unwrap();
    store.append(&StreamId::random(), event()).await.unwrap();
    let held = json("holders");
    assert_eq!(held["holders"].as_array().unwrap().len(), 1, "{held}");
    assert!(held["newest"].as_i64() > held["position"].as_i64(), "{held}");
    let ended_by = held["holders"][0]["ended_by"].as_str().unwrap();
    assert!(ended_by.starts_with("SELECT pg_terminate_backend("), "{held}");

    // What a reader may do is enough for the rest.
    assert_eq!(each(&json("stream show orders/1003"), "name"), ["Paid", "Placed"]);
    assert_eq!(each(&json("subscriptions"), "parked"), [1]);
    assert_eq!(json("stats")["tenants"]["items"].as_array().unwrap().len(), 2);
    assert_eq!(json("verify")["damaged"], 0);

    database.psql(ended_by);
    let is_free = (0..100).any(|_| json("holders")["holders"] == json!([]));
    assert!(is_free, "it was ended");
    drop(forgotten);
    database.psql(&format!("drop owned by {role}; drop role {role}"));
}
