//! Clauses 17.3, 17.4 and 17.7: when a boundary has moved.

use event_sourcery::backend::Boundary;
use event_sourcery::{Error, Event as _, EventStore, Query, QueryItem, RawEvent, Result, StreamId};
use futures_util::future::join_all;
use uuid::Uuid;

use super::ledger::{Noted, Summed, ledger, noted, repeated, tenant};
use super::subject::Subject;
use super::tagging::{note, read, tag, tagged, with};

const TASKS: u64 = 16;
const ROUNDS: u64 = 10;

/// Whether a boundary has moved, by an append that leaves no tag behind.
async fn has_moved(store: &EventStore, boundary: &Boundary) -> bool {
    match store.append(&StreamId::random(), Summed { sum: 0 }).unless_moved(boundary).await {
        Ok(_) => false,
        refused => {
            assert_refused!(refused, Error::BoundaryMoved { query, .. } if query == *boundary.query());
            true
        }
    }
}

pub(super) async fn clause_17_3_a_boundary_moves_with_what_matches_and_with_nothing_else(subject: Subject) {
    let (store, other) = (subject.store(), subject.another_store().await);
    note(&store, 0, &["course:c1", "student:s1"]).await;
    let one_tag = Query::from(with(&["course:c1"]).of::<Noted>());
    let two_tags = Query::from(with(&["course:c1", "student:s1"]));
    let either = Query::new([with(&["course:c1"]), with(&["student:s1"])]);
    let unheard = Query::from(with(&["course:c9"]));
    // What is written, and whether it moves each of them.
    let writes: [(&[&str], [bool; 4]); 6] = [
        (&[], [false; 4]),
        (&["course:c2"], [false; 4]),
        (&["course:c1"], [true, false, true, false]),
        (&["student:s1"], [false, false, true, false]),
        (&["course:c1", "student:s1", "course:c2"], [true, true, true, false]),
        (&["course:c9", "student:s2"], [false, false, false, true]),
    ];
    for (tags, moves) in writes {
        for (query, moves) in [&one_tag, &two_tags, &either, &unheard].into_iter().zip(moves) {
            let (_, boundary) = read(&store, query).await;
            // Not of its type: it moves those that name none.
            let of_another_type = Summed { sum: 0 }.with_tags([tag("course:c1")]);
            assert!(!has_moved(&store, &boundary).await, "{query}");
            note(&other, 1, tags).await;
            assert_eq!(has_moved(&store, &boundary).await, moves, "{query}: {tags:?}");
            let (_, boundary) = read(&store, query).await;
            store.append(&StreamId::random(), of_another_type).await.unwrap();
            assert_eq!(has_moved(&other, &boundary).await, *query == either, "{query}");
        }
    }
}

/// Each appends to a stream of its own, with these tags, unless the boundary has moved.
async fn writes(store: EventStore, tags: &'static [&'static str], boundary: Boundary) -> Result<()> {
    let append = store.append(&StreamId::random(), tagged(1, tags));
    append.unless_moved(&boundary).await.map(|_| ())
}

fn assert_moved_or_retryable(outcome: Result<()>) -> bool {
    match outcome {
        Ok(()) => true,
        Err(error) => {
            assert!(matches!(error, Error::BoundaryMoved { .. }) || error.is_retryable(), "{error}");
            false
        }
    }
}

pub(super) async fn clause_17_3_of_n_writers_with_one_boundary_exactly_one_wins(subject: Subject) {
    let handles = [subject.store(), subject.another_store().await];
    let query = with(&["course:c1"]).into();
    for round in 0..ROUNDS {
        let (numbers, boundary) = read(&handles[0], &query).await;
        assert_eq!(numbers.len() as u64, round, "one won in each round before");
        let tasks = (0..TASKS).map(|task| {
            let (store, boundary) = (handles[task as usize % 2].clone(), boundary.clone());
            let tags: &[&str] = if task % 3 == 0 { &["course:c1"] } else { &["student:s1", "course:c1"] };
            tokio::spawn(writes(store, tags, boundary))
        });
        let outcomes = join_all(tasks).await.into_iter().map(|joined| joined.unwrap());
        assert_eq!(outcomes.filter(|outcome| outcome.is_ok()).count(), 1, "round {round}");
    }
}

pub(super) async fn clause_17_3_of_two_that_would_move_each_others_boundary_one_wins(subject: Subject) {
    let (store, other) = (subject.store(), subject.another_store().await);
    // Write skew: one asks for a and writes b, the other asks for b and writes a. At first neither tag has an event.
    let (of_a, of_b) = (with(&["course:a"]).into(), with(&["course:b"]).into());
    for round in 0..ROUNDS {
        let (before, (_, a), (_, b)) =
            (total(&store).await, read(&store, &of_a).await, read(&store, &of_b).await);
        let left = tokio::spawn(writes(store.clone(), &["course:b"], a));
        let right = tokio::spawn(writes(other.clone(), &["course:a"], b));
        let won = [left.await.unwrap(), right.await.unwrap()].map(assert_moved_or_retryable);
        assert_ne!(won, [true, true], "round {round}");
        assert_eq!(total(&store).await, before + won.iter().filter(|won| **won).count());
    }
    // One after the other, the first wins.
    let ((_, a), (_, b)) = (read(&store, &of_a).await, read(&store, &of_b).await);
    writes(store.clone(), &["course:b"], a).await.unwrap();
    assert!(!assert_moved_or_retryable(writes(other, &["course:a"], b).await));
}

/// How many events there are.
async fn total(store: &EventStore) -> usize {
    store.read::<RawEvent>(&Query::all()).await.unwrap().events.len()
}

pub(super) async fn clause_17_3_a_boundary_holds_for_one_append_of_its_own(subject: Subject) {
    let store = subject.store();
    let (_, boundary) = read(&store, &with(&["course:c1"]).into()).await;
    writes(store.clone(), &["course:c2"], boundary.clone()).await.unwrap();
    writes(store.clone(), &["course:c1"], boundary.clone()).await.unwrap();
    assert_refused!(writes(store, &["course:c2"], boundary).await, Error::BoundaryMoved { .. });
}

pub(super) async fn clause_17_3_a_refused_append_leaves_nothing(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let ((_, old), (_, other)) =
        (read(&store, &with(&["course:c1"]).into()).await, read(&store, &with(&["course:c2"]).into()).await);
    note(&store, 1, &["course:c1"]).await;
    let refused = store.append(&stream, tagged(2, &["course:c2", "course:c3"])).unless_moved(&old).await;
    assert_refused!(refused, Error::BoundaryMoved { .. });
    subject.holds(1).await;
    assert!(read(&store, &with(&["course:c2"]).into()).await.0.is_empty());
    assert!(!has_moved(&store, &other).await, "nor does it move another one");
    store.append(&stream, noted(1)).await.unwrap();
}

pub(super) async fn clause_17_3_a_repeat_is_recognised_whatever_has_moved(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let (_, boundary) = read(&store, &with(&["course:c1"]).into()).await;
    let event = tagged(1, &["course:c1"]).with_id(Uuid::from_u128(1));
    let first = store.append(&stream, event.clone()).unless_moved(&boundary).await.unwrap();
    let repeat = store.append(&stream, event).unless_moved(&boundary).await.unwrap();
    assert_eq!(repeat, repeated(first));
}

pub(super) async fn clause_17_3_a_boundary_is_about_its_tenant_and_its_store(subject: Subject) {
    let (store, query) = (subject.store(), with(&["course:c1"]).into());
    let (_, boundary) = read(&store, &query).await;
    assert_refused!(
        store.for_tenant(tenant("acme")).append(&ledger("1"), noted(1)).unless_moved(&boundary).await,
        Error::InvalidOption { option: "unless_moved", .. }
    );
    let foreign = Boundary::new(store.tenant_id().clone(), query, "read from elsewhere");
    assert_refused!(
        store.append(&ledger("1"), noted(1)).unless_moved(&foreign).await,
        Error::InvalidOption { option: "unless_moved", .. }
    );
    subject.holds(0).await;
}

pub(super) async fn clause_17_4_queries_by_types_alone_and_over_everything_are_exact(subject: Subject) {
    let (store, other) = (subject.store(), subject.another_store().await);
    let (by_type, all) = (Query::from(QueryItem::new().of::<Noted>()), Query::all());
    let writes_of: [&[&str]; 2] = [&[], &["course:c1"]];
    for tags in writes_of {
        for query in [&by_type, &all] {
            let (_, boundary) = read(&store, query).await;
            note(&other, 1, tags).await;
            assert!(has_moved(&store, &boundary).await, "{query}: {tags:?}");
        }
    }
    let (_, boundary) = read(&store, &by_type).await;
    assert!(!has_moved(&store, &boundary).await && !has_moved(&other, &boundary).await, "of another type");
    for round in 0..ROUNDS {
        let (numbers, boundary) = read(&store, &by_type).await;
        let write =
            |store: &EventStore| tokio::spawn(writes(store.clone(), &["course:c1"], boundary.clone()));
        let (left, right) = (write(&store), write(&other));
        let won = [left.await.unwrap(), right.await.unwrap()].map(assert_moved_or_retryable);
        assert_ne!(won, [true, true], "round {round}");
        let won = won.iter().filter(|won| **won).count();
        assert_eq!(read(&store, &by_type).await.0.len(), numbers.len() + won);
    }
}

pub(super) async fn clause_17_7_a_deletion_moves_the_boundaries_before_it(subject: Subject) {
    let store = subject.store();
    let read_stream = note(&store, 1, &["course:c1"]).await;
    let queries: [Query; 2] = [with(&["course:c1"]).into(), QueryItem::new().of::<Noted>().into()];
    for query in &queries {
        let (_, before) = read(&store, query).await;
        // What was not read is gone before anybody sees it, and the position behind it may be the highest there is.
        let unread = note(&store, 2, &["course:c1"]).await;
        store.delete_stream(&unread).await.unwrap();
        assert!(has_moved(&store, &before).await, "{query}");
        let (numbers, after) = read(&store, query).await;
        assert_eq!(numbers, [1]);
        assert!(!has_moved(&store, &after).await, "{query}");
    }
    let (_, before) = read(&store, &queries[0]).await;
    store.delete_stream(&read_stream).await.unwrap();
    assert!(has_moved(&store, &before).await);
    // Deleted and made anew, the stream is another one.
    let (numbers, before) = read(&store, &queries[0]).await;
    assert!(numbers.is_empty());
    store.append(&read_stream, tagged(3, &["course:c1"])).await.unwrap();
    assert!(has_moved(&store, &before).await);
    assert_eq!(read(&store, &queries[0]).await.0, [3]);
}
