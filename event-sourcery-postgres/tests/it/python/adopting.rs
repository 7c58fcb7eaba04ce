//! A store that Python made, opened by Rust for the first time: what changes in the database, and what does not.

use event_sourcery::{Error, EventStore, RawEvent, StreamId};
use event_sourcery_postgres::PostgresBackend;
use reference::invoicing::{Summary, numbered, paid, payments};
use reference::{Expected, SharedDatabase as _, event, fill, payments_in_python};

use super::postgres::{Postgres, TABLES};

fn stream() -> StreamId {
    StreamId::from_name("invoices/1003").unwrap()
}

/// What is in the database now and was not before, and what was and is not: of the reference's tables.
fn changes(before: &[String], after: &[String]) -> (Vec<String>, Vec<String>) {
    let lacking = |from: &[String], of: &[String]| -> Vec<String> {
        let lacking = of.iter().filter(|line| !from.contains(line));
        let of_the_reference = lacking.filter(|line| {
            TABLES.iter().any(|table| line.contains(table))
                && !line.contains("event_sourcery_events_unversioned")
                && !line.contains("event_sourcery_streams_of_category")
                && !line.contains("event_sourcery_streams_by_name")
        });
        of_the_reference.cloned().collect()
    };
    (lacking(before, after), lacking(after, before))
}

#[tokio::test(flavor = "multi_thread")]
async fn adopting_adds_columns_and_indexes_widens_one_column_and_writes_no_table_anew() {
    let database = Postgres::create().await;
    fill(&mut database.made_by_python());
    let before = database.schema();

    database.rust().await;

    let (mut added, removed) = changes(&before, &database.schema());
    // Where the indexes of the outbox lie.
    added.retain(|line| !line.starts_with("ix_"));
    let outbox = "event_sourcery_outbox_entries";
    let index =
        |name: &str, on: &str| format!("CREATE INDEX ix_{outbox}_{name} ON public.{outbox} USING btree {on}");
    assert_eq!(
        added,
        [
            &*index("kept", "(published_at) WHERE (published_at IS NOT NULL)"),
            &*index("position", "(\"position\")"),
            "event_sourcery_events.schema_version integer NOT NULL DEFAULT 1",
            "event_sourcery_outbox_entries.published_at timestamp without time zone",
            "event_sourcery_snapshots.name character varying(200) NOT NULL",
            "event_sourcery_snapshots.schema_version integer NOT NULL DEFAULT 1",
        ]
    );
    assert_eq!(removed, ["event_sourcery_snapshots.name character varying(50) NOT NULL"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adopted_store_takes_snapshots_of_types_with_long_names() {
    let database = Postgres::create().await;
    let (_python, rust) = database.both().await;
    rust.append(&stream(), paid("1")).await.unwrap();
    let name = "N".repeat(200);

    rust.save_snapshot(&stream(), 1, RawEvent::new(name.clone(), "{}").unwrap()).await.unwrap();

    assert_eq!(database.texts("SELECT name FROM event_sourcery_snapshots"), [name]);
}

#[tokio::test(flavor = "multi_thread")]
async fn adopting_keeps_what_the_user_has_hung_on_the_tables() {
    let database = Postgres::create().await;
    let mut python = database.made_by_python();
    database.run(
        "CREATE TABLE seen (what TEXT);
         CREATE INDEX by_name ON event_sourcery_events (name) WHERE version = 1;
         CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN INSERT INTO seen VALUES (NEW.name); RETURN NULL; END $$;
         CREATE TRIGGER on_event AFTER INSERT ON event_sourcery_events FOR EACH ROW EXECUTE FUNCTION see();
         CREATE VIEW names AS SELECT DISTINCT name FROM event_sourcery_events;
         ALTER TABLE event_sourcery_streams ADD COLUMN note TEXT NOT NULL DEFAULT 'none';",
    );
    fill(&mut python);
    let seen = database.number("SELECT count(*) FROM seen").unwrap();

    let rust = database.rust().await;

    assert_eq!(database.number("SELECT count(*) FROM seen"), Some(seen));
    rust.append(&StreamId::random(), paid("1")).await.unwrap();
    assert_eq!(database.number("SELECT count(*) FROM seen"), Some(seen + 1));
    assert_eq!(database.texts("SELECT name FROM names"), ["invoicing.Paid"]);
    assert_eq!(database.number("SELECT count(*) FROM pg_indexes WHERE indexname = 'by_name'"), Some(1));
    let note = "SELECT DISTINCT note FROM event_sourcery_streams";
    assert_eq!(database.texts(note), ["none"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_migration_does_what_opening_does() {
    let (printed, opened) = (Postgres::create().await, Postgres::create().await);
    for database in [&printed, &opened] {
        fill(&mut database.made_by_python());
    }
    let before = printed.rows();
    let options = PostgresBackend::options(printed.rust_url());

    let migration = options.migration().await.unwrap();
    assert_ne!(migration, "");
    printed.run(&format!("BEGIN; {migration} COMMIT;"));
    opened.rust().await;

    assert_eq!(printed.layout(), opened.layout());
    assert_eq!(printed.rows(), before);
    assert_eq!(options.migration().await.unwrap(), "");
    printed.open(false).await.unwrap();
}

/// PostgreSQL does not change the type of a column that a view shows.
#[tokio::test(flavor = "multi_thread")]
async fn a_view_over_the_names_of_snapshots_stands_in_no_ones_way() {
    let database = Postgres::create().await;
    let mut python = database.made_by_python();
    database.run("CREATE VIEW taken AS SELECT name, count(*) FROM event_sourcery_snapshots GROUP BY name");
    fill(&mut python);

    match database.open(true).await {
        Ok(_) => assert_eq!(database.texts("SELECT name FROM taken"), ["invoicing.Summary"]),
        Err(Error::MigrationNeeded { problem }) => assert!(problem.contains("taken"), "{problem}"),
        Err(other) => panic!("the error does not say what to do: {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_adopt_a_store_at_once_all_find_it_adopted() {
    let database = Postgres::create().await;
    let mut python = database.made_by_python();
    fill(&mut python);
    let before = database.rows();

    let opened = futures_util::future::join_all((0..8).map(|_| database.open(true))).await;

    for opened in opened {
        opened.unwrap();
    }
    assert_eq!(database.rows(), before);
}

/// Opens the store beside Python's open transaction, and comes back when it waits for that.
async fn open_beside(
    database: &Postgres,
) -> tokio::task::JoinHandle<event_sourcery::Result<PostgresBackend>> {
    let opening = tokio::spawn(PostgresBackend::connect(database.rust_url()));
    database.until_somebody_waits_for_a_lock().await;
    opening
}

#[tokio::test(flavor = "multi_thread")]
async fn python_finishes_the_append_that_it_had_open_when_the_store_was_adopted() {
    let database = Postgres::create().await;
    let mut python = database.made_by_python();
    python.begin();
    python.append(&stream(), Expected::Version(0), &[event(&paid("1"))]).unwrap();

    let opening = open_beside(&database).await;
    python.append(&stream(), Expected::Version(1), &[event(&paid("2"))]).unwrap();
    python.commit();

    let rust = EventStore::new(opening.await.unwrap().unwrap());
    assert_eq!(payments(&rust.load_stream(&stream()).await.unwrap()), numbered(1..=2));
    rust.append(&stream(), paid("3")).expected_version(2).await.unwrap();
    assert_eq!(payments_in_python(&python.load(&stream())), numbered(1..=3));
}

/// Python locks the snapshots first here: in another order than those who change the tables one after the other.
#[tokio::test(flavor = "multi_thread")]
async fn python_finishes_the_snapshot_that_it_had_open_when_the_store_was_adopted() {
    let database = Postgres::create().await;
    let mut python = database.made_by_python();
    python.create(&stream(), &[event(&paid("1"))]);
    python.begin();
    python.snapshot(&stream(), 1, &event(&Summary { payments: 1 }));

    let opening = open_beside(&database).await;
    assert_eq!(python.load(&stream())[0].class, "Summary");
    python.append(&stream(), Expected::Version(1), &[event(&paid("2"))]).unwrap();
    python.commit();

    let rust = EventStore::new(opening.await.unwrap().unwrap());
    assert_eq!(payments(&rust.load_stream(&stream()).await.unwrap()), numbered(1..=2));
}

#[tokio::test(flavor = "multi_thread")]
async fn others_of_pythons_go_on_while_adopting_waits_for_one() {
    let database = Postgres::create().await;
    let (mut idle, mut busy) = (database.made_by_python(), database.python());
    busy.create(&stream(), &[event(&paid("1"))]);
    idle.begin();
    idle.load(&stream());

    let opening = open_beside(&database).await;
    busy.append(&stream(), Expected::Version(1), &[event(&paid("2"))]).unwrap();
    idle.rollback();

    opening.await.unwrap().unwrap();
}
