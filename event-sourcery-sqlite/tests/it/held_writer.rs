//! Calls that queue up behind a writer that is held, so that they share the next transaction.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::mpsc;
use std::task::Poll;

use event_sourcery::{Error, EventStore};
use event_sourcery_sqlite::SqliteBackend;
use futures_util::future::join_all;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A writer that runs a closure which waits.
#[derive(Debug)]
pub(crate) struct HeldWriter {
    release: mpsc::Sender<()>,
    closure: JoinHandle<Result<(), Error>>,
}

impl HeldWriter {
    /// Holds the writer of this store; returns when it is held.
    pub(crate) async fn hold(store: &EventStore<SqliteBackend>) -> Self {
        let (release, released) = mpsc::channel();
        let (entered, held) = oneshot::channel();
        let store = store.clone();
        let closure = tokio::spawn(async move {
            store
                .transaction(move |_| {
                    entered.send(()).expect("somebody wants the writer to be held");
                    // Released, or dropped: either way the wait is over.
                    let _ = released.recv();
                    Ok(())
                })
                .await
        });
        held.await.expect("the writer runs the closure");
        Self { release, closure }
    }

    pub(crate) async fn release(self) {
        drop(self.release);
        self.closure.await.expect("the closure ends").expect("it wrote nothing, which cannot fail");
    }
}

/// Makes all calls queue up before the writer takes the first of them.
pub(crate) async fn together<C: Future>(
    store: &EventStore<SqliteBackend>,
    calls: impl IntoIterator<Item = C>,
) -> Vec<C::Output> {
    let writer = HeldWriter::hold(store).await;
    let mut calls = pin!(join_all(calls));
    // The first poll of a call sends it to the writer.
    let first = poll_fn(|context| Poll::Ready(calls.as_mut().poll(context))).await;
    assert!(first.is_pending(), "nothing is answered while the writer is held");
    writer.release().await;
    calls.await
}
