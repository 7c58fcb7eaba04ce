//! Clause 8.12: programs that know different events run one durable subscription, one after the other or at once, and none of
//! the events is lost.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use event_sourcery::backend::{Backend, SubscriptionId};
use event_sourcery::{
    Durable, Error, EventStore, Passed, Position, RawEvent, Recorded, Source, Start, StreamId, TenantId,
};

use super::ledger::{Ledgers as _, ledger};
use super::running::{Running, SOON, eventually};
use super::subject::Subject;

/// What the old program knows, and what the new one does.
pub(super) const OLD: &[&str] = &["booked", "delivered"];
pub(super) const NEW: &[&str] = &["booked", "delivered", "redirected"];

pub(super) type Board = Durable<Arc<dyn Backend>, RawEvent>;

/// The subscription, as a program makes it that knows these names.
pub(super) fn board(store: &EventStore, names: &[&str]) -> Board {
    let (short, pause) = (Duration::from_millis(150), Duration::from_millis(2));
    let durable = store.subscribe().event_names(names.iter().copied()).durable("board");
    durable.lease(short).attempts(2).pauses(pause, pause)
}

pub(super) async fn append(store: &EventStore, stream: &StreamId, names: &[&str]) {
    let events: Vec<_> = names.iter().map(|name| RawEvent::new((*name).to_owned(), "{}").unwrap()).collect();
    let version = store.version(stream).await.unwrap();
    let appended = store.append(stream, events).expected_version(version).await.unwrap();
    store.settled(appended.position).await;
}

/// What was handed over: whose, and the name and version of each.
#[derive(Clone, Default)]
pub(super) struct Handed(Arc<Mutex<Vec<(StreamId, String)>>>);

impl Handed {
    pub(super) fn note(&self, recorded: &Recorded<RawEvent>) {
        let event = &recorded.wrapped_event;
        let what = format!("{} {}", event.event.name(), event.version.unwrap());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((recorded.stream_id.clone(), what));
    }

    pub(super) fn all(&self) -> Vec<(StreamId, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn of(&self, stream: &StreamId) -> Vec<String> {
        self.all().into_iter().filter(|(of, _)| of == stream).map(|(_, what)| what).collect()
    }

    pub(super) async fn reach(&self, count: usize) {
        eventually(&format!("{count} events are handed over"), async || self.all().len() >= count).await;
    }
}

/// Runs with a handler that notes what it is handed, and fails on what it is told.
pub(super) fn run(
    board: Board,
    handed: &Handed,
    fails: impl Fn(&str) -> bool + Send + Sync + 'static,
) -> Running {
    let handed = handed.clone();
    Running::start(board, move |recorded, _| {
        handed.note(&recorded);
        let fails = fails(recorded.wrapped_event.event.name());
        std::future::ready(if fails { Err(Source::from("it fails, as it was told to")) } else { Ok(()) })
    })
}

/// Runs as a program that knows these names until everything is handled, or waits.
pub(super) async fn run_for(store: &EventStore, names: &[&str], handed: &Handed) {
    let running = run(board(store, names), handed, |_| false);
    let up_to = store.position().await.unwrap();
    board(store, names).wait_for_everything(up_to, SOON).await.unwrap();
    running.stop().await;
}

pub(super) async fn clause_8_12_who_asks_for_what_was_passed_is_told_and_takes_no_lease(subject: Subject) {
    let (store, parcel, handed) = (subject.store(), ledger("1"), Handed::default());
    append(&store, &parcel, &["booked", "redirected", "delivered"]).await;
    run_for(&store, OLD, &handed).await;
    let redirected = store.records_after(Position::START).await[1].position;
    let told = run(board(&store, NEW), &handed, |_| false).ended().await;
    assert!(!told.as_ref().unwrap_err().is_retryable());
    assert_refused!(
        told,
        Error::PassedUnasked { subscription, names, first, up_to }
            if subscription == "board" && names == ["redirected"] && first == redirected && up_to >= redirected,
    );
    let told = run(store.subscribe().durable("board"), &handed, |_| false).ended().await;
    assert_refused!(told, Error::PassedUnasked { names, .. } if names == ["redirected"]);
    assert_eq!(board(&store, OLD).status().await.unwrap().unwrap().members, 0);
    assert_eq!(handed.of(&parcel), ["booked 1", "delivered 3"]);
    // The old one goes on.
    append(&store, &parcel, &["delivered"]).await;
    run_for(&store, OLD, &handed).await;
    assert_eq!(handed.of(&parcel), ["booked 1", "delivered 3", "delivered 4"]);
}

pub(super) async fn clause_8_12_what_was_passed_is_handed_over_in_order_and_once(subject: Subject) {
    let (store, old, new) = (subject.store(), Handed::default(), Handed::default());
    let parcels: Vec<_> = (0..20).map(|number| ledger(&number.to_string())).collect();
    for parcel in &parcels {
        append(&store, parcel, &["booked", "redirected", "redirected", "delivered"]).await;
    }
    run_for(&store, OLD, &old).await;
    assert_eq!(board(&store, OLD).status().await.unwrap().unwrap().events_behind, 0);
    append(&store, &parcels[0], &["redirected", "booked"]).await;
    let running = run(board(&store, NEW).widen(Passed::HandOver), &new, |_| false);
    new.reach(42).await;
    append(&store, &parcels[0], &["redirected"]).await;
    new.reach(43).await;
    running.stop().await;
    assert_eq!(
        new.of(&parcels[0]),
        ["redirected 2", "redirected 3", "redirected 5", "booked 6", "redirected 7"]
    );
    for parcel in &parcels[1..] {
        assert_eq!(new.of(parcel), ["redirected 2", "redirected 3"]);
    }
    // The word can stay where it is.
    let running = run(board(&store, NEW).widen(Passed::HandOver), &new, |_| false);
    append(&store, &parcels[1], &["delivered"]).await;
    new.reach(44).await;
    running.stop().await;
    assert_eq!(board(&store, NEW).status().await.unwrap().unwrap().events_behind, 0);
    assert_eq!(new.all().len(), 44);
}

pub(super) async fn clause_8_12_what_was_passed_can_be_left_out(subject: Subject) {
    let (store, parcel, handed) = (subject.store(), ledger("1"), Handed::default());
    append(&store, &parcel, &["booked", "redirected"]).await;
    run_for(&store, OLD, &handed).await;
    let running = run(board(&store, NEW).widen(Passed::LeaveOut), &handed, |_| false);
    append(&store, &parcel, &["delivered", "redirected"]).await;
    handed.reach(3).await;
    running.stop().await;
    assert_eq!(handed.of(&parcel), ["booked 1", "delivered 3", "redirected 4"]);
    run_for(&store, NEW, &handed).await;
    assert_eq!(handed.all().len(), 3);
}

pub(super) async fn clause_8_12_nothing_from_before_the_start_is_handed_over(subject: Subject) {
    let (store, parcel, handed) = (subject.store(), ledger("1"), Handed::default());
    append(&store, &parcel, &["booked", "redirected"]).await;
    let start = Start::After(store.position().await.unwrap());
    let running = run(board(&store, OLD).start(start), &handed, |_| false);
    append(&store, &parcel, &["redirected", "delivered"]).await;
    handed.reach(1).await;
    running.stop().await;
    let running = run(board(&store, NEW).widen(Passed::HandOver), &handed, |_| false);
    handed.reach(2).await;
    append(&store, &parcel, &["booked"]).await;
    handed.reach(3).await;
    running.stop().await;
    assert_eq!(handed.of(&parcel), ["delivered 4", "redirected 3", "booked 5"]);
}

pub(super) async fn clause_8_12_workers_that_are_deployed_first_need_no_word_and_lose_nothing(
    subject: Subject,
) {
    let (store, another) = (subject.store(), subject.another_store().await);
    let (old, both) = (Handed::default(), Handed::default());
    let member = |board: Board, own: &Handed| {
        let (own, both) = (own.clone(), both.clone());
        Running::start(board, move |recorded, _| {
            both.note(&recorded);
            own.note(&recorded);
            std::future::ready(Ok(()))
        })
    };
    append(&store, &ledger("0"), &["booked"]).await;
    let old_member = member(board(&store, OLD), &old);
    old.reach(1).await;
    let new_member = member(board(&another, NEW), &Handed::default());
    eventually("both have found out, and share the work", async || {
        let id = SubscriptionId::new(TenantId::DEFAULT, "board");
        let segments = store.backend().subscription(id).await.unwrap().unwrap().segments;
        let holders: HashSet<_> = segments.iter().map(|segment| segment.member).collect();
        holders.len() == 2 && !holders.contains(&None)
    })
    .await;
    for number in 1..=40 {
        append(&store, &ledger(&number.to_string()), &["booked", "redirected", "delivered"]).await;
    }
    eventually("the old member knows what it does", async || {
        (1..=40).filter(|number: &u32| old.of(&ledger(&number.to_string())) == ["booked 1"]).count() > 0
    })
    .await;
    old_member.stop().await;
    // Some may have come twice, where a lease was lost.
    let handled = || both.all().into_iter().collect::<HashSet<_>>();
    eventually("all is handled", async || handled().len() > 120).await;
    new_member.stop().await;
    for number in 1..=40 {
        let parcel = ledger(&number.to_string());
        let (before, mut came, mut first) = (old.of(&parcel), both.of(&parcel), HashSet::new());
        came.retain(|what| first.insert(what.clone()));
        assert_eq!(came, ["booked 1", "redirected 2", "delivered 3"], "the first time that each has come");
        assert!(!before.iter().any(|what| what.starts_with("redirected")), "{before:?}");
    }
}

pub(super) async fn clause_8_12_an_old_member_leaves_what_it_does_not_know_and_it_waits_in_its_stream(
    subject: Subject,
) {
    let (store, handed) = (subject.store(), Handed::default());
    let (redirected, plain) = (ledger("1"), ledger("2"));
    append(&store, &redirected, &["booked"]).await;
    run_for(&store, NEW, &handed).await;
    // The deployment is rolled back.
    append(&store, &redirected, &["redirected", "delivered", "redirected"]).await;
    append(&store, &plain, &["booked", "delivered"]).await;
    let (old, stopped) = (Handed::default(), Handed::default());
    let running = run(board(&store, OLD), &old, |_| false);
    old.reach(2).await;
    eventually("it waits", async || board(&store, OLD).blocked().await.unwrap().len() == 1).await;
    let waits = board(&store, OLD).blocked().await.unwrap().remove(0);
    assert!(waits.stream == redirected && waits.error.contains("redirected"), "{waits:?}");
    // It is tried again, which changes nothing, and nothing is parked.
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(board(&store, OLD).parked().await.unwrap().is_empty());
    running.stop().await;
    assert_eq!(
        (old.of(&plain), old.of(&redirected).len()),
        (vec!["booked 1".into(), "delivered 2".into()], 0)
    );
    let running = run(board(&store, NEW), &stopped, |_| false);
    stopped.reach(3).await;
    running.stop().await;
    assert_eq!(stopped.of(&redirected), ["redirected 2", "delivered 3", "redirected 4"]);
    assert_eq!(stopped.all().len(), 3);
}

pub(super) async fn clause_8_12_other_filters_under_one_name_are_noticed(subject: Subject) {
    let (store, handed) = (subject.store(), Handed::default());
    let category =
        |name| store.subscribe().category(event_sourcery::Category::new(name).unwrap()).durable("board");
    append(&store, &ledger("1").in_category("orders").unwrap(), &["booked"]).await;
    let running = run(category("orders"), &handed, |_| false);
    handed.reach(1).await;
    running.stop().await;
    let told = run(category("invoices").widen(Passed::HandOver), &handed, |_| false).ended().await;
    assert_refused!(
        told,
        Error::RunForOthers { subscription, kept, asked }
            if subscription == "board" && kept.contains("orders") && asked.contains("invoices"),
    );
    // Of every name there, some are fewer than were asked for.
    let some = store.subscribe::<RawEvent>().category(event_sourcery::Category::new("orders").unwrap());
    let told = run(some.event_names(OLD.iter().copied()).durable("board"), &handed, |_| false).ended().await;
    assert_refused!(told, Error::RunForOthers { .. });
    // Every category is more, and nothing of it was passed.
    append(&store, &ledger("2"), &["booked"]).await;
    let running = run(store.subscribe().durable("board"), &handed, |_| false);
    handed.reach(2).await;
    running.stop().await;
    assert_eq!(handed.of(&ledger("2")), ["booked 1"]);
    let told = run(category("orders"), &handed, |_| false).ended().await;
    assert_refused!(told, Error::RunForOthers { .. });
}

pub(super) async fn clause_8_12_who_wants_fewer_from_here_on_says_so(subject: Subject) {
    let (store, parcel, handed) = (subject.store(), ledger("1"), Handed::default());
    append(&store, &parcel, &["booked", "redirected"]).await;
    run_for(&store, NEW, &handed).await;
    append(&store, &parcel, &["redirected", "delivered"]).await;
    let running = run(board(&store, OLD).narrow(), &handed, |_| false);
    handed.reach(3).await;
    running.stop().await;
    assert_eq!(handed.of(&parcel), ["booked 1", "redirected 2", "delivered 4"]);
    let told = run(board(&store, NEW), &handed, |_| false).ended().await;
    // What was handled before is not among that.
    let passed = store.records_after(Position::START).await[2].position;
    assert_refused!(
        told,
        Error::PassedUnasked { names, first, .. } if names == ["redirected"] && first == passed,
    );
    let running = run(board(&store, NEW).widen(Passed::HandOver), &handed, |_| false);
    handed.reach(4).await;
    append(&store, &parcel, &["booked"]).await;
    handed.reach(5).await;
    running.stop().await;
    let expected = ["booked 1", "redirected 2", "delivered 4", "redirected 3", "booked 5"];
    assert_eq!(handed.of(&parcel), expected);
}

/// The first of these is handed over late, before what waits; the others in their places.
pub(super) async fn clause_8_12_a_stream_that_waits_is_handed_what_was_passed_in_its_place(subject: Subject) {
    let (store, parcel, handed) = (subject.store(), ledger("1"), Handed::default());
    let events = ["booked", "redirected", "delivered", "redirected", "booked", "redirected"];
    append(&store, &parcel, &events).await;
    let failing = Handed::default();
    let running = run(board(&store, OLD), &failing, |name| name == "delivered");
    eventually("it is parked", async || board(&store, OLD).parked().await.unwrap().len() == 1).await;
    let up_to = store.position().await.unwrap();
    board(&store, OLD).wait_for_everything(up_to, SOON).await.unwrap();
    running.stop().await;
    assert_eq!(failing.of(&parcel), ["booked 1", "delivered 3", "delivered 3"]);
    let running = run(board(&store, NEW).widen(Passed::HandOver), &handed, |_| false);
    handed.reach(5).await;
    append(&store, &parcel, &["booked"]).await;
    handed.reach(6).await;
    running.stop().await;
    let expected = ["redirected 2", "delivered 3", "redirected 4", "booked 5", "redirected 6", "booked 7"];
    let mut found = handed.of(&parcel);
    assert_eq!(found.len(), 6, "{found:?}");
    assert_eq!(found[0], expected[0]);
    found.sort_by_key(|what| what.split(' ').next_back().unwrap().to_owned());
    assert_eq!(found, expected);
}

pub(super) async fn clause_8_12_what_fails_as_it_is_handed_over_late_is_parked_skipped_and_replayed(
    subject: Subject,
) {
    let (store, parcel, handed) = (subject.store(), ledger("1"), Handed::default());
    let other = ledger("2");
    append(&store, &parcel, &["booked", "redirected", "redirected", "delivered"]).await;
    append(&store, &other, &["redirected", "booked"]).await;
    run_for(&store, OLD, &handed).await;
    let late = Handed::default();
    let running = run(board(&store, NEW).widen(Passed::HandOver), &late, |name| name == "redirected");
    eventually("both are parked", async || board(&store, NEW).parked().await.unwrap().len() == 2).await;
    append(&store, &parcel, &["booked"]).await;
    append(&store, &other, &["booked"]).await;
    let up_to = store.position().await.unwrap();
    let waiting = board(&store, NEW).wait_for_everything(up_to, SOON).await.unwrap();
    assert_eq!(waiting.len(), 2);
    running.stop().await;
    assert_eq!(late.all().len(), 4, "two attempts each: {:?}", late.all());
    // A third program comes: it has to wait for what waits.
    let parked = board(&store, NEW).parked().await.unwrap();
    for failed in parked {
        if failed.stream == parcel {
            board(&store, NEW).skip(&failed).await.unwrap();
        } else {
            board(&store, NEW).replay(&failed).await.unwrap();
        }
    }
    let last = Handed::default();
    let running = run(board(&store, NEW), &last, |_| false);
    last.reach(4).await;
    append(&store, &parcel, &["delivered"]).await;
    last.reach(5).await;
    running.stop().await;
    assert_eq!(last.of(&parcel), ["redirected 3", "booked 5", "delivered 6"]);
    assert_eq!(last.of(&other), ["redirected 1", "booked 3"]);
}

/// The event that fails is the first behind what had been handled before: that is not left to be handled because of it.
pub(super) async fn clause_8_12_what_was_handled_is_not_handed_over_again_where_a_later_event_fails(
    subject: Subject,
) {
    let (store, parcel, handed) = (subject.store(), ledger("1"), Handed::default());
    append(&store, &parcel, &["delivered", "redirected", "booked"]).await;
    run_for(&store, &["booked"], &handed).await;
    append(&store, &parcel, &["booked"]).await;
    let running = run(board(&store, OLD).widen(Passed::HandOver), &handed, |name| name == "booked");
    eventually("it is parked", async || board(&store, OLD).parked().await.unwrap().len() == 1).await;
    running.stop().await;
    let running = run(board(&store, NEW).widen(Passed::HandOver), &handed, |_| false);
    handed.reach(6).await;
    append(&store, &parcel, &["booked"]).await;
    handed.reach(7).await;
    running.stop().await;
    let failed = ["booked 4", "booked 4"];
    let expected =
        [&["booked 3", "delivered 1"], &failed[..], &["redirected 2", "booked 4", "booked 5"]].concat();
    assert_eq!(handed.of(&parcel), expected);
}

pub(super) async fn clause_8_12_who_waits_for_an_event_of_a_new_name_waits_for_the_program_that_knows_it(
    subject: Subject,
) {
    let (store, parcel, handed) = (subject.store(), ledger("1"), Handed::default());
    append(&store, &parcel, &["booked"]).await;
    run_for(&store, OLD, &handed).await;
    let redirected = RawEvent::new("redirected", "{}").unwrap();
    let appended = store.append(&parcel, redirected).expected_version(1).await.unwrap();
    run_for(&store, OLD, &handed).await;
    let waited = board(&store, NEW).wait_for(&parcel, appended.position, Duration::from_millis(20)).await;
    assert_refused!(waited, Error::NotHandledInTime { .. });
    let running = run(board(&store, NEW).widen(Passed::HandOver), &handed, |_| false);
    board(&store, NEW).wait_for(&parcel, appended.position, SOON).await.unwrap();
    running.stop().await;
    assert_eq!(handed.of(&parcel), ["booked 1", "redirected 2"]);
    // Who knows no names means what it is run for.
    let any = store.subscribe::<RawEvent>().durable("board");
    any.wait_for_everything(store.position().await.unwrap(), SOON).await.unwrap();
    assert_eq!(any.status().await.unwrap().unwrap().events_behind, 0);
}
