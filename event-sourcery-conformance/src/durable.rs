//! Clause 8.6: a durable subscription has a name, and goes on where it was.

use std::time::Duration;

use event_sourcery::backend::SubscriptionId;
use event_sourcery::{Error, Event as _, EventStore, Position, Start, TenantId};

use super::ledger::{Ledgers as _, Noted, ledger, noted, notes, tenant};
use super::running::{Handled, Running, Settings, eventually, letters};
use super::subject::Subject;

/// Runs until so many events are handled, and stops.
async fn run_for(store: &EventStore, count: usize) -> Vec<u64> {
    let handled = Handled::default();
    let run = Running::noting(letters(store), &handled);
    handled.reach(count).await;
    run.stop().await;
    handled.numbers()
}

pub(super) async fn clause_8_6_a_second_run_goes_on_after_the_last_event_that_was_handled(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.append(&stream, notes(1..=150)).await.unwrap();
    assert_eq!(run_for(&store, 150).await, (1..=150).collect::<Vec<_>>());
    store.append(&stream, notes(151..=153)).expected_version(150).await.unwrap();
    let another = subject.another_store().await;
    assert_eq!(run_for(&another, 3).await, [151, 152, 153]);
    // What comes while it runs is handled too.
    let handled = Handled::default();
    let run = Running::noting(letters(&store), &handled);
    for number in 154..=156 {
        another.append(&stream, noted(number)).expected_version(number - 1).await.unwrap();
        handled.reach(usize::try_from(number).unwrap() - 153).await;
    }
    run.stop().await;
    assert_eq!(handled.numbers(), [154, 155, 156]);
}

pub(super) async fn clause_8_6_a_checkpoint_survives_reopening(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.append(&stream, notes(1..=5)).await.unwrap();
    run_for(&store, 5).await;
    let before = letters(&store).status().await.unwrap().unwrap();
    drop(store);
    let subject = subject.reopened().await;
    let store = subject.store();
    assert_eq!(letters(&store).status().await.unwrap().unwrap(), before);
    store.append(&stream, noted(6)).expected_version(5).await.unwrap();
    assert_eq!(run_for(&store, 1).await, [6]);
}

pub(super) async fn clause_8_6_it_starts_where_it_is_told_and_later_runs_go_on(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let appended = store.append(&stream, notes(1..=4)).await.unwrap();
    let all = store.records(appended.position).await;
    let starts = [
        ("from the beginning", Start::Beginning, vec![1, 2, 3, 4]),
        ("from now on", Start::Now, vec![]),
        ("after the second", Start::After(all[1].position), vec![3, 4]),
    ];
    let mut runs = Vec::new();
    for (name, start, expected) in starts {
        let settings = Settings { name, ..Settings::default() };
        let handled = Handled::default();
        let run = Running::noting(settings.of(store.subscribe()).start(start), &handled);
        eventually("it is there", async || {
            settings.of(store.subscribe::<Noted>()).status().await.unwrap().is_some()
        })
        .await;
        handled.reach(expected.len()).await;
        runs.push((settings, run, handled, expected));
    }
    store.append(&stream, noted(5)).expected_version(4).await.unwrap();
    for (settings, run, handled, mut expected) in runs {
        expected.push(5);
        handled.reach(expected.len()).await;
        run.stop().await;
        assert_eq!(handled.numbers(), expected, "{}", settings.name);
        // It is there already: where it was told to start counts no more.
        handled.forget();
        for start in [Start::Beginning, Start::After(Position::START)] {
            let run = Running::noting(settings.of(store.subscribe()).start(start), &handled);
            tokio::time::sleep(Duration::from_millis(15)).await;
            run.stop().await;
        }
        assert!(handled.numbers().is_empty(), "{}", settings.name);
    }
    // The position of the subscription itself is where it starts, unless it is told.
    let settings = Settings { name: "after", ..Settings::default() };
    let handled = Handled::default();
    let subscribe = store.subscribe::<Noted>().after(all[2].position);
    let run = Running::noting(settings.of(subscribe), &handled);
    handled.reach(2).await;
    run.stop().await;
    assert_eq!(handled.numbers(), [4, 5]);
}

pub(super) async fn clause_8_6_a_reset_starts_again_also_while_it_runs(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let appended = store.append(&stream, notes(1..=4)).await.unwrap();
    letters(&store).reset(Start::Beginning).await.unwrap();
    assert_eq!(letters(&store).status().await.unwrap(), None, "there is nothing to reset");
    run_for(&store, 4).await;
    letters(&store).reset(Start::Beginning).await.unwrap();
    assert_eq!(run_for(&store, 4).await, [1, 2, 3, 4]);

    let all = store.records(appended.position).await;
    let handled = Handled::default();
    let settings = Settings { lease: Duration::from_millis(150), ..Settings::default() };
    let run = Running::noting(settings.of(store.subscribe()), &handled);
    letters(&store).reset(Start::After(all[1].position)).await.unwrap();
    handled.reach(2).await;
    assert_eq!(handled.numbers(), [3, 4]);
    letters(&store).reset(Start::Now).await.unwrap();
    // Whoever has not found out yet hands the next event over, and again once he has.
    eventually("it goes on from there", async || is_at_work(&store).await).await;
    store.append(&stream, noted(5)).expected_version(4).await.unwrap();
    handled.reach(3).await;
    run.stop().await;
    assert_eq!(handled.numbers(), [3, 4, 5]);
}

/// Whether all of it is somebody's: where it was reset, nothing is before its run has found out.
async fn is_at_work(store: &EventStore) -> bool {
    let id = SubscriptionId::new(TenantId::DEFAULT, "letters");
    let record = store.backend().subscription(id).await.unwrap().unwrap();
    record.segments.iter().all(|segment| segment.member.is_some())
}

pub(super) async fn clause_8_6_what_is_removed_begins_anew(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    letters(&store).remove().await.unwrap();
    store.append(&stream, notes(1..=3)).await.unwrap();
    run_for(&store, 3).await;
    letters(&store).remove().await.unwrap();
    assert_eq!(letters(&store).status().await.unwrap(), None);
    let other_count = Settings { segments: Some(3), ..Settings::default() };
    let handled = Handled::default();
    let run = Running::noting(other_count.of(store.subscribe()), &handled);
    handled.reach(3).await;
    run.stop().await;
    assert_eq!(handled.numbers(), [1, 2, 3]);
}

pub(super) async fn clause_8_6_its_status_tells_where_it_stands(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let acme = store.for_tenant(tenant("acme"));
    let long_ago = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(90);
    assert_eq!(letters(&store).status().await.unwrap(), None);
    store.append(&stream, noted(1)).await.unwrap();
    run_for(&store, 1).await;
    let status = letters(&store).status().await.unwrap().unwrap();
    assert_eq!((status.members, status.events_behind, status.behind), (0, 0, Duration::ZERO));
    let raw = event_sourcery::RawEvent::new("crossed out", "{}").unwrap();
    store.append(&stream, (raw, noted(2).with_created_at(long_ago))).expected_version(1).await.unwrap();
    for number in 3..30 {
        acme.append(&ledger(&number.to_string()), noted(number)).await.unwrap();
    }
    eventually("all of it is settled", async || {
        letters(&store).status().await.unwrap().unwrap().events_behind == 28
    })
    .await;
    let behind = letters(&store).status().await.unwrap().unwrap();
    assert!(
        behind.behind >= Duration::from_secs(90) && behind.behind < Duration::from_secs(600),
        "{behind:?}"
    );
    assert_eq!(behind.position, status.position);
    let handled = Handled::default();
    let runs = [1, 2].map(|_| Running::noting(Settings::with_short_lease().of(store.subscribe()), &handled));
    handled.reach(28).await;
    eventually("two take part", async || letters(&store).status().await.unwrap().unwrap().members == 2).await;
    // Where a lease was lost, some of these have come twice.
    eventually("all is handled", async || {
        letters(&store).status().await.unwrap().unwrap().events_behind == 0
    })
    .await;
    for run in runs {
        run.stop().await;
    }
    let after = letters(&store).status().await.unwrap().unwrap();
    assert_eq!((after.members, after.events_behind), (0, 0));
    assert!(after.position >= handled.items().iter().map(|item| item.position).max().unwrap());
}

/// What it is behind is counted up to 10,000 events: so it costs the same at any backlog.
pub(super) async fn clause_8_6_its_status_counts_a_part_of_a_long_backlog(subject: Subject) {
    let store = subject.store();
    store.append(&ledger("1"), noted(1)).await.unwrap();
    run_for(&store, 1).await;
    for _ in 0..11 {
        store.append(&ledger("2"), notes(1..=1_000)).no_versioning().await.unwrap();
    }
    eventually("as much as is counted", async || {
        let status = letters(&store).status().await.unwrap().unwrap();
        assert!(status.events_behind <= 10_000, "{status:?}");
        status.has_more && status.events_behind > 0
    })
    .await;
    letters(&store).reset(Start::Now).await.unwrap();
    let status = letters(&store).status().await.unwrap().unwrap();
    assert_eq!((status.events_behind, status.has_more), (0, false));
}

pub(super) async fn clause_8_6_what_cannot_be_is_refused(subject: Subject) {
    let store = subject.store();
    let refused = [
        ("segments", letters(&store).segments(0)),
        ("segments", letters(&store).segments(65)),
        ("lease", letters(&store).lease(Duration::from_millis(99))),
        ("batch", letters(&store).batch(0)),
        ("attempts", letters(&store).attempts(0)),
    ];
    for (option, durable) in refused {
        let ended = durable.run(async |_, _| unreachable!("nothing is handed over")).await;
        assert_refused!(ended, Error::InvalidOption { option: refused, .. } if refused == option);
    }
    for name in [String::new(), "a\0b".to_owned(), "n".repeat(256)] {
        let durable = store.subscribe::<Noted>().durable(name);
        assert_refused!(durable.status().await, Error::InvalidName { .. });
        assert_refused!(durable.run(async |_, _| Ok(())).await, Error::InvalidName { .. });
    }
}

pub(super) async fn clause_8_6_times_may_be_as_long_as_they_can_be(subject: Subject) {
    let store = subject.store();
    store.append(&ledger("1"), notes([1, 2])).await.unwrap();
    let handled = Handled::default();
    let durable = letters(&store).lease(Duration::MAX).pauses(Duration::MAX, Duration::MAX);
    let run = Running::planned(durable, &handled, |item, _| match item.number {
        2 => Err("it fails".into()),
        _ => Ok(()),
    });
    eventually("one is blocked", async || letters(&store).blocked().await.unwrap().len() == 1).await;
    run.stop().await;
    assert_eq!(handled.items().last().map(|item| item.number), Some(2));
}
