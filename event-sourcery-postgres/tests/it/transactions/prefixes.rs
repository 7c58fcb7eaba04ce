//! Two stores in one database, and another schema: they share a transaction, and nothing else.

use event_sourcery::{Error, EventStore, RawEvent, StreamId};
use event_sourcery_postgres::PostgresBackend;

use crate::scene::{Scene, Store, event, events, insert_invoice, length};

/// A store beside the scene's own.
async fn another(scene: &Scene, schema: &str, prefix: &str) -> Store {
    let options = PostgresBackend::options(scene.database.url()).schema(schema).table_prefix(prefix);
    EventStore::new(options.open().await.unwrap())
}

#[tokio::test]
async fn two_stores_share_a_transaction_and_nothing_else() {
    let scene = Scene::new().await.with_own_table().await;
    let stream = StreamId::from_name("invoices/1003").unwrap();
    for (schema, prefix) in [
        ("public", "billing_"),
        ("Billing \"dept\"", "event_sourcery_"),
        ("billing", ""),
        ("{events}", "{streams} \"ü' "),
        ("{layout as text}'s", "1 {sequence}; --"),
    ] {
        let billing = another(&scene, schema, prefix).await;
        for commit in [false, true] {
            let before = (length(&scene.store, &stream).await, length(&billing, &stream).await);
            let mut tx = scene.begin().await;
            insert_invoice(&mut tx, &format!("{schema} {prefix}")).await;
            let append = scene.store.within(&mut tx).append(&stream, event());
            append.expected_version(before.0 as u64).await.unwrap();
            billing.within(&mut tx).append(&stream, events(2)).await.unwrap();
            let refused = billing.within(&mut tx).append(&stream, event()).await.unwrap_err();
            assert!(matches!(refused, Error::Conflict { actual: 2, .. }), "{refused:?}");
            if commit {
                tx.commit().await.unwrap();
            } else {
                tx.rollback().await.unwrap();
            }
            let more = usize::from(commit);
            let after = (length(&scene.store, &stream).await, length(&billing, &stream).await);
            assert_eq!(after, (before.0 + more, before.1 + 2 * more));
        }
        let mut all = billing.read_all::<RawEvent>().stream();
        let mut read = 0;
        while all.try_next().await.unwrap().is_some() {
            read += 1;
        }
        assert_eq!(read, 2, "a reader of one store sees its events only");
        billing.delete_stream(&stream).await.unwrap();
        assert!(length(&scene.store, &stream).await > 0);
    }
}

#[tokio::test]
async fn stores_of_two_prefixes_opened_at_once_in_a_schema_that_is_missing_both_succeed() {
    for _ in 0..5 {
        let scene = Scene::new().await;
        let opened = (0..6).map(|number| {
            let url = scene.database.url();
            tokio::spawn(async move {
                let options = PostgresBackend::options(url).schema("billing");
                options.table_prefix(format!("p{number}_")).open().await.map(drop)
            })
        });
        for opened in futures_util::future::join_all(opened).await {
            opened.unwrap().unwrap();
        }
    }
}
