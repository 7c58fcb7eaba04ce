//! Clauses 8.8 and 5.1: failed events are replayed or skipped, also during an attempt, and go with their stream.

use std::collections::HashSet;
use std::sync::Arc;

use event_sourcery::backend::{ProgressRequest, StreamProgress, SubscriptionBackend as _, SubscriptionId};
use event_sourcery::{EventStore, StreamId, TenantId};
use tokio::sync::Semaphore;

use super::ledger::{Ledgers as _, ledger, noted, notes, tenant};
use super::running::{Handled, Running, Settings, assert_not_blocked, eventually, letters};
use super::subject::Subject;

/// A run that has parked the second of four events, and fails on it until it is told to do otherwise.
async fn with_parked(store: &EventStore, stream: &StreamId, handled: &Handled) -> Running {
    store.append(stream, notes(1..=4)).await.unwrap();
    let settings = Settings { attempts: 2, ..Settings::default() };
    let run = Running::planned(settings.of(store.subscribe()), handled, |item, before| match item.number {
        2 if before < 2 => Err("not yet".into()),
        _ => Ok(()),
    });
    eventually("it is parked", async || {
        letters(store).parked().await.unwrap().iter().any(|parked| parked.stream == *stream)
    })
    .await;
    assert_eq!(handled.of(stream), [1, 2, 2]);
    run
}

/// A run that is at its last attempt at the second of four events, and has failed so often before. The attempt ends once it
/// is given a permit.
async fn at_last_attempt(
    store: &EventStore,
    stream: &StreamId,
    handled: &Handled,
    failed_before: usize,
    ends_well: bool,
) -> (Running, Arc<Semaphore>) {
    store.append(stream, notes(1..=4)).await.unwrap();
    let permits = Arc::new(Semaphore::new(failed_before));
    let (begun, gate, attempts) = (handled.clone(), Arc::clone(&permits), failed_before + 1);
    let settings = Settings { attempts: u32::try_from(attempts).unwrap(), ..Settings::default() };
    let run = Running::start(settings.of(store.subscribe()), move |recorded, _| {
        let (begun, gate) = (begun.clone(), Arc::clone(&gate));
        async move {
            begun.note(&recorded);
            if recorded.wrapped_event.event != noted(2) {
                return Ok(());
            }
            let is_last = begun.of(&recorded.stream_id).len() > attempts;
            gate.acquire().await?.forget();
            if is_last && ends_well { Ok(()) } else { Err("not this time".into()) }
        }
    });
    handled.reach(1 + attempts).await;
    (run, permits)
}

pub(super) async fn clause_8_8_a_replayed_event_is_followed_by_those_behind_it(subject: Subject) {
    let (store, stream, handled) = (subject.store(), ledger("1"), Handled::default());
    let run = with_parked(&store, &stream, &handled).await;
    store.append(&stream, noted(5)).expected_version(4).await.unwrap();
    let another = subject.another_store().await;
    let parked = letters(&another).parked().await.unwrap();
    letters(&another).replay(&parked[0]).await.unwrap();
    handled.reach(7).await;
    store.append(&stream, noted(6)).expected_version(5).await.unwrap();
    handled.reach(8).await;
    run.stop().await;
    assert_eq!(handled.numbers(), [1, 2, 2, 2, 3, 4, 5, 6]);
    assert!(letters(&store).blocked().await.unwrap().is_empty());
}

pub(super) async fn clause_8_8_a_skipped_event_is_left_out_and_those_behind_it_follow(subject: Subject) {
    let (store, stream, handled) = (subject.store(), ledger("1"), Handled::default());
    let run = with_parked(&store, &stream, &handled).await;
    let parked = letters(&store).parked().await.unwrap();
    letters(&store).skip(&parked[0]).await.unwrap();
    handled.reach(5).await;
    store.append(&stream, noted(5)).expected_version(4).await.unwrap();
    handled.reach(6).await;
    run.stop().await;
    assert_eq!(handled.numbers(), [1, 2, 2, 3, 4, 5]);
    assert!(letters(&store).blocked().await.unwrap().is_empty());
}

pub(super) async fn clause_8_8_what_nobody_runs_can_be_replayed_and_is_handled_by_the_next_run(
    subject: Subject,
) {
    let (store, stream, handled) = (subject.store(), ledger("1"), Handled::default());
    with_parked(&store, &stream, &handled).await.stop().await;
    let parked = letters(&store).parked().await.unwrap();
    letters(&store).replay(&parked[0]).await.unwrap();
    assert!(letters(&store).parked().await.unwrap().is_empty());
    assert_eq!(letters(&store).blocked().await.unwrap()[0].attempts, 0);
    let run = Running::noting(letters(&store), &handled);
    handled.reach(6).await;
    run.stop().await;
    assert_eq!(handled.numbers(), [1, 2, 2, 2, 3, 4]);
}

pub(super) async fn clause_8_8_what_is_skipped_during_an_attempt_stays_left_out_however_the_attempt_ends(
    subject: Subject,
) {
    let store = subject.store();
    for (name, ends_well) in [("1", false), ("2", true)] {
        let (stream, handled) = (ledger(name), Handled::default());
        let (run, permits) = at_last_attempt(&store, &stream, &handled, 1, ends_well).await;
        let failed = letters(&store).blocked().await.unwrap();
        letters(&store).skip(&failed[0]).await.unwrap();
        permits.add_permits(1);
        handled.reach(5).await;
        run.stop().await;
        assert_eq!(handled.numbers(), [1, 2, 2, 3, 4]);
        assert!(letters(&store).blocked().await.unwrap().is_empty());
    }
}

pub(super) async fn clause_8_8_a_listing_from_before_a_skip_does_not_bring_back_what_was_left_out(
    subject: Subject,
) {
    let (store, stream, handled) = (subject.store(), ledger("1"), Handled::default());
    with_parked(&store, &stream, &handled).await.stop().await;
    let parked = letters(&store).parked().await.unwrap().remove(0);
    letters(&store).skip(&parked).await.unwrap();
    assert_not_blocked(letters(&store).replay(&parked).await, &parked);
    assert_not_blocked(letters(&store).skip(&parked).await, &parked);
    let run = Running::noting(letters(&store), &handled);
    handled.reach(5).await;
    run.stop().await;
    assert_eq!(handled.numbers(), [1, 2, 2, 3, 4]);
}

/// The last one that is listed at once was left out: it stands where the next one does.
pub(super) async fn clause_8_8_two_streams_that_stand_at_one_position_are_both_listed_and_wait(
    subject: Subject,
) {
    const STREAMS: u64 = 300;
    let (store, handled) = (subject.store(), Handled::default());
    let mut append = store.append_all();
    for number in 0..STREAMS {
        append = append.and(&ledger(&number.to_string()), noted(number));
    }
    append.await.unwrap();
    let start = || {
        let settings = Settings { attempts: 1, segments: Some(1), ..Settings::default() };
        Running::planned(settings.of(store.subscribe()), &handled, |item, before| match item.number {
            first if first < STREAMS && before == 0 => Err("the first time".into()),
            _ => Ok(()),
        })
    };
    let (run, all) = (start(), usize::try_from(STREAMS).unwrap());
    eventually("all are parked", async || letters(&store).parked().await.unwrap().len() == all).await;
    run.stop().await;
    let parked = letters(&store).parked().await.unwrap();
    let [left_out, next] = [&parked[255], &parked[256]];
    let [first, others] = [left_out, next].map(|blocked| handled.of(&blocked.stream)[0]);
    letters(&store).skip(left_out).await.unwrap();
    let listed: HashSet<_> =
        letters(&store).blocked().await.unwrap().into_iter().map(|blocked| blocked.stream).collect();
    assert_eq!(listed.len(), all);

    for (stream, number) in [(&left_out.stream, 1_255), (&next.stream, 1_256)] {
        let appended = store.append(stream, noted(number)).expected_version(1).await.unwrap();
        store.settled(appended.position).await;
    }
    let run = start();
    eventually("the one goes on", async || handled.of(&left_out.stream).len() > 1).await;
    eventually("all was read", async || letters(&store).status().await.unwrap().unwrap().events_behind == 0)
        .await;
    letters(&store).replay(next).await.unwrap();
    eventually("the other goes on", async || handled.of(&next.stream).len() > 2).await;
    run.stop().await;
    assert_eq!(handled.of(&left_out.stream), [first, 1_255]);
    assert_eq!(handled.of(&next.stream), [others, others, 1_256]);
}

/// Where one was left out and nobody runs, the stream stands at the position behind it, and that may be another tenant's event.
pub(super) async fn clause_8_8_a_blocked_stream_is_told_with_its_own_event_and_no_other_streams(
    subject: Subject,
) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.append(&stream, noted(1)).await.unwrap();
    store.for_tenant(tenant("acme")).append(&stream, noted(2)).await.unwrap();
    let (settings, handled) = (Settings { attempts: 1, ..Settings::default() }, Handled::default());
    let run = Running::planned(settings.of(store.subscribe()), &handled, |_, _| Err("as always".into()));
    eventually("both are parked", async || letters(&store).parked().await.unwrap().len() == 2).await;
    run.stop().await;

    let parked = letters(&store).parked().await.unwrap();
    let ids: Vec<_> = parked.iter().map(|blocked| blocked.event_id).collect();
    assert!(ids[0].is_some() && ids[1].is_some() && ids[0] != ids[1], "{parked:?}");
    assert!(parked.iter().all(|blocked| blocked.event_name.as_deref() == Some("noted")), "{parked:?}");
    letters(&store).skip(&parked[0]).await.unwrap();
    for blocked in letters(&store).blocked().await.unwrap() {
        let own = if blocked.tenant == tenant("acme") { ids[1] } else { None };
        assert_eq!((blocked.event_id, blocked.event_name.is_some()), (own, own.is_some()), "{blocked:?}");
    }
}

pub(super) async fn clause_5_1_a_deleted_streams_parked_events_are_gone(subject: Subject) {
    let (store, stream, handled) = (subject.store(), ledger("1"), Handled::default());
    let elsewhere = stream.clone().in_category("red").unwrap();
    with_parked(&store, &elsewhere, &handled).await.stop().await;
    handled.forget();
    let run = with_parked(&store, &stream, &handled).await;
    store.delete_stream(&stream).await.unwrap();
    let left = letters(&store).blocked().await.unwrap();
    assert_eq!(left.iter().map(|blocked| &blocked.stream).collect::<Vec<_>>(), [&elsewhere]);
    // Made anew, it is handled as any other, while the same run goes on.
    handled.forget();
    store.append(&stream, notes(11..=14)).await.unwrap();
    handled.reach(4).await;
    assert_eq!(handled.numbers(), [11, 12, 13, 14]);
    store.append(&stream, noted(15)).expected_version(4).await.unwrap();
    handled.reach(5).await;
    run.stop().await;
    assert_eq!(handled.numbers(), [11, 12, 13, 14, 15]);
}

pub(super) async fn clause_5_1_what_was_deleted_while_it_was_parked_is_not_waited_for(subject: Subject) {
    let (store, stream, handled) = (subject.store(), ledger("1"), Handled::default());
    with_parked(&store, &stream, &handled).await.stop().await;
    store.delete_stream(&stream).await.unwrap();
    store.append(&stream, notes(11..=12)).await.unwrap();
    handled.forget();
    let run = Running::noting(letters(&store), &handled);
    handled.reach(2).await;
    run.stop().await;
    assert_eq!(handled.numbers(), [11, 12]);
}

pub(super) async fn clause_5_1_a_stream_that_is_deleted_during_an_attempt_leaves_nothing_blocked(
    subject: Subject,
) {
    let (store, stream) = (subject.store(), ledger("1"));
    for failed_before in [0, 1] {
        let handled = Handled::default();
        let (run, permits) = at_last_attempt(&store, &stream, &handled, failed_before, false).await;
        store.delete_stream(&stream).await.unwrap();
        permits.add_permits(1);
        store.append(&ledger(&format!("other {failed_before}")), noted(9)).await.unwrap();
        // What comes after the failed attempt comes after its failure was kept.
        handled.reach(3 + failed_before).await;
        assert!(letters(&store).blocked().await.unwrap().is_empty());
        store.append(&stream, notes([11, 12])).await.unwrap();
        handled.reach(5 + failed_before).await;
        run.stop().await;
        assert_eq!(handled.of(&stream)[2 + failed_before..], [11, 12]);
        store.delete_stream(&stream).await.unwrap();
    }
}

pub(super) async fn clause_5_1_what_is_made_anew_during_an_attempt_does_not_wait_for_the_event_that_is_gone(
    subject: Subject,
) {
    let (store, stream) = (subject.store(), ledger("1"));
    for failed_before in [0, 1] {
        let handled = Handled::default();
        let (run, permits) = at_last_attempt(&store, &stream, &handled, failed_before, false).await;
        store.delete_stream(&stream).await.unwrap();
        store.append(&stream, notes([11, 12])).await.unwrap();
        permits.add_permits(1);
        handled.reach(4 + failed_before).await;
        store.append(&stream, noted(13)).expected_version(2).await.unwrap();
        handled.reach(5 + failed_before).await;
        assert!(letters(&store).blocked().await.unwrap().is_empty());
        run.stop().await;
        assert_eq!(handled.of(&stream)[2 + failed_before..], [11, 12, 13]);
        store.delete_stream(&stream).await.unwrap();
    }
}

/// Whoever does not know of subscriptions deletes a stream and leaves that it is blocked.
pub(super) async fn clause_5_1_a_stream_that_waits_for_an_event_that_is_gone_goes_on_without_it(
    subject: Subject,
) {
    let (store, stream, handled) = (subject.store(), ledger("1"), Handled::default());
    let gone = ledger("gone");
    let appended = store.append(&gone, noted(0)).await.unwrap();
    let position = store.records(appended.position).await.remove(0).position;
    store.delete_stream(&gone).await.unwrap();
    store.append(&stream, notes(1..=40)).await.unwrap();
    let settings = Settings { attempts: 1, ..Settings::default() };
    let run = Running::planned(settings.of(store.subscribe()), &handled, |_, _| Err("as always".into()));
    eventually("it is parked", async || !letters(&store).parked().await.unwrap().is_empty()).await;
    store.append(&ledger("other"), noted(99)).await.unwrap();
    eventually("the checkpoint is behind what waits", async || {
        letters(&store).blocked().await.unwrap().len() == 2
    })
    .await;
    run.stop().await;
    handled.forget();

    let parked = letters(&store).parked().await.unwrap().remove(0);
    let mut left_behind = parked.clone().with_attempts(0).with_retry_at(Some(parked.since));
    (left_behind.after, left_behind.position) = (event_sourcery::Position::START, position);
    let left_behind = StreamProgress::Change(parked.at(), left_behind);
    let id = SubscriptionId::new(TenantId::DEFAULT, "letters");
    let request = ProgressRequest::new(id).with_streams(vec![left_behind]);
    store.backend().progress(request).await.unwrap();
    let run = Running::noting(letters(&store), &handled);
    handled.reach(40).await;
    run.stop().await;
    assert_eq!(handled.of(&stream), (1..=40).collect::<Vec<_>>());
}
