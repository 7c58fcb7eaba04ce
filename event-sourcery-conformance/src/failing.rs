//! Clause 8.8: a handler that fails is called again, after pauses, and its stream waits meanwhile.

use std::time::Duration;

use event_sourcery::backend::Expectation;
use event_sourcery::{Event, RawEvent, StreamId};
use tokio::time::Instant;

use super::ledger::{Fragile, Noted, ledger, noted, notes};
use super::running::{Handled, Running, SOON, Settings, assert_not_blocked, eventually, letters};
use super::subject::Subject;
use super::subscribing::append_undecodable;

pub(super) async fn clause_8_8_a_failed_event_is_tried_again_and_its_stream_waits(subject: Subject) {
    let (store, failing, other) = (subject.store(), ledger("failing"), ledger("other"));
    store.append(&failing, notes(1..=4)).await.unwrap();
    store.append(&other, notes(11..=14)).await.unwrap();
    let handled = Handled::default();
    let run = Running::planned(letters(&store), &handled, |item, before| match item.number {
        2 if before < 2 => Err("not yet".into()),
        _ => Ok(()),
    });
    handled.reach(10).await;
    run.stop().await;
    assert_eq!(handled.of(&failing), [1, 2, 2, 2, 3, 4]);
    assert_eq!(handled.of(&other), [11, 12, 13, 14]);
    assert!(letters(&store).blocked().await.unwrap().is_empty());
    assert_eq!(letters(&store).status().await.unwrap().unwrap().events_behind, 0);
}

pub(super) async fn clause_8_8_other_streams_go_on_while_one_waits(subject: Subject) {
    let (store, failing, other) = (subject.store(), ledger("failing"), ledger("other"));
    let settings =
        Settings { pauses: (Duration::from_secs(3_600), Duration::from_secs(3_600)), ..Settings::default() };
    store.append(&failing, notes(1..=3)).await.unwrap();
    let handled = Handled::default();
    let run = Running::planned(settings.of(store.subscribe()), &handled, |item, _| match item.number {
        1 => Err("as always".into()),
        _ => Ok(()),
    });
    handled.reach(1).await;
    for number in 11..=20 {
        store.append(&other, noted(number)).expected_version(number - 11).await.unwrap();
        store.append(&failing, noted(number)).expected_version(number - 8).await.unwrap();
        handled.reach(usize::try_from(number).unwrap() - 9).await;
    }
    let blocked = letters(&store).blocked().await.unwrap();
    assert!(letters(&store).parked().await.unwrap().is_empty(), "it is tried again, in an hour");
    // What waits is not behind.
    eventually("nothing is behind", async || {
        letters(&store).status().await.unwrap().unwrap().events_behind == 0
    })
    .await;
    run.stop().await;
    assert_eq!(handled.of(&failing), [1]);
    assert_eq!(handled.of(&other), (11..=20).collect::<Vec<_>>());
    assert_eq!((blocked.len(), &blocked[0].stream, blocked[0].attempts), (1, &failing, 1));
    assert!(blocked[0].error.contains("as always"), "{}", blocked[0].error);
    assert!(blocked[0].retry_at.unwrap() > blocked[0].since);
}

pub(super) async fn clause_8_8_the_pauses_grow(subject: Subject) {
    let store = subject.store();
    store.append(&ledger("1"), noted(1)).await.unwrap();
    let settings = Settings {
        attempts: 4,
        pauses: (Duration::from_millis(20), Duration::from_secs(1)),
        ..Settings::default()
    };
    let (handled, times) = (Handled::default(), std::sync::Arc::new(std::sync::Mutex::new(Vec::new())));
    let noted_at = std::sync::Arc::clone(&times);
    let run = Running::planned(settings.of(store.subscribe()), &handled, move |_, _| {
        noted_at.lock().unwrap().push(Instant::now());
        Err("as always".into())
    });
    eventually("it is parked", async || letters(&store).parked().await.unwrap().len() == 1).await;
    run.stop().await;
    let times = times.lock().unwrap().clone();
    let pauses: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(pauses.len(), 3, "{pauses:?}");
    for (pause, least) in pauses.iter().zip([10, 20, 40]) {
        // The store's clock may be cut to milliseconds.
        assert!(*pause + Duration::from_millis(2) >= Duration::from_millis(least), "{pauses:?}");
        assert!(*pause < SOON, "{pauses:?}");
    }
}

pub(super) async fn clause_8_8_an_event_is_parked_after_the_last_attempt_with_its_error(subject: Subject) {
    let (store, failing) = (subject.store(), ledger("failing").in_category("red").unwrap());
    store.append(&failing, notes(1..=3)).await.unwrap();
    let handled = Handled::default();
    let run = Running::planned(letters(&store), &handled, |item, before| match item.number {
        2 if before == 1 => panic!("it broke on attempt {}", before + 1),
        2 => Err(format!("it failed on attempt {}", before + 1).into()),
        _ => Ok(()),
    });
    eventually("it is parked", async || !letters(&store).parked().await.unwrap().is_empty()).await;
    store.append(&ledger("other"), noted(9)).await.unwrap();
    handled.reach(5).await;
    run.stop().await;
    assert_eq!(handled.numbers(), [1, 2, 2, 2, 9]);
    let parked = letters(&store).parked().await.unwrap();
    assert_eq!(parked.len(), 1);
    assert_eq!((&parked[0].stream, parked[0].attempts, parked[0].retry_at), (&failing, 3, None));
    assert_eq!(parked[0].position, handled.items()[1].position);
    assert!(parked[0].error.contains("it failed on attempt 3"), "{}", parked[0].error);
}

pub(super) async fn clause_8_8_a_panic_is_a_failure(subject: Subject) {
    let store = subject.store();
    store.append(&ledger("1"), notes(1..=2)).await.unwrap();
    let handled = Handled::default();
    let settings = Settings { attempts: 1, ..Settings::default() };
    let run = Running::planned(settings.of(store.subscribe()), &handled, |_, _| panic!("it broke"));
    eventually("it is parked", async || !letters(&store).parked().await.unwrap().is_empty()).await;
    run.stop().await;
    assert_eq!(handled.numbers(), [1]);
    let parked = letters(&store).parked().await.unwrap();
    assert!(
        parked[0].error.contains("panicked") && parked[0].error.contains("it broke"),
        "{}",
        parked[0].error
    );
}

/// Decodes what [`append_undecodable`] writes, too.
#[derive(Event, serde::Serialize, serde::Deserialize, Debug)]
#[event(name = "noted")]
struct NotedAnyhow {
    number: serde_json::Value,
}

/// A stream whose second note does not decode.
async fn with_undecodable(subject: &Subject) -> StreamId {
    let (store, stream) = (subject.store(), ledger("1"));
    store.append(&stream, noted(1)).await.unwrap();
    append_undecodable(&store, &stream, Expectation::Version(1)).await;
    store.append(&stream, notes([3, 4])).expected_version(2).await.unwrap();
    store.append(&ledger("other"), noted(9)).await.unwrap();
    stream
}

pub(super) async fn clause_8_8_an_event_that_does_not_decode_is_parked_at_once_and_not_skipped(
    subject: Subject,
) {
    let stream = with_undecodable(&subject).await;
    let (store, handled) = (subject.store(), Handled::default());
    let run = Running::noting(letters(&store), &handled);
    handled.reach(2).await;
    eventually("it is parked", async || !letters(&store).parked().await.unwrap().is_empty()).await;
    let parked = letters(&store).parked().await.unwrap();
    assert_eq!((&parked[0].stream, parked[0].attempts), (&stream, 1));
    assert!(parked[0].error.contains("cannot be decoded"), "{}", parked[0].error);
    // Tried again by the same type, it is parked again.
    letters(&store).replay(&parked[0]).await.unwrap();
    eventually("it is parked again", async || {
        letters(&store).parked().await.unwrap().first().is_some_and(|parked| parked.attempts == 1)
    })
    .await;
    run.stop().await;
    assert_eq!((handled.of(&stream), handled.of(&ledger("other"))), (vec![1], vec![9]));

    let parked = letters(&store).parked().await.unwrap();
    letters(&store).replay(&parked[0]).await.unwrap();
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let noting = std::sync::Arc::clone(&seen);
    let durable = Settings::default().of(store.subscribe::<NotedAnyhow>());
    let run = Running::start(durable, move |recorded, _| {
        noting.lock().unwrap().push(recorded.wrapped_event.event.number.to_string());
        std::future::ready(Ok(()))
    });
    eventually("the stream is free", async || letters(&store).blocked().await.unwrap().is_empty()).await;
    run.stop().await;
    assert_eq!(*seen.lock().unwrap(), [r#""many""#, "3", "4"]);
}

pub(super) async fn clause_8_8_an_event_that_the_types_code_panics_on_is_parked_at_once(subject: Subject) {
    let (store, stream, other) = (subject.store(), ledger("1"), ledger("other"));
    store.append(&stream, notes([2, 3, 4])).await.unwrap();
    store.append(&other, noted(8)).await.unwrap();
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let noting = std::sync::Arc::clone(&seen);
    let durable = Settings::default().of(store.subscribe::<Fragile>());
    let run = Running::start(durable, move |recorded, _| {
        noting.lock().unwrap().push(recorded.wrapped_event.event.number);
        std::future::ready(Ok(()))
    });
    eventually("it is parked", async || !letters(&store).parked().await.unwrap().is_empty()).await;
    eventually("others go on", async || seen.lock().unwrap().len() == 2).await;
    run.stop().await;
    let parked = letters(&store).parked().await.unwrap();
    assert_eq!((&parked[0].stream, parked[0].attempts), (&stream, 1));
    assert!(parked[0].error.contains("3 is odd"), "{}", parked[0].error);
    assert_eq!(*seen.lock().unwrap(), [2, 8]);
}

pub(super) async fn clause_8_8_attempts_and_waiting_survive_a_restart(subject: Subject) {
    let (store, failing, other) = (subject.store(), ledger("failing"), ledger("other"));
    let slow = Settings {
        pauses: (Duration::from_millis(400), Duration::from_millis(400)),
        attempts: 4,
        ..Settings::default()
    };
    store.append(&failing, notes(1..=3)).await.unwrap();
    let handled = Handled::default();
    let start = |store: &event_sourcery::EventStore| {
        Running::planned(slow.of(store.subscribe()), &handled, |item, _| match item.number {
            1 => Err("as always".into()),
            _ => Ok(()),
        })
    };
    let mut runs = 0;
    while letters(&store).parked().await.unwrap().is_empty() {
        let before = handled.of(&failing).len();
        let run = start(&store);
        eventually("it is tried again", async || handled.of(&failing).len() > before).await;
        store.append(&other, noted(11 + runs)).expected_version(runs).await.unwrap();
        runs += 1;
        eventually("others go on", async || handled.of(&other).len() as u64 == runs).await;
        run.stop().await;
        // One each, unless a run takes as long as the pause.
        let blocked = letters(&store).blocked().await.unwrap();
        assert_eq!(blocked[0].attempts as usize, handled.of(&failing).len(), "{blocked:?}");
    }
    assert_eq!((handled.of(&failing), handled.of(&other)), (vec![1; 4], (11..11 + runs).collect()));
    let (all, run) = (handled.items().len(), start(&store));
    store.append(&other, noted(11 + runs)).expected_version(runs).await.unwrap();
    handled.reach(all + 1).await;
    run.stop().await;
    assert_eq!(handled.of(&failing), [1; 4], "what is parked waits for somebody");
}

pub(super) async fn clause_8_8_a_parked_event_keeps_nobody_busy(subject: Subject) {
    let store = subject.faulty();
    store.append(&ledger("1"), notes(1..=3)).await.unwrap();
    let durable = || Settings { attempts: 1, ..Settings::default() }.of(store.subscribe::<Noted>());
    let run = tokio::spawn(durable().run(async |_, _| Err("as always".into())));
    eventually("it is parked", async || durable().parked().await.unwrap().len() == 1).await;
    let (since, calls, scans) = (Instant::now(), store.backend().calls(), store.backend().scans());
    let looks = store.backend().listed();
    tokio::time::sleep(Duration::from_millis(4_200)).await;
    let (calls, scans) = (store.backend().calls() - calls, store.backend().scans() - scans);
    let looks = store.backend().listed() - looks;
    run.abort();
    // Besides looks for one that is asked for again, in pauses that double, the lease is renewed. It may have taken longer.
    let seconds = since.elapsed().as_secs() + 1;
    assert!(looks <= 2 + seconds / 2, "{looks} looks in less than {seconds} s");
    assert!(
        calls <= 6 * seconds && scans <= 1 + seconds,
        "{calls} calls, {scans} of them reads, in less than {seconds} s while there was nothing to do"
    );
}

pub(super) async fn clause_8_8_events_that_nobody_wants_are_passed_over_behind_a_failed_one(
    subject: Subject,
) {
    let (store, stream) = (subject.store(), ledger("1"));
    let unwanted = || (0..600).map(|_| RawEvent::new("crossed out", "{}").unwrap()).collect::<Vec<_>>();
    store.append(&stream, noted(1)).no_versioning().await.unwrap();
    for number in [2, 3] {
        store.append(&stream, unwanted()).no_versioning().await.unwrap();
        store.append(&stream, noted(number)).no_versioning().await.unwrap();
    }
    store.append(&stream, unwanted()).no_versioning().await.unwrap();
    store.append(&ledger("other"), noted(9)).await.unwrap();
    let handled = Handled::default();
    let settings = Settings { pauses: (Duration::from_millis(100), SOON), ..Settings::default() };
    let run = Running::planned(settings.of(store.subscribe()), &handled, |item, before| match item.number {
        1 | 3 if before == 0 => Err("the first time".into()),
        _ => Ok(()),
    });
    handled.reach(6).await;
    eventually("the stream is free", async || letters(&store).blocked().await.unwrap().is_empty()).await;
    run.stop().await;
    assert_eq!(handled.of(&stream), [1, 1, 2, 3, 3]);
}

pub(super) async fn clause_8_8_hundreds_of_blocked_streams_are_listed_and_come_free(subject: Subject) {
    const STREAMS: u64 = 280;
    let store = subject.store();
    let mut append = store.append_all();
    for number in 0..STREAMS {
        append = append.and(&ledger(&number.to_string()), notes([number, number + 1_000]));
    }
    append.await.unwrap();
    let handled = Handled::default();
    let settings = Settings { attempts: 1, ..Settings::default() };
    let run = Running::planned(settings.of(store.subscribe()), &handled, |_, before| match before {
        0 => Err("the first time".into()),
        _ => Ok(()),
    });
    let all = usize::try_from(STREAMS).unwrap();
    eventually("all are parked", async || letters(&store).parked().await.unwrap().len() == all).await;
    let parked = letters(&store).parked().await.unwrap();
    assert!(parked.windows(2).all(|pair| pair[0].position < pair[1].position));
    assert_eq!(handled.items().len(), all);
    for failed in &parked {
        letters(&store).replay(failed).await.unwrap();
    }
    // Each stream's second event fails in its turn.
    handled.reach(3 * all).await;
    eventually("all are parked again", async || letters(&store).parked().await.unwrap().len() == all).await;
    for failed in letters(&store).parked().await.unwrap() {
        letters(&store).skip(&failed).await.unwrap();
    }
    eventually("all are free", async || letters(&store).blocked().await.unwrap().is_empty()).await;
    run.stop().await;
    for number in 0..STREAMS {
        assert_eq!(handled.of(&ledger(&number.to_string())), [number, number, number + 1_000]);
    }
}

pub(super) async fn clause_8_8_what_is_skipped_again_before_anybody_runs_comes_free(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.append(&stream, noted(1)).await.unwrap();
    let handled = Handled::default();
    let start = |attempts| {
        let settings = Settings { attempts, ..Settings::default() };
        Running::planned(settings.of(store.subscribe()), &handled, |item, _| match item.number {
            1 => Err("as always".into()),
            _ => Ok(()),
        })
    };
    let run = start(1);
    eventually("it is parked", async || letters(&store).parked().await.unwrap().len() == 1).await;
    run.stop().await;
    // What waits then waits behind the end of the store.
    for _ in 0..3 {
        let waiting = letters(&store).blocked().await.unwrap().remove(0);
        letters(&store).skip(&waiting).await.unwrap();
    }
    let run = start(1);
    eventually("the stream is free", async || letters(&store).blocked().await.unwrap().is_empty()).await;
    store.append(&stream, noted(2)).expected_version(1).await.unwrap();
    handled.reach(2).await;
    run.stop().await;
    assert_eq!(handled.of(&stream), [1, 2]);
}

pub(super) async fn clause_8_8_what_is_no_longer_blocked_can_be_neither_replayed_nor_skipped(
    subject: Subject,
) {
    let store = subject.store();
    store.append(&ledger("1"), notes(1..=2)).await.unwrap();
    let handled = Handled::default();
    let settings = Settings { attempts: 1, ..Settings::default() };
    let run = Running::planned(settings.of(store.subscribe::<Noted>()), &handled, |_, before| match before {
        0 => Err("the first time".into()),
        _ => Ok(()),
    });
    eventually("it is parked", async || !letters(&store).parked().await.unwrap().is_empty()).await;
    let first = letters(&store).parked().await.unwrap().remove(0);
    letters(&store).replay(&first).await.unwrap();
    eventually("the next one is parked", async || {
        letters(&store).parked().await.unwrap().first().is_some_and(|parked| parked.position > first.position)
    })
    .await;
    assert_not_blocked(letters(&store).replay(&first).await, &first);
    assert_not_blocked(letters(&store).skip(&first).await, &first);
    let second = letters(&store).parked().await.unwrap().remove(0);
    letters(&store).skip(&second).await.unwrap();
    eventually("the stream is free", async || letters(&store).blocked().await.unwrap().is_empty()).await;
    assert_not_blocked(letters(&store).replay(&second).await, &second);
    run.stop().await;
    assert_eq!(handled.numbers(), [1, 1, 2]);
}
