//! Tables of a kind for which the promises cannot hold: refused by name, and left as they are.

use event_sourcery::{Error, StreamId};
use event_sourcery_postgres::{PostgresBackend, Rights};
use postgres_cluster::Cluster;

use crate::scene::{Scene, event, open};

const EVENTS: &str = "event_sourcery_events";

async fn refused(scene: &Scene) -> Error {
    let refused = PostgresBackend::connect(scene.database.url()).await.unwrap_err();
    let unmigrated = PostgresBackend::options(scene.database.url()).migrate(false).open().await.unwrap_err();
    assert_eq!(refused.to_string(), unmigrated.to_string());
    refused
}

/// Each names the object, and what there is to do.
#[tokio::test]
async fn tables_that_are_no_ordinary_tables_are_refused_by_name() {
    let as_another_relation = |relation: &str| {
        format!(
            "ALTER TABLE {EVENTS} RENAME TO kept; CREATE {relation};
             SELECT setval('event_sourcery_events_id_seq', 1, false)"
        )
    };
    let leaves_out = |what: &str, table: &str| {
        format!(
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
             CREATE TRIGGER mute BEFORE {what} ON {table} FOR EACH ROW EXECUTE FUNCTION f()"
        )
    };
    // As the server makes one where it has ICU: not every build has.
    let with_a_collation = |change: &str| {
        format!(
            "CREATE COLLATION named (provider = libc, locale = 'C');
             ALTER TABLE event_sourcery_streams ALTER COLUMN tenant_id TYPE varchar(255) COLLATE named;
             UPDATE pg_collation SET {change} WHERE collname = 'named'"
        )
    };
    for (change, says) in [
        (as_another_relation(&format!("VIEW {EVENTS} AS SELECT * FROM kept")), "is a view"),
        (as_another_relation(&format!("MATERIALIZED VIEW {EVENTS} AS SELECT * FROM kept")), "a materialised view"),
        (
            as_another_relation(&format!(
                "TABLE {EVENTS} (LIKE kept INCLUDING DEFAULTS, PRIMARY KEY (id)) PARTITION BY RANGE (id)"
            )),
            "a partitioned table",
        ),
        (
            as_another_relation(&format!(
                "FOREIGN DATA WRAPPER nothing; CREATE SERVER away FOREIGN DATA WRAPPER nothing;
                 CREATE FOREIGN TABLE {EVENTS} (id bigint) SERVER away"
            )),
            "a foreign table",
        ),
        (format!("CREATE TABLE child () INHERITS ({EVENTS})"), "NO INHERIT"),
        (
            format!("CREATE TABLE parent (LIKE {EVENTS}); ALTER TABLE {EVENTS} INHERIT parent"),
            "a part of parent",
        ),
        (
            format!(
                "CREATE TABLE whole (LIKE {EVENTS} INCLUDING DEFAULTS) PARTITION BY RANGE (id);
                 ALTER TABLE whole ATTACH PARTITION {EVENTS} FOR VALUES FROM (1) TO (1000000)"
            ),
            "a part of whole",
        ),
        (format!("ALTER TABLE {EVENTS} SET UNLOGGED"), "SET LOGGED"),
        ("ALTER TABLE event_sourcery_settled SET UNLOGGED".to_owned(), "event_sourcery_settled is unlogged"),
        ("ALTER TABLE event_sourcery_subscription_segments SET UNLOGGED".to_owned(), "SET LOGGED"),
        (format!("CREATE RULE loud AS ON INSERT TO {EVENTS} DO ALSO NOTHING"), "DROP RULE loud"),
        (
            format!(
                "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.id = NEW.id - 1; RETURN NEW; END';
                 CREATE TRIGGER back BEFORE INSERT ON {EVENTS} FOR EACH ROW EXECUTE FUNCTION f()"
            ),
            "a trigger back",
        ),
        (leaves_out("INSERT", "event_sourcery_streams"), "a trigger mute"),
        (leaves_out("UPDATE", "event_sourcery_streams"), "a trigger mute"),
        (leaves_out("UPDATE OR DELETE", "event_sourcery_subscription_segments"), "a trigger mute"),
        (
            format!("CREATE SEQUENCE other; ALTER TABLE {EVENTS} ALTER COLUMN id SET DEFAULT nextval('other')"),
            "not drawn from the sequence event_sourcery_events_id_seq",
        ),
        (format!("ALTER TABLE {EVENTS} ALTER COLUMN id DROP DEFAULT"), "SET DEFAULT nextval"),
        (
            format!("ALTER TABLE {EVENTS} ALTER COLUMN id SET DEFAULT -nextval('event_sourcery_events_id_seq')"),
            "not drawn from",
        ),
        (format!("ALTER TABLE {EVENTS} ALTER COLUMN id TYPE integer"), "TYPE bigint"),
        (
            format!("ALTER TABLE {EVENTS} ALTER COLUMN created_at TYPE timestamptz"),
            "created_at is timestamp with time zone",
        ),
        (format!("ALTER TABLE {EVENTS} ALTER COLUMN data TYPE json"), "TYPE jsonb"),
        (format!("ALTER TABLE {EVENTS} ALTER COLUMN version TYPE bigint"), "version is bigint"),
        (
            "ALTER TABLE event_sourcery_streams ALTER COLUMN category TYPE char(20)".to_owned(),
            "category is character:",
        ),
        (
            "ALTER TABLE event_sourcery_blocked_streams DROP CONSTRAINT ix_event_sourcery_blocked_streams_names".to_owned(),
            "EXCLUDE USING hash",
        ),
        ("DROP INDEX ix_event_sourcery_events_uuid".to_owned(), "unique index on (uuid)"),
        (format!("ALTER TABLE {EVENTS} DROP CONSTRAINT event_sourcery_events_pkey"), "unique index on (id)"),
        (with_a_collation("collisdeterministic = false"), "takes different texts for the same"),
        (with_a_collation("collversion = '1.0'"), "version 1.0 of the collation named"),
    ] {
        let scene = Scene::new().await;
        scene.store.append(&StreamId::random(), event()).await.unwrap();
        scene.database.psql(&format!("SET client_min_messages = error; {change}"));
        let refused = refused(&scene).await;
        let Error::ForeignLayout { problem, .. } = &refused else { panic!("{change}: {refused:?}") };
        assert!(problem.contains(says) && problem.contains("event_sourcery_"), "{change}: {problem}");
    }
}

/// Each in the place of one of ours, or beside it: two streams without names would be one, or two events without versions, and streams
/// of names that differ in their case.
#[tokio::test]
async fn indexes_that_take_different_rows_for_the_same_are_refused_by_name() {
    let named = "event_sourcery_streams_name_category_tenant_id_key";
    let merging = "ON event_sourcery_streams (name, category, tenant_id) NULLS NOT DISTINCT";
    let by_version = "ix_events_stream_id_version_event_sourcery_events";
    let blocked = "ix_event_sourcery_blocked_streams_names";
    let other_constraint = |end: &str| {
        format!(
            "ALTER TABLE event_sourcery_blocked_streams DROP CONSTRAINT {blocked}, ADD CONSTRAINT {blocked} EXCLUDE USING hash ({end}"
        )
    };
    for (change, says) in [
        (
            format!(
                "ALTER TABLE event_sourcery_streams DROP CONSTRAINT {named},
                 ADD CONSTRAINT {named} UNIQUE NULLS NOT DISTINCT (name, category, tenant_id)"
            ),
            format!("DROP CONSTRAINT {named}"),
        ),
        (format!("CREATE UNIQUE INDEX merging {merging}"), "DROP INDEX merging".to_owned()),
        (
            format!(
                "DROP INDEX {by_version};
                 CREATE UNIQUE INDEX {by_version} ON {EVENTS} (version, db_stream_id) NULLS NOT DISTINCT"
            ),
            format!("DROP INDEX {by_version}"),
        ),
        // As a predicate, or other columns, leave rows out.
        (
            format!("DROP INDEX {by_version}; CREATE UNIQUE INDEX {by_version} ON {EVENTS} (db_stream_id, version) WHERE version > 1"),
            "unique index on (db_stream_id, version)".to_owned(),
        ),
        (
            "ALTER TABLE event_sourcery_subscription_segments DROP CONSTRAINT event_sourcery_subscription_segments_pkey,
             ADD PRIMARY KEY (tenant_id, name, segment, token)"
                .to_owned(),
            "unique index on (name, segment, tenant_id)".to_owned(),
        ),
        (
            other_constraint(
                "(ARRAY[stream_uuid::text, category, tenant_id, subscription_tenant_id, subscription_name]) WITH =) WHERE (segment > 0)",
            ),
            "EXCLUDE USING hash".to_owned(),
        ),
        (
            other_constraint("(ARRAY[stream_uuid::text, category, tenant_id, subscription_name]) WITH =)"),
            "EXCLUDE USING hash".to_owned(),
        ),
        // The server's flag, for not every build has such a collation.
        (
            "CREATE COLLATION alike (provider = libc, locale = 'C');
             CREATE UNIQUE INDEX by_sound ON event_sourcery_streams (name COLLATE alike, category, tenant_id);
             UPDATE pg_collation SET collisdeterministic = false WHERE collname = 'alike'"
                .to_owned(),
            "takes different texts for the same".to_owned(),
        ),
    ] {
        let scene = Scene::new().await;
        scene.store.append(&StreamId::random(), event()).await.unwrap();
        scene.database.psql(&change);
        let refused = refused(&scene).await;
        let Error::ForeignLayout { problem, .. } = &refused else { panic!("{change}: {refused:?}") };
        assert!(problem.contains(&says), "{change}: {problem}");
    }
}

/// NULL is in none of its columns: it tells apart what ours does.
#[tokio::test]
async fn an_index_that_would_take_nulls_for_the_same_where_none_can_be_is_taken() {
    let scene = Scene::new().await;
    scene.database.psql(
        "CREATE UNIQUE INDEX ON event_sourcery_streams (uuid, category, tenant_id) NULLS NOT DISTINCT;
         ALTER TABLE event_sourcery_streams DROP CONSTRAINT event_sourcery_streams_uuid_category_tenant_id_key",
    );
    let store = open(&scene.database.url()).await;
    store.append(&StreamId::random(), event()).await.unwrap();
    store.append(&StreamId::random(), event()).await.unwrap();
}

/// What does not stand in the way.
#[tokio::test]
async fn tables_with_what_others_hang_on_them_are_taken() {
    let scene = Scene::new().await;
    scene.database.psql(&format!(
        "CREATE TABLE told (position bigint);
         CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN INSERT INTO told VALUES (NEW.id); RETURN NULL; END';
         CREATE FUNCTION tell_nobody() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         CREATE TRIGGER tell AFTER INSERT ON {EVENTS} FOR EACH ROW EXECUTE FUNCTION tell();
         CREATE TRIGGER off BEFORE INSERT ON {EVENTS} FOR EACH ROW EXECUTE FUNCTION tell();
         ALTER TABLE {EVENTS} DISABLE TRIGGER off;
         CREATE FUNCTION forbid() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END';
         CREATE TRIGGER for_good BEFORE UPDATE OR DELETE ON {EVENTS} FOR EACH ROW EXECUTE FUNCTION forbid();
         CREATE TRIGGER all_at_once BEFORE INSERT OR UPDATE ON event_sourcery_streams
             FOR EACH STATEMENT EXECUTE FUNCTION tell_nobody();
         CREATE DOMAIN kind AS varchar(250);
         ALTER TABLE {EVENTS} ALTER COLUMN name TYPE kind;
         ALTER TABLE event_sourcery_streams ALTER COLUMN category TYPE text;
         CREATE VIEW mine AS SELECT * FROM {EVENTS};
         ALTER TABLE {EVENTS} ADD COLUMN mine text;
         ALTER TABLE {EVENTS} ENABLE ROW LEVEL SECURITY"
    ));
    let store = open(&scene.database.url()).await;
    store.append(&StreamId::random(), event()).await.unwrap();
    assert_eq!(scene.number("SELECT count(*) FROM told").await, 1);
}

/// An identity is drawn from a sequence that the table owns, too.
#[tokio::test]
async fn ids_that_are_an_identity_are_taken() {
    for kind in ["ALWAYS", "BY DEFAULT"] {
        let scene = Scene::new().await;
        scene.database.psql(&format!(
            "ALTER TABLE {EVENTS} ALTER COLUMN id DROP DEFAULT; DROP SEQUENCE event_sourcery_events_id_seq;
             ALTER TABLE {EVENTS} ALTER COLUMN id ADD GENERATED {kind} AS IDENTITY"
        ));
        let store = open(&scene.database.url()).await;
        assert_eq!(store.append(&StreamId::random(), event()).await.unwrap().position.to_i64(), 1);
    }
}

/// Seen by a role without any rights on the subscription; a subscription that is disabled can be enabled.
#[tokio::test]
async fn a_subscriber_of_logical_replication_is_refused_by_name() {
    let scene = Scene::new().await;
    let role = format!("app_{}", scene.database.name());
    scene.run(&format!("CREATE ROLE {role} LOGIN")).await;
    let owner = PostgresBackend::options(scene.database.url());
    scene.run(&owner.grants(&role, Rights::Application).await.unwrap()).await;
    let url = scene.database.url().replace("//postgres@", &format!("//{role}@"));
    PostgresBackend::options(&url).migrate(false).open().await.unwrap();
    scene
        .run(
            "CREATE SUBSCRIPTION blue_green CONNECTION 'dbname=nowhere' PUBLICATION all_tables
             WITH (connect = false, slot_name = NONE, enabled = false, create_slot = false);
             SET allow_system_table_mods = on;
             INSERT INTO pg_subscription_rel (srsubid, srrelid, srsubstate)
             SELECT oid, 'event_sourcery_events'::regclass, 'r' FROM pg_subscription WHERE subname = 'blue_green'",
        )
        .await;
    for url in [scene.database.url(), url] {
        let refused = PostgresBackend::options(url).migrate(false).open().await.unwrap_err();
        let Error::ForeignLayout { problem, .. } = &refused else { panic!("{refused:?}") };
        assert!(problem.contains("DROP SUBSCRIPTION blue_green"), "{problem}");
    }
    scene.run("DROP SUBSCRIPTION blue_green").await;
    open(&scene.database.url()).await;
    scene.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

/// Change data capture and upgrades publish all tables; a table without a key could not be changed then.
#[tokio::test]
async fn tables_that_are_published_are_made_migrated_and_written_to() {
    let keyless = "SELECT string_agg(relname, ', ') FROM pg_class c
                   WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
                     AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND indisprimary)";
    let cluster = Cluster::start(&[("wal_level", "logical")]);
    let database = cluster.create_database();
    database.psql("CREATE PUBLICATION before FOR ALL TABLES");
    open(&database.url()).await;
    assert_eq!(database.psql(keyless), "");
    // As layout 3 left it.
    database.psql(
        "ALTER TABLE event_sourcery_layout DROP CONSTRAINT event_sourcery_layout_pkey;
         DROP TABLE event_sourcery_outbox_of_deleted;
         DROP PUBLICATION before; UPDATE event_sourcery_layout SET version = 3; CREATE PUBLICATION after FOR ALL TABLES",
    );
    let store = open(&database.url()).await;
    assert_eq!(database.psql(keyless), "");
    let stream = StreamId::random();
    store.append(&stream, event()).await.unwrap();
    store.append(&stream, event()).expected_version(1).await.unwrap();
    store.position().await.unwrap();
    store.delete_stream(&stream).await.unwrap();
}
