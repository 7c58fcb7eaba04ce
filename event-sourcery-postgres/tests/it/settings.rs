//! What a role, a database or a pool sets changes nothing for the store's own statements.

use std::time::Duration;

use event_sourcery::{Error, EventStore, Position, RawEvent, StreamId};
use event_sourcery_postgres::sqlx::postgres::PgPoolOptions;
use event_sourcery_postgres::{PostgresBackend, PostgresOptions, sqlx};
use postgres_cluster::Cluster;
use tokio::sync::oneshot;

use crate::scene::{Scene, Store, event, events, length, open, until};

/// Writes down what the session of each append was set to.
const WITNESS: &str = "
    CREATE TABLE witness (
        isolation text, durability text, row_security text, strings text, statements text, locks text, application text);
    GRANT INSERT ON witness TO public;
    CREATE FUNCTION bear_witness() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO witness SELECT current_setting('transaction_isolation'), current_setting('synchronous_commit'),
            current_setting('row_security'), current_setting('standard_conforming_strings'),
            current_setting('statement_timeout'), current_setting('lock_timeout'), current_setting('application_name');
        RETURN NEW;
    END $$;
    CREATE TRIGGER witness AFTER INSERT ON event_sourcery_events FOR EACH ROW EXECUTE FUNCTION bear_witness()";

/// As bad as can be.
const HOSTILE: [(&str, &str); 14] = [
    ("default_transaction_isolation", "serializable"),
    ("synchronous_commit", "off"),
    ("statement_timeout", "20ms"),
    ("lock_timeout", "1ms"),
    ("idle_in_transaction_session_timeout", "1ms"),
    ("standard_conforming_strings", "off"),
    ("idle_session_timeout", "500ms"),
    // With which no trigger of the user's would run.
    ("session_replication_role", "replica"),
    ("quote_all_identifiers", "on"),
    ("plan_cache_mode", "force_generic_plan"),
    ("bytea_output", "escape"),
    ("IntervalStyle", "sql_standard"),
    ("array_nulls", "off"),
    ("transform_null_equals", "on"),
];

/// A role with settings, which goes with the value's end.
struct Role<'s> {
    scene: &'s Scene,
    name: String,
}

impl<'s> Role<'s> {
    async fn with(scene: &'s Scene, settings: &[(&str, &str)]) -> Self {
        let name = format!("role_{}", scene.database.name());
        scene.run(&format!("DROP ROLE IF EXISTS {name}; CREATE ROLE {name} LOGIN SUPERUSER")).await;
        for (setting, value) in settings {
            scene.run(&format!("ALTER ROLE {name} SET {setting} = '{value}'")).await;
        }
        Self { scene, name }
    }

    fn options(&self) -> PostgresOptions {
        PostgresBackend::options(self.url())
    }

    fn url(&self) -> String {
        self.scene.database.url().replace("//postgres@", &format!("//{}@", self.name))
    }

    async fn go(self) {
        self.scene.run(&format!("DROP OWNED BY {0}; DROP ROLE {0}", self.name)).await;
    }
}

async fn witnessed(scene: &Scene) -> Vec<String> {
    let seen = "SELECT DISTINCT concat_ws(' ', isolation, durability, row_security, strings, statements, locks) FROM witness";
    sqlx::query_scalar(seen).fetch_all(&scene.pool).await.unwrap()
}

async fn does_everything(store: &Store) {
    for _ in 0..10 {
        let (one, other) = (StreamId::random(), StreamId::random());
        store.append(&one, events(3)).await.unwrap();
        store.append(&one, event()).expected_version(3).and(&other, event()).await.unwrap();
        let refused = store.append(&one, event()).await.unwrap_err();
        assert!(matches!(refused, Error::Conflict { .. }), "{refused:?}");
        assert_eq!(length(store, &one).await, 4);
        assert_eq!(store.load_stream::<RawEvent>(&one).versions(2..).await.unwrap().len(), 3);
        store.save_snapshot(&one, 4, event()).await.unwrap();
        assert!(store.position().await.unwrap() > Position::START);
        store.delete_stream(&one).await.unwrap();
    }
    let durable = || store.subscribe::<RawEvent>().durable("all");
    let (stop, stopped) = oneshot::channel::<()>();
    let run = tokio::spawn(durable().until(stopped).run(async |_, _| Ok(())));
    until(async || durable().status().await.unwrap().is_some_and(|status| status.events_behind == 0)).await;
    drop(stop);
    run.await.unwrap().unwrap();
}

#[tokio::test]
async fn under_the_worst_settings_of_a_role_every_call_works_and_is_durable() {
    let scene = Scene::new().await;
    scene.run(WITNESS).await;
    let role = Role::with(&scene, &HOSTILE).await;
    does_everything(&EventStore::new(role.options().open().await.unwrap())).await;
    let pool = PgPoolOptions::new().connect_lazy(&role.url()).unwrap();
    does_everything(&EventStore::new(PostgresBackend::from_pool(pool).await.unwrap())).await;
    assert_eq!(witnessed(&scene).await, ["read committed on off on 0 50ms"]);
    role.go().await;
}

/// Functions and operators as the server has them, each of which fails when it is called.
const IMPOSTORS: &str = "
    CREATE SCHEMA impostors;
    DO $$ DECLARE own record; BEGIN
        FOR own IN SELECT proname, pg_get_function_identity_arguments(oid) AS takes, pg_get_function_result(oid) AS gives
                   FROM pg_proc
                   WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f' AND proargmodes IS NULL
                     AND proname IN ('now', 'clock_timestamp', 'pg_backend_pid', 'pg_is_in_recovery', 'pg_postmaster_start_time',
                                     'set_config', 'current_setting', 'to_regclass', 'pg_walfile_name', 'hashtextextended',
                                     'pg_advisory_xact_lock', 'pg_get_serial_sequence', 'current_schemas', 'quote_ident',
                                     'texteq', 'textne', 'int8eq', 'int8gt', 'int8lt', 'nameeq', 'namene', 'uuid_eq')
        LOOP
            EXECUTE format('CREATE FUNCTION impostors.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', own.proname, own.takes, own.gives,
                           'BEGIN RAISE EXCEPTION ''an impostor was called''; END');
        END LOOP;
        FOR own IN SELECT oprname, format_type(oprleft, NULL) AS one, format_type(oprright, NULL) AS other, p.proname
                   FROM pg_operator o JOIN pg_proc p ON p.oid = o.oprcode
                   WHERE p.proname IN ('texteq', 'textne', 'int8eq', 'int8gt', 'int8lt', 'nameeq', 'namene', 'uuid_eq')
        LOOP
            EXECUTE format('CREATE OPERATOR impostors.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = impostors.%I)',
                           own.oprname, own.one, own.other, own.proname);
        END LOOP;
    END $$";

/// Only what is in front of the server's own is put behind it: a trigger of the user's finds his table by the path as before.
#[tokio::test]
async fn functions_and_operators_of_the_users_in_front_of_the_servers_are_not_called() {
    let scene = Scene::new().await;
    let role = Role::with(&scene, &[]).await;
    scene.run(IMPOSTORS).await;
    scene
        .run(
            "CREATE SCHEMA aside; CREATE TABLE aside.told (position bigint);
             CREATE FUNCTION aside.tell() RETURNS trigger LANGUAGE plpgsql AS
                 'BEGIN INSERT INTO told VALUES (NEW.id); RETURN NULL; END';
             CREATE TRIGGER tell AFTER INSERT ON event_sourcery_events FOR EACH ROW EXECUTE FUNCTION aside.tell()",
        )
        .await;
    let path = format!("ALTER ROLE {} SET search_path = impostors, aside, pg_catalog, public", role.name);
    scene.run(&path).await;
    let store = EventStore::new(role.options().schema("public").open().await.unwrap());
    does_everything(&store).await;
    assert_eq!(scene.number("SELECT count(*) FROM aside.told").await, 50);
    drop(store);
    role.go().await;
}

/// It is in nobody's way where no path leads to it.
#[tokio::test]
async fn an_operator_of_the_users_that_fits_names_better_than_the_servers_own_is_refused() {
    let scene = Scene::new().await;
    let role = Role::with(&scene, &[]).await;
    scene
        .run(
            "CREATE SCHEMA loose;
             CREATE FUNCTION loose.alike(varchar, varchar) RETURNS boolean LANGUAGE sql AS 'SELECT lower($1::text) = lower($2::text)';
             CREATE OPERATOR loose.= (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = loose.alike)",
        )
        .await;
    role.options().open().await.unwrap();
    scene.run(&format!("ALTER ROLE {} SET search_path = public, loose", role.name)).await;
    let refused = role.options().open().await.unwrap_err();
    let Error::ForeignLayout { problem, .. } = &refused else { panic!("{refused:?}") };
    assert!(problem.contains("loose.= (character varying, character varying)"), "{problem}");
    assert!(problem.contains("search_path"), "{problem}");
    role.go().await;
}

#[tokio::test]
async fn what_a_role_s_limit_ends_before_it_is_set_aside_is_tried_again() {
    let scene = Scene::new().await;
    let role = Role::with(&scene, &HOSTILE).await;
    // Nobody can look a function up.
    let mut busy = scene.pool.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE pg_catalog.pg_proc").execute(&mut *busy).await.unwrap();
    let opening = tokio::spawn(role.options().open());
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!opening.is_finished());
    busy.rollback().await.unwrap();
    let store = EventStore::new(opening.await.unwrap().unwrap());
    store.append(&StreamId::random(), event()).await.unwrap();
    role.go().await;
}

#[tokio::test]
async fn a_weaker_commit_is_raised_unless_it_was_asked_for_and_a_stronger_one_is_left_alone() {
    for (set, accepted, expected) in [
        ("off", false, "on"),
        ("off", true, "off"),
        ("local", false, "local"),
        ("remote_write", false, "remote_write"),
        ("remote_apply", false, "remote_apply"),
    ] {
        let scene = Scene::new().await;
        scene.run(WITNESS).await;
        let role = Role::with(&scene, &[("synchronous_commit", set)]).await;
        let store = EventStore::new(role.options().accept_lost_commits(accepted).open().await.unwrap());
        store.append(&StreamId::random(), event()).await.unwrap();
        assert_eq!(witnessed(&scene).await, [format!("read committed {expected} off on 0 50ms")]);
        role.go().await;
    }
}

/// What the server is set to while connections are open would otherwise count from their next statement on.
#[tokio::test]
async fn a_reload_of_the_server_weakens_no_commit_of_an_open_store() {
    const LOST: &str = "SELECT count(*) FROM witness WHERE durability = 'off'";
    let cluster = Cluster::start(&[]);
    let scene = Scene::on(cluster.create_database()).await;
    scene.run(WITNESS).await;
    scene.store.append(&StreamId::random(), event()).await.unwrap();
    let options = PostgresBackend::options(scene.database.url()).accept_lost_commits(true);
    let accepting = EventStore::new(options.open().await.unwrap());
    accepting.append(&StreamId::random(), event()).await.unwrap();
    assert_eq!(scene.number(LOST).await, 0);

    cluster.psql("postgres", "ALTER SYSTEM SET synchronous_commit = off");
    cluster.psql("postgres", "SELECT pg_reload_conf()");
    until(async || {
        accepting.append(&StreamId::random(), event()).await.unwrap();
        scene.number(LOST).await > 0
    })
    .await;
    scene.run("TRUNCATE witness").await;
    for _ in 0..20 {
        scene.store.append(&StreamId::random(), event()).await.unwrap();
    }
    assert_eq!(scene.number(LOST).await, 0);
}

#[tokio::test]
async fn what_the_callers_pool_does_with_a_new_connection_is_done_with_ours() {
    let scene = Scene::new().await;
    scene.run(WITNESS).await;
    let pool = PgPoolOptions::new().after_connect(|connection, _| {
        Box::pin(async move {
            let set = "SET application_name = 'hooked'; SET statement_timeout = 900";
            sqlx::Executor::execute(connection, sqlx::raw_sql(set)).await.map(drop)
        })
    });
    let pool = pool.connect_lazy(&scene.database.url()).unwrap();
    let store = EventStore::new(PostgresBackend::from_pool(pool).await.unwrap());
    store.append(&StreamId::random(), event()).await.unwrap();
    assert_eq!(scene.database.psql("SELECT application, statements FROM witness"), "hooked|0");
}

/// sqlx asks for it when it connects, and sends and reads nothing else.
#[tokio::test]
async fn what_is_written_and_read_is_utf_8_whatever_the_callers_pool_has_asked_for() {
    let scene = Scene::new().await;
    let pool = PgPoolOptions::new().after_connect(|connection, _| {
        let set = sqlx::raw_sql("SET client_encoding = 'LATIN1'");
        Box::pin(async move { sqlx::Executor::execute(connection, set).await.map(drop) })
    });
    let pool = pool.connect_lazy(&scene.database.url()).unwrap();
    let store = EventStore::new(PostgresBackend::from_pool(pool).await.unwrap());
    let (stream, opened) = (StreamId::random(), RawEvent::new("Geöffnet", r#"{"by":"Zoë"}"#).unwrap());
    store.append(&stream, opened).await.unwrap();
    for store in [&store, &scene.store] {
        let events = store.load_stream::<RawEvent>(&stream).await.unwrap();
        let (name, data) = (events[0].event.name(), events[0].event.data().get());
        assert_eq!((name, data.contains("Zoë")), ("Geöffnet", true), "{data}");
    }
}

/// A policy would hide events: a stream would read as empty, and begin anew.
#[tokio::test]
async fn row_level_security_is_an_error_and_hides_nothing() {
    let scene = Scene::new().await;
    let stream = StreamId::random();
    scene.store.append(&stream, event()).await.unwrap();
    let reader = format!("reader_{}", scene.database.name());
    scene
        .run(&format!(
            "CREATE ROLE {reader} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader};
             ALTER TABLE event_sourcery_events ENABLE ROW LEVEL SECURITY;
             CREATE POLICY none ON event_sourcery_events USING (false)"
        ))
        .await;
    let url = scene.database.url().replace("//postgres@", &format!("//{reader}@"));
    match PostgresBackend::connect(url).await {
        Err(refused) => assert!(!refused.is_retryable(), "{refused:?}"),
        Ok(backend) => {
            let refused = EventStore::new(backend).load_stream::<RawEvent>(&stream).await.unwrap_err();
            assert!(!refused.is_retryable() && refused.to_string().contains("row-level"), "{refused:?}");
        }
    }
    scene.run(&format!("DROP OWNED BY {reader}; DROP ROLE {reader}")).await;
}

/// How many events are read in each way while the table is rewritten, which all of them have to wait for.
pub(crate) async fn read_beside_a_rewrite(
    scene: &Scene,
    store: &Store,
    stream: &StreamId,
    column: &str,
) -> [usize; 4] {
    let mut rewriting = scene.begin().await;
    let alter =
        format!("ALTER TABLE event_sourcery_events ADD COLUMN {column} double precision DEFAULT random()");
    sqlx::raw_sql(sqlx::AssertSqlSafe(alter)).execute(&mut *rewriting).await.unwrap();
    let across_streams = async {
        let mut all = store.read_all::<RawEvent>().stream();
        let mut read = 0;
        while all.try_next().await.unwrap().is_some() {
            read += 1;
        }
        read
    };
    let in_pages = async {
        let mut events = store.load_stream::<RawEvent>(stream).stream();
        let mut read = 0;
        while events.try_next().await.unwrap().is_some() {
            read += 1;
        }
        read
    };
    let versions = async { store.load_stream::<RawEvent>(stream).versions(1..).await.unwrap().len() };
    let meanwhile = async {
        scene.until_waiting(4).await;
        rewriting.commit().await.unwrap();
    };
    let (across_streams, loaded, in_pages, versions, ()) =
        tokio::join!(across_streams, length(store, stream), in_pages, versions, meanwhile);
    [across_streams, loaded, in_pages, versions]
}

/// A statement that waits for the table until it has been rewritten would see none of its rows in a snapshot from before.
#[tokio::test]
async fn a_table_that_is_rewritten_while_it_is_read_loses_nothing() {
    let scene = Scene::new().await;
    let stream = StreamId::random();
    scene.store.append(&stream, events(300)).await.unwrap();
    for isolation in ["serializable", "repeatable read"] {
        let role = Role::with(&scene, &[("default_transaction_isolation", isolation)]).await;
        let store = open(&role.url()).await;
        assert_eq!((length(&store, &stream).await, store.position().await.unwrap().to_i64()), (300, 300));
        for number in 0..10 {
            let column = format!("r{}_{number}", isolation.len());
            let read = read_beside_a_rewrite(&scene, &store, &stream, &column).await;
            assert_eq!(read, [300; 4], "{isolation}");
        }
        drop(store);
        until(async || scene.database.psql("SELECT 1") == "1").await;
        role.go().await;
    }
}
