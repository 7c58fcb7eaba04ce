//! Clause 17.6: decisions across streams.

use event_sourcery::{
    CommandError, Error, Event, EventStore, Executed, NewEvents, QueryItem, RawEvent, Select, StreamId,
};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use super::ledger::{Ledgers as _, ledger, tenant};
use super::subject::Subject;

const SEATS: usize = 5;
const COURSES: usize = 3;

#[derive(Event, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[event(name = "subscribed", tags(course, student))]
struct Subscribed {
    course: u64,
    student: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    CourseIsFull,
    TooManyCourses,
}

type Decided = Result<Executed<usize>, CommandError<Refusal>>;

/// Both rules: a course has so many seats, and a student takes so many courses. Tells how many seats were taken.
fn subscribe(
    course: u64,
    student: u64,
) -> impl Fn(&(usize, usize), &mut NewEvents) -> Result<usize, Refusal> + Send + Clone {
    move |&(taken, courses), events| {
        if taken >= SEATS {
            return Err(Refusal::CourseIsFull);
        }
        if courses >= COURSES {
            return Err(Refusal::TooManyCourses);
        }
        events.emit(Subscribed { course, student });
        Ok(taken)
    }
}

macro_rules! folds {
    ($course:expr, $student:expr) => {
        (
            Select::<Subscribed>::tagged("course", $course).fold(0, |taken: &mut usize, _| *taken += 1),
            Select::<Subscribed>::tagged("student", $student).fold(0, |courses: &mut usize, _| *courses += 1),
        )
    };
}

async fn decide(store: EventStore, course: u64, student: u64) -> Decided {
    store.decide(folds!(course, student), subscribe(course, student)).retries(1_000).await
}

/// Everything that was subscribed to.
async fn subscriptions(store: &EventStore) -> Vec<Subscribed> {
    let all = QueryItem::new().of::<Subscribed>().into();
    let read = store.read::<Subscribed>(&all).await.unwrap();
    read.events.into_iter().map(|record| record.into_event()).collect()
}

pub(super) async fn clause_17_6_the_rules_of_decisions_are_never_broken(subject: Subject) {
    let handles = [subject.store(), subject.another_store().await];
    // Four courses of five seats for eight students, each of whom wants all of them, and may take three.
    let tasks = (0..32).map(|task: u64| {
        let store = handles[(task % 2) as usize].clone();
        tokio::spawn(decide(store, task / 8, task % 8))
    });
    let outcomes = join_all(tasks).await.into_iter().map(|joined| joined.unwrap());
    let mut accepted = 0;
    for outcome in outcomes {
        match outcome {
            Ok(executed) => accepted += usize::from(executed.appended.is_some()),
            Err(CommandError::Rejected(_)) => {}
            Err(CommandError::Store(error)) => panic!("{error}"),
        }
    }
    let all = subscriptions(&handles[0]).await;
    assert_eq!(all.len(), accepted);
    for number in 0..8 {
        let of_course = all.iter().filter(|one| one.course == number).count();
        let of_student = all.iter().filter(|one| one.student == number).count();
        assert!(of_course <= SEATS && of_student <= COURSES, "{number}: {all:?}");
    }
    // Nobody was turned away without need: a student has three courses, or the others are full.
    let is_full = |course: u64| all.iter().filter(|one| one.course == course).count() == SEATS;
    for student in 0..8 {
        let taken: Vec<_> = all.iter().filter(|one| one.student == student).map(|one| one.course).collect();
        let has_room = (0..4).any(|course| !taken.contains(&course) && !is_full(course));
        assert!(taken.len() == COURSES || !has_room, "{student}: {all:?}");
    }
}

pub(super) async fn clause_17_6_a_decision_is_made_again_where_somebody_was_faster(subject: Subject) {
    let store = subject.store();
    for retries in [0, 1] {
        let (mut seen, runtime) = (Vec::new(), tokio::runtime::Handle::current());
        let decision = |&(taken, _): &(usize, usize), events: &mut NewEvents| {
            seen.push(taken);
            if seen.len() == 1 {
                // Between the read and the append.
                let meanwhile = store.append(&StreamId::random(), Subscribed { course: retries, student: 9 });
                std::thread::scope(|scope| {
                    scope.spawn(|| runtime.block_on(meanwhile.into_future()).unwrap());
                });
            }
            events.emit(Subscribed { course: retries, student: 1 });
            Ok::<_, Refusal>(())
        };
        let decided = store.decide(folds!(retries, 1), decision).retries(retries as u32).await;
        if retries == 0 {
            assert!(
                decided.as_ref().is_err_and(CommandError::is_retryable),
                "whoever makes it again decides anew"
            );
            assert_refused!(decided, CommandError::Store(Error::BoundaryMoved { .. }));
            assert_eq!(seen, [0]);
        } else {
            assert!(decided.unwrap().appended.is_some());
            assert_eq!(seen, [0, 1]);
        }
    }
    assert_eq!(subscriptions(&store).await.len(), 3);
}

pub(super) async fn clause_17_6_a_rejected_decision_and_one_that_emits_nothing_write_nothing(
    subject: Subject,
) {
    let store = subject.store();
    for student in 0..SEATS as u64 {
        assert_eq!(decide(store.clone(), 1, student).await.unwrap().value, student as usize);
    }
    assert_refused!(decide(store.clone(), 1, 9).await, CommandError::Rejected(Refusal::CourseIsFull));
    let nothing = store.decide(folds!(1, 9), |&(taken, _), _| Ok::<_, Refusal>(taken)).await.unwrap();
    assert_eq!((nothing.value, nothing.appended), (SEATS, None));
    let unstorable = store.decide(folds!(1, 9), |_, events| {
        events.emit(Subscribed { course: 2, student: 9 });
        events.emit(RawEvent::new("subscribed", "{}").map(|raw| raw.with_schema_version(0)).unwrap());
        Ok::<_, Refusal>(())
    });
    assert_refused!(unstorable.await, CommandError::Store(Error::InvalidPayload { .. }));
    let no_tag = Select::<Subscribed>::tagged("course", "").fold((), |(), _| {});
    let refused = store.decide(no_tag, |(), _| Ok::<_, Refusal>(())).await;
    assert_refused!(refused, CommandError::Store(Error::InvalidName { .. }));
    subject.holds(SEATS).await;
}

pub(super) async fn clause_17_6_a_decision_with_a_key_takes_effect_once(subject: Subject) {
    let (store, acme) = (subject.store(), subject.store().for_tenant(tenant("acme")));
    let keyed = |store: &EventStore, student: u64, key: &str| {
        let (store, key) = (store.clone(), key.to_owned());
        async move {
            let decide = store.decide(folds!(1, student), subscribe(1, student)).retries(1_000);
            decide.idempotency_key(key).await
        }
    };
    decide(store.clone(), 1, 0).await.unwrap();
    let first = keyed(&store, 1, "request 1").await.unwrap();
    assert_eq!((first.value, first.appended.unwrap().repeated), (1, false));
    for student in 2..SEATS as u64 {
        decide(store.clone(), 1, student).await.unwrap();
    }
    // The course is full by now, and it is told what it was told.
    let again = keyed(&store, 1, "request 1").await.unwrap();
    assert_eq!((again.value, again.appended.unwrap().repeated), (1, true));
    assert_eq!(again.appended.unwrap().position, first.appended.unwrap().position);
    assert_refused!(keyed(&store, 9, "request 2").await, CommandError::Rejected(Refusal::CourseIsFull));
    assert!(!keyed(&acme, 1, "request 1").await.unwrap().appended.unwrap().repeated, "keys are a tenant's");
    assert_eq!(subscriptions(&store).await.len(), SEATS);

    // At once, too.
    let at_once = join_all((0..8).map(|_| keyed(&acme, 2, "request 3"))).await;
    let written = at_once.iter().filter(|decided| !decided.as_ref().unwrap().appended.unwrap().repeated);
    assert_eq!(written.count(), 1);
    assert!(at_once.iter().all(|decided| decided.as_ref().unwrap().value == 1), "{at_once:?}");
    assert_eq!(subscriptions(&acme).await.len(), 2);
}

pub(super) async fn clause_17_6_a_key_that_was_used_for_another_decision_is_refused(subject: Subject) {
    let store = subject.store();
    let emitting = |courses: &'static [u64]| {
        let store = store.clone();
        async move {
            let decide = store.decide(folds!(1, 1), |_, events| {
                courses.iter().for_each(|course| events.emit(Subscribed { course: *course, student: 1 }));
                if courses == [9] { Err(Refusal::TooManyCourses) } else { Ok(()) }
            });
            decide.idempotency_key("request").await
        }
    };
    emitting(&[1, 2]).await.unwrap();
    let others: [&[u64]; 5] = [&[2, 1], &[1], &[], &[1, 2, 3], &[9]];
    for courses in others {
        assert_refused!(
            emitting(courses).await,
            CommandError::Store(Error::KeyReused { key, .. }) if key == "request"
        );
    }
    let elsewhere = store.decide(folds!(1, 1), |_, events| {
        [1, 2].iter().for_each(|course| events.emit(Subscribed { course: *course, student: 1 }));
        Ok::<_, Refusal>(())
    });
    let elsewhere = elsewhere.to(&ledger("elsewhere")).idempotency_key("request").await;
    assert_refused!(
        elsewhere,
        CommandError::Store(Error::KeyReused { key, .. }) if key == "request"
    );
    assert!(emitting(&[1, 2]).await.unwrap().appended.unwrap().repeated);
    subject.holds(2).await;
}

pub(super) async fn clause_17_6_the_events_go_to_the_stream_that_is_given(subject: Subject) {
    let (store, stream, versioned) = (subject.store(), ledger("course 1"), ledger("versioned"));
    for student in [1, 2] {
        let decide = store.decide(folds!(1, student), subscribe(1, student)).to(&stream);
        let first = decide.idempotency_key(student.to_string()).await.unwrap();
        let decide = store.decide(folds!(1, student), subscribe(1, student)).to(&stream);
        let again = decide.idempotency_key(student.to_string()).await.unwrap();
        assert_eq!((first.value, again.value), (student as usize - 1, student as usize - 1));
        assert!(again.appended.unwrap().repeated);
    }
    let events = store.load_stream::<Subscribed>(&stream).await.unwrap();
    assert_eq!(events.iter().map(|event| event.event.student).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(store.versions(&stream).await, [None, None]);

    store.append(&versioned, Subscribed { course: 1, student: 3 }).await.unwrap();
    assert_refused!(
        store.decide(folds!(1, 4), subscribe(1, 4)).to(&versioned).await,
        CommandError::Store(Error::NoExpectedVersionGivenOnVersionedStream { .. })
    );
    subject.holds(3).await;
}
