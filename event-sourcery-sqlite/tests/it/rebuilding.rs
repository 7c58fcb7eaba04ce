//! A read model is built anew beside the live one, while writers append and readers read, and takes its place.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use event_sourcery::{Durable, Error, EventStore, Projected, Projector, RawEvent, StreamId};
use event_sourcery_sqlite::SqliteBackend;
use event_sourcery_sqlite::rusqlite::Connection;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const PATIENCE: Duration = Duration::from_secs(60);

type Store = EventStore<SqliteBackend>;
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn event() -> RawEvent {
    RawEvent::new("Happened", "{}").unwrap()
}

fn subscription(store: &Store, version: u8) -> Durable<SqliteBackend, RawEvent> {
    store.subscribe::<RawEvent>().durable(format!("counts {version}"))
}

async fn run(store: &Store, sql: String) {
    store.transaction::<_, Failure, _>(move |tx| Ok(tx.connection().execute_batch(&sql)?)).await.unwrap();
}

/// Counts the events of each stream into a table of this version.
struct Model {
    stop: oneshot::Sender<()>,
    running: JoinHandle<event_sourcery::Result<()>>,
}

impl Model {
    async fn start(store: &Store, version: u8) -> Self {
        run(store, format!("CREATE TABLE counts_{version} (stream TEXT PRIMARY KEY, events INTEGER)")).await;
        let (stop, stopped) = oneshot::channel::<()>();
        let projector = Projector::new(format!("counts {version}")).unwrap();
        let forget = format!("DELETE FROM counts_{version} WHERE stream = ?1");
        let count = format!(
            "INSERT INTO counts_{version} VALUES (?1, 1) ON CONFLICT (stream) DO UPDATE SET events = events + 1"
        );
        let run = subscription(store, version).until(stopped).run_in_transaction(move |recorded, tx| {
            let mut projection = projector.project(recorded);
            while let Some(projected) = projection.next(tx)? {
                let (sql, stream) = match projected {
                    Projected::Anew { stream_id, .. } => (&forget, stream_id),
                    Projected::Event(event) => (&count, event.stream_id),
                };
                tx.connection().prepare_cached(sql)?.execute([stream.uuid().to_string()])?;
            }
            Ok(())
        });
        let running = tokio::spawn(run);
        while subscription(store, version).status().await.unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Self { stop, running }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.running.await.unwrap().unwrap();
    }
}

/// Waits until everything is counted that is there now.
async fn caught_up(store: &Store, version: u8) {
    let settled = store.position().await.unwrap();
    let waiting = subscription(store, version).wait_for_everything(settled, PATIENCE).await.unwrap();
    assert!(waiting.is_empty());
}

/// A reader's connection, as another program has it.
fn reader(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(PATIENCE).unwrap();
    connection
}

fn total(connection: &Connection) -> i64 {
    connection.query_row("SELECT coalesce(sum(events), 0) FROM counts", [], |row| row.get(0)).unwrap()
}

/// Reads until it is told to stop; the model neither misses nor shrinks. Tells when it has begun.
fn watch(path: PathBuf, done: Arc<AtomicBool>) -> (JoinHandle<()>, oneshot::Receiver<()>) {
    let (begins, begun) = oneshot::channel();
    let watching = tokio::task::spawn_blocking(move || {
        let (connection, mut before, mut begins) = (reader(&path), 0, Some(begins));
        while !done.load(Ordering::Acquire) {
            let now = total(&connection);
            assert!(now >= before && now >= 400, "{now} after {before}");
            before = now;
            if let Some(begins) = begins.take() {
                begins.send(()).expect("somebody waits for it");
            }
        }
    });
    (watching, begun)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_see_neither_a_missing_nor_a_half_model_and_the_new_one_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let store = EventStore::new(SqliteBackend::open(&path).await.unwrap());
    let streams: Vec<_> = (0..20).map(|_| StreamId::random()).collect();
    for stream in &streams {
        store.append(stream, (0..20).map(|_| event()).collect::<Vec<_>>()).await.unwrap();
    }
    let old = Model::start(&store, 1).await;
    run(&store, "CREATE VIEW counts AS SELECT * FROM counts_1".to_owned()).await;
    caught_up(&store, 1).await;

    let done = Arc::new(AtomicBool::new(false));
    let (appending, stopped) = (store.clone(), Arc::clone(&done));
    let writer = tokio::spawn(async move {
        for stream in streams.iter().cycle() {
            let version = appending.version(stream).await?;
            appending.append(stream, event()).expected_version(version).await?;
            if stopped.load(Ordering::Acquire) {
                break;
            }
        }
        Ok::<(), Error>(())
    });
    let (watching, begun) = watch(path.clone(), Arc::clone(&done));
    begun.await.expect("it has read the old one");

    let new = Model::start(&store, 2).await;
    caught_up(&store, 2).await;
    old.stop().await;
    caught_up(&store, 2).await;
    run(&store, "DROP VIEW counts; CREATE VIEW counts AS SELECT * FROM counts_2".to_owned()).await;
    subscription(&store, 1).remove().await.unwrap();
    let connection = reader(&path);
    let swapped = total(&connection);
    while total(&connection) <= swapped {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    done.store(true, Ordering::Release);
    writer.await.unwrap().unwrap();
    watching.await.unwrap();
    caught_up(&store, 2).await;
    new.stop().await;
    run(&store, "DROP TABLE counts_1".to_owned()).await;
    let differing = "SELECT count(*) FROM event_sourcery_streams s
                     LEFT JOIN counts c ON lower(replace(c.stream, '-', '')) = s.uuid
                     WHERE c.events IS NOT (SELECT count(*) FROM event_sourcery_events e WHERE e.db_stream_id = s.id)";
    let differing: i64 = connection.query_row(differing, [], |row| row.get(0)).unwrap();
    assert_eq!(differing, 0, "it equals a fresh count");
    assert!(subscription(&store, 1).status().await.unwrap().is_none());
}
