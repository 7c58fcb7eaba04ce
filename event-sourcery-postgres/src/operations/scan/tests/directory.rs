//! What is found through the directory is what is found without.

use event_sourcery::backend::{BacklogRequest, StoredRecord};
use postgres_cluster::Server;

use super::*;

/// Positions that are used, and every how many: the directory is listed in three statements.
const EVENTS: i64 = 60_000;
const EVERY: i64 = 10;
const LAST: i64 = EVENTS * EVERY;

/// Events between holes, of names the rarer the higher their number, some of them deleted, together with whole blocks.
async fn scene() -> Scene {
    let scene = Scene::with_events(0).await;
    scene.database.psql(&format!(
        "INSERT INTO event_sourcery_streams (uuid, category, tenant_id)
         SELECT gen_random_uuid(), CASE WHEN n % 3 = 0 THEN 'orders' ELSE '' END,
                CASE WHEN n % 5 = 0 THEN 'acme' ELSE '' END
         FROM generate_series(2, 1000) n;
         INSERT INTO event_sourcery_events (id, uuid, name, data, event_context, created_at, db_stream_id)
         SELECT n * {EVERY}, gen_random_uuid(), 'N' || floor(-ln(1 - random()) * 2)::int, '{{}}', '{{}}',
                '2024-05-01'::timestamp + n * interval '1 s', 2 + (n * 7919) % 999
         FROM generate_series(1, {EVENTS}) n;
         SELECT setval('event_sourcery_events_id_seq', {LAST});
         DELETE FROM event_sourcery_events WHERE random() < 0.1 OR id BETWEEN 300000 AND 330000"
    ));
    scene
}

impl Scene {
    fn settle(&self, position: i64) {
        self.database.psql(&format!("UPDATE event_sourcery_settled SET position = {position}"));
    }

    /// How many blocks are listed. None of them lacks a row.
    fn listed(&self) -> String {
        let lacking = "SELECT count(*) FROM event_sourcery_events e, event_sourcery_event_blocks_listed l
             WHERE e.id / 1024 < l.below AND NOT EXISTS (
                 SELECT FROM event_sourcery_event_blocks b WHERE b.name = e.name AND b.block = e.id / 1024)";
        assert_eq!(self.database.psql(lacking), "0");
        self.database.psql("SELECT below FROM event_sourcery_event_blocks_listed")
    }

    async fn all(&mut self) -> Vec<StoredRecord> {
        self.page(0, LAST, &Filter::default(), 100_000).await
    }

    /// Asks at random, of all and of the names given.
    async fn compare(&mut self, all: &[StoredRecord], named: &[&[&str]]) {
        for mut filter in filters_on_streams() {
            for asked in named {
                filter.names = names(asked);
                let after = if fastrand::bool() { 0 } else { fastrand::i64(0..LAST) };
                let up_to = if fastrand::bool() { LAST } else { fastrand::i64(after..=LAST) };
                let limit = fastrand::usize(1..300);
                let passing = all.iter().filter(|record| {
                    let position = record.event.position.to_i64();
                    let passes = filter.passes(&record.tenant, &record.stream, &record.event.name);
                    position > after && position <= up_to && passes
                });
                let passing: Vec<_> = passing.collect();
                let expected: Vec<_> = passing.iter().map(|record| record.event.position.to_i64()).collect();
                let found = positions(&self.page(after, up_to, &filter, limit).await);
                let asked = format!("{filter:?} {after} {up_to} {limit}");
                assert_eq!(found, expected[..expected.len().min(limit + 1)], "{asked}");
                let mut operations = Operations::joined(&mut self.connection, &self.sql);
                operations.few = fastrand::choice([0, 100, FEW]).unwrap();
                let (after, up_to) = (Position::from_i64(after), Position::from_i64(up_to));
                let backlog =
                    operations.backlog(&BacklogRequest::new(after, filter.clone()), up_to).await.unwrap();
                assert_eq!(backlog.events, expected.len() as u64, "{asked}");
                assert_eq!(backlog.oldest, passing.first().map(|first| first.event.created_at), "{asked}");
            }
        }
    }
}

const NAMED: &[&[&str]] =
    &[&["N0"], &["N5"], &["N9"], &["N14", "N16", "N17"], &["N7", "N2", "N7", "Unknown"], &[]];

#[tokio::test]
async fn the_same_is_found_whether_all_is_listed_or_some_or_nothing() {
    let mut scene = scene().await;
    let all = scene.all().await;
    for (settled, listed) in [(0, "0"), (200_001, "195"), (LAST, "585")] {
        scene.settle(settled);
        scene.compare(&all, NAMED).await;
        // Where nobody has asked for enough yet.
        while Operations::joined(&mut scene.connection, &scene.sql).list_blocks().await {}
        assert_eq!(scene.listed(), listed);
        scene.compare(&all, NAMED).await;
    }
    scene.database.psql("DELETE FROM event_sourcery_events WHERE id % 3 = 0 OR id BETWEEN 400000 AND 500000");
    let all = scene.all().await;
    scene.compare(&all, NAMED).await;
}

#[tokio::test]
async fn a_page_lists_as_much_as_it_needs_and_no_more() {
    let mut scene = scene().await;
    scene.settle(LAST);
    let mut filter = Filter::default();
    filter.names = names(&["N6"]);
    scene.page(0, 16_000, &filter, 10).await;
    assert_eq!(scene.listed(), "0", "so few are read as fast");
    assert_eq!(scene.page(0, LAST, &filter, 100).await.len(), 101);
    assert_eq!(scene.listed(), "256");
    scene.page(0, LAST, &filter, 2_000).await;
    assert_eq!(scene.listed(), "585");
}

/// A store that was adopted may begin at any position.
#[tokio::test]
async fn what_holds_no_events_is_listed_at_once() {
    let mut scene = Scene::with_events(20_000).await;
    scene.database.psql(
        "UPDATE event_sourcery_events SET id = id + 1000000000000;
         SELECT setval('event_sourcery_events_id_seq', 2000000000000);
         UPDATE event_sourcery_settled SET position = 2000000000000",
    );
    let mut filter = Filter::default();
    filter.names = names(&["Rare"]);
    assert_eq!(
        positions(&scene.page(0, 2_000_000_000_000, &filter, 9).await),
        [1_000_000_009_999, 1_000_000_019_999]
    );
    assert!(scene.listed().parse::<i64>().unwrap() > 1_000_000_010_000 / 1024);
}

#[tokio::test]
async fn a_directory_that_may_not_be_written_or_read_is_done_without() {
    let mut scene = scene().await;
    scene.settle(200_000);
    while Operations::joined(&mut scene.connection, &scene.sql).list_blocks().await {}
    scene.settle(LAST);
    let all = scene.all().await;
    let role = format!("reader_{}", scene.database.name());
    let everything = "ALL TABLES IN SCHEMA public".to_owned();
    let needed =
        "event_sourcery_events, event_sourcery_streams, event_sourcery_settled, event_sourcery_evidence, \
                  event_sourcery_tagged_events"
            .to_owned();
    scene.database.psql(&format!("CREATE ROLE {role} LOGIN"));
    let as_role = scene.database.url().replace("//postgres@", &format!("//{role}@"));
    let read_only = format!("{}?options=-c%20default_transaction_read_only%3Don", scene.database.url());
    for (url, granted) in [(&as_role, &needed), (&as_role, &everything), (&read_only, &needed)] {
        scene.database.psql(&format!("GRANT SELECT ON {granted} TO {role}"));
        scene.connection = PgConnection::connect(url).await.unwrap();
        scene.compare(&all, NAMED).await;
        assert_eq!(scene.listed(), "195");
    }
    scene.database.psql(&format!("REVOKE ALL ON {everything} FROM {role}; DROP ROLE {role}"));
}

#[tokio::test]
async fn whoever_finds_another_one_listing_does_not_wait() {
    let mut scene = scene().await;
    scene.settle(LAST);
    let all = scene.all().await;
    let mut other = PgConnection::connect(&scene.database.url()).await.unwrap();
    let mut listing = other.begin().await.unwrap();
    let lock = "SELECT FROM event_sourcery_event_blocks_listed FOR UPDATE";
    sqlx::raw_sql(lock).execute(&mut *listing).await.unwrap();
    scene.compare(&all, NAMED).await;
    assert_eq!(scene.listed(), "0");
    listing.rollback().await.unwrap();
    // Another isolation level is in the way of nothing either.
    for level in ["repeatable read", "serializable"] {
        let url = Server::shared().url(scene.database.name());
        let level = level.replace(' ', "%5C%20");
        let url = format!("{url}?options=-c%20default_transaction_isolation%3D{level}");
        scene.connection = PgConnection::connect(&url).await.unwrap();
        scene.compare(&all, NAMED).await;
    }
    assert_eq!(scene.listed(), "585");
}
