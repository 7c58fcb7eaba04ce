//! Clause 9.1: listeners are called on every way to append.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use event_sourcery::backend::{AppendOutcome, AppendRequest, Expectation};
use event_sourcery::testing::Fault;
use event_sourcery::{
    CommandError, Emitting, Error, Event as _, EventStore, Heard, RawEvent, StreamId, TenantId,
};
use uuid::Uuid;

use super::ear::Ear;
use super::exactly_once::{effect, effects};
use super::ledger::{Ledgers as _, Noted, append_request, ledger, noted, notes, number, part, tenant};
use super::listening::{Log, failed, fails, nothing, number_of, passes_on};
use super::reaction::{Deed, End, Reaction};
use super::running::{Running, Settings, eventually, letters};
use super::steps::{Answer, Ending, Step};
use super::subject::Subject;
use super::tally::{Tally, stream_of, tallies, tally};

/// A listener that posts what is noted, to a stream without versions, and fails at the number 13.
fn posting(store: &EventStore, log: &Log) -> (Ear<RawEvent>, StreamId) {
    let posted = ledger("posted");
    let to = posted.clone();
    let listen = store.listen().event_names(["noted"]);
    let decide = move |heard: &Heard<RawEvent>| {
        if number_of(heard) == 13 { fails() } else { passes_on(heard, "posted", &to) }
    };
    (log.ear_that("posting", listen, decide), posted)
}

async fn length(store: &EventStore, stream: &StreamId) -> usize {
    store.load_stream::<RawEvent>(stream).await.unwrap().len()
}

pub(super) async fn clause_9_1_a_listener_hears_the_events_of_each_stream_of_an_append(subject: Subject) {
    let (store, log) = (subject.store(), Log::default());
    let (ear, posted) = posting(&store, &log);
    subject.listen(ear);
    let (one, two, three) = (ledger("1"), ledger("2"), ledger("3"));
    store.append(&two, notes(1..=2)).await.unwrap();
    let both = store.append(&one, notes(3..=4)).and(&two, notes(5..=6)).expected_version(2);
    let appended = both.and(&three, noted(7)).no_versioning().await.unwrap();
    assert_eq!(log.numbers("posting"), [1, 2, 3, 4, 5, 6, 7]);
    let versions: Vec<_> = log.all().iter().map(|(_, heard)| heard.wrapped_event.version).collect();
    assert_eq!(versions[2..], [Some(1), Some(2), Some(3), Some(4), None]);
    for (at, appended) in [(3, &appended[0]), (5, &appended[1]), (6, &appended[2])] {
        assert_eq!(log.all()[at].1.position, appended.position);
    }
    let refused = store.append(&one, noted(8)).expected_version(2).and(&two, noted(13)).expected_version(4);
    failed(refused.await);
    assert_eq!((length(&store, &one).await, length(&store, &two).await), (2, 4));
    assert_eq!(length(&store, &posted).await, 7);
}

pub(super) async fn clause_9_1_a_listener_hears_what_a_transaction_appends_and_shares_its_fate(
    subject: Subject,
) {
    let (store, log) = (subject.store(), Log::default());
    let (ear, posted) = posting(&store, &log);
    subject.listen(ear);
    let (one, two) = (ledger("1"), ledger("2"));
    let steps = || {
        let both =
            vec![part(&one, Expectation::Version(2), &[3]), part(&two, Expectation::NoVersioning, &[4])];
        vec![
            Step::Append(append_request(&one, Expectation::Version(0), &[1, 2])),
            Step::Append(AppendRequest::new(TenantId::DEFAULT, both)),
        ]
    };
    for ending in [Ending::Fail, Ending::Panic] {
        for answer in subject.transaction(steps(), ending).await.unwrap() {
            answer.unwrap();
        }
        subject.holds(0).await;
    }
    for answer in subject.transaction(steps(), Ending::Commit).await.unwrap() {
        answer.unwrap();
    }
    assert_eq!(log.numbers("posting"), [1, 2, 3, 4].repeat(3));
    assert_eq!((length(&store, &one).await, length(&store, &posted).await), (3, 4));
}

pub(super) async fn clause_9_1_a_listener_that_fails_in_a_transaction_leaves_the_rest_of_it(
    subject: Subject,
) {
    let (store, log) = (subject.store(), Log::default());
    let (ear, posted) = posting(&store, &log);
    subject.listen(ear);
    let (one, two) = (ledger("1"), ledger("2"));
    let append = |stream: &StreamId, expected, numbers: &[u64]| {
        Step::Append(append_request(stream, Expectation::Version(expected), numbers))
    };
    let steps = vec![
        append(&one, 0, &[1]),
        append(&two, 0, &[2, 13, 3]),
        append(&one, 1, &[4]),
        append(&two, 0, &[5]),
        append(&two, 0, &[6]),
    ];
    let answers = subject.transaction(steps, Ending::Commit).await.unwrap();
    assert_refused!(&answers[1], Error::ListenerFailed { stream, .. } if *stream == two);
    assert_refused!(&answers[4], Error::Conflict { expected: 0, actual: 1, .. });
    for answer in [&answers[0], &answers[2], &answers[3]] {
        assert!(matches!(answer, Ok(Answer::Appended(AppendOutcome::Written(_)))), "{answer:?}");
    }
    assert_eq!(store.numbers(&one).await, [1, 4]);
    assert_eq!(store.numbers(&two).await, [5]);
    let posted = store.load_stream::<RawEvent>(&posted).await.unwrap();
    let numbers = posted.iter().map(|wrapped| serde_json::from_str::<Noted>(wrapped.event.data().get()));
    assert_eq!(numbers.map(|noted| noted.unwrap().number).collect::<Vec<_>>(), [1, 4, 5]);
}

pub(super) async fn clause_9_1_a_listener_hears_what_a_handler_appends(subject: Subject) {
    let (store, log) = (subject.store(), Log::default());
    subject.listen(log.ear("all", store.listen().event_names(["posted"])));
    store.append(&ledger("1"), notes(1..=3)).await.unwrap();
    let run = Running::start(letters(&store), |recorded, store| async move {
        let posted = RawEvent::new("posted", format!(r#"{{"number":{}}}"#, recorded.event().number))?;
        store.append(&ledger("answers"), posted).no_versioning().await?;
        Ok(())
    });
    eventually("all are heard", async || log.numbers("all").len() == 3).await;
    run.stop().await;
    assert_eq!(log.numbers("all"), [1, 2, 3]);
}

pub(super) async fn clause_9_1_a_listener_hears_what_a_handler_appends_in_its_transaction(subject: Subject) {
    let (store, reactor, log) = (subject.store(), subject.reactor().await, Log::default());
    let (source, heard) = (ledger("1"), ledger("heard"));
    let to = heard.clone();
    let listen = store.listen().event_names(["posted"]);
    reactor.listen(log.ear_that("all", listen, move |heard| passes_on(heard, "heard", &to))).unwrap();
    store.append(&source, notes(1..=3)).await.unwrap();
    // The first attempt at the second event comes to nothing.
    let calls = AtomicU64::new(0);
    let reaction = Reaction::new(move |recorded| {
        let is_first = number(recorded) == 2 && calls.fetch_add(1, Ordering::SeqCst) == 0;
        effect(recorded, if is_first { End::Fails } else { End::Done })
    });
    let run = Running::exactly_once(&reactor, Settings::default(), reaction);
    eventually("all take effect", async || length(&store, &effects(&source)).await == 3).await;
    run.stop().await;
    assert_eq!(length(&store, &heard).await, 3, "once for each, whatever was tried in vain");
}

pub(super) async fn clause_9_1_a_listener_hears_what_a_repository_saves_and_can_refuse_it(subject: Subject) {
    let (store, log) = (subject.store(), Log::default());
    let (ear, posted) = posting(&store, &log);
    subject.listen(ear);
    let (tallies, id) = (tallies(&store), tally("1"));
    tallies.aggregate(&id, Tally::note_all([1, 2])).await.unwrap();
    let calls = AtomicU64::new(0);
    let refused = tallies.aggregate(&id, |tally: &mut Emitting<Tally>| {
        calls.fetch_add(1, Ordering::SeqCst);
        Tally::note(13)(tally)
    });
    let refused = refused.await;
    assert!(matches!(refused, Err(CommandError::Store(Error::ListenerFailed { .. }))), "{refused:?}");
    assert_eq!(calls.load(Ordering::SeqCst), 1, "it is no conflict");
    tallies.aggregate(&id, Tally::note(3)).await.unwrap();
    assert_eq!(log.numbers("posting"), [1, 2, 13, 3]);
    assert_eq!(store.numbers(&stream_of(&id)).await, [1, 2, 3]);
    assert_eq!(length(&store, &posted).await, 3);
}

pub(super) async fn clause_9_1_an_append_whose_answer_was_lost_is_heard_once(subject: Subject) {
    let (store, log) = (subject.faulty(), Log::default());
    let (ear, posted) = posting(&subject.store(), &log);
    subject.listen(ear);
    let one = || noted(1).with_id(Uuid::from_u128(1));
    store.backend().fail(1, Fault::After);
    store.append(&ledger("1"), one()).await.unwrap_err();
    assert!(store.append(&ledger("1"), one()).await.unwrap().repeated);
    assert_eq!(log.numbers("posting"), [1]);
    assert_eq!(length(&subject.store(), &posted).await, 1);
}

/// Whatever shares a statement, a transaction or a connection with what is listened to.
pub(super) async fn clause_9_1_of_many_appends_at_once_each_is_heard_and_those_that_fail_fail_alone(
    subject: Subject,
) {
    const TASKS: u64 = 24;
    const APPENDS: u64 = 8;
    let (store, heard) = (subject.store(), ledger("heard"));
    let (to, calls) = (heard.clone(), Arc::new(AtomicU64::new(0)));
    let counted = Arc::clone(&calls);
    let listen = store.listen().event_names(["noted"]);
    subject.listen(Ear::new(listen, move |heard| {
        counted.fetch_add(1, Ordering::SeqCst);
        if number_of(heard) % 7 == 3 { fails() } else { passes_on(heard, "heard", &to) }
    }));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let store = store.for_tenant(if task % 3 == 0 { tenant("acme") } else { TenantId::DEFAULT });
            tokio::spawn(async move {
                let (stream, unheard) = (ledger(&format!("{task}")), ledger(&format!("unheard {task}")));
                let mut version = 0;
                for number in 0..APPENDS {
                    let event = RawEvent::new("other", "{}").unwrap();
                    store.append(&unheard, event).expected_version(number).await.unwrap();
                    match store.append(&stream, noted(number)).expected_version(version).await {
                        Ok(_) => version += 1,
                        refused => {
                            failed(refused);
                            assert_eq!(number % 7, 3);
                        }
                    }
                }
                assert_eq!(store.version(&unheard).await.unwrap(), Some(APPENDS));
                assert_eq!(store.version(&stream).await.unwrap(), Some(version));
                version
            })
        })
        .collect();
    let mut appended = 0;
    for task in tasks {
        appended += task.await.unwrap();
    }
    assert_eq!(appended, TASKS * (APPENDS - 1));
    let mut posted = 0;
    for handle in [store.clone(), store.for_tenant(tenant("acme"))] {
        posted += length(&handle, &heard).await as u64;
    }
    assert_eq!(posted, appended, "what came of each is there, once");
    assert!(calls.load(Ordering::SeqCst) >= TASKS * APPENDS);
}

pub(super) async fn clause_9_1_a_listener_that_takes_its_time_is_waited_for(subject: Subject) {
    let (store, log) = (subject.store(), Log::default());
    let time = std::time::Duration::from_millis(80);
    let takes_time = move |_: &Heard<RawEvent>| Deed { end: End::Takes(time), ..nothing() };
    subject.listen(log.ear_that("slow", store.listen(), takes_time));
    let began = std::time::Instant::now();
    store.append(&ledger("1"), notes(1..=2)).await.unwrap();
    assert!(began.elapsed() >= 2 * time, "{:?}", began.elapsed());
    assert_eq!(log.numbers("slow"), [1, 2]);
}
