//! Clause 17.1: durable subscriptions are filtered by tags, which are kept with their checkpoints.

use std::sync::Arc;

use event_sourcery::backend::Backend;
use event_sourcery::{Durable, Error, EventStore, Passed, Source, StreamId};

use super::ledger::{Ledgers as _, Noted, ledger};
use super::running::{Handled, Running, SOON, Settings, eventually};
use super::subject::Subject;
use super::tagging::{tag, tagged};

const BOTH: &[&str] = &["course:c1", "student:s1"];

/// The subscription, for notes that have all of these tags.
fn letters(store: &EventStore, tags: &[&str]) -> Durable<Arc<dyn Backend>, Noted> {
    let subscribe = tags.iter().fold(store.subscribe::<Noted>(), |all, text| all.tagged(tag(text)));
    Settings::default().of(subscribe)
}

/// Appends a note with these tags to a stream of its own, and waits until it is settled.
async fn note(store: &EventStore, number: u64, tags: &[&str]) {
    let appended = store.append(&StreamId::random(), tagged(number, tags)).await.unwrap();
    store.settled(appended.position).await;
}

/// Runs until all that is wanted is handled.
async fn run(store: &EventStore, tags: &[&str], handled: &Handled) {
    let running = Running::noting(letters(store, tags), handled);
    let up_to = store.position().await.unwrap();
    letters(store, tags).wait_for_everything(up_to, SOON).await.unwrap();
    running.stop().await;
}

pub(super) async fn clause_17_1_a_durable_subscription_hands_over_what_has_its_tags(subject: Subject) {
    let (store, stream, handled) = (subject.store(), ledger("1"), Handled::default());
    let events = [tagged(1, BOTH), tagged(2, &["course:c1"]), tagged(3, &[]), tagged(4, BOTH)];
    let appended = store.append(&stream, events).await.unwrap();
    store.settled(appended.position).await;
    // The others of its stream are found when it is tried again, and not on a page.
    let running = Running::planned(letters(&store, BOTH), &Handled::default(), |item, _| match item.number {
        1 => Err(Source::from("it fails, as it was told to")),
        _ => Ok(()),
    });
    eventually("it is parked", async || letters(&store, BOTH).parked().await.unwrap().len() == 1).await;
    let failed = letters(&store, BOTH).parked().await.unwrap().remove(0);
    running.stop().await;
    let running = Running::noting(letters(&store, BOTH), &handled);
    letters(&store, BOTH).replay(&failed).await.unwrap();
    handled.reach(2).await;
    note(&store, 5, &["student:s1"]).await;
    note(&store, 6, BOTH).await;
    handled.reach(3).await;
    running.stop().await;
    assert_eq!(handled.numbers(), [1, 4, 6]);

    let more: [(u64, &[&str]); 3] = [(7, BOTH), (8, &["course:c1"]), (9, &[])];
    for (number, tags) in more {
        note(&store, number, tags).await;
    }
    let status = letters(&store, BOTH).status().await.unwrap().unwrap();
    assert_eq!((status.events_behind, status.has_more), (1, false));
    run(&store, BOTH, &handled).await;
    assert_eq!(handled.numbers(), [1, 4, 6, 7]);
    assert_eq!(letters(&store, BOTH).status().await.unwrap().unwrap().events_behind, 0);
}

pub(super) async fn clause_17_1_the_tags_of_a_durable_subscription_are_kept_with_it(subject: Subject) {
    let (store, handled, course) = (subject.store(), Handled::default(), &["course:c1"]);
    note(&store, 1, course).await;
    note(&store, 2, &[]).await;
    note(&store, 3, BOTH).await;
    run(&store, course, &handled).await;
    assert_eq!(handled.numbers(), [1, 3]);

    for others in [&["student:s1"][..], BOTH] {
        let told = Running::noting(letters(&store, others), &handled).ended().await;
        assert_refused!(told, Error::RunForOthers { kept, .. } if kept.contains("course:c1"));
    }
    let told = Running::noting(letters(&store, &[]), &handled).ended().await;
    assert_refused!(told, Error::PassedUnasked { names, .. } if names == ["noted"]);
    assert_eq!(handled.numbers(), [1, 3]);
    // What was passed is handed over, and what was handled is not.
    let all = Handled::default();
    let running = Running::noting(letters(&store, &[]).widen(Passed::HandOver), &all);
    all.reach(1).await;
    note(&store, 4, &["course:c2"]).await;
    all.reach(2).await;
    running.stop().await;
    assert_eq!(all.numbers(), [2, 4]);
}
