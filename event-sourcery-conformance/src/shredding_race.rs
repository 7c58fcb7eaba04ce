//! Clause 13.3 between processes: writers, readers and a shredder that know nothing of each other but the store.
//!
//! That an append comes before the shredding, or not at all, is told by their positions: no clock is shared. That it is refused
//! however long a process keeps the key is told by the order in which things are said: a process hears that a subject was shredded once
//! that has returned, and then writes with a key that it has had in memory all the while.

use std::time::Duration;

use event_sourcery::{Error, EventStore, StreamId};

use super::customers::{Customers as _, Registered, customers, encryption, forgotten, registered};
use super::running::eventually;
use super::subject::Subject;
use super::worker::{self, Worker};

const PROCESSES: usize = 3;
const PEOPLE: usize = 5;

/// A handle that keeps no keys: what it reads is so now.
fn reader(subject: &Subject) -> EventStore {
    subject.store().with_encryption(encryption().cache_for(Duration::ZERO)).unwrap()
}

/// What is told of somebody, and the stream that it is told to.
fn about(person: &str) -> (Registered, StreamId) {
    (registered(person, "ann@example.com"), customers(person))
}

pub(super) async fn clause_13_3_processes_that_race_a_shredder_write_before_it_or_not_at_all(
    subject: Subject,
) {
    if subject.is_another_process() {
        return take_part(&subject).await;
    }
    let mut processes: Vec<_> = (0..PROCESSES).map(|_| Worker::start(&subject)).collect();
    for process in &mut processes {
        assert_eq!(process.answer().await, "ready");
    }
    let (shredder, reader) = (subject.private(), reader(&subject));
    for person in 0..PEOPLE {
        let (enough, person) = (PROCESSES + 5 * person, person.to_string());
        let (told, stream) = about(&person);
        for process in &mut processes {
            process.order(&person).await;
        }
        for process in &mut processes {
            assert_eq!(process.answer().await, "has the key");
        }
        let are_written = async || shredder.registrations(&stream).await.len() > enough;
        eventually("some are written", are_written).await;
        let shredded = shredder.shred(&person).await.unwrap();
        let at_once = reader.registrations(&stream).await;
        let mut written = 0;
        for process in &mut processes {
            process.order("shredded").await;
            let answer = process.answer().await;
            let (count, last) = answer.split_once(' ').expect("a count and a position");
            written += count.parse::<usize>().unwrap();
            let last: i64 = last.parse().unwrap();
            assert!(last < shredded.position.to_i64(), "one was accepted behind the shredding of {person}");
            assert_eq!(process.answer().await, "refused");
        }
        assert_eq!((at_once.len(), reader.registrations(&stream).await.len()), (written, written));
        assert!(at_once.iter().all(|one| *one == forgotten(&told)), "{at_once:?}");
    }
    for process in processes {
        process.end().await;
    }
}

/// In a worker: writes and reads of each person that it is told of, until that one is gone.
async fn take_part(subject: &Subject) {
    worker::answer("ready");
    while let Some(person) = worker::next_order() {
        let (told, stream) = about(&person);
        let (writer, another, reader) = (subject.private(), subject.private(), reader(subject));
        let first = another.append(&stream, told.clone()).no_versioning().await.unwrap();
        worker::answer("has the key");
        let ((count, last), ()) = tokio::join!(write(&writer, &stream, &told), read(&reader, &stream, &told));
        worker::answer(&format!("{} {}", count + 1, last.max(first.position.to_i64())));

        assert_eq!(worker::next_order().as_deref(), Some("shredded"));
        let refused = another.append(&stream, told.clone()).no_versioning().await;
        assert_refused!(refused, Error::SubjectShredded { .. });
        assert!(reader.registrations(&stream).await.iter().all(|one| *one == forgotten(&told)));
        worker::answer("refused");
    }
}

/// Appends until it is refused: how many there are, and the position of the last.
async fn write(store: &EventStore, stream: &StreamId, told: &Registered) -> (usize, i64) {
    let (mut count, mut last) = (0, i64::MIN);
    loop {
        match store.append(stream, told.clone()).no_versioning().await {
            Ok(appended) => (count, last) = (count + 1, appended.position.to_i64()),
            Err(Error::SubjectShredded { .. }) => return (count, last),
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// Reads until there is nothing but masks. What was a mask once is one from then on, and so is all that is read behind it.
async fn read(store: &EventStore, stream: &StreamId, told: &Registered) {
    let mut is_gone = false;
    while !is_gone {
        for one in store.registrations(stream).await {
            is_gone |= one != *told;
            assert_eq!(one, if is_gone { forgotten(told) } else { told.clone() });
        }
    }
}
