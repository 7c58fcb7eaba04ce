//! The network between the nodes is cut, and mended, while clients append. Each is connected to one node, and reaches that all the time.

use event_sourcery::EventStore;
use event_sourcery_nats::NatsBackend;

use crate::dying::{Three, append, attempt, store_at};
use crate::scene::Paid;

/// A store that knows of this node alone.
async fn at(three: &mut Three, node: &str) -> EventStore<NatsBackend> {
    store_at(&three.cluster.node(node).url()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_cut_off_acknowledges_nothing_and_the_others_go_on() {
    let mut three = Three::apart().await;
    let (leader, others) = (three.leader().await, three.others().await);
    let (at_the_leader, elsewhere) = (at(&mut three, &leader).await, at(&mut three, &others[0]).await);
    for number in 1..=5 {
        append(&at_the_leader, &three.stream, number).await;
    }

    three.cluster.cut_off(&leader);
    // The same event, with the same id, on both sides.
    let on_both_sides = (append(&elsewhere, &three.stream, 6), attempt(&at_the_leader, &three.stream, 6));
    let ((), is_acknowledged) = tokio::join!(on_both_sides.0, on_both_sides.1);
    assert!(!is_acknowledged, "one of three is no majority");
    append(&elsewhere, &three.stream, 7).await;
    three.cluster.mend();

    append(&at_the_leader, &three.stream, 8).await;
    three.holds(8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_connected_to_a_follower_that_is_cut_off_is_told_nothing_old_and_nothing_is_acknowledged_to_him()
 {
    let mut three = Three::apart().await;
    let (leader, others) = (three.leader().await, three.others().await);
    let (at_the_leader, cut_off) = (at(&mut three, &leader).await, at(&mut three, &others[0]).await);
    for number in 1..=5 {
        append(&cut_off, &three.stream, number).await;
    }

    three.cluster.cut_off(&others[0]);
    for number in 6..=8 {
        append(&at_the_leader, &three.stream, number).await;
    }
    match cut_off.load_stream::<Paid>(&three.stream).await {
        Ok(events) => assert_eq!(events.len(), 8, "what was acknowledged is read"),
        Err(error) => assert!(error.is_retryable(), "{}", error.in_full()),
    }
    assert!(!attempt(&cut_off, &three.stream, 9).await, "one of three is no majority");
    three.cluster.mend();

    append(&cut_off, &three.stream, 9).await;
    three.holds(9).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_node_reaches_another_nothing_is_acknowledged_and_it_goes_on_once_they_do() {
    let three = Three::apart().await;
    three.append(1).await;
    for node in ["node0", "node1", "node2"] {
        three.cluster.cut_off(node);
    }
    for _ in 0..3 {
        assert!(!attempt(&three.store, &three.stream, 2).await, "nobody has a majority");
    }
    three.cluster.mend();
    three.append(2).await;
    three.append(3).await;
    three.holds(3).await;
}
