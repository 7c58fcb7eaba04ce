//! Contract 4.7: a server's files are set back to what they were, and it stays on its timeline.

use event_sourcery::{Error, StreamId};
use postgres_cluster::Cluster;

use super::failover::behind_an_address;
use super::{append, settled};
use crate::scene::{event, events, until};

/// Checkpoints come when they are asked for: none writes down how far the sequence has really come.
const QUIET: [(&str, &str); 2] = [("checkpoint_timeout", "1h"), ("autovacuum", "off")];

/// The server makes the positions of a sequence durable 32 ahead. So, recovering, it draws higher than those that are lost.
#[tokio::test(flavor = "multi_thread")]
async fn readers_are_told_of_a_volume_that_was_set_back_although_its_sequence_is_ahead() {
    let mut server = Cluster::start(&QUIET);
    let (address, store, scene) = behind_an_address(&server).await;
    store.append(&StreamId::random(), events(5)).await.unwrap();
    assert_eq!(settled(&store).await, 5);
    let set_back = tokio::task::block_in_place(|| server.set_back_to_now());
    for _ in 0..5 {
        // The log goes on further than the copy writes by itself.
        server.psql("postgres", "SELECT pg_switch_wal()");
        append(&store).await;
    }
    assert_eq!(settled(&store).await, 10);
    server.kill();
    address.leads_to(set_back.port());

    let newest = "SELECT max(id) || ' ' || (SELECT last_value >= 10 FROM event_sourcery_events_id_seq)
                  FROM event_sourcery_events";
    assert_eq!(set_back.psql(scene.database.name(), newest), "5 true", "only the log tells");
    until(async || match store.position().await {
        Err(Error::HistoryReplaced { .. }) => true,
        Err(Error::Unavailable { .. }) => false,
        other => panic!("{other:?}"),
    })
    .await;
}

/// The same server, in the same order of things: what was deleted is no sign of another history.
#[tokio::test(flavor = "multi_thread")]
async fn readers_go_on_where_the_newest_event_was_deleted_before_the_server_was_killed() {
    let mut server = Cluster::start(&QUIET);
    let (_address, store, _scene) = behind_an_address(&server).await;
    let gone = StreamId::random();
    append(&store).await;
    store.append(&gone, events(3)).await.unwrap();
    assert_eq!(settled(&store).await, 4);
    store.delete_stream(&gone).await.unwrap();
    server.kill();
    server.start_again();
    until(async || match store.position().await {
        Ok(position) => position.to_i64() >= 4,
        Err(Error::Unavailable { .. }) => false,
        other => panic!("{other:?}"),
    })
    .await;
    let appended = store.append(&StreamId::random(), event()).await.unwrap();
    until(async || appended.position.is_covered_by(store.position().await.unwrap())).await;
}
