//! Boundaries while transactions of the caller's own are open: who waits for whom, and what is seen by whoever has waited.

use event_sourcery::backend::{Backend as _, Boundary};
use event_sourcery::{Error, Event as _, NewEvent, Query, QueryItem, RawEvent, StreamId, Tag};
use event_sourcery_postgres::sqlx;
use futures_util::future::join_all;
use tokio::task::JoinHandle;

use crate::scene::{Scene, Store, event, until};

fn query(tag: &str) -> Query {
    QueryItem::new().tagged(Tag::new("course", tag).unwrap()).into()
}

fn either() -> Query {
    let item = |tag| QueryItem::new().tagged(Tag::new("course", tag).unwrap());
    Query::new([item("a"), item("b")])
}

fn tagged(tag: &str) -> NewEvent<RawEvent> {
    RawEvent::new("Happened", "{}").unwrap().with_tags([Tag::new("course", tag).unwrap()])
}

async fn boundary(store: &Store, query: &Query) -> Boundary {
    store.read::<RawEvent>(query).await.unwrap().boundary
}

/// Appends an event with this tag, unless the boundary has moved; tells whether it has.
async fn has_moved(store: Store, tag: impl AsRef<str>, boundary: Boundary) -> bool {
    match store.append(&StreamId::random(), tagged(tag.as_ref())).unless_moved(&boundary).await {
        Ok(_) => false,
        Err(Error::BoundaryMoved { .. }) => true,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conditional_append_waits_for_who_has_the_tag_and_sees_what_that_has_left() {
    let scene = Scene::new().await;
    for (tag, commits) in [("a", true), ("a", false), ("b", true), ("b", false)] {
        // New at first, then there.
        let before = boundary(&scene.store, &query(tag)).await;
        let mut open = scene.begin().await;
        scene.store.within(&mut open).append(&StreamId::random(), tagged(tag)).await.unwrap();
        let waiting = tokio::spawn(has_moved(scene.store.clone(), "elsewhere", before));
        scene.until_waiting(1).await;
        let ended = if commits { open.commit().await } else { open.rollback().await };
        ended.unwrap();
        assert_eq!(waiting.await.unwrap(), commits, "{tag}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lower_position_that_is_committed_late_moves_the_boundary_and_who_has_nothing_to_do_with_it_delays_nobody()
 {
    let scene = Scene::new().await;
    let (mut late, mut unrelated) = (scene.begin().await, scene.begin().await);
    scene.store.within(&mut late).append(&StreamId::random(), tagged("a")).await.unwrap();
    scene.store.within(&mut unrelated).append(&StreamId::random(), tagged("c")).await.unwrap();
    scene.store.append(&StreamId::random(), tagged("b")).await.unwrap();
    let before = boundary(&scene.store, &either()).await;
    assert!(!has_moved(scene.store.clone(), "b", boundary(&scene.store, &query("b")).await).await);
    let before_again = boundary(&scene.store, &either()).await;
    late.commit().await.unwrap();
    assert!(has_moved(scene.store.clone(), "elsewhere", before_again).await, "it stands below what was seen");
    assert!(has_moved(scene.store.clone(), "elsewhere", before).await);
    unrelated.rollback().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_without_tags_waits_for_who_is_appending_and_refuses_what_was_committed_below() {
    let scene = Scene::new().await;
    let mut open = scene.begin().await;
    scene.store.within(&mut open).append(&StreamId::random(), tagged("a")).await.unwrap();
    scene.store.append(&StreamId::random(), tagged("b")).await.unwrap();
    let before = boundary(&scene.store, &Query::all()).await;
    let waiting = tokio::spawn(has_moved(scene.store.clone(), "elsewhere", before));
    scene.until_waiting(1).await;
    open.commit().await.unwrap();
    assert!(waiting.await.unwrap());
    let now = boundary(&scene.store, &Query::all()).await;
    assert!(!has_moved(scene.store.clone(), "elsewhere", now).await);
}

#[tokio::test]
async fn at_higher_isolation_levels_the_database_ends_the_loser_and_queries_without_tags_are_unsupported() {
    let scene = Scene::new().await;
    for isolation in ["REPEATABLE READ", "SERIALIZABLE"] {
        let of_a = boundary(&scene.store, &query("a")).await;
        let all = boundary(&scene.store, &Query::all()).await;
        let mut open = scene.begin_at(isolation).await;
        scene.store.within(&mut open).read::<RawEvent>(&query("a")).await.unwrap();
        let refused = scene.store.within(&mut open).append(&StreamId::random(), tagged("a"));
        let refused = refused.unless_moved(&all).await;
        assert!(matches!(refused, Err(Error::Unsupported { .. })), "{refused:?}");
        scene.store.append(&StreamId::random(), tagged("a")).await.unwrap();
        let loser = scene.store.within(&mut open).append(&StreamId::random(), tagged("a"));
        let loser = loser.unless_moved(&of_a).await;
        assert!(matches!(loser, Err(Error::SerializationFailure { .. })), "{isolation}: {loser:?}");
    }
}

#[tokio::test]
async fn what_is_taken_back_keeps_no_tag_from_others_and_moves_no_boundary() {
    let scene = Scene::new().await;
    let before = boundary(&scene.store, &query("a")).await;
    let mut open = scene.begin().await;
    sqlx::raw_sql("SAVEPOINT own").execute(&mut *open).await.unwrap();
    scene.store.within(&mut open).append(&StreamId::random(), tagged("a")).await.unwrap();
    sqlx::raw_sql("ROLLBACK TO own").execute(&mut *open).await.unwrap();
    assert!(!has_moved(scene.store.clone(), "a", before.clone()).await, "nobody has the tag");
    // Refused in the same transaction, which goes on.
    let refused = scene.store.within(&mut open).append(&StreamId::random(), tagged("a"));
    let refused = refused.unless_moved(&before).await;
    assert!(matches!(refused, Err(Error::BoundaryMoved { .. })), "{refused:?}");
    let now = boundary(&scene.store, &query("a")).await;
    assert!(!has_moved(scene.store.clone(), "a", now).await, "nobody has the tag");
    // The version that is taken back is another event's then.
    sqlx::raw_sql("SAVEPOINT own").execute(&mut *open).await.unwrap();
    scene.store.within(&mut open).append(&StreamId::random(), tagged("b")).await.unwrap();
    let within = scene.store.within(&mut open).read::<RawEvent>(&query("b")).await.unwrap();
    sqlx::raw_sql("ROLLBACK TO own").execute(&mut *open).await.unwrap();
    scene.store.append(&StreamId::random(), tagged("b")).await.unwrap();
    assert_eq!(within.events.len(), 1);
    assert!(has_moved(scene.store.clone(), "elsewhere", within.boundary).await, "it had read its own");
    open.commit().await.unwrap();
}

/// Whoever has streams and then asks for the table would wait for one who has the table and asks for the streams.
#[tokio::test(flavor = "multi_thread")]
async fn an_append_to_several_streams_has_the_table_before_it_has_the_streams() {
    let scene = Scene::new().await;
    let other = scene.another_store().await;
    let mut streams = [StreamId::random(), StreamId::random()];
    streams.sort_by_key(StreamId::uuid);
    let [first, last] = streams;
    for stream in [&first, &last] {
        scene.store.append(stream, event()).await.unwrap();
    }
    let all = boundary(&other, &Query::all()).await;
    let mut open = scene.begin().await;
    let lock = sqlx::query("SELECT id FROM event_sourcery_streams WHERE uuid = $1 FOR UPDATE");
    lock.bind(last.uuid()).execute(&mut *open).await.unwrap();
    let store = scene.store.clone();
    let has_the_first = tokio::spawn(async move {
        let append = store.append(&first, event()).expected_version(1);
        append.and(&last, event()).expected_version(1).await
    });
    scene.until_waiting(1).await;
    let asks_for_all = tokio::spawn(has_moved(other, "elsewhere", all));
    let waits_for_the_table = "
        SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
        WHERE d.datname = current_database() AND l.mode = 'ShareRowExclusiveLock' AND NOT l.granted";
    until(async || scene.number(waits_for_the_table).await > 0).await;
    open.rollback().await.unwrap();
    has_the_first.await.unwrap().unwrap();
    // Whichever was first.
    asks_for_all.await.unwrap();
}

/// On one thread each has called before the first is answered: few run alone, and the others share a statement.
#[tokio::test]
async fn decisions_that_share_a_statement_are_refused_each_by_itself_and_wait_for_nobody_elses_tag() {
    const TAGS: usize = 60;
    let scene = Scene::new().await;
    let (store, other) = (&scene.store, scene.another_store().await);
    let tags: Vec<_> = (0..TAGS).map(|number| format!("shared {number}")).collect();
    let write = |tag: &String| {
        let (store, event) = (other.clone(), tagged(tag));
        async move { store.append(&StreamId::random(), event).await.unwrap() }
    };
    let read = |tag: &String| {
        let (store, query) = (scene.store.clone(), query(tag));
        async move { boundary(&store, &query).await }
    };
    write(&"held".to_owned()).await;
    join_all(tags.iter().step_by(3).map(write)).await;
    let (boundaries, is_held) = (join_all(tags.iter().map(read)).await, read(&"held".to_owned()).await);
    join_all(tags.iter().step_by(2).map(write)).await;
    let mut open = scene.begin().await;
    store.within(&mut open).append(&StreamId::random(), tagged("held")).await.unwrap();

    let before = store.backend().grouped().unwrap();
    let decide =
        |(tag, boundary): (&String, Boundary)| tokio::spawn(has_moved(store.clone(), tag.clone(), boundary));
    let decisions = tags.iter().zip(boundaries).map(decide).collect::<Vec<_>>();
    let waiting = tokio::spawn(has_moved(store.clone(), "held", is_held));
    let moved = join_all(decisions).await.into_iter().map(|moved| moved.unwrap()).collect::<Vec<_>>();
    let after = store.backend().grouped().unwrap();

    assert!(moved.iter().enumerate().all(|(number, moved)| *moved == (number % 2 == 0)), "{moved:?}");
    let (commits, calls) = (after.commits - before.commits, after.calls - before.calls);
    assert!(commits < calls, "{calls} calls in {commits} commits");
    assert!(!waiting.is_finished(), "it waits");
    open.commit().await.unwrap();
    assert!(waiting.await.unwrap());
    // All of them in one statement, which is not prepared.
    let items = tags.iter().map(|tag| QueryItem::new().tagged(Tag::new("course", tag).unwrap()));
    let read = store.read::<RawEvent>(&Query::new(items)).await.unwrap();
    assert_eq!(read.events.len(), TAGS.div_ceil(3) + TAGS);
}

/// Two of those that share a statement find a tag held, and each waits for it by itself from then on.
#[tokio::test]
async fn who_waits_for_a_tag_that_somebody_has_keeps_his_other_tags_from_nobody() {
    let (scene, held) = (Scene::new().await, ["held 1", "held 2"]);
    let mut open = scene.begin().await;
    for tag in held {
        scene.store.append(&StreamId::random(), tagged(tag)).await.unwrap();
        scene.store.within(&mut open).append(&StreamId::random(), tagged(tag)).await.unwrap();
    }
    let append = |tags: &[&str]| {
        let tags: Vec<_> = tags.iter().map(|tag| Tag::new("course", *tag).unwrap()).collect();
        let (store, event) = (scene.store.clone(), RawEvent::new("Happened", "{}").unwrap().with_tags(tags));
        tokio::spawn(async move { store.append(&StreamId::random(), event).await.unwrap() })
    };
    let others: Vec<_> = (0..40).map(|number| append(&[&format!("other {number}")])).collect();
    let waiting = held.map(|tag| append(&[tag, &format!("kept by {tag}")]));
    for other in join_all(others).await {
        other.unwrap();
    }
    for tag in held {
        append(&[&format!("kept by {tag}")]).await.unwrap();
    }
    assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
    open.commit().await.unwrap();
    for waiting in waiting {
        waiting.await.unwrap();
    }
}

/// Tags what was stored before, of this stream, as `course:a`; tells how many events that were.
fn tagging(store: Store, of: StreamId) -> JoinHandle<u64> {
    tokio::spawn(async move {
        let tagging = store.tag_stored::<RawEvent>().by(|recorded| {
            if recorded.stream_id == of { Ok(vec![Tag::new("course", "a")?]) } else { Ok(Vec::new()) }
        });
        tagging.await.unwrap().events
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn who_tags_what_is_stored_waits_for_who_has_the_tag_and_tags_nothing_that_was_deleted_meanwhile() {
    let scene = Scene::new().await;
    let (stays, goes) = (StreamId::random(), StreamId::random());
    for stream in [&stays, &goes] {
        let appended = scene.store.append(stream, RawEvent::new("Happened", "{}").unwrap()).await.unwrap();
        while !appended.position.is_covered_by(scene.store.position().await.unwrap()) {
            tokio::task::yield_now().await;
        }
    }
    let mut open = scene.begin().await;
    scene.store.within(&mut open).append(&StreamId::random(), tagged("a")).await.unwrap();
    let tags = tagging(scene.store.clone(), stays);
    scene.until_waiting(1).await;
    open.commit().await.unwrap();
    assert_eq!(tags.await.unwrap(), 1);
    assert_eq!(scene.store.read::<RawEvent>(&query("a")).await.unwrap().events.len(), 2);

    let mut open = scene.begin().await;
    scene.store.within(&mut open).delete_stream(&goes).await.unwrap();
    let tags = tagging(scene.store.clone(), goes);
    scene.until_waiting(1).await;
    open.commit().await.unwrap();
    assert_eq!(tags.await.unwrap(), 0);
    assert_eq!(scene.number("SELECT count(*) FROM event_sourcery_event_tags").await, 2);
    assert_eq!(scene.number("SELECT count(*) FROM event_sourcery_tagged_events").await, 2);
}
