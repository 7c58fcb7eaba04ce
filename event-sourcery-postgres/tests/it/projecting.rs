//! Projectors in transactions of PostgreSQL: what two of them, or one and a deletion, do to each other.
//!
//! The interleavings that would break it, each forced below:
//! - Two are handed events of a stream that has no cursor yet. Both find none, both project from the first version. So the
//!   cursor's row is put before anything is projected, and the second waits for the first at its unique key.
//! - Two are handed events of a stream that has one. Both read it, both apply what is behind it. So it is read under a lock,
//!   and what was read is what the first has left.
//! - A stream is deleted while its events are projected. The deletion finds no cursor, because it is not committed yet, and the
//!   cursor outlives the stream; or a projection reads half of the old stream. So the stream's row is locked first, against
//!   deletion alone.

use event_sourcery::{Error, Position, Projected, Projector, RawEvent, Recorded, StreamId};
use event_sourcery_postgres::sqlx;
use tokio::task::JoinHandle;

use crate::scene::{Scene, Store, Tx, events};

const MODEL: &str = "CREATE TABLE model (stream uuid, version bigint)";

async fn scene() -> Scene {
    let scene = Scene::new().await;
    scene.run(MODEL).await;
    scene
}

fn projector() -> Projector {
    Projector::new("model").unwrap()
}

/// A stream, and its events as a subscription hands them over.
async fn with_stream(scene: &Scene, length: usize) -> (StreamId, Vec<Recorded<RawEvent>>) {
    let stream = StreamId::random();
    scene.store.append(&stream, events(length)).await.unwrap();
    (stream.clone(), recorded(&scene.store, &stream, length).await)
}

async fn recorded(store: &Store, stream: &StreamId, length: usize) -> Vec<Recorded<RawEvent>> {
    loop {
        let (mut found, mut all) = (Vec::new(), store.read_all::<RawEvent>().after(Position::START).stream());
        while let Some(recorded) = all.try_next().await.unwrap() {
            found.extend((recorded.stream_id == *stream).then_some(recorded));
        }
        if found.len() == length {
            return found;
        }
    }
}

/// Projects an event into the table, in a transaction that is left open.
async fn project(store: &Store, tx: &mut Tx, recorded: &Recorded<RawEvent>) -> Result<(), Error> {
    let mut projection = projector().project(recorded.clone());
    while let Some(projected) = projection.next_joined(store, tx).await? {
        let query = match &projected {
            Projected::Anew { stream_id, .. } => {
                sqlx::query("DELETE FROM model WHERE stream = $1").bind(stream_id.uuid())
            }
            Projected::Event(event) => sqlx::query("INSERT INTO model VALUES ($1, $2)")
                .bind(event.stream_id.uuid())
                .bind(event.wrapped_event.version.map(u64::cast_signed)),
        };
        query.execute(&mut **tx).await.unwrap();
    }
    Ok(())
}

/// Projects an event in a transaction of its own, in a task of its own.
fn projecting(scene: &Scene, recorded: &Recorded<RawEvent>) -> JoinHandle<()> {
    let (store, pool, recorded) = (scene.store.clone(), scene.pool.clone(), recorded.clone());
    tokio::spawn(async move {
        let mut tx = pool.begin().await.unwrap();
        project(&store, &mut tx, &recorded).await.unwrap();
        tx.commit().await.unwrap();
    })
}

impl Scene {
    /// The versions in the table, as text.
    async fn model(&self) -> String {
        let versions = "SELECT coalesce(string_agg(version::text, ' ' ORDER BY version), '') FROM model";
        sqlx::query_scalar(versions).fetch_one(&self.pool).await.unwrap()
    }

    async fn cursors(&self) -> i64 {
        self.number("SELECT count(*) FROM event_sourcery_projected_streams").await
    }
}

#[tokio::test]
async fn of_two_that_begin_one_cursor_the_second_goes_on_where_the_first_has_stopped() {
    for is_kept in [true, false] {
        let scene = scene().await;
        let (_, events) = with_stream(&scene, 3).await;
        let mut first = scene.begin().await;
        project(&scene.store, &mut first, &events[1]).await.unwrap();
        let second = projecting(&scene, &events[2]);
        scene.until_waiting(1).await;
        if is_kept {
            first.commit().await.unwrap();
        } else {
            first.rollback().await.unwrap();
        }
        second.await.unwrap();
        assert_eq!(scene.model().await, "1 2 3", "the first was kept: {is_kept}");
    }
}

#[tokio::test]
async fn of_two_that_move_one_cursor_the_second_sees_what_the_first_has_done() {
    for (first_fed, second_fed) in [(3, 3), (3, 2), (2, 3), (3, 5)] {
        for is_kept in [true, false] {
            let scene = scene().await;
            let (_, events) = with_stream(&scene, 5).await;
            projecting(&scene, &events[0]).await.unwrap();
            let mut first = scene.begin().await;
            project(&scene.store, &mut first, &events[first_fed - 1]).await.unwrap();
            let second = projecting(&scene, &events[second_fed - 1]);
            scene.until_waiting(1).await;
            if is_kept {
                first.commit().await.unwrap();
            } else {
                first.rollback().await.unwrap();
            }
            second.await.unwrap();
            let reached = if is_kept { first_fed.max(second_fed) } else { second_fed };
            let versions: Vec<_> = (1..=reached).map(|version| version.to_string()).collect();
            assert_eq!(scene.model().await, versions.join(" "), "the first was kept: {is_kept}");
        }
    }
}

#[tokio::test]
async fn appends_go_on_while_a_projection_is_open_and_it_holds_up_no_reader() {
    let scene = scene().await;
    let (stream, events) = with_stream(&scene, 2).await;
    let mut open = scene.begin().await;
    project(&scene.store, &mut open, &events[1]).await.unwrap();
    let more = crate::scene::events(1);
    let appended = scene.store.append(&stream, more).expected_version(2).await.unwrap();
    assert!(appended.position.is_covered_by(scene.store.position().await.unwrap()));
    open.commit().await.unwrap();
    assert_eq!(scene.model().await, "1 2");
}

#[tokio::test]
async fn a_deletion_waits_for_a_projection_and_takes_its_cursor_along() {
    let scene = scene().await;
    let (stream, events) = with_stream(&scene, 2).await;
    let mut open = scene.begin().await;
    project(&scene.store, &mut open, &events[1]).await.unwrap();
    let (store, deleted) = (scene.store.clone(), stream.clone());
    let deleting = tokio::spawn(async move { store.delete_stream(&deleted).await });
    scene.until_waiting(1).await;
    open.commit().await.unwrap();
    deleting.await.unwrap().unwrap();
    assert_eq!(scene.cursors().await, 0);
}

#[tokio::test]
async fn a_projection_that_waits_for_a_deletion_finds_nothing_to_project() {
    for is_tracked in [true, false] {
        let scene = scene().await;
        let (stream, events) = with_stream(&scene, 3).await;
        if is_tracked {
            projecting(&scene, &events[0]).await.unwrap();
        }
        let before = scene.model().await;
        let mut deleting = scene.begin().await;
        scene.store.within(&mut deleting).delete_stream(&stream).await.unwrap();
        let waiting = projecting(&scene, &events[2]);
        scene.until_waiting(1).await;
        deleting.commit().await.unwrap();
        waiting.await.unwrap();
        assert_eq!((scene.model().await, scene.cursors().await), (before, 0), "{is_tracked}");
    }
}

/// It does not see a cursor that is begun meanwhile, and needs not: the stream began anew.
#[tokio::test]
async fn a_projector_is_forgotten_once_those_who_move_its_cursors_have_ended() {
    for is_tracked in [true, false] {
        let scene = scene().await;
        let (_, events) = with_stream(&scene, 4).await;
        if is_tracked {
            projecting(&scene, &events[0]).await.unwrap();
        }
        let mut open = scene.begin().await;
        project(&scene.store, &mut open, &events[1]).await.unwrap();
        let store = scene.store.clone();
        let forgetting = tokio::spawn(async move { projector().forget(&store).await });
        if is_tracked {
            scene.until_waiting(1).await;
        } else {
            forgetting.await.unwrap().unwrap();
            open.commit().await.unwrap();
            assert_eq!((scene.model().await, scene.cursors().await), ("1 2".to_owned(), 1));
            continue;
        }
        open.commit().await.unwrap();
        forgetting.await.unwrap().unwrap();
        assert_eq!((scene.model().await, scene.cursors().await), ("1 2".to_owned(), 0));
        projecting(&scene, &events[2]).await.unwrap();
        assert_eq!(scene.model().await, "1 2 3");
    }
}

/// It is begun behind Python's cursor, and not committed, when the projector is forgotten: it counts no more either.
#[tokio::test]
async fn a_cursor_that_is_begun_behind_pythons_meanwhile_is_forgotten_too() {
    let scene = scene().await;
    let (stream, events) = with_stream(&scene, 4).await;
    let put = "INSERT INTO event_sourcery_projector_cursors (name, stream_id, category, version)
               VALUES ('model', $1, '', 2)";
    sqlx::query(put).bind(stream.uuid()).execute(&scene.pool).await.unwrap();
    let mut open = scene.begin().await;
    project(&scene.store, &mut open, &events[2]).await.unwrap();
    let store = scene.store.clone();
    let forgetting = tokio::spawn(async move { projector().forget(&store).await });
    scene.until_waiting(1).await;
    open.commit().await.unwrap();
    forgetting.await.unwrap().unwrap();
    assert_eq!(scene.model().await, "3");
    projecting(&scene, &events[3]).await.unwrap();
    assert_eq!(scene.model().await, "1 2 3 4");
}

#[tokio::test]
async fn a_transaction_that_may_not_see_the_event_is_refused() {
    let scene = scene().await;
    let (_, events) = with_stream(&scene, 1).await;
    for isolation in ["REPEATABLE READ", "SERIALIZABLE"] {
        let mut tx = scene.begin_at(isolation).await;
        let refused = project(&scene.store, &mut tx, &events[0]).await;
        assert!(matches!(refused, Err(Error::Unsupported { backend: "postgres", .. })), "{refused:?}");
    }
}

/// 255 characters and 850 bytes, which do not compress.
fn longest(seed: u32) -> String {
    let mut state = seed;
    let mut below = |limit: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) % limit
    };
    let code = |number: u32| if number < 170 { 0x4e00 + below(0x5000) } else { 0x2_0000 + below(0x8000) };
    (0..255).map(code).map(|code| char::from_u32(code).unwrap()).collect()
}

#[tokio::test]
async fn names_of_the_longest_kind_have_a_cursor() {
    let scene = scene().await;
    let tenant = event_sourcery::TenantId::new(longest(1)).unwrap();
    let stream = StreamId::random().in_category(longest(2)).unwrap();
    let store = scene.store.for_tenant(tenant);
    store.append(&stream, events(1)).await.unwrap();
    let event = recorded(&store, &stream, 1).await.remove(0);
    let mut projection = Projector::new(longest(3)).unwrap().project(event);
    let mut tx = scene.begin().await;
    while projection.next_joined(&store, &mut tx).await.unwrap().is_some() {}
    tx.commit().await.unwrap();
    assert_eq!(scene.cursors().await, 1);
}

/// In a task of its own, as a service runs it.
#[tokio::test]
async fn in_the_transaction_of_a_subscription_model_cursor_and_checkpoint_are_committed_together() {
    let scene = scene().await;
    let (_, events) = with_stream(&scene, 5).await;
    projecting(&scene, &events[2]).await.unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let durable = || scene.store.subscribe::<RawEvent>().durable("model").batch(2);
    let (run, mut failures) = (durable().until(stopped), 2);
    let running = tokio::spawn(run.run_within(async move |recorded, tx| {
        let mut projection = projector().project(recorded);
        while let Some(projected) = projection.next_within(tx).await? {
            let Projected::Event(event) = projected else { continue };
            sqlx::query("INSERT INTO model VALUES ($1, $2)")
                .bind(event.stream_id.uuid())
                .bind(event.wrapped_event.version.map(u64::cast_signed))
                .execute(tx.connection())
                .await?;
            if failures > 0 {
                failures -= 1;
                return Err("not yet".into());
            }
        }
        Ok(())
    }));
    crate::scene::until(async || scene.model().await.len() >= "1 2 3 4 5".len()).await;
    let settled = scene.store.position().await.unwrap();
    let waiting = durable().wait_for_everything(settled, std::time::Duration::from_secs(30)).await.unwrap();
    assert!(waiting.is_empty());
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
    assert_eq!(scene.model().await, "1 2 3 4 5");
}

#[tokio::test]
async fn a_handler_that_leaves_a_projection_early_has_failed_and_its_transaction_is_rolled_back() {
    let scene = scene().await;
    with_stream(&scene, 2).await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let durable = || scene.store.subscribe::<RawEvent>().durable("model");
    let running = tokio::spawn(durable().attempts(1).until(stopped).run_within(async |recorded, tx| {
        projector().project(recorded).next_within(tx).await?;
        sqlx::query("INSERT INTO model VALUES (gen_random_uuid(), 1)").execute(tx.connection()).await?;
        Ok(())
    }));
    crate::scene::until(async || !durable().parked().await.unwrap().is_empty()).await;
    let parked = durable().parked().await.unwrap();
    drop(stop);
    running.await.unwrap().unwrap();
    assert!(parked[0].error.contains("was not read to its end"), "{}", parked[0].error);
    assert_eq!((scene.model().await.as_str(), scene.cursors().await), ("", 0));
}
