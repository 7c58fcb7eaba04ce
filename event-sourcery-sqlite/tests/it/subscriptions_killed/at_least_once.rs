//! Handlers that write elsewhere: nothing is lost, and only what was handled since the last checkpoint comes again.

use std::path::Path;
use std::time::Duration;

use event_sourcery::StreamId;
use event_sourcery::backend::SubscriptionBackend as _;
use killed::{
    HandledEvents, Load, Worker, append_to_all, freeze_once, kill_again_and_again, kills, streams,
    told_to_stop, until,
};
use uuid::Uuid;

use super::{Scene, id, open, subscription};
use crate::process::store_path;

/// The file in which handlers tell of what they handle.
fn handled_beside(store: &Path) -> HandledEvents {
    HandledEvents::within(store.parent().expect("a file is in a folder"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_nothing_is_lost_and_nothing_comes_again_from_behind_a_checkpoint() {
    if let Some(path) = store_path() {
        return note_all(&path).await;
    }
    let test = concat!(
        module_path!(),
        "::whoever_is_killed_nothing_is_lost_and_nothing_comes_again_from_behind_a_checkpoint"
    );
    let scene = Scene::new().await;
    let handled = handled_beside(&scene.path);
    let load = Load::on(&scene.store);
    let kills = kills() / 2;
    kill_again_and_again(kills, || scene.worker(test), async || handled.read().len() as u64).await;
    let streams = load.end().await;
    let last = [scene.worker(test), scene.worker(test)];
    scene.until_all_is_handled().await;
    last.into_iter().for_each(Worker::stop);
    let again = handled.check(&lengths(&scene, &streams).await);
    println!("{kills} kills, {} events handled, {again} of them came again", handled.read().len());
}

/// Notes every event that comes.
async fn note_all(path: &Path) {
    let (store, handled) = (open(path).await, handled_beside(path));
    let noting = subscription(&store).until(told_to_stop()).run(async |event, store| {
        let record = store.backend().subscription(id()).await?;
        handled.note(&event, &record.unwrap());
        Ok(())
    });
    noting.await.expect("it bears whatever befalls the others");
}

async fn lengths(scene: &Scene, streams: &[StreamId]) -> Vec<(StreamId, u64)> {
    let mut lengths = Vec::new();
    for stream in streams {
        lengths.push((stream.clone(), scene.store.version(stream).await.unwrap().unwrap_or(0)));
    }
    lengths
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_process_that_goes_on_does_not_move_a_checkpoint_that_is_not_its_own_any_more() {
    if let Some(path) = store_path() {
        return freeze_or_wait_for_leave(&path).await;
    }
    let test = concat!(
        module_path!(),
        "::a_frozen_process_that_goes_on_does_not_move_a_checkpoint_that_is_not_its_own_any_more"
    );
    let scene = Scene::new().await;
    let (handled, streams) = (handled_beside(&scene.path), streams());
    append_to_all(&scene.store, &streams, 3).await;
    let before = scene.worker(test);
    until(async || before.is_frozen()).await;
    let frozen = scene.record().await.unwrap().members[0].id;
    let other = scene.worker(test);
    until(async || is_held_without(&scene, frozen).await).await;

    before.thaw();
    until(async || handled.read().len() == 1).await;
    for _ in 0..2 {
        // It has shown itself again: what it has handled it has tried to keep.
        let seen = seen_until(&scene, frozen).await;
        until(async || seen_until(&scene, frozen).await > seen).await;
    }

    let record = scene.record().await.unwrap();
    assert!(record.segments.iter().all(|segment| segment.position.to_i64() == 0), "{record:?}");
    std::fs::create_dir(scene.path.with_file_name("leave")).unwrap();
    scene.until_all_is_handled().await;
    // More than once, where the machine was so slow that the other one lost its lease, too.
    let came_again = handled.check(&lengths(&scene, &streams).await);
    assert!(came_again >= 1, "what the frozen one was at came again");

    until(async || has_its_share(&scene, frozen).await).await;
    append_to_all(&scene.store, &streams, 3).await;
    scene.until_all_is_handled().await;
    assert!(handled.check(&lengths(&scene, &streams).await) >= came_again);
    // Unless one of them was not run for so long that it has lost its share once more.
    let is_at_work =
        |worker: &Worker| handled.read().iter().any(|line| line.version > 3 && line.process == worker.id());
    until(async || {
        let are_both = is_at_work(&before) && is_at_work(&other);
        if !are_both {
            append_to_all(&scene.store, &streams, 1).await;
            scene.until_all_is_handled().await;
        }
        are_both
    })
    .await;
    before.stop();
    other.stop();
}

/// The first process freezes over the first event; another one waits there until it has leave to go on.
async fn freeze_or_wait_for_leave(path: &Path) {
    let (store, handled) = (open(path).await, handled_beside(path));
    let noting = subscription(&store).until(told_to_stop()).run(async |event, store| {
        if !freeze_once(path.parent().unwrap()) && handled.read().len() < 2 {
            until(async || path.with_file_name("leave").exists()).await;
        }
        let record = store.backend().subscription(id()).await?;
        handled.note(&event, &record.unwrap());
        Ok(())
    });
    noting.await.expect("it bears the loss of its lease");
}

/// Whether all segments are held, by others than this member.
async fn is_held_without(scene: &Scene, member: Uuid) -> bool {
    let record = scene.record().await.unwrap();
    record.segments.iter().all(|segment| segment.member.is_some_and(|holder| holder != member))
}

/// Whether this member, one of two, holds half of the segments, and the other one the rest.
async fn has_its_share(scene: &Scene, member: Uuid) -> bool {
    let segments = scene.record().await.unwrap().segments;
    let (its, others): (Vec<_>, Vec<_>) =
        segments.iter().filter_map(|segment| segment.member).partition(|holder| *holder == member);
    its.len() == others.len() && its.len() + others.len() == segments.len()
}

/// Until when this member counts.
async fn seen_until(scene: &Scene, member: Uuid) -> Option<jiff::Timestamp> {
    let record = scene.record().await.unwrap();
    record.members.iter().find(|other| other.id == member).map(|member| member.until)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_whose_handler_ends_the_process_comes_again_each_time_and_is_never_parked() {
    if let Some(path) = store_path() {
        return end_the_process(&path).await;
    }
    let test = concat!(
        module_path!(),
        "::an_event_whose_handler_ends_the_process_comes_again_each_time_and_is_never_parked"
    );
    let scene = Scene::new().await;
    let (handled, streams) = (handled_beside(&scene.path), streams());
    append_to_all(&scene.store, &streams, 3).await;
    let starts = 4;
    for _ in 0..starts {
        assert!(!scene.worker(test).ended_by_itself().success());
    }
    assert_eq!(handled.read().len(), starts);
    assert!(handled.read().iter().all(|line| (line.stream, line.version) == (streams[0].uuid(), 1)));
    assert_eq!(subscription(&scene.store).blocked().await.unwrap(), []);
    std::fs::create_dir(scene.path.with_file_name("mended")).unwrap();
    let last = scene.worker(test);
    scene.until_all_is_handled().await;
    last.stop();
    assert_eq!(handled.check(&lengths(&scene, &streams).await), starts);
}

/// Ends the process over every event, until that is mended.
async fn end_the_process(path: &Path) {
    let (store, handled) = (open(path).await, handled_beside(path));
    let noting = subscription(&store).attempts(2).until(told_to_stop()).run(async |event, store| {
        let record = store.backend().subscription(id()).await?;
        handled.note(&event, &record.unwrap());
        if !path.with_file_name("mended").exists() {
            std::process::abort();
        }
        Ok(())
    });
    noting.await.expect("it is mended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_clean_stop_nothing_comes_again_and_the_next_one_goes_on_at_once() {
    if let Some(path) = store_path() {
        return note_all_under_a_long_lease(&path).await;
    }
    let test =
        concat!(module_path!(), "::after_a_clean_stop_nothing_comes_again_and_the_next_one_goes_on_at_once");
    let scene = Scene::new().await;
    let (handled, load) = (handled_beside(&scene.path), Load::on(&scene.store));
    for _ in 0..10 {
        let (before, more) = (handled.read().len(), fastrand::usize(1..40));
        let worker = scene.worker(test);
        until(async || handled.read().len() >= before + more).await;
        worker.stop();
        let record = scene.record().await.unwrap();
        assert_eq!(record.members, [], "it has left");
        assert!(record.segments.iter().all(|segment| segment.member.is_none()), "{record:?}");
    }
    let streams = load.end().await;
    let last = scene.worker(test);
    scene.until_all_is_handled().await;
    last.stop();
    assert_eq!(handled.check(&lengths(&scene, &streams).await), 0, "nothing came again");
}

/// Nobody waits for the end of this lease.
async fn note_all_under_a_long_lease(path: &Path) {
    let (store, handled) = (open(path).await, handled_beside(path));
    let noting = subscription(&store).lease(Duration::from_secs(3_600)).until(told_to_stop());
    let noting = noting.run(async |event, store| {
        let record = store.backend().subscription(id()).await?;
        handled.note(&event, &record.unwrap());
        Ok(())
    });
    noting.await.expect("it stops cleanly");
}
