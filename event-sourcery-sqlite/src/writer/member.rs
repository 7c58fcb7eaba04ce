//! Who shares a transaction: calls of the store, and closures of the caller's.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use event_sourcery::{Error, Result};
use tokio::sync::oneshot;

use super::waiting::Slot;
use crate::operations::Operations;
use crate::transaction::SqliteTransaction;

/// What can share a transaction with others.
pub(super) trait Member: Send {
    /// Whether it can be run once only.
    fn is_closure(&self) -> bool;

    /// Does the work, again if it was done and taken back. The result is kept until the commit.
    fn run(&mut self, operations: Operations<'_>) -> Worked<'_>;

    /// Answers the caller: with the result if the transaction was committed, else with its failure; with its panic either way.
    fn answer(self: Box<Self>, committed: Result<(), Error>);
}

/// How a member's work ended.
pub(super) enum Worked<'m> {
    Done,
    /// By an error, which is this where it is one of ours.
    Refused(Option<&'m Error>),
    /// It may have left anything behind, an open savepoint too.
    Panicked,
}

/// A call: its work, once it has begun, its result or its panic, its caller.
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
    fn is_closure(&self) -> bool {
        false
    }

    fn run(&mut self, operations: Operations<'_>) -> Worked<'_> {
        self.work = self.work.take().or_else(|| self.waiting.take());
        // Nobody waits for one that has none.
        let Some(work) = &self.work else { return Worked::Done };
        self.result = catch_unwind(AssertUnwindSafe(|| work(operations)));
        match &self.result {
            Ok(Ok(_)) => Worked::Done,
            Ok(Err(refused)) => Worked::Refused(Some(refused)),
            Err(_) => Worked::Panicked,
        }
    }

    fn answer(self: Box<Self>, committed: Result<(), Error>) {
        // The caller may have gone away; what was written counts all the same.
        let _ = self.reply.send(self.result.map(|result| committed.and(result)));
    }
}

/// A closure: until it has begun, its work, then its result or its panic; its caller.
pub(super) struct Closure<T, E, W> {
    waiting: Slot<W>,
    result: Option<thread::Result<Result<T, E>>>,
    reply: oneshot::Sender<thread::Result<Result<T, E>>>,
}

impl<T, E, W> Closure<T, E, W> {
    pub(super) fn new(waiting: Slot<W>, reply: oneshot::Sender<thread::Result<Result<T, E>>>) -> Self {
        Self { waiting, result: None, reply }
    }
}

impl<T, E, W> Member for Closure<T, E, W>
where
    T: Send,
    E: From<Error> + Send,
    W: for<'t> FnOnce(&mut SqliteTransaction<'t>) -> Result<T, E> + Send,
{
    fn is_closure(&self) -> bool {
        true
    }

    fn run(&mut self, operations: Operations<'_>) -> Worked<'_> {
        // Nobody waits for one that has none.
        let Some(work) = self.waiting.take() else { return Worked::Done };
        let mut transaction = SqliteTransaction::of(operations);
        let result = catch_unwind(AssertUnwindSafe(|| work(&mut transaction)));
        let worked = match &result {
            Ok(Ok(_)) => Worked::Done,
            Ok(Err(_)) => Worked::Refused(None),
            Err(_) => Worked::Panicked,
        };
        self.result = Some(result);
        worked
    }

    /// What panics in it, such as the drop of an answer that nobody waits for any more, ends nothing else.
    fn answer(self: Box<Self>, committed: Result<(), Error>) {
        let Self { waiting, result, reply } = *self;
        let answering = move || {
            drop(waiting);
            let answer = match (result, committed) {
                (Some(Err(panic)), _) => Err(panic),
                (_, Err(failure)) => Ok(Err(failure.into())),
                (Some(result), Ok(())) => result,
                // It was given up before it had begun.
                (None, Ok(())) => return,
            };
            // The caller may have gone away; the transaction counts all the same.
            let _ = reply.send(answer);
        };
        if catch_unwind(AssertUnwindSafe(answering)).is_err() {
            tracing::error!("a value of a closure on the writer panicked when it was dropped");
        }
    }
}
