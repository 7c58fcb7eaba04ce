//! What is done inside a transaction of the caller's, as plain data, so that each backend runs it by its own means.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use event_sourcery::backend::{
    AppendOutcome, AppendRequest, BackendTransaction, Cursor, CursorId, DeleteRequest, HeldCursor,
    JoinedTransaction, LoadRequest, LoadedStream, ReadRecords, ReadRequest, SnapshotRequest,
    TransactionalBackend,
};
use event_sourcery::{Error, Position, Result, TenantId};
use futures_util::FutureExt as _;

use super::feeding::Feeding;

/// One operation inside a transaction.
#[derive(Debug)]
pub enum Step {
    /// An append.
    Append(AppendRequest),
    /// A load, which sees what the transaction has written.
    Load(LoadRequest),
    /// The same, part by part.
    LoadInParts(LoadRequest),
    /// A read by a query, which sees what the transaction has written.
    Read(ReadRequest),
    /// A deletion.
    Delete(DeleteRequest),
    /// A snapshot.
    SaveSnapshot(SnapshotRequest),
    /// A projector's cursor is held, and asked about a position.
    HoldCursor(CursorId, Position),
    /// A projector's cursor is moved.
    MoveCursor(CursorId, Cursor),
    /// A projector is fed an event.
    Project(Feeding),
}

/// What became of a [`Step`] that was not refused.
#[derive(Debug)]
pub enum Answer {
    /// Of an append.
    Appended(AppendOutcome),
    /// Of a load.
    Loaded(LoadedStream),
    /// Of a read by a query.
    Read(ReadRecords),
    /// Of a cursor that is held.
    Held(HeldCursor),
    /// Of everything else.
    Done,
}

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It is committed.
    Commit,
    /// The caller's code fails, with an error of its own, and the transaction is rolled back.
    Fail,
    /// The caller's code panics; where the caller holds the transaction, it is dropped.
    Panic,
}

/// The caller's own error, which the backend has to hand back as it is.
#[derive(Debug)]
enum CallersError {
    GaveUp,
    OfTheStore(Error),
}

impl From<Error> for CallersError {
    fn from(error: Error) -> Self {
        Self::OfTheStore(error)
    }
}

const PANIC: &str = "the caller's code panics, as the conformance kit told it to";

/// [`Fixture::transaction`](super::Fixture::transaction) for a backend whose transactions are handed to a closure.
///
/// # Errors
///
/// The error of the transaction itself, such as one at its commit.
///
/// # Panics
///
/// When the backend hides the caller's own error or panic, or commits in spite of them.
pub async fn run_steps<B: TransactionalBackend>(
    backend: &B,
    steps: Vec<Step>,
    ending: Ending,
) -> Result<Vec<Result<Answer>>> {
    let answers = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&answers);
    let work = move |transaction: &mut B::Transaction<'_>| {
        for step in steps {
            let answer = run_step(transaction, step);
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(answer);
        }
        match ending {
            Ending::Commit => Ok(()),
            Ending::Fail => Err(CallersError::GaveUp),
            Ending::Panic => panic!("{PANIC}"),
        }
    };
    let ended = AssertUnwindSafe(backend.transaction(&TenantId::DEFAULT, work)).catch_unwind().await;
    match (ending, ended) {
        (_, Ok(Err(CallersError::OfTheStore(error)))) => return Err(error),
        (Ending::Commit, Ok(Ok(()))) | (Ending::Fail, Ok(Err(CallersError::GaveUp))) => {}
        (Ending::Panic, Err(panic)) if panic.downcast_ref::<String>().is_some_and(|text| text == PANIC) => {}
        (_, ended) => panic!("a transaction that was to end with {ending:?} ended with {ended:?}"),
    }
    Ok(std::mem::take(&mut *answers.lock().unwrap_or_else(PoisonError::into_inner)))
}

fn run_step(transaction: &mut impl BackendTransaction, step: Step) -> Result<Answer> {
    match step {
        Step::Append(request) => transaction.append(&request).map(Answer::Appended),
        Step::Load(request) => transaction.load(&request).map(Answer::Loaded),
        Step::LoadInParts(request) => {
            let mut loaded = LoadedStream::default();
            transaction.load_in_parts(&request, &mut loaded).map(|()| Answer::Loaded(loaded))
        }
        Step::Read(request) => transaction.read(&request).map(Answer::Read),
        Step::Delete(request) => transaction.delete(&request).map(|()| Answer::Done),
        Step::SaveSnapshot(request) => transaction.save_snapshot(&request).map(|()| Answer::Done),
        Step::HoldCursor(id, position) => transaction.hold_cursor(&id, position).map(Answer::Held),
        Step::MoveCursor(id, to) => transaction.move_cursor(&id, to).map(|()| Answer::Done),
        Step::Project(feeding) => feeding.run(transaction).map(|()| Answer::Done),
    }
}

/// The steps of [`Fixture::transaction`](super::Fixture::transaction) for a backend whose transactions the caller holds. The
/// fixture begins the transaction, and ends it as told: [`Ending::Panic`] is to drop it.
pub async fn run_joined_steps(
    transaction: &mut dyn JoinedTransaction,
    steps: Vec<Step>,
) -> Vec<Result<Answer>> {
    let mut answers = Vec::with_capacity(steps.len());
    for step in steps {
        answers.push(match step {
            Step::Append(request) => transaction.append(&request).await.map(Answer::Appended),
            Step::Load(request) => transaction.load(&request).await.map(Answer::Loaded),
            Step::LoadInParts(request) => {
                let mut loaded = LoadedStream::default();
                let read = transaction.load_in_parts(&request, &mut loaded).await;
                read.map(|()| Answer::Loaded(loaded))
            }
            Step::Read(request) => transaction.read(&request).await.map(Answer::Read),
            Step::Delete(request) => transaction.delete(&request).await.map(|()| Answer::Done),
            Step::SaveSnapshot(request) => transaction.save_snapshot(&request).await.map(|()| Answer::Done),
            Step::HoldCursor(id, position) => transaction.hold_cursor(&id, position).await.map(Answer::Held),
            Step::MoveCursor(id, to) => transaction.move_cursor(&id, to).await.map(|()| Answer::Done),
            Step::Project(feeding) => feeding.run_joined(transaction).await.map(|()| Answer::Done),
        });
    }
    answers
}
