//! Clauses 11.1 to 11.3: aggregates, and the repository that loads and saves them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use event_sourcery::{
    Aggregate, CommandError, Context, Emitting, Error, Event as _, RawEvent, Repository, StreamId, deciding,
};
use jiff::{SignedDuration, Timestamp};

use super::ledger::{Ledgers as _, Noted, Summed, noted, notes, tenant};
use super::subject::Subject;
use super::tally::{Tally, TooMuch, stream_of, tallies, tally};

pub(super) async fn clause_11_1_a_command_sees_the_state_that_its_events_make(subject: Subject) {
    let (store, id) = (subject.store(), tally("1"));
    let tallies = tallies(&store);
    let seen = tallies
        .aggregate(&id, |tally: &mut Emitting<Tally>| {
            let mut seen = vec![tally.sum];
            for number in [1, 20, 300] {
                tally.emit(noted(number));
                seen.push(tally.sum);
            }
            Ok::<_, TooMuch>(seen)
        })
        .await
        .unwrap();
    assert_eq!(seen.value, [0, 1, 21, 321]);
    assert_eq!(store.numbers(&stream_of(&id)).await, [1, 20, 300]);
    assert_eq!(tallies.load(&id).await.unwrap().sum, 321);
}

pub(super) async fn clause_11_1_a_rejected_command_leaves_neither_events_nor_changed_state(subject: Subject) {
    let (store, id) = (subject.store(), tally("1"));
    let tallies = tallies(&store);
    let rejected = tallies.aggregate(&id, Tally::note_all([1, 2, Tally::MOST])).await;
    assert!(matches!(rejected, Err(CommandError::Rejected(TooMuch(sum))) if sum == Tally::MOST + 3));
    assert_eq!(store.version(&stream_of(&id)).await.unwrap(), None);

    let mut wrapped = tallies.load(&id).await.unwrap();
    wrapped.execute(Tally::note(1)).unwrap();
    wrapped.execute(Tally::note_all([2, 3, Tally::MOST])).unwrap_err();
    assert_eq!((wrapped.state(), wrapped.version()), (&Tally { sum: 1, notes: 1 }, 1));
    wrapped.execute(Tally::note(4)).unwrap();
    tallies.save(&mut wrapped).await.unwrap();
    assert_eq!(store.numbers(&stream_of(&id)).await, [1, 4]);
}

pub(super) async fn clause_11_1_a_command_that_panics_leaves_neither_events_nor_changed_state(
    subject: Subject,
) {
    let (store, id) = (subject.store(), tally("1"));
    let tallies = tallies(&store);
    let mut wrapped = tallies.load(&id).await.unwrap();
    wrapped.execute(Tally::note(1)).unwrap();
    let panicking = |tally: &mut Emitting<Tally>| -> Result<(), TooMuch> {
        tally.emit(noted(2));
        panic!("half-way")
    };
    let panic = catch_unwind(AssertUnwindSafe(|| wrapped.execute(panicking))).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"half-way"));
    assert_eq!((wrapped.state(), wrapped.version()), (&Tally { sum: 1, notes: 1 }, 1));
    tallies.save(&mut wrapped).await.unwrap();
    assert_eq!(store.numbers(&stream_of(&id)).await, [1]);
}

pub(super) async fn clause_11_1_a_pure_function_decides_as_well(subject: Subject) {
    let (store, id) = (subject.store(), tally("1"));
    let next_two = |tally: &Tally| {
        if tally.notes >= 4 { Err(TooMuch(tally.sum)) } else { Ok([noted(tally.sum + 1), noted(7)]) }
    };
    for _ in 0..2 {
        tallies(&store).aggregate(&id, deciding(next_two)).await.unwrap();
    }
    tallies(&store).aggregate(&id, deciding(next_two)).await.unwrap_err();
    assert_eq!(store.numbers(&stream_of(&id)).await, [1, 7, 9, 7]);
}

pub(super) async fn clause_11_2_an_append_expects_the_version_that_was_loaded(subject: Subject) {
    let (store, id) = (subject.store(), tally("1"));
    let (tallies, stream) = (tallies(&store), stream_of(&id));
    let mut new = tallies.load(&id).await.unwrap();
    new.execute(Tally::note(1)).unwrap();
    store.append(&stream, noted(9)).await.unwrap();
    assert_refused!(tallies.save(&mut new).await, Error::Conflict { expected: 0, actual: 1, .. });

    let mut loaded = tallies.load(&id).await.unwrap();
    loaded.execute(Tally::note(2)).unwrap();
    let appended = tallies.save(&mut loaded).await.unwrap().unwrap();
    assert_eq!((appended.first_version, appended.last_version), (Some(2), Some(2)));
    loaded.execute(Tally::note(3)).unwrap();
    tallies.save(&mut loaded).await.unwrap().unwrap();
    assert_eq!(store.numbers(&stream).await, [9, 2, 3]);
}

pub(super) async fn clause_11_2_nothing_emitted_means_nothing_written(subject: Subject) {
    let (store, id) = (subject.store(), tally("1"));
    let tallies = tallies(&store);
    let looked =
        tallies.aggregate(&id, |tally: &mut Emitting<Tally>| Ok::<_, TooMuch>(tally.sum)).await.unwrap();
    assert_eq!((looked.value, looked.appended), (0, None));
    let mut wrapped = tallies.load(&id).await.unwrap();
    assert_eq!(tallies.save(&mut wrapped).await.unwrap(), None);
    assert_eq!(store.version(&stream_of(&id)).await.unwrap(), None);
}

pub(super) async fn clause_11_2_saving_twice_does_not_write_twice(subject: Subject) {
    let (store, id) = (subject.store(), tally("1"));
    let tallies = tallies(&store);
    let mut wrapped = tallies.load(&id).await.unwrap();
    wrapped.execute(Tally::note_all([1, 2])).unwrap();
    assert!(tallies.save(&mut wrapped).await.unwrap().is_some());
    assert_eq!(tallies.save(&mut wrapped).await.unwrap(), None);
    assert_eq!((wrapped.version(), wrapped.stored_version()), (2, 2));
    assert_eq!(store.numbers(&stream_of(&id)).await, [1, 2]);
}

pub(super) async fn clause_11_2_a_save_whose_answer_was_lost_can_be_made_again(subject: Subject) {
    let (store, id) = (subject.faulty(), tally("1"));
    let tallies = Repository::<Tally>::new(&store);
    let mut wrapped = tallies.load(&id).await.unwrap();
    wrapped.execute(Tally::note_all([1, 2])).unwrap();
    store.backend().fail(1, super::Fault::After);
    tallies.save(&mut wrapped).await.unwrap_err();
    assert_eq!((wrapped.pending().len(), wrapped.is_new()), (2, true));
    let appended = tallies.save(&mut wrapped).await.unwrap().unwrap();
    assert!(appended.repeated);
    assert_eq!((wrapped.pending().len(), wrapped.stored_version()), (0, 2));
    assert_eq!(subject.store().numbers(&stream_of(&id)).await, [1, 2]);
}

pub(super) async fn clause_11_2_a_command_that_meets_a_conflict_decides_again(subject: Subject) {
    let (store, id) = (subject.store(), tally("1"));
    let (tallies, other) = (tallies(&store), subject.another_store().await);
    let stream = stream_of(&id);
    let mut calls = 0;
    let mut interfered = tallies
        .aggregate(&id, |tally: &mut Emitting<Tally>| {
            calls += 1;
            if calls <= 2 {
                let version = tally.notes;
                meanwhile(&other, &stream, version);
            }
            Tally::note(100 + tally.sum)(tally)
        })
        .await;
    assert_eq!(interfered.as_mut().unwrap().value, 104);
    assert_eq!(calls, 3);
    assert_eq!(store.numbers(&stream).await, [1, 1, 102]);
}

/// Somebody else appends while a command decides.
fn meanwhile(other: &event_sourcery::EventStore, stream: &StreamId, version: u64) {
    let append = async { other.append(stream, noted(1)).expected_version(version).await.unwrap() };
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(append));
}

pub(super) async fn clause_11_2_the_retries_are_bounded_and_can_be_left_out(subject: Subject) {
    let (store, id) = (subject.store(), tally("1"));
    let (other, stream) = (subject.another_store().await, stream_of(&id));
    for (retries, expected_calls) in [(0, 1), (3, 4)] {
        let mut calls = 0;
        let command = |tally: &mut Emitting<Tally>| {
            calls += 1;
            meanwhile(&other, &stream, tally.notes);
            Tally::note(7)(tally)
        };
        let given_up = tallies(&store).retries(retries).aggregate(&id, command).await;
        assert!(matches!(given_up, Err(CommandError::Store(Error::Conflict { .. }))), "{given_up:?}");
        assert!(given_up.unwrap_err().is_retryable());
        assert_eq!(calls, expected_calls);
    }
    assert_eq!(store.numbers(&stream).await, [1; 5]);
}

pub(super) async fn clause_11_2_commands_at_once_all_take_effect_on_what_they_have_seen(subject: Subject) {
    const TASKS: u64 = 8;
    let id = tally("1");
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..TASKS {
        let (tallies, id) = (tallies(&subject.another_store().await).retries(1_000), id.clone());
        tasks.spawn(async move {
            for _ in 0..5 {
                let one_more = |tally: &mut Emitting<Tally>| Tally::note(tally.notes + 1)(tally);
                tallies.aggregate(&id, one_more).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let expected: Vec<_> = (1..=5 * TASKS).collect();
    assert_eq!(subject.store().numbers(&stream_of(&id)).await, expected);
}

/// Whoever is not the first of so many conflicts again and again: with two retries, most would not get through.
pub(super) async fn clause_11_2_commands_of_one_process_do_not_get_in_each_others_way(subject: Subject) {
    const TASKS: u64 = 40;
    let store = subject.store();
    // A queue that does not move for a second is left by all who wait in it: where a commit takes as long, once more.
    for round in 0..5 {
        let id = tally(&round.to_string());
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..TASKS {
            // Each with a repository of its own, as where one is made for each request.
            let (tallies, id) = (tallies(&store.clone()).retries(2), id.clone());
            tasks.spawn(async move {
                for _ in 0..5 {
                    tallies.aggregate(&id, Tally::note(1)).await?;
                }
                Ok::<(), CommandError<TooMuch>>(())
            });
        }
        if tasks.join_all().await.iter().all(Result::is_ok) {
            assert_eq!(tallies(&store).load(&id).await.unwrap().sum, 5 * TASKS);
            return;
        }
    }
    panic!("some of them met conflicts, again and again");
}

pub(super) async fn clause_8_11_what_a_command_in_a_handler_emits_carries_the_context(subject: Subject) {
    let (store, id, ordered) = (subject.store(), tally("1"), super::ledger::ledger("orders"));
    let correlation = uuid::Uuid::from_u128(7);
    let context = Context::new().with_correlation_id(correlation);
    let acme = store.for_tenant(tenant("acme"));
    acme.append(&ordered, RawEvent::new("Ordered", "{}").unwrap().with_context(context)).await.unwrap();
    let (tallies, stream) = (tallies(&store), stream_of(&id));
    let watched = (acme.clone(), stream.clone());
    let noted = async move {
        while watched.0.version(&watched.1).await.unwrap().is_none() {
            tokio::task::yield_now().await;
        }
    };
    store
        .subscribe::<RawEvent>()
        .event_names(["Ordered"])
        .durable("tallies")
        .until(noted)
        .run(async |recorded, store: event_sourcery::EventStore| {
            let key = recorded.wrapped_event.uuid.to_string();
            tallies.on(&store).aggregate(&id, Tally::note(1)).idempotency_key(key).await?;
            Ok(())
        })
        .await
        .unwrap();
    let (cause, caused) = (acme.ids(&ordered).await[0], acme.load_stream::<Noted>(&stream).await.unwrap());
    assert_eq!(caused[0].context.causation_id(), Some(cause));
    assert_eq!(caused[0].context.correlation_id(), Some(correlation));
}

pub(super) async fn clause_11_3_the_wrapped_aggregate_tells_what_the_store_knows(subject: Subject) {
    let (store, id) = (subject.store(), tally("1"));
    let tallies = tallies(&store);
    let mut new = tallies.load(&id).await.unwrap();
    assert_eq!((new.stream_id(), new.stream_id().name()), (&stream_of(&id), id.name()));
    assert_eq!((new.version(), new.stored_version(), new.is_new()), (0, 0, true));
    assert_eq!((new.created_at(), new.updated_at()), (None, None));
    new.execute(Tally::note_all([1, 2])).unwrap();
    assert_eq!((new.version(), new.stored_version(), new.is_new()), (2, 0, true));
    tallies.save(&mut new).await.unwrap();
    assert_eq!((new.version(), new.stored_version(), new.is_new()), (2, 2, false));

    let later = Timestamp::now() + SignedDuration::from_hours(1);
    store.append(new.stream_id(), noted(3).with_created_at(later)).expected_version(2).await.unwrap();
    let loaded = tallies.load(&id).await.unwrap();
    let events = store.load_stream::<Noted>(new.stream_id()).await.unwrap();
    assert_eq!(events[0].event.number, 1);
    assert_eq!(new.created_at(), Some(events[0].created_at));
    assert_eq!(new.updated_at(), Some(events[1].created_at));
    assert_eq!(loaded.created_at(), Some(events[0].created_at));
    assert_eq!(loaded.updated_at(), Some(events[2].created_at));
    assert_eq!((loaded.version(), loaded.is_new(), loaded.sum), (3, false, 6));
}

pub(super) async fn clause_11_3_the_context_is_that_of_everything_emitted(subject: Subject) {
    let (store, id) = (subject.store(), tally("1"));
    let tallies = tallies(&store);
    let context = Context::new().with_correlation_id(uuid::Uuid::from_u128(7));
    tallies.aggregate(&id, Tally::note_all([1, 2])).with_context(context.clone()).await.unwrap();
    let mut wrapped = tallies.load(&id).with_context(context.clone()).await.unwrap();
    assert_eq!(wrapped.context(), &context);
    wrapped.execute(Tally::note(3)).unwrap();
    tallies.save(&mut wrapped).await.unwrap();
    let events = store.load_stream::<Noted>(&stream_of(&id)).await.unwrap();
    assert!(events.iter().all(|event| event.context == context), "{events:?}");
}

pub(super) async fn clause_11_3_the_type_names_the_category(subject: Subject) {
    let (store, id) = (subject.store(), tally("1"));
    let tallies = tallies(&store);
    tallies.aggregate(&id, Tally::note(1)).await.unwrap();
    tallies.aggregate(&stream_of(&id), Tally::note(2)).await.unwrap();
    assert_eq!(store.version(&id).await.unwrap(), None);
    assert_eq!(store.numbers(&stream_of(&id)).await, [1, 2]);
    let elsewhere = id.in_category("invoices").unwrap();
    assert_refused!(tallies.load(&elsewhere).await, Error::InvalidOption { option: "id", .. });
}

pub(super) async fn clause_11_3_tenants_have_aggregates_of_their_own(subject: Subject) {
    let (store, id) = (subject.store(), tally("1"));
    let (tallies, acme) = (tallies(&store), store.for_tenant(tenant("acme")));
    tallies.aggregate(&id, Tally::note(1)).await.unwrap();
    tallies.on(&acme).aggregate(&id, Tally::note(20)).await.unwrap();
    assert_eq!(tallies.load(&id).await.unwrap().sum, 1);
    let of_acme = Repository::<Tally>::new(&acme);
    for (theirs, others) in [(&of_acme, &tallies), (&tallies, &of_acme)] {
        let mut loaded = theirs.load(&id).await.unwrap();
        loaded.execute(Tally::note(300)).unwrap();
        assert_refused!(others.save(&mut loaded).await, Error::InvalidOption { option: "aggregate", .. });
        theirs.save(&mut loaded).await.unwrap();
    }
    assert_eq!(store.numbers(&stream_of(&id)).await, [1, 300]);
    assert_eq!(acme.numbers(&stream_of(&id)).await, [20, 300]);
}

/// A tally whose events include snapshots that the caller saves.
#[derive(Default, Debug, PartialEq)]
struct Summary {
    sum: u64,
    applied: u64,
}

impl Aggregate for Summary {
    type Event = super::ledger::Ledger;
    const CATEGORY: &'static str = Tally::CATEGORY;

    fn apply(&mut self, event: &Self::Event) {
        self.applied += 1;
        match event {
            super::ledger::Ledger::Noted(noted) => self.sum += noted.number,
            super::ledger::Ledger::Summed(summed) => self.sum = summed.sum,
        }
    }
}

pub(super) async fn clause_11_3_behind_a_snapshot_it_was_created_with_its_first_event(subject: Subject) {
    let (store, id) = (subject.store(), tally("1"));
    let stream = stream_of(&id);
    store.append(&stream, notes([1, 2, 3])).await.unwrap();
    let later = Timestamp::now() + SignedDuration::from_hours(1);
    store.save_snapshot(&stream, 3, Summed { sum: 6 }.with_created_at(later)).await.unwrap();
    let summaries = Repository::<Summary>::new(&store);
    let summary = summaries.load(&id).await.unwrap();
    let events = store.load_stream::<Noted>(&stream).full_history().await.unwrap();
    assert_eq!((summary.sum, summary.applied, summary.stored_version()), (6, 1, 3));
    assert_eq!(summary.created_at(), Some(events[0].created_at));
    assert_eq!(summary.updated_at(), Some(events[2].created_at));
    store.append(&stream, noted(4)).expected_version(3).await.unwrap();
    let summary = summaries.load(&id).await.unwrap();
    let last = store.load_stream::<Noted>(&stream).versions(4..).await.unwrap()[0].created_at;
    assert_eq!((summary.created_at(), summary.updated_at()), (Some(events[0].created_at), Some(last)));
}

pub(super) async fn clause_11_2_an_aggregate_can_be_looked_at_as_it_was(subject: Subject) {
    let (store, id) = (subject.store(), tally("1"));
    let (tallies, stream) = (tallies(&store), stream_of(&id));
    let day = |number: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * number);
    let dated = [1, 2, 3].map(|number: u64| noted(number).with_created_at(day(number as i64)));
    store.append(&stream, dated).await.unwrap();
    for (version, sum) in [(0, 0), (1, 1), (2, 3), (3, 6), (9, 6)] {
        let then = tallies.load(&id).at_version(version).await.unwrap();
        assert_eq!((then.sum, then.stored_version()), (sum, version.min(3)));
        let then = tallies.load(&id).at_time(day(version as i64)).await.unwrap();
        assert_eq!((then.sum, then.stored_version()), (sum, version.min(3)));
    }
    // The past does not change.
    let mut past = tallies.load(&id).at_version(2).await.unwrap();
    past.execute(Tally::note(9)).unwrap();
    assert_refused!(tallies.save(&mut past).await, Error::Conflict { expected: 2, actual: 3, .. });
}

pub(super) async fn clause_11_2_a_stream_without_versions_is_no_aggregate(subject: Subject) {
    let (store, id) = (subject.store(), tally("1"));
    store.append(&stream_of(&id), notes([1, 2])).no_versioning().await.unwrap();
    assert_refused!(
        tallies(&store).load(&id).await,
        Error::ExpectedVersionUsedOnVersionlessStream { stream } if stream == stream_of(&id),
    );
}

pub(super) async fn clause_11_2_an_event_of_another_type_is_an_error(subject: Subject) {
    let (store, id) = (subject.store(), tally("1"));
    store.append(&stream_of(&id), RawEvent::new("Other", "{}").unwrap()).await.unwrap();
    assert_refused!(
        tallies(&store).load(&id).await,
        Error::UnknownEvent { name, version: Some(1), .. } if name == "Other",
    );
}
