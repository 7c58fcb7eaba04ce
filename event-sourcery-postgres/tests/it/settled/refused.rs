//! Servers and tables on which the settled position could not be told.

use event_sourcery::{Error, EventStore, Position, RawEvent, Result, StreamId};
use event_sourcery_postgres::PostgresBackend;
use event_sourcery_postgres::sqlx;
use postgres_cluster::{Cluster, Server};

use super::{Reader, append};
use crate::scene::{Scene, Store, event, open, pool, until};

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
        let Error::ReadOnly { problem, .. } = &refused else { panic!("{refused:?}") };
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

/// A database whose collation has a version: not every build has ICU, and not every version one of its own.
fn create_with_a_versioned_collation(server: &Server, name: &str) {
    let has_its_own =
        server.psql("postgres", "SELECT current_setting('server_version_num')::integer >= 170000");
    let collation = match &*has_its_own {
        "t" => "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'",
        _ => "LOCALE_PROVIDER icu ICU_LOCALE 'und'",
    };
    server.psql("postgres", &format!("CREATE DATABASE {name} TEMPLATE template0 LOCALE 'C' {collation}"));
}

fn build_with_another_collation(server: &Server, name: &str) {
    let built = format!("UPDATE pg_database SET datcollversion = '1.0' WHERE datname = '{name}'");
    server.psql("postgres", &built);
}

fn names_the_collation(refused: &Error) {
    let Error::ForeignLayout { problem, .. } = refused else { panic!("{refused:?}") };
    assert!(problem.contains("version 1.0") && problem.contains("REINDEX"), "{problem}");
}

fn reindex(server: &Server, name: &str) {
    server.psql(name, &format!("REINDEX DATABASE {name}; ALTER DATABASE {name} REFRESH COLLATION VERSION"));
}

/// The indexes of texts may not fit any more how the server sorts, as on another system's C library.
#[tokio::test]
async fn a_database_whose_collation_has_changed_is_refused_and_the_remedy_named() {
    let (server, database) = (Server::shared(), Server::shared().create_database());
    let name = format!("{}_sorted", database.name());
    create_with_a_versioned_collation(&server, &name);
    let url = server.url(&name);
    let open = async || PostgresBackend::connect(&url).await;
    drop(open().await.unwrap());
    build_with_another_collation(&server, &name);
    names_the_collation(&open().await.unwrap_err());
    reindex(&server, &name);
    drop(open().await.unwrap());
}

/// As where the files were moved to a system whose C library tells no version, or back.
#[tokio::test]
async fn a_database_whose_collation_has_no_version_any_more_is_refused_and_the_remedy_named() {
    let (server, database) = (Server::shared(), Server::shared().create_database());
    let name = format!("{}_unversioned", database.name());
    create_with_a_versioned_collation(&server, &name);
    server
        .psql("postgres", &format!("UPDATE pg_database SET datcollversion = NULL WHERE datname = '{name}'"));
    let refused = PostgresBackend::connect(&server.url(&name)).await.unwrap_err();
    let Error::ForeignLayout { problem, .. } = &refused else { panic!("{refused:?}") };
    let (said, remedy) = problem.split_once("as a superuser ").unwrap();
    assert!(said.contains("version unknown") && said.contains("REINDEX"), "{problem}");
    server.psql(&name, remedy);
    drop(PostgresBackend::connect(&server.url(&name)).await.unwrap());
}

/// The first answer that is not about connections of before.
async fn look(store: &Store) -> Result<Position> {
    let mut looked = None;
    until(async || {
        looked = Some(store.position().await);
        !matches!(looked, Some(Err(Error::Unavailable { .. })))
    })
    .await;
    looked.unwrap()
}

/// What a store is refused for when it is opened, another run of the server is refused for under one that is open.
#[tokio::test]
async fn an_open_store_is_refused_when_its_server_comes_back_with_another_collation_or_other_tables() {
    let mut cluster = Cluster::start(&[]);
    create_with_a_versioned_collation(cluster.server(), "sorted");
    let store = open(&cluster.url("sorted")).await;
    let first = append(&store).await;
    Reader::of(&store).comes_to_see(&[first]).await;
    build_with_another_collation(cluster.server(), "sorted");
    Reader::of(&store).comes_to_see(&[first]).await;

    cluster.stop_fast();
    cluster.start_again();
    names_the_collation(&look(&store).await.unwrap_err());
    let mut all = store.read_all::<RawEvent>().stream();
    names_the_collation(&all.try_next().await.unwrap_err());
    reindex(cluster.server(), "sorted");
    Reader::of(&store).comes_to_see(&[first]).await;

    cluster.psql("sorted", "CREATE TABLE child () INHERITS (event_sourcery_events)");
    cluster.kill();
    cluster.start_again();
    let refused = look(&store).await.unwrap_err();
    assert!(
        matches!(&refused, Error::ForeignLayout { problem, .. } if problem.contains("child")),
        "{refused:?}"
    );
    cluster.psql("sorted", "DROP TABLE child");
    Reader::of(&store).comes_to_see(&[first]).await;
}

/// It was opened in one run of the server, and looks for the first time in the next.
#[tokio::test]
async fn a_store_that_has_not_looked_yet_is_refused_too() {
    let mut cluster = Cluster::start(&[]);
    let scene = Scene::on(cluster.create_database()).await;
    append(&scene.store).await;
    assert_eq!(look(&scene.store).await.unwrap().to_i64(), 1);
    let opened = scene.another_store().await;
    scene.run("CREATE TABLE child () INHERITS (event_sourcery_events)").await;
    cluster.stop_fast();
    cluster.start_again();
    let refused = look(&opened).await.unwrap_err();
    assert!(
        matches!(&refused, Error::ForeignLayout { problem, .. } if problem.contains("child")),
        "{refused:?}"
    );
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
