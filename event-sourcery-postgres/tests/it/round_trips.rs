//! How many statements an append is, as the server counts them.

mod subscribing;

use event_sourcery::backend::Backend as _;
use event_sourcery::{
    Append, Appended, Error, Event as _, EventStore, NewEvent, OnStore, Query, QueryItem, RawEvent, StreamId,
    Tag,
};
use event_sourcery_postgres::PostgresBackend;
use event_sourcery_postgres::sqlx::{self, PgPool};
use futures_util::future::join_all;
use postgres_cluster::{Database, Server};

use crate::keys::{asked, create, sealed};
use crate::scene::{Scene, Store, Tx, event, events, pool, until};

/// Looks from another database, so that its own statements are not counted.
struct Counter {
    from: PgPool,
    _database: Database,
    counted: String,
}

impl Counter {
    async fn of(scene: &Scene) -> Self {
        let database = Server::shared().create_database();
        let from = pool(&database.url());
        sqlx::raw_sql("CREATE EXTENSION pg_stat_statements").execute(&from).await.unwrap();
        Self { from, _database: database, counted: scene.database.name().to_owned() }
    }

    /// Every statement that was run in the database, whoever ran it, and what was run in transactions' brackets. Without
    /// those by which a process tells others, now and then, of what it has committed, and tries a connection that was idle.
    async fn statements(&self) -> Vec<(String, i64)> {
        let sql = "SELECT s.query, s.calls FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
                   WHERE d.datname = $1 AND s.query NOT LIKE '%pg_notify%'
                     AND s.query <> 'SELECT pg_catalog.pg_backend_pid()'";
        sqlx::query_as(sql).bind(&self.counted).fetch_all(&self.from).await.unwrap()
    }

    /// How many of them begin and end transactions.
    async fn brackets(&self) -> i64 {
        let is_bracket = |(query, _): &(String, i64)| {
            ["BEGIN", "COMMIT", "SAVEPOINT"].iter().any(|bracket| query.to_uppercase().starts_with(bracket))
        };
        self.statements().await.into_iter().filter(is_bracket).map(|(_, calls)| calls).sum()
    }

    /// How many statements the work is.
    async fn count<T>(&self, work: impl Future<Output = T>) -> (i64, T) {
        let count = async || self.statements().await.iter().map(|(_, calls)| calls).sum::<i64>();
        let before = count().await;
        let done = work.await;
        (count().await - before, done)
    }
}

/// A store with one connection, on which every statement has been prepared.
async fn warm_store(scene: &Scene) -> Store {
    let options = PostgresBackend::options(scene.database.url()).max_connections(1);
    let store = EventStore::new(options.open().await.unwrap());
    for mode in Mode::ALL {
        mode.append(&store, 1).await;
    }
    store
}

#[derive(Debug, Clone, Copy)]
enum Mode {
    New,
    Existing,
    UnversionedNew,
    UnversionedExisting,
    Category,
}

impl Mode {
    const ALL: [Self; 5] =
        [Self::New, Self::Existing, Self::UnversionedNew, Self::UnversionedExisting, Self::Category];

    /// A stream to append to, which is there if the mode wants it.
    async fn stream(self, store: &Store) -> StreamId {
        let stream = StreamId::random();
        match self {
            Self::Existing => drop(store.append(&stream, events(3)).await.unwrap()),
            Self::UnversionedExisting => {
                store.append(&stream, events(3)).no_versioning().await.unwrap();
            }
            Self::Category => return stream.in_category("invoices").unwrap(),
            _ => {}
        }
        stream
    }

    async fn append(self, store: &Store, count: usize) {
        let stream = self.stream(store).await;
        self.append_to(store, &stream, count).await;
    }

    async fn append_to(self, store: &Store, stream: &StreamId, count: usize) {
        self.expecting(store.append(stream, events(count))).await.unwrap();
    }

    fn expecting<'a>(self, append: Append<'a, OnStore<'a>, Appended>) -> Append<'a, OnStore<'a>, Appended> {
        match self {
            Self::New | Self::Category => append,
            Self::Existing => append.expected_version(3),
            Self::UnversionedNew | Self::UnversionedExisting => append.no_versioning(),
        }
    }
}

#[tokio::test]
async fn opening_a_store_takes_three_dozen_statements_at_most() {
    let scene = Scene::new().await;
    let counter = Counter::of(&scene).await;
    let open =
        async || PostgresBackend::options(scene.database.url()).max_connections(1).open().await.unwrap();
    let (statements, _store) = counter.count(open()).await;
    assert!(statements <= 36, "{statements}: {:#?}", counter.statements().await);
}

#[tokio::test]
async fn an_append_is_one_statement_in_every_mode_for_one_event_and_for_a_hundred() {
    let scene = Scene::new().await;
    let (counter, store) = (Counter::of(&scene).await, warm_store(&scene).await);
    let before = counter.brackets().await;
    for mode in Mode::ALL {
        for events in [1, 100] {
            for _ in 0..3 {
                let stream = mode.stream(&store).await;
                let (statements, ()) = counter.count(mode.append_to(&store, &stream, events)).await;
                assert_eq!(statements, 1, "{mode:?}, {events} events: {:#?}", counter.statements().await);
            }
        }
    }
    assert_eq!(counter.brackets().await, before, "{:#?}", counter.statements().await);
}

#[tokio::test]
async fn a_conflict_is_two_statements() {
    let scene = Scene::new().await;
    let (counter, store) = (Counter::of(&scene).await, warm_store(&scene).await);
    let (versioned, unversioned) =
        (Mode::Existing.stream(&store).await, Mode::UnversionedExisting.stream(&store).await);
    store.append(&versioned, event()).await.unwrap_err();
    let refused = async |append: Append<'_, OnStore<'_>, Appended>| {
        let (statements, refused) = counter.count(append.into_future()).await;
        assert_eq!(statements, 2, "{refused:?}");
        refused.unwrap_err()
    };
    let created = refused(store.append(&versioned, event())).await;
    assert!(matches!(created, Error::Conflict { .. }), "{created:?}");
    let extended = refused(store.append(&versioned, event()).expected_version(7)).await;
    assert!(matches!(extended, Error::Conflict { .. }), "{extended:?}");
    let other = refused(store.append(&versioned, event()).no_versioning()).await;
    assert!(matches!(other, Error::NoExpectedVersionGivenOnVersionedStream { .. }), "{other:?}");
    let other = refused(store.append(&unversioned, event()).expected_version(3)).await;
    assert!(matches!(other, Error::ExpectedVersionUsedOnVersionlessStream { .. }), "{other:?}");
}

fn tags(count: usize) -> Vec<Tag> {
    (0..count).map(|number| Tag::new("number", number).unwrap()).collect()
}

fn tagged(count: usize, with: usize) -> Vec<NewEvent<RawEvent>> {
    events(count).into_iter().map(|event| event.with_tags(tags(with))).collect()
}

/// A decision is a read and an append, each in one round trip, whatever it reads and wherever it writes.
#[tokio::test]
async fn a_read_by_a_query_is_one_statement_and_so_is_an_append_that_depends_on_it() {
    let scene = Scene::new().await;
    let (counter, store) = (Counter::of(&scene).await, warm_store(&scene).await);
    let before = counter.brackets().await;
    let read = async |query: &Query| {
        let (statements, read) = counter.count(store.read::<RawEvent>(query).into_future()).await;
        assert_eq!(statements, 1, "{query}: {:#?}", counter.statements().await);
        read.unwrap()
    };
    let mut first = None;
    for mode in Mode::ALL {
        for (count, with) in [(1, 1), (1, 3), (100, 1)] {
            let item = |tag| QueryItem::new().tagged(tag);
            let boundary = read(&Query::new(tags(with).into_iter().map(item))).await.boundary;
            let stream = mode.stream(&store).await;
            let append = mode.expecting(store.append(&stream, tagged(count, with)));
            let (statements, appended) = counter.count(append.unless_moved(&boundary).into_future()).await;
            appended.unwrap();
            assert_eq!(statements, 1, "{mode:?}, {count} events: {:#?}", counter.statements().await);
            first.get_or_insert(boundary);
        }
    }
    // One without tags, too.
    let all = read(&Query::all()).await;
    assert!(all.events.len() > 500);
    assert_eq!(counter.brackets().await, before, "{:#?}", counter.statements().await);

    let (stream, moved) = (StreamId::random(), first.unwrap());
    let refused = store.append(&stream, tagged(1, 1)).unless_moved(&moved).into_future();
    let (statements, refused) = counter.count(refused).await;
    assert!(matches!(refused, Err(Error::BoundaryMoved { .. })), "{refused:?}");
    assert_eq!(statements, 3, "{:#?}", counter.statements().await);
}

/// The tag was written to, but by nothing that matches: that is found out under locks.
#[tokio::test]
async fn a_boundary_that_holds_although_its_tag_was_written_to_takes_a_dozen_statements_more() {
    let scene = Scene::new().await;
    let (counter, store) = (Counter::of(&scene).await, warm_store(&scene).await);
    let others = QueryItem::new().named("Other").tagged(tags(1).remove(0));
    let boundary = store.read::<RawEvent>(&others.into()).await.unwrap().boundary;
    store.append(&StreamId::random(), tagged(1, 1)).await.unwrap();
    let stream = StreamId::random();
    let append = store.append(&stream, tagged(1, 1)).unless_moved(&boundary).into_future();
    let (statements, appended) = counter.count(append).await;
    appended.unwrap();
    assert!((5..=15).contains(&statements), "{statements}: {:#?}", counter.statements().await);
}

#[tokio::test]
async fn a_stream_is_loaded_by_one_statement() {
    let scene = Scene::new().await;
    let (counter, store) = (Counter::of(&scene).await, warm_store(&scene).await);
    let stream = Mode::Existing.stream(&store).await;
    let load = async || store.load_stream::<event_sourcery::RawEvent>(&stream).await.unwrap().len();
    load().await;
    assert_eq!(counter.count(load()).await, (1, 3));
}

/// However many: an append that is sealed with one key or a hundred is one statement, too. None of it is paid for by who has no keys:
/// see the first of these tests.
#[tokio::test]
async fn the_keys_of_a_thousand_subjects_are_one_statement_and_so_is_an_append_that_is_sealed_with_them() {
    let scene = Scene::new().await;
    let (counter, store) = (Counter::of(&scene).await, warm_store(&scene).await);
    let backend = store.backend();
    let subjects: Vec<_> = (1_000..2_000).map(|number| number.to_string()).collect();
    let subjects: Vec<_> = subjects.iter().map(String::as_str).collect();
    // Prepared.
    backend.keys(asked(&subjects)).await.unwrap();
    backend.append(sealed(1, &create(backend, &["first"]).await)).await.unwrap();

    let (statements, keys) = counter.count(create(backend, &subjects)).await;
    assert_eq!((statements, keys.len()), (1, 1_000), "{:#?}", counter.statements().await);
    let (statements, found) = counter.count(backend.keys(asked(&subjects))).await;
    assert_eq!((statements, found.unwrap().len()), (1, 1_000));
    let (statements, found) = counter.count(create(backend, &subjects)).await;
    assert!(statements == 1 && found == keys, "they are there");
    for keys in [&keys[..1], &keys[..100]] {
        let (statements, appended) = counter.count(backend.append(sealed(1, keys))).await;
        appended.unwrap();
        assert_eq!(statements, 1, "{:#?}", counter.statements().await);
    }
}

/// Beside the caller's own statements: the savepoint, the append, the release.
#[tokio::test]
async fn an_append_in_the_callers_transaction_is_one_statement_within_a_savepoint() {
    let scene = Scene::new().await;
    let (counter, store) = (Counter::of(&scene).await, &scene.store);
    let mut tx: Tx = scene.begin().await;
    store.within(&mut tx).append(&StreamId::random(), event()).await.unwrap();
    let stream = StreamId::random();
    let append = async { store.within(&mut tx).append(&stream, events(100)).await.unwrap() };
    assert_eq!(counter.count(append).await.0, 3, "{:#?}", counter.statements().await);
    tx.commit().await.unwrap();
}

/// Who listens to something else is paid for by those who append that. A transaction of its own is begun, set and committed around the
/// two savepoint statements; its connection is looked at when it comes back.
#[tokio::test]
async fn an_append_that_nobody_listens_to_is_one_statement_though_others_are_listened_to() {
    let scene = Scene::new().await;
    let (counter, store) = (Counter::of(&scene).await, warm_store(&scene).await);
    let heard = |count| (0..count).map(|_| RawEvent::new("Heard", "{}").unwrap()).collect::<Vec<_>>();
    let listen = store.listen::<RawEvent>().event_names(["Heard"]);
    let listening = listen.within(|_, _| Box::pin(async { Ok(()) })).unwrap();
    let is_released = async || until(async || store.backend().pool().num_idle() == 1).await;
    store.append(&StreamId::random(), heard(2)).await.unwrap();
    is_released().await;
    for mode in Mode::ALL {
        let stream = mode.stream(&store).await;
        assert_eq!(counter.count(mode.append_to(&store, &stream, 1)).await.0, 1, "{mode:?}");
    }
    let append = async { store.append(&StreamId::random(), heard(1)).await.unwrap() };
    let (statements, _) = counter.count(append).await;
    assert!((5..=11).contains(&statements), "{statements}: {:#?}", counter.statements().await);
    is_released().await;

    let mut tx = scene.begin().await;
    store.within(&mut tx).append(&StreamId::random(), heard(2)).await.unwrap();
    for (count, expected) in [(1, 3), (2, 4)] {
        let append = async { store.within(&mut tx).append(&StreamId::random(), heard(count)).await.unwrap() };
        assert_eq!(counter.count(append).await.0, expected, "{:#?}", counter.statements().await);
    }
    tx.commit().await.unwrap();

    listening.remove();
    let append = async { store.append(&StreamId::random(), heard(1)).await.unwrap() };
    assert_eq!(counter.count(append).await.0, 1);
}

/// Coalescing: those that arrive while others are under way share a statement.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_appends_at_once_are_fewer_statements_than_appends() {
    let scene = Scene::new().await;
    let (counter, store) = (Counter::of(&scene).await, &scene.store);
    let append_all = || {
        join_all((0..200).map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.append(&StreamId::random(), event()).await.unwrap() })
        }))
    };
    append_all().await;
    let before = store.backend().grouped().unwrap();
    let (statements, appended) = counter.count(append_all()).await;
    let after = store.backend().grouped().unwrap();
    assert!(appended.into_iter().all(|appended| appended.unwrap().first_version == Some(1)));
    println!("200 appends at once: {statements} statements");
    let (commits, calls) = (after.commits - before.commits, after.calls - before.calls);
    assert!(calls == 200 && commits < 150, "{calls} calls in {commits} commits are told");
    assert!(statements < 150, "{statements}: {:#?}", counter.statements().await);
}

/// A batch passes over a stream that somebody holds: it need not be undone, and its members not be run again, one by one.
#[tokio::test]
async fn appends_that_share_a_statement_with_one_to_a_held_stream_are_not_run_again() {
    // On a busy machine a batch may be late for some other reason, but not each time.
    let mut statements = Vec::new();
    while statements.len() < 3 && statements.iter().all(|statements| *statements > 30) {
        statements.push(statements_beside_a_held_stream().await);
    }
    assert!(statements.iter().any(|statements| *statements <= 30), "{statements:?} for 120 appends");
}

async fn statements_beside_a_held_stream() -> i64 {
    let scene = Scene::new().await;
    let (counter, store) = (Counter::of(&scene).await, &scene.store);
    let held = Mode::Existing.stream(store).await;
    let mut tx = scene.begin().await;
    store.within(&mut tx).append(&held, event()).expected_version(3).await.unwrap();
    // On one thread each has called before the first is answered: few run alone, and the others wait together.
    let append = |stream: StreamId, version: u64| {
        let store = store.clone();
        tokio::spawn(async move { store.append(&stream, event()).expected_version(version).await })
    };
    let append_all = || (0..60).map(|_| append(StreamId::random(), 0)).collect::<Vec<_>>();
    join_all(append_all()).await;

    let append_all_and_to_held = async {
        let first = append_all();
        let waiting = append(held.clone(), 3);
        for appended in join_all(first.into_iter().chain(append_all())).await {
            appended.unwrap().unwrap();
        }
        [waiting]
    };
    let (statements, [waiting]) = counter.count(append_all_and_to_held).await;

    assert!(!waiting.is_finished(), "it waits");
    tx.commit().await.unwrap();
    assert!(matches!(waiting.await.unwrap(), Err(Error::Conflict { expected: 3, actual: 4, .. })));
    statements
}
