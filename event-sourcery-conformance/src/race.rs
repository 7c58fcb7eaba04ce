//! Clause 2.3 under load: many tasks and processes append to one stream with the same expectation.

use event_sourcery::{Error, EventStore, Result, Version};
use futures_util::future::join_all;

use super::ledger::{Ledgers as _, Noted, ledger, noted};
use super::subject::Subject;
use super::worker::{self, Worker};

const TASKS: u64 = 32;
const PROCESSES: u64 = 4;
const ROUNDS: u64 = 30;

/// One writer's attempt in a round: whether it won. Anything but a win or the right conflict is a failure.
async fn attempt(store: EventStore, round: Version, writer: u64) -> bool {
    match store.append(&ledger("1"), noted(writer)).expected_version(round).await {
        Ok(appended) => {
            assert_eq!((appended.first_version, appended.repeated), (Some(round + 1), false));
            true
        }
        refused => {
            assert_lost(refused, round);
            false
        }
    }
}

fn assert_lost(refused: Result<event_sourcery::Appended>, round: Version) {
    assert_refused!(
        refused,
        Error::Conflict { stream, expected, actual }
            if stream == ledger("1") && expected == round && actual == round + 1,
    );
}

/// All tasks of this process attempt at once; which writers won.
async fn attempt_all(handles: &[EventStore], round: Version) -> Vec<u64> {
    let attempts = (0..TASKS).map(|writer| {
        let store = handles[writer as usize % handles.len()].clone();
        tokio::spawn(attempt(store, round, writer))
    });
    let won = join_all(attempts).await.into_iter().map(|joined| joined.unwrap());
    (0..).zip(won).filter_map(|(writer, won)| won.then_some(writer)).collect()
}

/// Asserts that the stream holds the winner of each round, and nothing else.
async fn assert_winners(subject: &Subject, winners: &[u64]) {
    let events = subject.store().load_stream::<Noted>(&ledger("1")).await.unwrap();
    let versions: Vec<_> = events.iter().map(|event| event.version.unwrap()).collect();
    assert_eq!(versions, (1..=ROUNDS).collect::<Vec<_>>());
    assert_eq!(events.iter().map(|event| event.event.number).collect::<Vec<_>>(), winners);
    subject.holds(winners.len()).await;
}

pub(super) async fn clause_2_3_exactly_one_of_n_writers_wins(subject: Subject) {
    let handles = [subject.store(), subject.another_store().await];
    let mut winners = Vec::new();
    for round in 0..ROUNDS {
        let won = attempt_all(&handles, round).await;
        assert_eq!(won.len(), 1, "round {round} was won by {won:?}");
        winners.extend(won);
    }
    assert_winners(&subject, &winners).await;
}

pub(super) async fn clause_2_3_exactly_one_of_n_processes_wins(subject: Subject) {
    if subject.is_another_process() {
        return attempt_as_told(&subject).await;
    }
    let handles = [subject.store(), subject.another_store().await];
    let mut processes: Vec<_> = (0..PROCESSES).map(|_| Worker::start(&subject)).collect();
    for process in &mut processes {
        assert_eq!(process.answer().await, "ready");
    }
    let mut winners = Vec::new();
    for round in 0..ROUNDS {
        for (process, writer) in processes.iter_mut().zip(TASKS..) {
            process.order(&format!("{round} {writer}")).await;
        }
        let mut won = attempt_all(&handles, round).await;
        for (process, writer) in processes.iter_mut().zip(TASKS..) {
            match &*process.answer().await {
                "won" => won.push(writer),
                answer => assert_eq!(answer, "lost"),
            }
        }
        assert_eq!(won.len(), 1, "round {round} was won by {won:?}");
        winners.extend(won);
    }
    for process in processes {
        process.end().await;
    }
    assert_winners(&subject, &winners).await;
}

/// In a worker: attempts the rounds that it is told of.
async fn attempt_as_told(subject: &Subject) {
    worker::answer("ready");
    while let Some(order) = worker::next_order() {
        let (round, writer) = order.split_once(' ').expect("an order is a round and a writer");
        let won = attempt(subject.store(), round.parse().unwrap(), writer.parse().unwrap()).await;
        worker::answer(if won { "won" } else { "lost" });
    }
}

pub(super) async fn clause_2_4_processes_appending_without_versions_all_succeed(subject: Subject) {
    const EACH: u64 = 20;
    if subject.is_another_process() {
        worker::answer("ready");
        while let Some(writer) = worker::next_order() {
            append_each(subject.store(), writer.parse().unwrap(), EACH).await;
            worker::answer("done");
        }
        return;
    }
    let mut processes: Vec<_> = (0..PROCESSES).map(|_| Worker::start(&subject)).collect();
    for process in &mut processes {
        assert_eq!(process.answer().await, "ready");
    }
    for (process, writer) in processes.iter_mut().zip(1..) {
        process.order(&writer.to_string()).await;
    }
    append_each(subject.store(), 0, EACH).await;
    for mut process in processes {
        assert_eq!(process.answer().await, "done");
        process.end().await;
    }
    let store = subject.store();
    let numbers = store.numbers(&ledger("1")).await;
    for writer in 0..=PROCESSES {
        let own: Vec<_> = numbers.iter().copied().filter(|number| number / EACH == writer).collect();
        assert_eq!(own, (writer * EACH..(writer + 1) * EACH).collect::<Vec<_>>());
    }
    assert_eq!(numbers.len() as u64, (PROCESSES + 1) * EACH);
}

/// Appends a writer's numbers, one after the other, to the stream that nobody versions.
async fn append_each(store: EventStore, writer: u64, count: u64) {
    for number in writer * count..(writer + 1) * count {
        store.append(&ledger("1"), noted(number)).no_versioning().await.unwrap();
    }
}
