//! From PostgreSQL as other programs leave it, with what is awkward in it.

use event_sourcery::RawEvent;
use event_sourcery::uuid::Uuid;
use event_sourcery_import::{Import, ImportError, Mapping, PayloadRule, PostgresSource, TimeRule};
use postgres_cluster::Server;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use crate::scene::{all, data, equal, imported, memory, stream};

/// As message-db makes it.
pub(crate) const MESSAGES: &str = "
    CREATE SCHEMA message_store;
    CREATE TABLE message_store.messages (
        global_position bigserial NOT NULL, position bigint NOT NULL,
        time TIMESTAMP WITHOUT TIME ZONE DEFAULT (now() AT TIME ZONE 'utc') NOT NULL,
        stream_name text NOT NULL, type text NOT NULL, data jsonb, metadata jsonb,
        id UUID NOT NULL DEFAULT gen_random_uuid());
    ALTER TABLE message_store.messages ADD PRIMARY KEY (global_position) NOT DEFERRABLE INITIALLY IMMEDIATE;
    CREATE UNIQUE INDEX messages_stream ON message_store.messages (stream_name, position)";

#[tokio::test]
async fn message_db_has_payloads_that_are_null_and_times_that_run_backwards() {
    let database = Server::shared().create_database();
    database.psql(MESSAGES);
    let correlation = Uuid::from_u128(17);
    let metadata = json!({"correlationId": correlation.to_string()});
    database.psql(&format!(
        "SET TimeZone = 'Asia/Tokyo';
         INSERT INTO message_store.messages (position, time, stream_name, type, data, metadata) VALUES
         (0, '2026-03-01 12:00:00.000001', 'account-17', 'Opened', '{{\"b\": 1.50, \"a\": 1e2}}', '{metadata}'),
         (0, '2026-03-01 11:00:00', 'account', 'Listed', NULL, NULL),
         (1, '2026-03-01 10:00:00', 'account-17', 'Counted', '12', 'null')"
    ));
    let url = database.url();
    let source = || PostgresSource::message_db(&url);
    let store = memory();
    let mapping = Mapping::new("accounts").correlation("correlationId");
    let planned = Import::new(source().await.unwrap(), &store, mapping.clone()).dry_run().await.unwrap();
    assert_eq!((planned.events, planned.left_out.count, planned.horizon), (3, 2, Some(3)), "{planned:?}");

    let mapping = mapping.wrap("value");
    let run = Import::new(source().await.unwrap(), &store, mapping.clone()).run().await.unwrap();
    assert_eq!((run.written, run.is_clean()), (3, true), "{run:?}");
    let events = all(&store).await;
    let times: Vec<_> = events.iter().map(|event| event.wrapped_event.created_at.to_string()).collect();
    assert_eq!(times, ["2026-03-01T12:00:00.000001Z", "2026-03-01T11:00:00Z", "2026-03-01T10:00:00Z"]);
    assert_eq!(data(&events[1]), json!({"value": null}));
    assert_eq!(data(&events[2]), json!({"value": 12}));
    assert_eq!(events[0].wrapped_event.context.correlation_id(), Some(correlation));
    assert_eq!(events[1].stream_id, stream("account", "account"));
    let loaded = store.load_stream::<RawEvent>(&stream("account", "account-17")).await.unwrap();
    let versions: Vec<_> = loaded.iter().map(|event| event.version).collect();
    assert_eq!(versions, [Some(1), Some(2)], "one higher than theirs");
    assert_eq!(loaded[0].uuid.get_version_num(), 4, "its own id");
    assert!(equal(source().await.unwrap(), &store, &mapping).await.unwrap());
}

/// As Emmett makes it, without the partitions of partitions.
const EMT_MESSAGES: &str = "
    CREATE SEQUENCE emt_global_message_position;
    CREATE TABLE emt_messages (
        stream_position BIGINT NOT NULL, global_position BIGINT DEFAULT nextval('emt_global_message_position'),
        transaction_id XID8 NOT NULL, created TIMESTAMPTZ NOT NULL DEFAULT now(), is_archived BOOLEAN NOT NULL DEFAULT FALSE,
        message_kind CHAR(1) NOT NULL DEFAULT 'E', stream_id TEXT NOT NULL,
        partition TEXT NOT NULL DEFAULT 'global', message_schema_version TEXT NOT NULL, message_id TEXT NOT NULL,
        message_type TEXT NOT NULL, message_data JSONB NOT NULL, message_metadata JSONB NOT NULL,
        PRIMARY KEY (stream_id, stream_position, partition, is_archived)
    ) PARTITION BY LIST (partition);
    CREATE TABLE emt_messages_default PARTITION OF emt_messages DEFAULT";

#[tokio::test]
async fn emmett_has_partitions_and_what_is_archived() {
    let database = Server::shared().create_database();
    database.psql(EMT_MESSAGES);
    database.psql(
        "INSERT INTO emt_messages (partition, stream_id, stream_position, is_archived, transaction_id, message_schema_version,
             message_id, message_type, message_data, message_metadata)
         VALUES ('emt:default', 'cart-1', 1, true, pg_current_xact_id(), '1', gen_random_uuid()::text, 'Added', '{\"n\": 12345678901234567890}', '{}'),
             ('emt:default', 'cart-1', 2, false, pg_current_xact_id(), '1', 'no UUID', 'Added', '{\"n\": \"12\"}', '{\"by\": \"Ada\"}')",
    );
    let url = database.url();
    let source = || PostgresSource::emmett(&url);
    let (store, mapping) = (memory(), Mapping::new("shop"));
    let run = Import::new(source().await.unwrap(), &store, mapping.clone()).run().await.unwrap();
    assert_eq!((run.written, run.is_clean()), (2, true), "{run:?}");
    let events = all(&store).await;
    assert!(events[0].event().data().get().contains("12345678901234567890"), "all digits");
    assert_eq!(imported(&events[1])["id"], "no UUID");
    assert_eq!(imported(&events[1])["form"], "1");
    let metadata: Option<Value> = events[1].wrapped_event.context.root("metadata").unwrap();
    assert_eq!(metadata, Some(json!({"by": "Ada"})));
    assert!(equal(source().await.unwrap(), &store, &mapping).await.unwrap());
}

#[tokio::test]
async fn cqrs_es_is_read_stream_by_stream_and_nothing_else_is_taken_for_it() {
    let database = Server::shared().create_database();
    let url = database.url();
    let refused = PostgresSource::cqrs_es(&url).await.unwrap_err();
    assert!(matches!(refused, ImportError::Layout { .. }), "{refused:?}");
    database.psql(
        "CREATE TABLE events (aggregate_type text NOT NULL, aggregate_id text NOT NULL,
             sequence bigint CHECK (sequence >= 0) NOT NULL, event_type text NOT NULL, event_version text NOT NULL,
             payload json NOT NULL, metadata json NOT NULL, PRIMARY KEY (aggregate_type, aggregate_id, sequence));
         INSERT INTO events VALUES
             ('account', '1', 1, 'Opened', '1.0', '{\"Opened\": {\"owner\": \"Ada\"}}', '{}'),
             ('account', '1', 2, 'Closed', '1.0', '\"Closed\"', '{\"time\": \"yesterday\"}'),
             ('account', '1', 3, 'Closed', '1.0', '\"Closed\"', '{\"time\": \"2026-03-01T12:00:00Z\"}')",
    );
    let source = || PostgresSource::cqrs_es(&url);
    let mapping = Mapping::new("bank").payload(PayloadRule::Tagged);
    let mapping = mapping.time(TimeRule::Metadata("time".to_owned()));
    let mapping = mapping.time_otherwise("2026-03-01T12:00:00Z".parse().unwrap());
    let store = memory();
    let planned = Import::new(source().await.unwrap(), &store, mapping.clone()).dry_run().await.unwrap();
    assert_eq!((planned.given_times, planned.left_out.count), (2, 0), "{planned:?}");
    let run = Import::new(source().await.unwrap(), &store, mapping.clone()).run().await.unwrap();
    assert_eq!((run.written, run.is_clean()), (3, true), "{run:?}");
    assert_eq!(data(&all(&store).await[0]), json!({"owner": "Ada"}));
    assert!(equal(source().await.unwrap(), &store, &mapping).await.unwrap());
}

/// As mire makes it, with what its later migrations add.
const ES_EVENTS: &str = "
    CREATE TABLE es_streams (stream_id TEXT PRIMARY KEY, stream_category TEXT NOT NULL, stream_version BIGINT NOT NULL DEFAULT 0,
        created_at TIMESTAMPTZ NOT NULL DEFAULT now(), updated_at TIMESTAMPTZ NOT NULL DEFAULT now());
    CREATE TABLE es_events (global_position BIGSERIAL PRIMARY KEY, stream_id TEXT NOT NULL REFERENCES es_streams (stream_id),
        stream_version BIGINT NOT NULL, event_type TEXT NOT NULL, data JSONB NOT NULL, metadata JSONB NOT NULL DEFAULT '{}',
        transaction_id XID8 NOT NULL DEFAULT pg_current_xact_id(), created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        UNIQUE (stream_id, stream_version));
    ALTER TABLE es_events ADD COLUMN stream_category TEXT, ADD COLUMN payload_size BIGINT, ADD COLUMN metadata_size BIGINT";

/// As mire appends whatever the version is: the category that it is given stands beside the event, that of the stream stays.
fn append_to_account(category: &str) -> String {
    format!(
        "WITH upsert AS (
             INSERT INTO es_streams (stream_id, stream_category, stream_version) VALUES ('account-1', '{category}', 1)
             ON CONFLICT (stream_id) DO UPDATE SET stream_version = es_streams.stream_version + 1, updated_at = now()
             RETURNING stream_version)
         INSERT INTO es_events (stream_id, stream_version, event_type, data, metadata, stream_category)
         SELECT 'account-1', stream_version, 'Paid', '{{\"type\": \"Paid\"}}'::jsonb, '{{\"by\": \"Ada\"}}'::jsonb,
             '{category}' FROM upsert"
    )
}

/// The older one of two transactions appends last: by transaction and position, the stream's versions would be 1, 3, 2. The second append
/// has named another category, and beside the first event there is none, as before mire has filled it in.
#[tokio::test]
async fn mire_has_another_order_than_that_of_its_streams_and_several_categories_in_one() {
    let database = Server::shared().create_database();
    database.psql(ES_EVENTS);
    let url = database.url();
    let (mut older, mut younger) =
        (PgConnection::connect(&url).await.unwrap(), PgConnection::connect(&url).await.unwrap());
    younger.execute(sqlx::raw_sql(AssertSqlSafe(append_to_account("account")))).await.unwrap();
    older.execute(sqlx::raw_sql("BEGIN; SELECT pg_current_xact_id()")).await.unwrap();
    younger.execute(sqlx::raw_sql(AssertSqlSafe(append_to_account("savings")))).await.unwrap();
    let last = append_to_account("account") + "; COMMIT";
    older.execute(sqlx::raw_sql(AssertSqlSafe(last))).await.unwrap();
    let its_own = "SELECT string_agg(stream_version::text, ' ' ORDER BY transaction_id, global_position) FROM es_events";
    assert_eq!(database.psql(its_own).trim(), "1 3 2");
    database.psql("UPDATE es_events SET stream_category = NULL WHERE stream_version = 1");

    let source = || PostgresSource::mire(&url);
    let (store, mapping) = (memory(), Mapping::new("bank"));
    let run = Import::new(source().await.unwrap(), &store, mapping.clone()).run().await.unwrap();
    assert_eq!((run.written, run.present, run.is_clean()), (3, 0, true), "{run:?}");
    let events = all(&store).await;
    let places: Vec<_> = events.iter().map(|event| imported(event)["position"].clone()).collect();
    assert_eq!(places, [1, 2, 3]);
    assert!(events.iter().all(|event| event.stream_id == stream("account", "account-1")), "one stream");
    assert!(events[2].wrapped_event.created_at < events[1].wrapped_event.created_at, "times run backwards");
    // mire fills it in when it is opened.
    database.psql("UPDATE es_events SET stream_category = 'account' WHERE stream_category IS NULL");
    assert!(equal(source().await.unwrap(), &store, &mapping).await.unwrap());

    // Times that are none of ours: one that is no number, and one that is too large a number of microseconds.
    database.psql(&append_to_account("account"));
    database.psql(&append_to_account("account"));
    database.psql("UPDATE es_events SET created_at = 'infinity' WHERE stream_version = 4");
    database.psql("UPDATE es_events SET created_at = '294270-01-01' WHERE stream_version = 5");
    let run = Import::new(source().await.unwrap(), &store, mapping).after(run.mark).run().await.unwrap();
    let left_out: Vec<_> = run.left_out.first.iter().map(|problem| problem.version).collect();
    assert_eq!((run.written, left_out), (0, vec![4, 5]), "{run:?}");
    assert!(run.left_out.first[1].problem.contains("no time that can be read"), "{run:?}");
}
