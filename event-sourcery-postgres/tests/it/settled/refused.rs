//! Servers and tables on which the settled position could not be told.

use event_sourcery::{Error, EventStore};
use event_sourcery_postgres::PostgresBackend;
use event_sourcery_postgres::sqlx;
use postgres_cluster::{Cluster, Server};

use super::{Reader, append};
use crate::scene::{Scene, pool, until};

#[tokio::test]
async fn a_standby_is_refused_because_writers_locks_are_invisible_there() {
    let primary = Cluster::start(&[("wal_level", "replica"), ("max_wal_senders", "4")]);
    let scene = Scene::on(primary.create_database()).await;
    append(&scene.store).await;
    let standby = primary.standby();
    let url = standby.url(scene.database.name());
    let events = "SELECT count(*) FROM event_sourcery_events";
    let on_standby = pool(&url);
    until(async || {
        sqlx::query_scalar(events).fetch_one(&on_standby).await.is_ok_and(|events: i64| events == 1)
    })
    .await;

    for migrate in [true, false] {
        let refused = PostgresBackend::options(&url).migrate(migrate).open().await.unwrap_err();
        let Error::ReadOnly { problem } = &refused else { panic!("{refused:?}") };
        assert!(problem.contains("standby") && problem.contains("primary"), "{problem}");
    }
}

/// Each connection keeps twenty positions for itself: the next event may get one that readers have passed.
#[tokio::test]
async fn a_sequence_with_a_cache_is_refused_and_the_remedy_named() {
    for (change, named) in
        [("CACHE 20", "CACHE 20"), ("INCREMENT -1 MINVALUE -1000", "INCREMENT -1"), ("CYCLE", "CYCLE")]
    {
        let scene = Scene::new().await;
        scene.run(&format!("ALTER SEQUENCE event_sourcery_events_id_seq {change}")).await;
        for migrate in [true, false] {
            let options = PostgresBackend::options(scene.database.url()).migrate(migrate);
            let refused = options.open().await.unwrap_err();
            let Error::ForeignLayout { problem, .. } = &refused else { panic!("{refused:?}") };
            assert!(problem.contains(named), "{problem}");
            assert!(problem.contains("ALTER SEQUENCE event_sourcery_events_id_seq"), "{problem}");
        }
    }
}

#[tokio::test]
async fn the_remedy_that_is_named_for_a_sequence_with_a_cache_helps() {
    let scene = Scene::new().await;
    scene.run("ALTER SEQUENCE event_sourcery_events_id_seq CACHE 20").await;
    let refused = PostgresBackend::connect(scene.database.url()).await.unwrap_err().to_string();
    let remedy = refused.find("ALTER SEQUENCE").map(|at| &refused[at..]).unwrap();
    scene.run(remedy).await;
    let store = scene.another_store().await;
    let position = append(&store).await;
    Reader::of(&store).comes_to_see(&[position]).await;
}

#[tokio::test]
async fn events_without_a_sequence_of_their_own_are_refused() {
    let database = Server::shared().create_database();
    let store = EventStore::new(PostgresBackend::connect(database.url()).await.unwrap());
    store.backend().pool().close().await;
    database.psql(
        "ALTER TABLE event_sourcery_events ALTER COLUMN id DROP DEFAULT;
         DROP SEQUENCE event_sourcery_events_id_seq",
    );
    let refused = PostgresBackend::connect(database.url()).await.unwrap_err();
    assert!(
        matches!(&refused, Error::ForeignLayout { problem, .. } if problem.contains("sequence")),
        "{refused:?}"
    );
}
