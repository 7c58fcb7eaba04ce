mod constraints;
mod leftovers;
mod locked;
mod savepoints;
mod turns;

use std::sync::mpsc;

use tempfile::TempDir;

use super::*;

async fn start(folder: &TempDir) -> Arc<Writer> {
    let options = SqliteOptions::new(folder.path().join("events.db"));
    let writer = Arc::new(Writer::start(options, Shared::default()).await.unwrap());
    writer.write(None, |operations| operations.run("CREATE TABLE rows (number INTEGER)")).await.unwrap();
    writer
}

async fn rows(writer: &Writer) -> i64 {
    let count = |tx: &mut SqliteTransaction<'_>| {
        Ok::<i64, Error>(
            tx.connection().query_row("SELECT count(*) FROM rows", [], |row| row.get(0)).unwrap(),
        )
    };
    writer.transaction(TenantId::DEFAULT, count).await.unwrap()
}

fn insert(operations: Operations<'_>) -> Result<()> {
    operations.run("INSERT INTO rows VALUES (1)")
}

/// A closure that holds the writer.
struct Held {
    release: mpsc::Sender<()>,
    closure: tokio::task::JoinHandle<Result<()>>,
}

impl Held {
    async fn hold(writer: &Arc<Writer>) -> Self {
        let (release, released) = mpsc::channel::<()>();
        let (entered, is_entered) = oneshot::channel();
        let work = move |_: &mut SqliteTransaction<'_>| {
            let _ = entered.send(());
            let _ = released.recv();
            Ok::<_, Error>(())
        };
        let writer = Arc::clone(writer);
        let closure = tokio::spawn(async move { writer.transaction(TenantId::DEFAULT, work).await });
        is_entered.await.unwrap();
        Self { release, closure }
    }

    async fn release(self) {
        drop(self.release);
        self.closure.await.unwrap().unwrap();
    }
}

/// What a call may do: write a row, or write one and panic, within a savepoint of its own or without.
fn work(number: usize) -> impl Fn(Operations<'_>) -> Result<()> + Send + 'static {
    move |operations| {
        if number % 3 == 1 {
            operations.run("SAVEPOINT left_open")?;
        }
        insert(operations)?;
        assert!(number.is_multiple_of(3), "call {number}");
        Ok(())
    }
}

#[tokio::test]
async fn work_that_panics_fails_alone() {
    let folder = TempDir::new().unwrap();
    let writer = start(&folder).await;
    let held = Held::hold(&writer).await;
    let mut calls = Vec::new();
    for number in 0..12 {
        let writer = Arc::clone(&writer);
        calls.push(tokio::spawn(async move { writer.write(None, work(number)).await }));
        // Its first poll sends it.
        tokio::task::yield_now().await;
    }
    held.release().await;
    for (number, call) in calls.into_iter().enumerate() {
        match call.await {
            Ok(written) => {
                written.unwrap();
                assert_eq!(number % 3, 0);
            }
            Err(panicked) => {
                let panic = panicked.into_panic();
                assert_eq!(panic.downcast_ref::<String>(), Some(&format!("call {number}")));
            }
        }
    }
    assert_eq!(rows(&writer).await, 4, "those that did not panic are there, once");
    writer.write(None, insert).await.unwrap();
}

#[tokio::test]
async fn an_answer_that_panics_when_it_is_dropped_ends_nothing() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }

    let folder = TempDir::new().unwrap();
    let writer = start(&folder).await;
    let (entered, is_entered) = oneshot::channel();
    let (release, released) = mpsc::channel::<()>();
    let given_up = {
        let writer = Arc::clone(&writer);
        tokio::spawn(async move {
            let work = move |_: &mut SqliteTransaction<'_>| {
                let _ = entered.send(());
                let _ = released.recv();
                Ok::<_, Error>(Panics)
            };
            writer.transaction(TenantId::DEFAULT, work).await.map(std::mem::forget)
        })
    };
    is_entered.await.unwrap();
    given_up.abort();
    assert!(given_up.await.unwrap_err().is_cancelled());
    drop(release);
    writer.write(None, insert).await.unwrap();
    assert_eq!(rows(&writer).await, 1);
}
