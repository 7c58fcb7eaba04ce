//! Whose call is served next.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use super::*;
use crate::writer::group::{LARGEST_GROUP, LONGEST};

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

/// One that takes longer than others are to wait for.
async fn long_closure(writer: &Arc<Writer>, whose: &str) -> Call {
    let (writer, whose) = (Arc::clone(writer), TenantId::new(whose).unwrap());
    let work = |tx: &mut SqliteTransaction<'_>| {
        tx.connection().execute("INSERT INTO rows VALUES (?1)", [CLOSURE]).unwrap();
        std::thread::sleep(LONGEST);
        Ok::<_, Error>(())
    };
    sent(Box::pin(async move { writer.transaction(whose, work).await })).await
}

/// How many rows were written before that of each closure.
async fn where_closures_ran(writer: &Writer) -> Vec<usize> {
    let written = written(writer).await.into_iter().enumerate();
    written.filter(|(_, number)| *number == CLOSURE).map(|(before, _)| before).collect()
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
async fn closures_are_served_in_turn_as_calls_are() {
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
    assert_eq!(where_closures_ran(&writer).await, [1, 3]);
}

/// Nobody's calls wait in one transaction with a closure that takes long, as long as there is nothing to say that it does not.
#[tokio::test]
async fn after_a_closure_that_took_long_closures_and_groups_take_turns() {
    let folder = TempDir::new().unwrap();
    let writer = start(&folder).await;
    let held = Held::hold(&writer).await;
    let mut calls = vec![long_closure(&writer, "globex").await, long_closure(&writer, "globex").await];
    calls.push(long_closure(&writer, "globex").await);
    for _ in 0..LARGEST_GROUP + 2 {
        calls.push(call(&writer, "acme", 1).await);
    }
    held.release().await;
    all(calls).await;
    // The first one joins the group that a call has begun, and closes it.
    assert_eq!(where_closures_ran(&writer).await, [1, 2, LARGEST_GROUP + 3]);
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
