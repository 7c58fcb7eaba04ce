//! What waits while somebody else holds the lock.

use std::time::Duration;

use super::*;

const TIMEOUT: Duration = Duration::from_secs(60);

/// A call that has so long to wait yet.
fn call(writer: &Writer, left: Duration) -> impl Future<Output = Result<()>> {
    let (reply, answer) = oneshot::channel();
    let (waiting, slot) = waiting(insert, writer.waiting.enter(None, 0).unwrap());
    let since = Instant::now().checked_sub(TIMEOUT - left).unwrap();
    let call = Box::new(Write::new(slot, reply));
    writer.jobs.as_ref().unwrap().send(None, since, call).unwrap();
    async move {
        let answer = answer.await.unwrap();
        drop(waiting);
        answer.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

#[tokio::test]
async fn who_has_waited_as_long_as_asked_is_refused_and_nobody_with_him() {
    let folder = TempDir::new().unwrap();
    drop(start(&folder).await);
    let path = folder.path().join("events.db");
    let options = SqliteOptions::new(&path).busy_timeout(TIMEOUT);
    let writer = Writer::start(options, Shared::default()).await.unwrap();
    let lock = Connection::open(&path).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let left = [Duration::from_millis(300), Duration::ZERO, TIMEOUT];
    let [first, second, third] = left.map(|left| call(&writer, left));
    for refused in [first.await, second.await] {
        assert!(matches!(refused, Err(Error::Busy { .. })), "{refused:?}");
    }
    lock.execute_batch("COMMIT").unwrap();
    third.await.unwrap();
    assert_eq!(rows(&writer).await, 1);
}
