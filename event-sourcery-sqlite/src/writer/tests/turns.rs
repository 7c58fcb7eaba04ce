//! Whose call is served next.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use super::*;
use crate::writer::group::LARGEST_GROUP;

type Call = Pin<Box<dyn Future<Output = Result<()>>>>;

const CLOSURE: i64 = 9;

/// The call waits for the writer, behind those that were sent before.
async fn sent(mut call: Call) -> Call {
    let first = poll_fn(|context| Poll::Ready(call.as_mut().poll(context))).await;
    assert!(first.is_pending());
    call
}

/// A tenant's call, which writes this number.
async fn call(writer: &Arc<Writer>, whose: &str, number: i64) -> Call {
    let (writer, whose) = (Arc::clone(writer), Some(TenantId::new(whose).unwrap()));
    let insert = format!("INSERT INTO rows VALUES ({number})");
    let work = move |operations: Operations<'_>| operations.run(&insert);
    sent(Box::pin(async move { writer.write(whose, work).await })).await
}

async fn closure(writer: &Arc<Writer>, whose: &str) -> Call {
    let (writer, whose) = (Arc::clone(writer), TenantId::new(whose).unwrap());
    let work = |tx: &mut SqliteTransaction<'_>| {
        tx.connection().execute("INSERT INTO rows VALUES (?1)", [CLOSURE]).unwrap();
        Ok::<_, Error>(())
    };
    sent(Box::pin(async move { writer.transaction(whose, work).await })).await
}

/// What was written, in this order.
async fn written(writer: &Writer) -> Vec<i64> {
    let read = |tx: &mut SqliteTransaction<'_>| {
        let mut rows = tx.connection().prepare("SELECT number FROM rows ORDER BY rowid").unwrap();
        let numbers = rows.query_map([], |row| row.get::<_, i64>(0)).unwrap();
        Ok::<_, Error>(numbers.collect::<rusqlite::Result<Vec<i64>>>().unwrap())
    };
    writer.transaction(TenantId::DEFAULT, read).await.unwrap()
}

async fn all(calls: Vec<Call>) {
    for call in calls {
        call.await.unwrap();
    }
}

#[tokio::test]
async fn a_tenants_call_is_served_next_however_many_calls_of_another_wait() {
    let folder = TempDir::new().unwrap();
    let writer = start(&folder).await;
    let held = Held::hold(&writer).await;
    let mut calls = Vec::new();
    for _ in 0..1_000 {
        calls.push(call(&writer, "acme", 1).await);
    }
    for _ in 0..2 {
        calls.push(call(&writer, "globex", 2).await);
    }
    held.release().await;
    all(calls).await;
    let written = written(&writer).await;
    assert_eq!((written.len(), &written[..5]), (1_002, &[1, 2, 1, 2, 1][..]));
}

#[tokio::test]
async fn closures_and_groups_take_turns() {
    let folder = TempDir::new().unwrap();
    let writer = start(&folder).await;
    let held = Held::hold(&writer).await;
    let mut calls = Vec::new();
    for _ in 0..2 {
        calls.push(closure(&writer, "globex").await);
    }
    for _ in 0..LARGEST_GROUP + 1 {
        calls.push(call(&writer, "acme", 1).await);
    }
    held.release().await;
    all(calls).await;
    let written = written(&writer).await;
    let closures: Vec<_> = (0..).zip(written).filter(|(_, number)| *number == CLOSURE).collect();
    assert_eq!(closures, [(LARGEST_GROUP, CLOSURE), (LARGEST_GROUP + 2, CLOSURE)]);
}

#[tokio::test]
async fn within_a_tenant_who_came_first_is_served_first() {
    let folder = TempDir::new().unwrap();
    let writer = start(&folder).await;
    let held = Held::hold(&writer).await;
    let calls = vec![
        call(&writer, "acme", 1).await,
        closure(&writer, "acme").await,
        call(&writer, "acme", 2).await,
        call(&writer, "acme", 1).await,
        closure(&writer, "acme").await,
    ];
    held.release().await;
    all(calls).await;
    assert_eq!(written(&writer).await, [1, CLOSURE, 2, 1, CLOSURE]);
}
