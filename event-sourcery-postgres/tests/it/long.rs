//! Long streams are handed over part by part.

use std::time::{Duration, Instant};

use event_sourcery::backend::{Backend as _, LoadRequest, LoadSink, LoadedStream, Span};
use event_sourcery::{EventStore, RawEvent, Result, StreamId, TenantId};
use event_sourcery_postgres::PostgresBackend;

use crate::scene::{Scene, events};

#[derive(Default)]
struct Parts {
    versions: Vec<Option<u64>>,
    parts: usize,
    restarts: usize,
}

impl LoadSink for Parts {
    fn take(&mut self, part: LoadedStream) -> Result<()> {
        self.parts += 1;
        self.versions.extend(part.events.iter().map(|event| event.version));
        Ok(())
    }

    fn restart(&mut self) {
        self.restarts += usize::from(self.parts > 0);
        (self.versions, self.parts) = (Vec::new(), 0);
    }
}

/// Where an old row stands behind newer ones, and is not found by an index, the rows come in another order than their versions'.
#[tokio::test]
async fn a_long_stream_is_handed_over_in_parts_if_its_rows_come_in_order_and_whole_if_they_do_not() {
    let (scene, stream) = (Scene::new().await, StreamId::random());
    scene.store.append(&stream, events(5_000)).await.unwrap();
    let load = async |store: &crate::scene::Store| {
        let mut parts = Parts::default();
        let request = LoadRequest::new(TenantId::DEFAULT, stream.clone(), Span::Full);
        store.backend().load_in_parts(request, &mut parts).await.unwrap();
        assert_eq!(parts.versions, (1..=5_000).map(Some).collect::<Vec<_>>());
        parts
    };
    let in_order = load(&scene.store).await;
    assert!(in_order.parts >= 5 && in_order.restarts == 0, "{} parts", in_order.parts);

    scene.run("UPDATE event_sourcery_events SET name = name || '' WHERE version = 7").await;
    let name = scene.database.name();
    for method in ["indexscan", "bitmapscan"] {
        scene.run(&format!("ALTER DATABASE {name} SET enable_{method} = off")).await;
    }
    let in_disorder = load(&scene.another_store().await).await;
    assert_eq!((in_disorder.parts, in_disorder.restarts), (1, 1));
}

/// More of them at once than there are connections: half of these are theirs, and the others go by. They are decoded on a runtime of
/// their own, whose threads are busy with that.
#[tokio::test]
async fn loads_of_long_streams_leave_connections_to_others_and_each_is_whole() {
    const LONG: usize = 60_000;
    let (scene, long, short) = (Scene::new().await, StreamId::random(), StreamId::random());
    let options = PostgresBackend::options(scene.database.url()).max_connections(4);
    let options = options.acquire_timeout(Duration::from_secs(120));
    let store = EventStore::new(options.open().await.unwrap());
    for version in (0..LONG).step_by(5_000) {
        store.append(&long, events(5_000)).expected_version(version as u64).await.unwrap();
    }
    store.append(&short, events(3)).await.unwrap();
    let elsewhere = tokio::runtime::Runtime::new().unwrap();
    let loads: Vec<_> = (0..12)
        .map(|_| {
            let (store, long) = (store.clone(), long.clone());
            elsewhere.spawn(async move { store.load_stream::<RawEvent>(&long).await })
        })
        .collect();
    let (began_all, mut longest) = (Instant::now(), Duration::ZERO);
    while !loads.iter().all(|load| load.is_finished()) {
        let began = Instant::now();
        assert_eq!(store.load_stream::<RawEvent>(&short).await.unwrap().len(), 3);
        longest = longest.max(began.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = began_all.elapsed();
    for load in loads {
        let events = load.await.unwrap().unwrap();
        assert!(events.iter().map(|event| event.version).eq((1..=LONG as u64).map(Some)));
    }
    elsewhere.shutdown_background();
    assert!(longest < took / 3, "a short load took {longest:?}, all long ones {took:?}");
}
