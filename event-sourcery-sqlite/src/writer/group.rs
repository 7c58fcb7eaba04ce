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
/// written, everything is taken back, and all run again with savepoints. So they do, without it, when a member panics.
pub(super) struct Group<'c> {
    connection: &'c Connection,
    operations: Operations<'c>,
    members: Vec<Box<dyn Member>>,
    /// What ended the transaction before its commit. Then every member fails.
    failure: Option<Failure>,
}

/// What became of a member.
enum Ran {
    /// It is done, or refused, and the transaction goes on.
    Settled,
    /// It is refused, and something of what it wrote is there still.
    HalfWritten,
    /// SQLite has rolled back everything itself, as it does when the disk is full.
    Ended(Failure),
    /// It fails alone, whatever the transaction holds by now.
    Panicked,
}

impl<'c> Group<'c> {
    pub(super) fn begin(connection: &'c Connection, operations: Operations<'c>) -> Self {
        let failure = begin(connection).err().map(Failure::from);
        Self { connection, operations, members: Vec::new(), failure }
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
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
                self.start_over();
            }
            Ran::Ended(failure) => {
                self.members.push(member);
                self.failure = Some(failure);
            }
            Ran::Panicked => {
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
            Worked::Panicked => return Ran::Panicked,
        };
        if self.connection.is_autocommit() {
            return Ran::Ended(Failure::of_group(refused));
        }
        if refused.is_some() && !self.operations.savepoints && self.connection.total_changes() != changes {
            return Ran::HalfWritten;
        }
        Ran::Settled
    }

    /// Takes everything back, and runs every member again, each under a savepoint.
    fn start_over(&mut self) {
        roll_back(self.connection);
        self.operations.savepoints = true;
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
        for member in self.members {
            let failure = self.failure.clone();
            member.answer(failure.map_or(Ok(()), |failure| Err(self.operations.failed(failure))));
        }
    }
}

fn begin(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([]).map(drop)
}

fn commit(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("COMMIT")?.execute([]).map(drop)
}
