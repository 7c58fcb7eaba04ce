//! Calls that share a transaction.

use event_sourcery::{Error, Result};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::roll_back;
use crate::failure::Failure;
use crate::operations::Operations;

/// A call that can share a transaction with others.
pub(super) trait Member: Send {
    /// Does the work. The result is kept until the commit.
    fn run(&mut self, operations: Operations<'_>) -> Option<&Error>;

    /// Answers the caller: with the result if the transaction was committed, else with its failure.
    fn answer(self: Box<Self>, committed: Result<(), Error>);
}

/// A member: its work, its result, its caller.
pub(super) struct Write<T, W> {
    work: Option<W>,
    result: Result<T>,
    reply: oneshot::Sender<Result<T>>,
}

impl<T, W> Write<T, W> {
    pub(super) fn new(work: W, reply: oneshot::Sender<Result<T>>) -> Self {
        Self { work: Some(work), result: Err(Error::Closed), reply }
    }
}

impl<T: Send, W: FnOnce(Operations<'_>) -> Result<T> + Send> Member for Write<T, W> {
    fn run(&mut self, operations: Operations<'_>) -> Option<&Error> {
        if let Some(work) = self.work.take() {
            self.result = work(operations);
        }
        self.result.as_ref().err()
    }

    fn answer(self: Box<Self>, committed: Result<(), Error>) {
        // The caller may have gone away; what was written counts all the same.
        let _ = self.reply.send(committed.and(self.result));
    }
}

/// The calls of one transaction.
pub(super) struct Group<'c> {
    connection: &'c Connection,
    operations: Operations<'c>,
    members: Vec<Box<dyn Member>>,
    /// What ended the transaction before its commit. Then every member fails.
    failure: Option<Failure>,
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
        if self.failure.is_none() {
            let refused = member.run(self.operations);
            // SQLite has rolled back everything itself, as it does when the disk is full.
            if self.connection.is_autocommit() {
                self.failure = Some(Failure::of_group(refused));
            }
        }
        self.members.push(member);
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
