//! A server that only follows another one by now, behind an address that leads to its successor.

use event_sourcery::{Error, Position, StreamId};
use postgres_cluster::Cluster;

use super::failover::{behind_an_address, until_replayed};
use crate::scene::{Scene, Store, event, until};

/// Appends by itself, and in a transaction that the store begins.
async fn appends(store: &Store) -> [Result<(), Error>; 2] {
    let within = async {
        let mut tx = store.backend().begin().await?;
        store.within(&mut tx).append(&StreamId::random(), event()).await?;
        tx.commit().await
    };
    [store.append(&StreamId::random(), event()).await.map(drop), within.await]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_leaves_a_server_that_takes_no_writes_any_more_for_the_one_that_the_address_leads_to() {
    let primary = Cluster::start(&[("wal_level", "replica"), ("max_wal_senders", "4")]);
    let standby = primary.standby();
    let (address, store, _scene): (_, _, Scene) = behind_an_address(&primary).await;
    store.append(&StreamId::random(), event()).await.unwrap();
    until_replayed(&primary, &standby).await;

    let is_read_only = |refused: &Result<(), Error>| matches!(refused, Err(Error::ReadOnly { .. }));
    address.leads_to(standby.port());
    until(async || appends(&store).await.iter().all(is_read_only)).await;
    assert!(matches!(store.position().await, Err(Error::ReadOnly { .. })));

    address.leads_newcomers_to(primary.port());
    // Whoever was refused has closed the connection, or has given it back to be closed.
    let mut refused = 0;
    until(async || {
        let all = appends(&store).await;
        refused += all.iter().filter(|append| is_read_only(append)).count();
        all.iter().all(Result::is_ok)
    })
    .await;
    assert!(refused <= 4, "{refused}");
    assert!(store.position().await.unwrap() > Position::from_i64(1));
}
