//! What a scan finds, and how the server looks for it.

mod directory;

use std::sync::Arc;
use std::time::Duration;

use event_sourcery::backend::{Filter, Segments, StoredRecord};
use event_sourcery::{Category, Position, StreamId, TenantId};
use postgres_cluster::{Database, Server};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::FEW;
use crate::PostgresBackend;
use crate::operations::Operations;
use crate::rows::EventReader;
use crate::scans::Only;
use crate::sql::Sql;
use crate::tables::Tables;

struct Scene {
    connection: PgConnection,
    sql: Sql,
    database: Database,
}

impl Scene {
    /// A store with so many events in a tenth of the streams, of two tenants and two categories. One event in ten thousand
    /// is rare, one in ten is odd.
    async fn with_events(count: usize) -> Self {
        let database = Server::shared().create_database();
        drop(PostgresBackend::connect(database.url()).await.unwrap());
        let streams = (count / 10).max(1);
        database.psql(&format!(
            "INSERT INTO event_sourcery_streams (uuid, category, tenant_id)
             SELECT gen_random_uuid(), CASE WHEN n % 3 = 0 THEN 'orders' ELSE '' END,
                    CASE WHEN n % 5 = 0 THEN 'acme' ELSE '' END
             FROM generate_series(1, {streams}) n;
             INSERT INTO event_sourcery_events (uuid, name, data, event_context, created_at, db_stream_id)
             SELECT gen_random_uuid(),
                    CASE WHEN n % 10000 = 9999 THEN 'Rare' WHEN n % 10 = 3 THEN 'Odd' ELSE 'Common' END,
                    '{{}}', '{{}}', '2024-05-01', 1 + (n * 7919) % {streams}
             FROM generate_series(1, {count}) n;
             INSERT INTO event_sourcery_tagged_events (position, tags)
             SELECT id, '{{course:1}}' FROM event_sourcery_events WHERE id % 10 = 0;
             UPDATE event_sourcery_settled SET position = {count}"
        ));
        let connection = PgConnection::connect(&database.url()).await.unwrap();
        Self { connection, sql: Sql::new(&Tables::new("public", "event_sourcery_", "postgres")), database }
    }

    async fn page(&mut self, after: i64, up_to: i64, filter: &Filter, limit: usize) -> Vec<StoredRecord> {
        let (after, up_to) = (Position::from_i64(after), Position::from_i64(up_to));
        let mut operations = Operations::joined(&mut self.connection, &self.sql);
        operations.few = fastrand::choice([0, 100, FEW]).unwrap();
        let rows = operations.page(after, up_to, filter, limit, Duration::MAX).await.unwrap().rows;
        let mut reader = EventReader::default();
        rows.iter().map(|row| reader.record(row)).collect()
    }

    /// The plan, for these values or for any.
    async fn plan(&mut self, text: &str, mode: &str, values: &str) -> String {
        let script = format!(
            "DEALLOCATE ALL; SET plan_cache_mode = {mode};
             PREPARE scan (bigint, bigint, text, text, text[], int, int[], bigint[], bigint) AS {text};
             EXPLAIN (COSTS OFF) EXECUTE scan ({values})"
        );
        let rows = sqlx::raw_sql(AssertSqlSafe(script)).fetch_all(&mut self.connection).await.unwrap();
        rows.iter().map(|row| sqlx::Row::get::<String, _>(row, 0) + "\n").collect()
    }
}

fn names(names: &[&str]) -> Option<Arc<[Arc<str>]>> {
    Some(names.iter().map(|name| Arc::from(*name)).collect())
}

/// Every filter on tenant, category and segments.
fn filters_on_streams() -> Vec<Filter> {
    let mut filters = Vec::new();
    for tenant in [None, Some(TenantId::new("acme").unwrap())] {
        for category in [None, Some(Category::new("orders").unwrap())] {
            for segments in [None, Some(Segments::new(7, [2, 5])), Some(Segments::new(3, 0..3))] {
                let mut filter = Filter::default();
                (filter.tenant, filter.category) = (tenant.clone(), category.clone());
                filter.segments = segments;
                filters.push(filter);
            }
        }
    }
    filters
}

fn positions(records: &[StoredRecord]) -> Vec<i64> {
    records.iter().map(|record| record.event.position.to_i64()).collect()
}

#[tokio::test]
async fn whatever_is_asked_for_is_found_in_order_near_or_far() {
    let mut scene = Scene::with_events(20_000).await;
    scene.database.psql("DELETE FROM event_sourcery_events WHERE id % 17 = 0");
    let all = scene.page(0, i64::MAX, &Filter::default(), 30_000).await;
    assert_eq!(all.len(), 18_824);
    let wanted =
        [None, names(&["Rare"]), names(&["Odd", "Rare", "Rare", "Unknown"]), names(&[]), names(&["Common"])];
    for on_streams in filters_on_streams() {
        for names in &wanted {
            let mut filter = on_streams.clone();
            filter.names.clone_from(names);
            for _ in 0..3 {
                let (after, limit) = (fastrand::i64(0..20_000), fastrand::usize(1..400));
                let up_to = after + fastrand::i64(-5..20_000);
                let passing = all.iter().filter(|record| {
                    let position = record.event.position.to_i64();
                    position > after
                        && position <= up_to
                        && filter.passes(&record.tenant, &record.stream, &record.event.name)
                });
                let expected: Vec<_> = passing.take(limit + 1).cloned().collect();
                let found = scene.page(after, up_to, &filter, limit).await;
                assert_eq!(positions(&found), positions(&expected), "{filter:?} {after} {up_to} {limit}");
            }
        }
    }
}

#[tokio::test]
async fn a_segment_is_the_same_in_the_database_as_here() {
    let mut scene = Scene::with_events(5_000).await;
    let all = scene.page(0, i64::MAX, &Filter::default(), 10_000).await;
    for of in [1, 2, 3, 8, 63, 64] {
        let mut found = 0;
        for number in 0..of {
            let filter = {
                let mut filter = Filter::default();
                filter.segments = Some(Segments::new(of, [number]));
                filter
            };
            let records = scene.page(0, i64::MAX, &filter, 10_000).await;
            assert!(records.iter().all(|record| Segments::number_of(record.stream.uuid(), of) == number));
            found += records.len();
        }
        assert_eq!(found, all.len(), "of {of}");
    }
    let version_7 = StreamId::from_uuid(uuid::Uuid::now_v7());
    assert!(Segments::number_of(version_7.uuid(), 8) < 8);
}

/// Whatever the server believes of the data, and whether it plans for the values or for any.
#[tokio::test]
async fn no_page_looks_at_more_than_it_has_to() {
    let mut scene = Scene::with_events(100_000).await;
    for analyzed in [false, true] {
        if analyzed {
            scene.database.psql("ANALYZE");
        }
        for filter in filters_on_streams() {
            let mut named = filter.clone();
            named.names = names(&["Rare"]);
            let scans = &scene.sql.scans;
            let (all, blocks, at) = (Only::Everything, Only::Blocks(Vec::new()), Only::At(Vec::new()));
            let along = [scans.page(&filter, &all), scans.page(&named, &all)];
            let in_blocks = [scans.page(&named, &blocks), scans.backlog(&named, &blocks)];
            let at = [scans.page(&filter, &at), scans.page(&named, &at), scans.backlog(&named, &at)];
            let few = scans.few(&filter);
            for mode in ["force_generic_plan", "force_custom_plan"] {
                for text in &along {
                    let near = "90000, 92000, 'acme', 'orders', '{Rare}', 7, '{2,5}', NULL, 257";
                    let plan = scene.plan(text.text(), mode, near).await;
                    // The mark is one row, and the catalogue of databases is small.
                    let of_events = ["event_sourcery_evidence", "pg_database"]
                        .iter()
                        .fold(plan.clone(), |plan, small| plan.replace(&format!("Seq Scan on {small}"), ""));
                    assert!(
                        !of_events.contains("Seq Scan"),
                        "{mode}, analyzed {analyzed}, {filter:?}:\n{plan}"
                    );
                }
                for text in &in_blocks {
                    let far = "2000, 100000, 'acme', 'orders', '{Rare}', 7, '{2,5}', '{9,19,29,39}', 257";
                    let plan = scene.plan(text.text(), mode, far).await;
                    let by_positions = "Index Cond: ((id > GREATEST(";
                    assert!(
                        plan.contains(by_positions) && !plan.contains("Seq Scan on event_sourcery_events"),
                        "{mode}, analyzed {analyzed}, {filter:?}:\n{plan}"
                    );
                }
            }
            for mode in ["force_generic_plan", "force_custom_plan"] {
                let far = "2000, 100000, 'acme', 'orders', '{Rare}', 7, '{2,5}', '{9,19,29,39}', 257";
                for text in &at {
                    let plan = scene.plan(text.text(), mode, far).await;
                    let one_by_one = "Index Scan using event_sourcery_events_pkey";
                    assert!(
                        plan.contains(one_by_one)
                            && plan.contains("(id = p.id)")
                            && !plan.contains("Seq Scan on event_sourcery_events"),
                        "{mode}, analyzed {analyzed}, {filter:?}:\n{plan}"
                    );
                }
                if let Some(few) = &few {
                    let plan = scene.plan(few.text(), mode, far).await;
                    assert!(
                        plan.contains("event_sourcery_streams_of_category")
                            && !plan.contains("Seq Scan on event_sourcery"),
                        "{mode}, analyzed {analyzed}, {filter:?}:\n{plan}"
                    );
                }
            }
            let all = "0, 100000, 'acme', 'orders', NULL, 7, '{2,5}', NULL, 257";
            if analyzed {
                let plan = scene.plan(along[0].text(), "force_custom_plan", all).await;
                assert!(!plan.contains("Sort"), "{filter:?}:\n{plan}");
            }
        }
    }
}

#[tokio::test]
async fn a_page_that_takes_long_is_cut_off_and_the_next_one_goes_on() {
    const END: i64 = 11_000_000;
    let mut scene = Scene::with_events(3_000).await;
    scene.database.psql(&format!(
        "UPDATE event_sourcery_events SET id = id * 333 + 10000000;
         INSERT INTO event_sourcery_events (id, uuid, name, data, event_context, created_at, db_stream_id)
         OVERRIDING SYSTEM VALUE VALUES ({END}, gen_random_uuid(), 'Rare', '{{}}', '{{}}', '2024-05-01', 1);
         UPDATE event_sourcery_settled SET position = {END}"
    ));
    let elsewhere = Some(Category::new("nowhere").unwrap());
    for (category, named, found) in [
        (None, None, 3_001),
        (elsewhere.clone(), None, 0),
        (None, names(&["Rare"]), 1),
        (None, names(&["Odd", "None"]), 300),
        (elsewhere, names(&["Odd", "Common"]), 0),
    ] {
        let filter = {
            let mut filter = Filter::default();
            (filter.category, filter.names) = (category, named);
            filter
        };
        for patience in [Duration::ZERO, Duration::from_millis(2), Duration::MAX] {
            let (mut after, mut pages, mut read) = (0, 0, 0);
            while after < END {
                let mut operations = Operations::joined(&mut scene.connection, &scene.sql);
                let (above, up_to) = (Position::from_i64(after), Position::from_i64(END));
                let page = operations.page(above, up_to, &filter, 5_000, patience).await.unwrap();
                assert!(page.up_to > after && page.up_to <= END, "{after} {}", page.up_to);
                (after, pages, read) = (page.up_to, pages + 1, read + page.rows.len());
            }
            assert_eq!(read, found, "{filter:?}");
            assert!(
                (pages == 1) == (patience == Duration::MAX) || patience > Duration::ZERO,
                "{pages}: {filter:?}"
            );
        }
    }
}
