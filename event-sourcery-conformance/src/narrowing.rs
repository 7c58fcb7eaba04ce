//! Clause 8.12: who wants fewer events, or leaves out what was passed, while streams wait or something is handed over late.

use event_sourcery::{EventStore, Passed, Source};

use super::deployments::{Handed, NEW, OLD, append, board, run, run_for};
use super::ledger::ledger;
use super::running::{Running, SOON, eventually};
use super::subject::Subject;

/// Runs as a program that knows these names and fails on what is booked, until that is parked.
async fn with_parked(store: &EventStore, names: &[&str], handed: &Handed) {
    let running = run(board(store, names), handed, |name| name == "booked");
    eventually("it is parked", async || board(store, names).parked().await.unwrap().len() == 1).await;
    let up_to = store.position().await.unwrap();
    board(store, names).wait_for_everything(up_to, SOON).await.unwrap();
    running.stop().await;
}

/// It was not handled, though the checkpoint is behind it.
pub(super) async fn clause_8_12_what_waits_when_fewer_are_wanted_is_not_taken_for_handled(subject: Subject) {
    let (store, parcel, other) = (subject.store(), ledger("1"), ledger("2"));
    append(&store, &parcel, &["booked", "redirected"]).await;
    append(&store, &other, &["redirected"]).await;
    let (failing, old, new) = (Handed::default(), Handed::default(), Handed::default());
    with_parked(&store, NEW, &failing).await;
    assert_eq!(failing.of(&other), ["redirected 1"]);
    let running = run(board(&store, OLD).narrow(), &old, |_| false);
    append(&store, &other, &["delivered"]).await;
    old.reach(1).await;
    board(&store, OLD).replay(&board(&store, OLD).parked().await.unwrap()[0]).await.unwrap();
    old.reach(2).await;
    running.stop().await;
    assert_eq!((old.of(&parcel), old.of(&other)), (vec!["booked 1".into()], vec!["delivered 2".into()]));
    // More often than once.
    for _ in 0..2 {
        let running = run(board(&store, NEW).widen(Passed::HandOver), &new, |_| false);
        new.reach(1).await;
        let up_to = store.position().await.unwrap();
        board(&store, NEW).wait_for_everything(up_to, SOON).await.unwrap();
        running.stop().await;
        let running = run(board(&store, OLD).narrow(), &new, |_| false);
        board(&store, OLD).wait_for_everything(up_to, SOON).await.unwrap();
        running.stop().await;
    }
    assert_eq!((new.of(&parcel), new.of(&other).len()), (vec!["redirected 2".into()], 0));
}

pub(super) async fn clause_8_12_what_was_passed_is_left_out_of_a_stream_that_waits(subject: Subject) {
    let (store, parcel, handed) = (subject.store(), ledger("1"), Handed::default());
    append(&store, &parcel, &["booked", "delivered", "redirected"]).await;
    with_parked(&store, OLD, &Handed::default()).await;
    let running = run(board(&store, NEW).widen(Passed::LeaveOut), &handed, |_| false);
    append(&store, &ledger("2"), &["redirected"]).await;
    handed.reach(1).await;
    let parked = board(&store, NEW).parked().await.unwrap();
    board(&store, NEW).replay(&parked[0]).await.unwrap();
    handed.reach(3).await;
    append(&store, &parcel, &["redirected"]).await;
    handed.reach(4).await;
    running.stop().await;
    assert_eq!(handed.of(&parcel), ["booked 1", "delivered 2", "redirected 4"]);
}

/// What is handed over late stands before some of what is left out.
pub(super) async fn clause_8_12_what_was_passed_is_left_out_while_something_is_handed_over(subject: Subject) {
    let (store, parcel, handed) = (subject.store(), ledger("1"), Handed::default());
    append(&store, &parcel, &["booked", "delivered", "redirected", "delivered", "redirected"]).await;
    run_for(&store, &["booked"], &Handed::default()).await;
    let begun = Handed::default();
    let at_work = begun.clone();
    let running = Running::start(board(&store, OLD).widen(Passed::HandOver), move |recorded, _| {
        at_work.note(&recorded);
        std::future::pending::<Result<(), Source>>()
    });
    begun.reach(1).await;
    running.kill().await;
    assert_eq!(begun.of(&parcel), ["delivered 2"]);
    let running = run(board(&store, NEW).widen(Passed::LeaveOut), &handed, |_| false);
    handed.reach(2).await;
    append(&store, &parcel, &["redirected"]).await;
    handed.reach(3).await;
    running.stop().await;
    assert_eq!(handed.of(&parcel), ["delivered 2", "delivered 4", "redirected 6"]);
}
