//! Servers and tables on which the settled position could not be told.

use event_sourcery::{Error, EventStore, StreamId};
use event_sourcery_postgres::PostgresBackend;
use event_sourcery_postgres::sqlx;
use postgres_cluster::{Cluster, Server};

use super::{Reader, append};
use crate::scene::{Scene, event, pool, until};

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

/// The same in a store that is open: before anything is settled above such a position.
#[tokio::test]
async fn a_sequence_that_gets_a_cache_is_told_while_the_store_is_open() {
    let scene = Scene::new().await;
    let first = append(&scene.store).await;
    Reader::of(&scene.store).comes_to_see(&[first]).await;
    let mut early = scene.begin().await;
    scene.run("ALTER SEQUENCE event_sourcery_events_id_seq CACHE 20").await;
    // It has twenty positions, and keeps nineteen of them.
    sqlx::query("SELECT nextval('event_sourcery_events_id_seq')").execute(&mut *early).await.unwrap();
    let last = append(&scene.store).await;
    scene.store.within(&mut early).append(&StreamId::random(), event()).await.unwrap();
    early.commit().await.unwrap();

    let refused = scene.store.position().await.unwrap_err();
    let Error::ForeignLayout { problem, .. } = &refused else { panic!("{refused:?}") };
    assert!(problem.contains("CACHE 20") && problem.contains("NO CYCLE"), "{problem}");
    scene.run("ALTER SEQUENCE event_sourcery_events_id_seq CACHE 1 INCREMENT 1 NO CYCLE").await;
    Reader::of(&scene.store).comes_to_see(&[first, first + 2, last]).await;
}

/// The indexes of texts may not fit any more how the server sorts, as on another system's C library.
#[tokio::test]
async fn a_database_whose_collation_has_changed_is_refused_and_the_remedy_named() {
    let (server, database) = (Server::shared(), Server::shared().create_database());
    let name = format!("{}_sorted", database.name());
    // A collation that has a version: not every build has ICU, and not every version one of its own.
    let has_its_own =
        server.psql("postgres", "SELECT current_setting('server_version_num')::integer >= 170000");
    let collation = match &*has_its_own {
        "t" => "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'",
        _ => "LOCALE_PROVIDER icu ICU_LOCALE 'und'",
    };
    server.psql("postgres", &format!("CREATE DATABASE {name} TEMPLATE template0 LOCALE 'C' {collation}"));
    let url = server.url(&name);
    let open = async || PostgresBackend::connect(&url).await;
    drop(open().await.unwrap());
    let set = |sql: &str| server.psql("postgres", &format!("{sql} WHERE datname = '{name}'"));
    set("UPDATE pg_database SET datcollversion = '1.0'");
    let refused = open().await.unwrap_err();
    let Error::ForeignLayout { problem, .. } = &refused else { panic!("{refused:?}") };
    assert!(problem.contains("version 1.0") && problem.contains("REINDEX"), "{problem}");
    server.psql(&name, &format!("REINDEX DATABASE {name}; ALTER DATABASE {name} REFRESH COLLATION VERSION"));
    drop(open().await.unwrap());
}

/// As services do that offer PostgreSQL on a storage of their own.
#[tokio::test]
async fn a_server_that_does_not_tell_its_timeline_is_refused_when_the_store_is_opened() {
    let scene = Scene::new().await;
    scene
        .run(
            "ALTER FUNCTION pg_catalog.pg_walfile_name(pg_lsn) RENAME TO walfile_name_of_before;
             CREATE FUNCTION pg_catalog.pg_walfile_name(pg_lsn) RETURNS text LANGUAGE plpgsql
             AS 'BEGIN RAISE ''not here'' USING ERRCODE = ''object_not_in_prerequisite_state''; END'",
        )
        .await;
    let refused = PostgresBackend::connect(scene.database.url()).await.unwrap_err();
    let Error::ForeignLayout { problem, .. } = &refused else { panic!("{refused:?}") };
    assert!(problem.contains("timeline") && problem.contains("not here"), "{problem}");
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
