//! Moving between the databases, with what both languages wrote.

use event_sourcery::copy::Copy;
use event_sourcery::{EventStore, StreamId};
use event_sourcery_sqlite::SqliteBackend;
use reference::invoicing::{numbered, paid, payments};
use reference::{Expected, Python, SharedDatabase as _, event, fill, payments_in_python, with};

use super::postgres::Postgres;
use crate::scene::until;

#[tokio::test(flavor = "multi_thread")]
async fn what_both_languages_wrote_is_copied_from_sqlite_to_postgresql_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let open = async |name: &str| {
        let backend = SqliteBackend::open(folder.path().join(name)).await.unwrap();
        EventStore::new(backend).erased()
    };
    let mut python = Python::start(&format!("sqlite:///{}", folder.path().join("old.db").display()));
    python.create_all();
    fill(&mut python);
    let numbered_by_caller = |version: u64| with(event(&paid(version.to_string())), "version", version);
    let stream = StreamId::from_name("with holes").unwrap();
    python.create(&stream, &[numbered_by_caller(3), numbered_by_caller(7)]);
    let sqlite = open("old.db").await;
    sqlite.append(&stream, paid("8")).expected_version(7).await.unwrap();

    let (database, back) = (Postgres::create().await, open("new.db").await);
    let postgres = database.rust().await;
    let copied = Copy::new(&sqlite, &postgres).run().await.unwrap();
    assert_eq!((copied.written, copied.is_clean()), (11, true), "{copied:?}");
    assert!(Copy::new(&sqlite, &postgres).compare().await.unwrap().is_equal());
    until(async || {
        Copy::new(&postgres, &back).run().await.unwrap();
        Copy::new(&sqlite, &back).compare().await.unwrap().is_equal()
    })
    .await;

    // Python goes on with either copy.
    let mut in_postgres = database.python();
    assert_eq!(payments_in_python(&in_postgres.load(&stream)), numbered([3, 7, 8]));
    in_postgres.append(&stream, Expected::Version(8), &[event(&paid("9"))]).unwrap();
    assert_eq!(payments(&postgres.load_stream(&stream).await.unwrap()), numbered([3, 7, 8, 9]));
    let mut in_sqlite = Python::start(&format!("sqlite:///{}", folder.path().join("new.db").display()));
    assert_eq!(payments_in_python(&in_sqlite.load(&stream)), numbered([3, 7, 8]));
}
