//! Calls that share a transaction.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use event_sourcery::{Error, Result};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::roll_back;
use super::waiting::Slot;
use crate::failure::Failure;
use crate::operations::Operations;

/// The most calls that share a transaction: bounds how long the first of them waits for the last.
pub(super) const LARGEST_GROUP: usize = 256;

/// A call that can share a transaction with others.
pub(super) trait Member: Send {
    /// Does the work, again if it was done and taken back. The result is kept until the commit.
    fn run(&mut self, operations: Operations<'_>) -> Worked<'_>;

    /// Answers the caller: with the result if the transaction was committed, else with its failure; with its panic either way.
    fn answer(self: Box<Self>, committed: Result<(), Error>);
}

/// How a member's work ended.
pub(super) enum Worked<'m> {
    Done,
    Refused(&'m Error),
    /// It may have left anything behind, an open savepoint too.
    Panicked,
}

/// A member: its work, once it has begun, its result or its panic, its caller.
pub(super) struct Write<T, W> {
    waiting: Slot<W>,
    work: Option<W>,
    result: thread::Result<Result<T>>,
    reply: oneshot::Sender<thread::Result<Result<T>>>,
}

impl<T, W> Write<T, W> {
    pub(super) fn new(waiting: Slot<W>, reply: oneshot::Sender<thread::Result<Result<T>>>) -> Self {
        Self { waiting, work: None, result: Ok(Err(Error::Closed)), reply }
    }
}

impl<T: Send, W: Fn(Operations<'_>) -> Result<T> + Send> Member for Write<T, W> {
    fn run(&mut self, operations: Operations<'_>) -> Worked<'_> {
        self.work = self.work.take().or_else(|| self.waiting.take());
        // Nobody waits for one that has none.
        let Some(work) = &self.work else { return Worked::Done };
        self.result = catch_unwind(AssertUnwindSafe(|| work(operations)));
        match &self.result {
            Ok(Ok(_)) => Worked::Done,
            Ok(Err(refused)) => Worked::Refused(refused),
            Err(_) => Worked::Panicked,
        }
    }

    fn answer(self: Box<Self>, committed: Result<(), Error>) {
        // The caller may have gone away; what was written counts all the same.
        let _ = self.reply.send(self.result.map(|result| committed.and(result)));
    }
}

/// The calls of one transaction.
///
/// A savepoint for each member costs more than the member itself: SQLite copies every page that the member touches. Most
/// refusals are found before anything is written, so the members run without. Should one be refused after it has
/// written, everything is taken back, and all run again with savepoints. So they do, without it, when a member panics, and
/// when SQLite has rolled back everything at a member's error, as it does when there is no room on the disk for what that
/// one writes: then the group takes nobody else, so that nobody in it runs again for each that fails behind him.
pub(super) struct Group<'c> {
    connection: &'c Connection,
    operations: Operations<'c>,
    members: Vec<Box<dyn Member>>,
    /// Why there is no transaction. Then every member fails.
    failure: Option<Failure>,
    /// Whether a member has ended the transaction.
    was_ended: bool,
}

/// What became of a member.
enum Ran {
    /// It is done, or refused, and the transaction goes on.
    Settled,
    /// It is refused, and something of what it wrote is there still.
    HalfWritten,
    /// It fails alone: SQLite has rolled back everything at its error, as it does when the disk is full.
    Ended(Failure),
    /// It fails alone, by its panic or the error of its listener, whatever the transaction holds by now.
    Alone,
}

impl<'c> Group<'c> {
    /// Begins the transaction with its first member. Where it does not begin, that one fails alone: others may wait for a lock for
    /// some time yet.
    pub(super) fn begin(
        connection: &'c Connection,
        operations: Operations<'c>,
        first: Box<dyn Member>,
    ) -> Option<Self> {
        if let Err(error) = begin(connection) {
            first.answer(Err(operations.failed(error)));
            return None;
        }
        let mut group = Self { connection, operations, members: Vec::new(), failure: None, was_ended: false };
        group.add(first);
        Some(group)
    }

    /// Whether there is room for another member.
    pub(super) fn has_room(&self) -> bool {
        self.members.len() < LARGEST_GROUP && !self.was_ended
    }

    pub(super) fn add(&mut self, mut member: Box<dyn Member>) {
        let ran = match self.failure {
            None => self.run(&mut *member),
            Some(_) => Ran::Settled,
        };
        match ran {
            Ran::Settled => self.members.push(member),
            Ran::HalfWritten => {
                self.members.push(member);
                self.operations.savepoints = true;
                self.start_over();
            }
            Ran::Ended(failure) => {
                member.answer(Err(self.operations.failed(failure)));
                self.was_ended = true;
                self.start_over();
            }
            Ran::Alone => {
                member.answer(Ok(()));
                self.start_over();
            }
        }
    }

    fn run(&self, member: &mut dyn Member) -> Ran {
        let changes = self.connection.total_changes();
        let refused = match member.run(self.operations) {
            Worked::Done => None,
            Worked::Refused(refused) => Some(refused),
            Worked::Panicked => return Ran::Alone,
        };
        let was_ended = self.connection.is_autocommit();
        let is_half_written =
            refused.is_some() && !self.operations.savepoints && self.connection.total_changes() != changes;
        match refused {
            // It would be called again, and nothing tells that it would not fail.
            Some(Error::ListenerFailed { .. }) if was_ended || is_half_written => Ran::Alone,
            refused if was_ended => Ran::Ended(Failure::of_ended(refused)),
            _ if is_half_written => Ran::HalfWritten,
            _ => Ran::Settled,
        }
    }

    /// Takes everything back, and runs every member again.
    fn start_over(&mut self) {
        roll_back(self.connection);
        self.failure = begin(self.connection).err().map(Failure::from);
        for member in std::mem::take(&mut self.members) {
            self.add(member);
        }
    }

    /// Commits, and answers every caller.
    pub(super) fn commit(mut self) {
        if self.failure.is_none() {
            self.failure = commit(self.connection).err().map(Failure::from);
        }
        roll_back(self.connection);
        if self.members.len() > 1 && self.failure.as_ref().is_some_and(Failure::is_full_disk) {
            return self.commit_in_halves();
        }
        for member in self.members {
            let failure = self.failure.clone();
            member.answer(failure.map_or(Ok(()), |failure| Err(self.operations.failed(failure))));
        }
    }

    /// Runs all again in two transactions: what is small is written to the disk at the commit alone, and there may be room for one half.
    fn commit_in_halves(mut self) {
        let (connection, operations) = (self.connection, self.operations);
        let second = self.members.split_off(self.members.len() / 2);
        for half in [self.members, second] {
            let mut members = half.into_iter();
            let begun = members.by_ref().find_map(|first| Self::begin(connection, operations, first));
            let Some(mut group) = begun else { continue };
            for member in members {
                group.add(member);
            }
            group.commit();
        }
    }
}

fn begin(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([]).map(drop)
}

fn commit(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("COMMIT")?.execute([]).map(drop)
}
