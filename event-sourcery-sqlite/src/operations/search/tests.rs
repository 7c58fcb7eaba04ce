//! Searches by the type directory find what a look at every event finds, whatever the directory holds.

mod listing;

use std::time::Duration;

use event_sourcery::backend::{
    Backend as _, BacklogRequest, ScanPage, Segments, StoredRecord, SubscriptionBackend as _,
};
use event_sourcery::{Category, EventStore, RawEvent, StreamId, TenantId};
use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::backend::SqliteBackend;
use crate::options::SqliteOptions;

/// So many positions are more than a few blocks.
const POSITIONS: i64 = 40 * BLOCK + 100;

/// A store with a connection beside it.
struct File {
    folder: TempDir,
    backend: SqliteBackend,
    sql: Connection,
}

impl File {
    async fn create() -> Self {
        let folder = TempDir::new().unwrap();
        let backend = SqliteBackend::open(folder.path().join("events.db")).await.unwrap();
        let sql = Connection::open(folder.path().join("events.db")).unwrap();
        Self { folder, backend, sql }
    }

    /// A store with random events in streams of two tenants and two categories.
    async fn filled() -> Self {
        let file = Self::create().await;
        let store = file.store();
        for _ in 0..20 {
            let stream = StreamId::random().in_category(["", "invoices"][fastrand::usize(..2)]).unwrap();
            let tenant = TenantId::new(["acme", "other"][fastrand::usize(..2)]).unwrap();
            let first = RawEvent::new("First", "{}").unwrap();
            store.for_tenant(tenant).append(&stream, first).no_versioning().await.unwrap();
        }
        file.scatter(POSITIONS);
        file
    }

    fn options(&self) -> SqliteOptions {
        SqliteOptions::new(self.folder.path().join("events.db"))
    }

    fn store(&self) -> EventStore<SqliteBackend> {
        EventStore::new(self.backend.clone())
    }

    /// Puts events at random positions among the next ones.
    fn scatter(&self, positions: i64) {
        let insert = "INSERT INTO event_sourcery_events
                      (id, uuid, name, data, event_context, created_at, db_stream_id)
                      SELECT ?1, lower(hex(randomblob(16))), ?2, '{}', '{}', '2026-01-01 00:00:00.000000', id
                      FROM event_sourcery_streams ORDER BY random() LIMIT 1";
        let mut position = self.number("SELECT seq FROM sqlite_sequence");
        let end = position + positions;
        self.sql.execute_batch("BEGIN IMMEDIATE").unwrap();
        while position < end {
            position += fastrand::i64(1..40);
            let name = match fastrand::u32(..1_000) {
                0..4 => "Rare",
                4..34 => "Mid",
                34..500 => "Dense",
                _ => ["Frequent", "Usual"][fastrand::usize(..2)],
            };
            self.sql.prepare_cached(insert).unwrap().execute((position, name)).unwrap();
        }
        self.sql.execute_batch("COMMIT").unwrap();
    }

    fn number(&self, sql: &str) -> i64 {
        self.sql.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    fn mark(&self) -> i64 {
        self.number("SELECT coalesce(max(block), 0) FROM event_sourcery_event_blocks_mark")
    }

    /// Leaves in the directory what is below a block.
    fn cut_back_to(&self, block: i64) {
        let cut = "DELETE FROM event_sourcery_event_blocks WHERE block >= ?1";
        self.sql.execute(cut, [block]).unwrap();
        let cut = "UPDATE event_sourcery_event_blocks_mark SET block = ?1 WHERE block > ?1";
        self.sql.execute(cut, [block]).unwrap();
    }

    fn assert_complete_below_the_mark(&self) {
        let missing = "SELECT count(*) FROM event_sourcery_events
                       WHERE id / 1024 < (SELECT block FROM event_sourcery_event_blocks_mark)
                         AND (name, id / 1024) NOT IN (SELECT name, block FROM event_sourcery_event_blocks)";
        assert_eq!(self.number(missing), 0);
        assert!(self.number("SELECT count(*) FROM event_sourcery_event_blocks_mark") <= 1);
    }

    async fn all(&self) -> Vec<StoredRecord> {
        self.pages(Filter::default(), Duration::MAX).await.into_iter().flat_map(|page| page.records).collect()
    }

    /// Page after page, to the end.
    async fn pages(&self, filter: Filter, patience: Duration) -> Vec<ScanPage> {
        let (mut pages, mut after) = (Vec::new(), Position::START);
        loop {
            let mut search = Search::for_page(after, None, filter.clone(), 10_000);
            search.few = 0;
            search.patience = Some(patience).filter(|patience| *patience < Duration::MAX);
            let page = self.backend.search(search).await.unwrap().page();
            assert!(page.next > after || !page.has_more);
            let has_more = page.has_more;
            after = page.next;
            pages.push(page);
            if !has_more {
                return pages;
            }
        }
    }
}

fn named(names: &[&str]) -> Filter {
    let mut filter = Filter::default();
    filter.names = Some(names.iter().map(|name| std::sync::Arc::from(*name)).collect());
    filter
}

fn random_filter() -> Filter {
    let many: Vec<_> = (0..30).map(|number| format!("No{number}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).chain(["Rare"]).collect();
    let all = [
        &["Rare"][..],
        &["Mid"],
        &["Dense", "Rare", "Dense"],
        &["First", "Rare", "None"],
        &[],
        &["None"],
        &many,
    ];
    let mut filter = named(fastrand::choice(all).unwrap());
    filter.tenant = fastrand::bool().then(|| TenantId::new("acme").unwrap());
    filter.category = fastrand::bool().then(|| Category::new("invoices").unwrap());
    filter.segments = fastrand::bool().then(|| Segments::new(3, [fastrand::u16(..3), 1]));
    filter
}

fn positions<'r>(records: impl IntoIterator<Item = &'r StoredRecord>) -> Vec<Position> {
    records.into_iter().map(|record| record.event.position).collect()
}

/// Compares pages and backlogs with what passes a filter among all events.
async fn compare(file: &File, all: &[StoredRecord]) {
    let settled = file.backend.position().await.unwrap();
    let random = || Position::from_i64(fastrand::i64(0..settled.to_i64() + 10));
    let (filter, limit) = (random_filter(), fastrand::usize(1..100));
    let (after, up_to) = (random(), fastrand::bool().then(random));
    // Beyond the end there is no page, and no backlog: that is an error.
    let after = if fastrand::bool() { Position::START } else { after.min(settled) };
    let case = format!("{filter:?} {after} {up_to:?} {limit}, mark {}", file.mark());
    let end = up_to.unwrap_or(settled);
    let passing = |end| -> Vec<_> {
        let inside = |record: &&StoredRecord| {
            record.event.position > after
                && record.event.position <= end
                && filter.passes(&record.tenant, &record.stream, &record.event.name)
        };
        all.iter().filter(inside).collect()
    };

    let few = fastrand::choice([0, 100, 1_000, FEW]).unwrap();
    let search = Search { patience: None, few, ..Search::for_page(after, up_to, filter.clone(), limit) };
    let page = file.backend.search(search).await.unwrap().page();

    let expected = passing(end);
    let read = positions(&page.records);
    assert_eq!(read, positions(expected.iter().copied().take(limit)), "{case}");
    assert_eq!(page.has_more, expected.len() > limit, "{case}");
    let next = if page.has_more { *read.last().unwrap() } else { end.max(after) };
    assert_eq!(page.next, next, "{case}");
    if fastrand::bool() {
        let backlog = file.backend.backlog(BacklogRequest::new(after, filter.clone())).await.unwrap();
        let expected = passing(settled);
        assert_eq!(backlog.events, expected.len() as u64, "{case}");
        assert_eq!(backlog.oldest, expected.first().map(|record| record.event.created_at), "{case}");
    }
}

#[tokio::test]
async fn pages_and_backlogs_are_those_of_a_filter_that_looks_at_every_event() {
    println!("seed {}", fastrand::get_seed());
    let file = File::filled().await;
    let store = file.store();
    let (mut without, mut partly, mut wholly) = (0, 0, 0);
    for _ in 0..8 {
        let mut all = file.all().await;
        for turn in 0..60 {
            match fastrand::u8(..4) {
                0 => file.cut_back_to(0),
                1 => file.cut_back_to(fastrand::i64(0..60)),
                _ => {}
            }
            let complete = (store.position().await.unwrap().to_i64() + 1) / BLOCK;
            match file.mark() {
                0 => without += 1,
                mark if mark == complete => wholly += 1,
                _ => partly += 1,
            }
            compare(&file, &all).await;
            file.assert_complete_below_the_mark();
            if turn == 30 {
                let stream = fastrand::choice(&all).unwrap();
                store.for_tenant(stream.tenant.clone()).delete_stream(&stream.stream).await.unwrap();
                all = file.all().await;
            }
        }
        file.scatter(fastrand::i64(1..6 * BLOCK));
    }
    assert!(without > 20 && partly > 20 && wholly > 20, "{without} {partly} {wholly}");
}

#[tokio::test]
async fn a_page_that_takes_long_is_cut_off_and_the_next_one_goes_on() {
    let file = File::filled().await;
    file.scatter(300 * BLOCK);
    let moved = "UPDATE event_sourcery_events SET id = id + 10000000 WHERE id > 100000";
    file.sql.execute_batch(moved).unwrap();
    file.sql.execute("UPDATE sqlite_sequence SET seq = seq + 10000000", []).unwrap();
    let all = file.all().await;
    let mut elsewhere = Filter::default();
    elsewhere.category = Some(Category::new("nowhere").unwrap());
    let mut both = named(&["Rare", "Dense"]);
    both.category.clone_from(&elsewhere.category);
    let mut some = Filter::default();
    some.tenant = Some(TenantId::new("acme").unwrap());
    for (filter, at_least) in [
        (named(&["None"]), 1),
        (elsewhere, 10),
        (both, 5),
        (some, 10),
        (named(&["Rare"]), 1),
        (named(&[]), 1),
    ] {
        for patience in [Duration::ZERO, Duration::from_millis(1), Duration::MAX] {
            file.cut_back_to(fastrand::choice([0, 90, i64::MAX]).unwrap());
            let pages = file.pages(filter.clone(), patience).await;
            let count = pages.len();
            assert!(
                patience > Duration::ZERO || (at_least..500).contains(&count),
                "{count} pages: {filter:?}"
            );
            let found: Vec<_> = pages.iter().flat_map(|page| &page.records).collect();
            let passes =
                |record: &&StoredRecord| filter.passes(&record.tenant, &record.stream, &record.event.name);
            assert_eq!(positions(found), positions(all.iter().filter(passes)), "{filter:?}");
        }
    }
}

/// Streams of one tenant among those of another: by a category, by the tenant, by both.
#[tokio::test]
async fn the_events_of_few_streams_are_found_by_their_streams() {
    let file = File::filled().await;
    let store = file.store().for_tenant(TenantId::new("rare").unwrap());
    for category in ["", "invoices", "letters"] {
        let stream = StreamId::random().in_category(category).unwrap();
        store
            .append(&stream, [RawEvent::new("Rare", "{}").unwrap(), RawEvent::new("Dense", "{}").unwrap()])
            .await
            .unwrap();
        // A stream without events.
        let sql = "INSERT INTO event_sourcery_streams (uuid, category, tenant_id) VALUES (lower(hex(randomblob(16))), ?1, 'rare')";
        file.sql.execute(sql, [category]).unwrap();
    }
    let few = |tenant: Option<&'static str>, category: Option<&'static str>, most| {
        let (tenant, category) =
            (tenant.map(|it| TenantId::new(it).unwrap()), category.map(|it| Category::new(it).unwrap()));
        file.backend.readers.read(move |operations| operations.few(tenant.as_ref(), category.as_ref(), most))
    };
    let ids = |condition: &str| -> Vec<i64> {
        let sql = format!(
            "SELECT e.id FROM event_sourcery_events e JOIN event_sourcery_streams s ON s.id = e.db_stream_id
             WHERE {condition} ORDER BY e.id"
        );
        file.sql.prepare(&sql).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    assert_eq!(few(None, None, FEW).await.unwrap(), None);
    let rare = ids("s.tenant_id = 'rare'");
    assert_eq!(rare.len(), 6);
    assert_eq!(few(Some("rare"), None, FEW).await.unwrap(), Some(rare.clone()));
    // Six events and three streams without any.
    assert_eq!(few(Some("rare"), None, 9).await.unwrap(), Some(rare));
    assert_eq!(few(Some("rare"), None, 8).await.unwrap(), None);
    assert_eq!(few(None, Some("letters"), FEW).await.unwrap(), Some(ids("s.category = 'letters'")));
    let both = ids("s.category = 'invoices' AND s.tenant_id = 'rare'");
    assert_eq!(few(Some("rare"), Some("invoices"), 3).await.unwrap(), Some(both));
    assert_eq!(few(Some("rare"), Some("invoices"), 2).await.unwrap(), None);
    assert_eq!(few(Some("nobody"), None, FEW).await.unwrap(), Some(Vec::new()));
    assert_eq!(few(Some("rare"), Some("nothing"), FEW).await.unwrap(), Some(Vec::new()));
    for number in 0..300 {
        let sql = "INSERT INTO event_sourcery_streams (uuid, category, tenant_id) VALUES (lower(hex(randomblob(16))), ?1, 'other')";
        file.sql.execute(sql, [format!("category {number}")]).unwrap();
    }
    assert_eq!(
        few(Some("rare"), None, FEW).await.unwrap(),
        None,
        "very many categories are not gone through"
    );
}

#[tokio::test]
async fn blocks_are_found_by_their_key_and_events_by_their_positions_without_a_sort() {
    let file = File::filled().await;
    // What SQLite would know if all events had one name: it is not to rely on it, and look at all of them.
    file.sql
        .execute_batch(
            "ANALYZE;
             DELETE FROM sqlite_stat1;
             INSERT INTO sqlite_stat1 VALUES
             ('event_sourcery_event_blocks', 'event_sourcery_event_blocks', '1000000 1000000 1'),
             ('event_sourcery_events', NULL, '10')",
        )
        .unwrap();
    let sql = Sql::new("event_sourcery_");
    let connection = Connection::open(file.folder.path().join("events.db")).unwrap();
    let plan = |sql: &str| -> Vec<String> {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        statement.raw_query().mapped(|row| row.get(3)).collect::<Result<_, _>>().unwrap()
    };
    let blocks = plan(&sql.listed_blocks);
    assert!(blocks[0].contains("PRIMARY KEY (name=? AND block>? AND block<?)"), "{blocks:#?}");
    assert!(!blocks.iter().any(|step| step.contains("TEMP B-TREE")), "{blocks:#?}");
    let next = plan(&sql.next_listed);
    assert!(next.iter().any(|step| step.contains("PRIMARY KEY (name=? AND block>?)")), "{next:#?}");
    assert!(!next.iter().any(|step| step.contains("TEMP B-TREE")), "{next:#?}");
    for few in [&sql.few_of_both, &sql.few_of_category] {
        let steps = plan(few);
        assert!(steps[0].contains("ix_event_sourcery_streams_of_category (category=?"), "{steps:#?}");
        assert!(steps[1].contains("COVERING INDEX") && steps[1].contains("(db_stream_id=?)"), "{steps:#?}");
        assert_eq!(steps.len(), 2, "{steps:#?}");
    }
    let categories = plan(&sql.categories).join("\n");
    assert_eq!(categories.matches("ix_event_sourcery_streams_of_category").count(), 2, "{categories}");
    let hidden = plan(&sql.hidden_stream);
    // By either of the two indexes that begin with both.
    let indexes = ["(category=? AND tenant_id=?)", "(tenant_id=? AND category=?)"];
    assert!(indexes.iter().any(|index| hidden[0].contains(index)), "{hidden:#?}");
    assert_eq!(hidden.len(), 1, "{hidden:#?}");
    let next = plan(&sql.hidden_behind);
    assert!(next[0].contains("category=?") && next[0].contains("tenant_id=?"), "{next:#?}");
    let given_up = plan(&sql.give_up_event);
    assert!(given_up[0].contains("ix_event_sourcery_events_uuid (uuid=?)"), "{given_up:#?}");
    let removed = plan(&sql.some_events);
    assert!(removed[0].contains("COVERING INDEX") && removed[0].contains("(db_stream_id=?)"), "{removed:#?}");
    assert!(plan(&sql.delete_event)[0].contains("INTEGER PRIMARY KEY (rowid=?)"));
    let mut texts = vec![sql.names.clone()];
    for names in [None, Some(1), Some(FEW_NAMES), Some(FEW_NAMES + 1)] {
        let mut filter = Filter::default();
        filter.names = names.map(|count| (0..count).map(|number| number.to_string().into()).collect());
        texts.push(Search::for_backlog(BacklogRequest::new(Position::START, filter.clone())).text(&sql));
        let mut hiding = Search::for_page(Position::START, None, filter.clone(), 10);
        hiding.hides = true;
        texts.push(hiding.text(&sql));
        filter.tenant = Some(TenantId::new("acme").unwrap());
        filter.category = Some(Category::new("invoices").unwrap());
        texts.push(Search::for_page(Position::START, None, filter, 10).text(&sql));
    }
    for text in texts {
        let plan = plan(&text);
        assert!(plan[0].contains("INTEGER PRIMARY KEY (rowid>? AND rowid<?)"), "{plan:#?}");
        assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{plan:#?}");
        assert!(!plan.iter().any(|step| step.starts_with("SCAN e")), "{plan:#?}");
    }
}
