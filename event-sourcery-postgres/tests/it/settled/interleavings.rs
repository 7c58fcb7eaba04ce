//! Positions that become visible in another order than they were drawn in.

use event_sourcery::StreamId;
use event_sourcery_postgres::sqlx::{self, Connection as _, PgConnection};
use futures_util::future::join_all;

use super::{Reader, append, draw, settled};
use crate::scene::{Scene, event, events, insert_invoice};

#[tokio::test]
async fn an_event_above_one_that_is_not_committed_is_handed_out_after_it() {
    let scene = Scene::new().await;
    let mut reader = Reader::of(&scene.store);
    assert_eq!(append(&scene.store).await, 1);
    let mut late = scene.begin().await;
    assert_eq!(draw(&scene.store, &mut late, 2).await, [2, 3]);
    assert_eq!(append(&scene.store).await, 4);

    reader.sees_only(&[1]).await;
    assert_eq!(settled(&scene.store).await, 1);
    late.commit().await.unwrap();

    reader.comes_to_see(&[1, 2, 3, 4]).await;
}

/// The second late one began while the reader waited for the first one already.
#[tokio::test]
async fn late_commits_in_any_order_are_handed_out_in_the_order_of_their_positions() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let scene = Scene::new().await;
        let mut reader = Reader::of(&scene.store);
        let (mut late, mut positions) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let mut tx = scene.begin().await;
            positions.extend(draw(&scene.store, &mut tx, 1).await);
            late.push(Some(tx));
            positions.push(append(&scene.store).await);
            reader.sees_only(&[]).await;
        }
        for (number, place) in (1..).zip(order) {
            late[place].take().unwrap().commit().await.unwrap();
            if number < 3 {
                let lowest = late.iter().position(Option::is_some).unwrap() * 2;
                reader.comes_to_see(&positions[..lowest]).await;
            }
        }
        reader.comes_to_see(&positions).await;
    }
}

#[tokio::test]
async fn a_position_that_was_rolled_back_is_passed_over_once_its_transaction_has_ended() {
    let scene = Scene::new().await;
    let mut reader = Reader::of(&scene.store);
    let mut late = scene.begin().await;
    assert_eq!(draw(&scene.store, &mut late, 1).await, [1]);
    assert_eq!(append(&scene.store).await, 2);

    reader.sees_only(&[]).await;
    late.rollback().await.unwrap();

    reader.comes_to_see(&[2]).await;
}

/// Whoever draws a position after the reader has looked, draws it above its ceiling.
#[tokio::test]
async fn writers_that_come_later_do_not_hold_up_what_was_waited_for() {
    let scene = Scene::new().await;
    let mut reader = Reader::of(&scene.store);
    let mut first = scene.begin().await;
    draw(&scene.store, &mut first, 1).await;
    assert_eq!(append(&scene.store).await, 2);
    reader.sees_only(&[]).await;
    let mut second = scene.begin().await;
    assert_eq!(draw(&scene.store, &mut second, 1).await, [3]);
    assert_eq!(append(&scene.store).await, 4);

    first.rollback().await.unwrap();
    reader.comes_to_see(&[2]).await;
    second.commit().await.unwrap();
    reader.comes_to_see(&[2, 3, 4]).await;
}

#[tokio::test]
async fn positions_of_savepoints_that_were_rolled_back_are_passed_over_and_the_others_waited_for() {
    let scene = Scene::new().await;
    let mut reader = Reader::of(&scene.store);
    let mut late = scene.begin().await;
    assert_eq!(draw(&scene.store, &mut late, 1).await, [1]);
    let mut savepoint = late.begin().await.unwrap();
    scene.store.within(&mut savepoint).append(&StreamId::random(), event()).await.unwrap();
    savepoint.rollback().await.unwrap();
    let mut savepoint = late.begin().await.unwrap();
    scene.store.within(&mut savepoint).append(&StreamId::random(), event()).await.unwrap();
    savepoint.commit().await.unwrap();
    assert_eq!(append(&scene.store).await, 4);

    reader.sees_only(&[]).await;
    late.commit().await.unwrap();

    reader.comes_to_see(&[1, 3, 4]).await;
}

/// With the savepoint its locks are given back, while the transaction goes on and appends again.
#[tokio::test]
async fn a_transaction_that_took_back_all_it_had_drawn_is_waited_for_from_its_next_append_on() {
    let scene = Scene::new().await;
    let mut reader = Reader::of(&scene.store);
    let mut late = scene.begin().await;
    let mut savepoint = late.begin().await.unwrap();
    scene.store.within(&mut savepoint).append(&StreamId::random(), event()).await.unwrap();
    savepoint.rollback().await.unwrap();
    assert_eq!(append(&scene.store).await, 2);
    reader.comes_to_see(&[2]).await;
    assert_eq!(draw(&scene.store, &mut late, 1).await, [3]);
    assert_eq!(append(&scene.store).await, 4);

    reader.sees_only(&[2]).await;
    late.commit().await.unwrap();

    reader.comes_to_see(&[2, 3, 4]).await;
}

#[tokio::test]
async fn two_appends_of_one_transaction_are_handed_out_with_those_between_them_in_order() {
    let scene = Scene::new().await;
    let mut reader = Reader::of(&scene.store);
    let stream = StreamId::random();
    let mut late = scene.begin().await;
    scene.store.within(&mut late).append(&stream, event()).await.unwrap();
    assert_eq!(append(&scene.store).await, 2);
    reader.sees_only(&[]).await;
    scene.store.within(&mut late).append(&stream, events(2)).expected_version(1).await.unwrap();
    assert_eq!(append(&scene.store).await, 5);
    reader.sees_only(&[]).await;
    late.commit().await.unwrap();

    reader.comes_to_see(&[1, 2, 3, 4, 5]).await;
}

/// The transaction is older than everything that is read; only its lock, not its age, is waited for.
#[tokio::test]
async fn a_transaction_that_wrote_the_callers_table_first_is_waited_for_once_it_appends() {
    let scene = Scene::new().await.with_own_table().await;
    let mut reader = Reader::of(&scene.store);
    let mut late = scene.begin().await;
    insert_invoice(&mut late, "1003").await;
    assert_eq!(append(&scene.store).await, 1);
    reader.comes_to_see(&[1]).await;
    assert_eq!(draw(&scene.store, &mut late, 1).await, [2]);
    assert_eq!(append(&scene.store).await, 3);

    reader.sees_only(&[1]).await;
    late.commit().await.unwrap();

    reader.comes_to_see(&[1, 2, 3]).await;
}

/// It holds the lock of those who append, and could append any moment.
#[tokio::test]
async fn a_transaction_that_holds_the_lock_and_has_drawn_no_position_loses_nothing() {
    let scene = Scene::new().await;
    let mut reader = Reader::of(&scene.store);
    let mut late = scene.begin().await;
    let lock = "LOCK TABLE event_sourcery_events IN ROW EXCLUSIVE MODE";
    sqlx::query(lock).execute(&mut *late).await.unwrap();
    assert_eq!(append(&scene.store).await, 1);
    reader.comes_to_see(&[1]).await;
    let mut rolled_back = scene.begin().await;
    assert_eq!(draw(&scene.store, &mut rolled_back, 1).await, [2]);
    rolled_back.rollback().await.unwrap();
    assert_eq!(append(&scene.store).await, 3);
    reader.look().await;
    assert_eq!(draw(&scene.store, &mut late, 1).await, [4]);
    assert_eq!(append(&scene.store).await, 5);
    reader.look().await;
    late.commit().await.unwrap();

    reader.comes_to_see(&[1, 3, 4, 5]).await;
}

#[tokio::test]
async fn a_writer_whose_connection_the_server_ends_is_waited_for_no_longer() {
    let scene = Scene::new().await;
    let mut reader = Reader::of(&scene.store);
    let mut late = scene.begin().await;
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *late).await.unwrap();
    assert_eq!(draw(&scene.store, &mut late, 1).await, [1]);
    assert_eq!(append(&scene.store).await, 2);
    reader.sees_only(&[]).await;

    scene.run(&format!("SELECT pg_terminate_backend({pid})")).await;

    reader.comes_to_see(&[2]).await;
    drop(late);
}

/// As Event Sourcery for Python does it: the stream first, then each event with an INSERT of its own.
#[tokio::test]
async fn a_writer_that_inserts_by_hand_is_waited_for() {
    let scene = Scene::new().await;
    let mut reader = Reader::of(&scene.store);
    let mut python = PgConnection::connect(&scene.database.url()).await.unwrap();
    let write = "
        BEGIN;
        INSERT INTO event_sourcery_streams (uuid, name, category, tenant_id, version)
        VALUES (gen_random_uuid(), NULL, '', 'default', 1);
        INSERT INTO event_sourcery_events (version, uuid, name, data, event_context, created_at, db_stream_id)
        VALUES (1, gen_random_uuid(), 'Happened', '{}', '{}', now() AT TIME ZONE 'UTC', 1)";
    sqlx::raw_sql(write).execute(&mut python).await.unwrap();
    assert_eq!(append(&scene.store).await, 2);
    reader.sees_only(&[]).await;
    let another = "
        INSERT INTO event_sourcery_events (version, uuid, name, data, event_context, created_at, db_stream_id)
        VALUES (2, gen_random_uuid(), 'Happened', '{}', '{}', now() AT TIME ZONE 'UTC', 1)";
    sqlx::raw_sql(another).execute(&mut python).await.unwrap();
    assert_eq!(append(&scene.store).await, 4);
    reader.sees_only(&[]).await;
    sqlx::raw_sql("COMMIT").execute(&mut python).await.unwrap();

    reader.comes_to_see(&[1, 2, 3, 4]).await;
}

/// Whatever of its looking comes first: what happens meanwhile counts.
#[tokio::test]
async fn a_look_that_was_held_up_half_way_takes_nobody_for_ended() {
    let scene = Scene::new().await;
    let mut reader = Reader::of(&scene.store);
    let mut holds_up = scene.begin().await;
    let lock = "LOCK TABLE event_sourcery_evidence IN ACCESS EXCLUSIVE MODE";
    sqlx::query(lock).execute(&mut *holds_up).await.unwrap();
    let meanwhile = async {
        scene.until_waiting(1).await;
        let mut late = scene.begin().await;
        assert_eq!(draw(&scene.store, &mut late, 1).await, [1]);
        assert_eq!(append(&scene.store).await, 2);
        holds_up.rollback().await.unwrap();
        late
    };
    let (_, late) = tokio::join!(reader.look(), meanwhile);

    reader.sees_only(&[]).await;
    late.commit().await.unwrap();
    reader.comes_to_see(&[1, 2]).await;
}

#[tokio::test]
async fn readers_of_two_processes_and_many_of_one_see_the_same() {
    let scene = Scene::new().await;
    let another = scene.another_store().await;
    let mut late = scene.begin().await;
    draw(&scene.store, &mut late, 1).await;
    append(&another).await;
    let mut readers = [&scene.store, &scene.store, &another, &another].map(Reader::of);
    for reader in &mut readers {
        reader.sees_only(&[]).await;
    }
    let looks = readers.each_mut().map(|reader| reader.comes_to_see(&[1, 2]));
    let looks = join_all(looks);
    tokio::join!(looks, async { late.commit().await.unwrap() });
}
