//! Where a log cannot be watched: what is said of it, when it is tried again, and how many are watched at once.

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::super::inotify::AT_ONCE;
use super::*;

fn nowhere() -> Arc<Watch> {
    watch_of(Path::new("/there is no such folder/events.db-wal"))
}

#[test]
fn a_watch_that_cannot_begin_is_not_tried_at_each_look_and_those_who_wait_look_often() {
    let watch = nowhere();
    let waiting = watch.wait();
    assert_eq!(waiting.rest(), LOOK_AGAIN);
    let failed = watch.watching().failed;
    assert!(failed.is_some());
    assert_eq!(waiting.rest(), LOOK_AGAIN);
    assert_eq!(watch.watching().failed, failed, "it was not tried again");
}

/// As many instances of inotify as a user may have are soon taken, and others want some.
#[test]
fn a_process_watches_some_logs_at_once_and_another_one_when_one_of_them_is_not_needed_any_more() {
    let mut scenes: Vec<_> = (0..=AT_ONCE).map(|_| Scene::new()).collect();
    let is_watched = |scene: &Scene| {
        scene.watch.wait().rest();
        scene.watch.is_watched()
    };
    let watched = scenes.iter().filter(|scene| is_watched(scene)).count();
    assert!((1..=AT_ONCE).contains(&watched), "{watched} are watched");
    let last = scenes.pop().unwrap();
    assert!(!last.watch.is_watched(), "those before it are");
    drop(scenes);
    assert!(!is_watched(&last), "it was tried just now");
    last.watch.watching().failed = None;
    assert!(is_watched(&last));
}

/// Counts warnings.
struct Warnings(Arc<AtomicUsize>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// None where another test of the process has seen the first.
#[test]
fn of_many_stores_that_cannot_be_watched_a_process_warns_once() {
    let warnings = Arc::new(AtomicUsize::new(0));
    tracing::subscriber::with_default(Warnings(Arc::clone(&warnings)), || {
        for _ in 0..10 {
            nowhere().wait().rest();
        }
    });
    assert!(warnings.load(Ordering::SeqCst) <= 1, "{warnings:?}");
}
