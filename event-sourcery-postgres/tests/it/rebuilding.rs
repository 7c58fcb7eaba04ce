//! A read model is built anew beside the live one, while writers append and readers read, and takes its place.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use event_sourcery::{Durable, RawEvent, StreamId};
use event_sourcery_postgres::PostgresBackend;
use event_sourcery_postgres::sqlx::{self, AssertSqlSafe};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::scene::{Scene, Store, event, until};

const PATIENCE: Duration = Duration::from_secs(60);

/// Counts the events of each stream into a table of this version.
struct Model {
    version: u8,
    stop: oneshot::Sender<()>,
    running: JoinHandle<event_sourcery::Result<()>>,
}

fn subscription(store: &Store, version: u8) -> Durable<PostgresBackend, RawEvent> {
    store.subscribe::<RawEvent>().durable(format!("counts {version}"))
}

impl Model {
    async fn start(scene: &Scene, version: u8) -> Self {
        scene.run(&format!("CREATE TABLE counts_{version} (stream uuid PRIMARY KEY, events bigint)")).await;
        let (stop, stopped) = oneshot::channel::<()>();
        let count = format!(
            "INSERT INTO counts_{version} AS c VALUES ($1, 1)
             ON CONFLICT (stream) DO UPDATE SET events = c.events + 1"
        );
        let run = subscription(&scene.store, version).until(stopped).run_within(async move |recorded, tx| {
            let count = sqlx::query(AssertSqlSafe(count.clone())).bind(recorded.stream_id.uuid());
            count.execute(tx.connection()).await?;
            Ok(())
        });
        Self { version, stop, running: tokio::spawn(run) }
    }

    async fn stop(self) -> u8 {
        self.stop.send(()).unwrap();
        self.running.await.unwrap().unwrap();
        self.version
    }
}

/// Has everything been counted that is there now?
async fn caught_up(store: &Store, version: u8) {
    until(async || subscription(store, version).status().await.unwrap().is_some()).await;
    let settled = store.position().await.unwrap();
    let waiting = subscription(store, version).wait_for_everything(settled, PATIENCE).await.unwrap();
    assert!(waiting.is_empty());
}

async fn total(scene: &Scene) -> i64 {
    scene.number("SELECT coalesce(sum(events), 0)::bigint FROM counts").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_see_neither_a_missing_nor_a_half_model_and_the_new_one_is_complete() {
    let scene = Arc::new(Scene::new().await);
    let streams: Arc<Vec<_>> = Arc::new((0..20).map(|_| StreamId::random()).collect());
    for stream in streams.iter() {
        scene.store.append(stream, crate::scene::events(20)).no_versioning().await.unwrap();
    }
    let old = Model::start(&scene, 1).await;
    scene.run("CREATE VIEW counts AS SELECT * FROM counts_1").await;
    caught_up(&scene.store, 1).await;

    let done = Arc::new(AtomicBool::new(false));
    let writer = {
        let (scene, streams, done) = (Arc::clone(&scene), Arc::clone(&streams), Arc::clone(&done));
        tokio::spawn(async move {
            for stream in streams.iter().cycle() {
                scene.store.append(stream, event()).no_versioning().await.unwrap();
                if done.load(Ordering::Acquire) {
                    return;
                }
            }
        })
    };
    let reader = {
        let (scene, done) = (Arc::clone(&scene), Arc::clone(&done));
        tokio::spawn(async move {
            let (mut before, mut reads) = (0, 0);
            while !done.load(Ordering::Acquire) {
                let now = total(&scene).await;
                assert!(now >= before && now >= 400, "{now} after {before}");
                (before, reads) = (now, reads + 1);
            }
            reads
        })
    };

    let new = Model::start(&scene, 2).await;
    caught_up(&scene.store, 2).await;
    let old = old.stop().await;
    caught_up(&scene.store, 2).await;
    scene.run("BEGIN; CREATE OR REPLACE VIEW counts AS SELECT * FROM counts_2; COMMIT").await;
    subscription(&scene.store, old).remove().await.unwrap();
    let swapped = total(&scene).await;
    until(async || total(&scene).await > swapped).await;

    done.store(true, Ordering::Release);
    writer.await.unwrap();
    assert!(reader.await.unwrap() > 0);
    caught_up(&scene.store, 2).await;
    new.stop().await;
    scene.run("DROP TABLE counts_1").await;
    let differing = "SELECT count(*) FROM counts c FULL JOIN (
                         SELECT s.uuid, count(*) AS events FROM event_sourcery_events e
                         JOIN event_sourcery_streams s ON s.id = e.db_stream_id GROUP BY s.uuid) f
                     ON f.uuid = c.stream WHERE f.events IS DISTINCT FROM c.events";
    assert_eq!(scene.number(differing).await, 0, "it equals a fresh count");
    assert_eq!(total(&scene).await, scene.events().await);
    assert!(subscription(&scene.store, old).status().await.unwrap().is_none());
}
