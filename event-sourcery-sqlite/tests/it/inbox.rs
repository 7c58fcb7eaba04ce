//! The inbox: each message once, whoever delivers it how often, and whatever becomes of the consumer.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use event_sourcery::{Error, EventStore, RawEvent, Result, StreamId, Within};
use event_sourcery_sqlite::rusqlite::Connection;
use event_sourcery_sqlite::{Inbox, SqliteBackend, SqliteTransaction};
use futures_util::future::join_all;

use crate::appender::own_error;
use crate::failures::Folder;

/// A consumer, on a connection of its own.
struct Books {
    connection: Connection,
    inbox: Inbox,
}

impl Books {
    fn open(folder: &Folder) -> Self {
        let connection = folder.foreign_connection();
        connection.busy_timeout(Duration::from_secs(60)).unwrap();
        connection
            .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE IF NOT EXISTS sales (message)")
            .unwrap();
        let inbox = Inbox::open(&connection, "books").unwrap();
        Self { connection, inbox }
    }

    /// Whether the message was handled now.
    fn book(&self, message: &str) -> Result<bool> {
        let booked = self.inbox.handle_on::<(), Error, _>(&self.connection, message, |connection| {
            connection.execute("INSERT INTO sales VALUES (?1)", [message]).map(drop).map_err(own_error)
        });
        Ok(booked?.is_some())
    }

    fn run(&self, sql: &str) {
        self.connection.execute_batch(sql).unwrap();
    }

    fn count(&self, table: &str) -> i64 {
        let count = format!("SELECT count(*) FROM {table}");
        self.connection.query_row(&count, [], |row| row.get(0)).unwrap()
    }

    fn sales(&self) -> i64 {
        self.count("sales")
    }

    fn remembered(&self) -> i64 {
        self.count("event_sourcery_inbox")
    }
}

#[test]
fn a_unique_index_of_the_users_loses_no_message() {
    let folder = Folder::new();
    let books = Books::open(&folder);
    books.run("CREATE UNIQUE INDEX once ON event_sourcery_inbox (message_id)");
    assert!(books.book("a").unwrap());
    let others =
        Books { inbox: Inbox::open(&books.connection, "statistics").unwrap(), ..Books::open(&folder) };
    let refused = others.book("a").unwrap_err();
    assert!(matches!(refused, Error::Backend { .. }), "{refused:?}");
    assert!(!books.book("a").unwrap() && books.sales() == 1);
}

#[test]
fn a_message_that_comes_again_is_handled_once() {
    let folder = Folder::new();
    let books = Books::open(&folder);
    assert!(books.book("a").unwrap());
    assert!(!books.book("a").unwrap());
    assert!(books.book("b").unwrap());
    assert!(!Books::open(&folder).book("a").unwrap(), "by anybody");
    assert_eq!(books.sales(), 2);
    assert!(books.connection.is_autocommit(), "it had a transaction of its own");
}

#[test]
fn each_consumer_handles_every_message() {
    let folder = Folder::new();
    let mut books = Books::open(&folder);
    assert!(books.book("a").unwrap());
    books.inbox = Inbox::open(&books.connection, "statistics").unwrap();
    assert!(books.book("a").unwrap());
}

/// Two have one message; the first ends its transaction after the second has begun to wait for it.
fn second_of_two(end: &str) -> (bool, i64) {
    let folder = Folder::new();
    let (first, second) = (Books::open(&folder), Books::open(&folder));
    first.run("BEGIN IMMEDIATE");
    assert!(first.book("a").unwrap());
    let (waits, waiting) = mpsc::channel();
    let second = thread::spawn(move || {
        WAITS.set(Some(waits));
        second.connection.busy_handler(Some(wait)).unwrap();
        let booked = second.book("a").unwrap();
        (booked, second.sales())
    });
    waiting.recv().unwrap();
    first.run(end);
    second.join().unwrap()
}

thread_local! {
    static WAITS: RefCell<Option<mpsc::Sender<()>>> = const { RefCell::new(None) };
}

/// Called when the lock is found taken, before it is asked for again.
fn wait(_: i32) -> bool {
    WAITS.with_borrow(|waits| {
        if let Some(waits) = waits {
            let _ = waits.send(());
        }
    });
    thread::sleep(Duration::from_millis(1));
    true
}

#[test]
fn of_two_that_have_one_message_at_once_one_handles_it() {
    assert_eq!(second_of_two("COMMIT"), (false, 1));
}

#[test]
fn where_the_first_of_two_rolls_back_the_second_handles_it() {
    assert_eq!(second_of_two("ROLLBACK"), (true, 1));
}

#[test]
fn of_many_that_have_the_same_messages_each_is_handled_once() {
    let folder = Folder::new();
    let books = Books::open(&folder);
    let consumers = (0..8).map(|_| {
        let books = Books::open(&folder);
        thread::spawn(move || (0..10).filter(|number| books.book(&format!("{number}")).unwrap()).count())
    });
    let consumers: Vec<_> = consumers.collect();
    let handled: usize = consumers.into_iter().map(|consumer| consumer.join().unwrap()).sum();
    assert_eq!((handled, books.sales()), (10, 10));
}

#[test]
fn what_a_failed_handler_wrote_is_taken_back_with_the_id() {
    let folder = Folder::new();
    let books = Books::open(&folder);
    books.run("BEGIN IMMEDIATE");
    let failed = books.inbox.handle_on::<(), Error, _>(&books.connection, "a", |connection| {
        connection.execute("INSERT INTO sales VALUES ('half')", []).map_err(own_error)?;
        Err(Error::Closed)
    });
    assert!(matches!(failed, Err(Error::Closed)));
    assert!(books.book("b").unwrap(), "the transaction goes on");
    books.run("COMMIT");
    assert_eq!((books.sales(), books.remembered()), (1, 1));
    assert!(books.book("a").unwrap(), "it was not handled so far");
}

#[test]
fn what_a_handler_that_panics_wrote_is_taken_back_with_the_id() {
    let folder = Folder::new();
    let books = Books::open(&folder);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        books.inbox.handle_on::<(), Error, _>(&books.connection, "a", |connection| {
            connection.execute("INSERT INTO sales VALUES ('half')", []).unwrap();
            panic!("out of ink")
        })
    }));
    assert!(panicked.is_err());
    assert!(books.connection.is_autocommit(), "no savepoint is left open");
    assert_eq!((books.sales(), books.remembered()), (0, 0));
    assert!(books.book("a").unwrap());
}

#[test]
fn a_locked_file_is_busy_and_nothing_is_left_open() {
    let folder = Folder::new();
    let (books, other) = (Books::open(&folder), Books::open(&folder));
    other.run("BEGIN IMMEDIATE");
    books.connection.busy_timeout(Duration::from_millis(50)).unwrap();
    let busy = books.book("a").unwrap_err();
    assert!(matches!(busy, Error::Busy { waited, .. } if waited >= Duration::from_millis(40)), "{busy:?}");
    assert!(busy.is_retryable() && books.connection.is_autocommit());
    other.run("ROLLBACK");
    assert!(books.book("a").unwrap());
}

#[tokio::test]
async fn a_handler_appends_in_a_transaction_of_the_stores() {
    let folder = Folder::new();
    let store = folder.store().await;
    let inbox: Inbox = store.transaction(|tx| Inbox::open(tx.connection(), "books")).await.unwrap();
    let stream = StreamId::from_name("sales").unwrap();
    let deliveries = (0..20).map(|number| deliver(&store, &inbox, &stream, format!("{}", number % 5)));
    let booked = join_all(deliveries).await;
    assert_eq!(booked.into_iter().filter(|booked| *booked).count(), 5);
    assert_eq!(store.version(&stream).await.unwrap(), Some(5));
}

async fn deliver(
    store: &EventStore<SqliteBackend>,
    inbox: &Inbox,
    stream: &StreamId,
    message: String,
) -> bool {
    let (inbox, stream) = (inbox.clone(), stream.clone());
    let booked = store.transaction::<_, Error, _>(move |tx| {
        inbox.handle(tx, &message, |tx| {
            let version = tx.version(&stream)?;
            tx.append(&stream, RawEvent::new("Booked", "{}")?).expected_version(version).run()
        })
    });
    booked.await.unwrap().is_some()
}

#[tokio::test]
async fn what_a_failed_handler_wrote_is_taken_back_in_a_transaction_of_the_stores() {
    let folder = Folder::new();
    let store = folder.store().await;
    let inbox: Inbox = store.transaction(|tx| Inbox::open(tx.connection(), "books")).await.unwrap();
    let stream = StreamId::from_name("sales").unwrap();
    let (failing, failed_on) = (inbox.clone(), stream.clone());
    let work = move |tx: &mut Within<'_, SqliteTransaction<'_>>| {
        let failed = failing.handle::<(), Error, _>(tx, "0", |tx| {
            tx.append(&failed_on, RawEvent::new("Booked", "{}")?).run()?;
            Err(Error::Closed)
        });
        assert!(matches!(failed, Err(Error::Closed)));
        Ok::<_, Error>(())
    };
    store.transaction(work).await.expect("the transaction goes on");
    assert_eq!(store.version(&stream).await.unwrap(), None);
    assert!(deliver(&store, &inbox, &stream, "0".to_owned()).await, "it was not handled so far");
}

#[test]
fn ids_older_than_the_window_are_forgotten_two_at_a_time_and_no_others() {
    let folder = Folder::new();
    let mut books = Books::open(&folder);
    for number in 0..6 {
        assert!(books.book(&format!("old {number}")).unwrap());
    }
    books.run("UPDATE event_sourcery_inbox SET handled_at = handled_at - 3600000000");
    assert!(books.book("fresh").unwrap());
    assert_eq!(books.remembered(), 7, "a week is longer");

    books.inbox = books.inbox.keep_for(Duration::from_secs(60)).unwrap();
    assert!(!books.book("old 5").unwrap(), "what is there still counts");
    assert_eq!(books.remembered(), 5);
    for (message, left) in [("b", 4), ("c", 3), ("d", 4)] {
        assert!(books.book(message).unwrap());
        assert_eq!(books.remembered(), left, "{message}");
    }
    assert!(!books.book("fresh").unwrap(), "it is within the window");
    assert!(books.book("old 5").unwrap(), "it is handled again");
}

#[test]
fn of_more_ids_than_are_to_be_kept_the_newest_stay_and_others_go_within_the_window_too() {
    let folder = Folder::new();
    let mut books = Books::open(&folder);
    for number in 0..10 {
        assert!(books.book(&format!("{number}")).unwrap());
    }
    books.inbox = books.inbox.keep_at_most(3).unwrap();
    for (message, left) in [("a", 9), ("b", 8), ("c", 7), ("d", 6), ("e", 5), ("f", 4), ("g", 3), ("h", 3)] {
        assert!(books.book(message).unwrap());
        assert_eq!(books.remembered(), left, "{message}");
    }
    for message in ["f", "g", "h"] {
        assert!(!books.book(message).unwrap(), "{message} is among the last three");
    }
    assert!(books.book("e").unwrap(), "it is handled again");
    assert!(books.book("f").unwrap(), "another one has taken its place");

    books.inbox = Inbox::open(&books.connection, "statistics").unwrap().keep_at_most(32).unwrap();
    for number in 0..100 {
        assert!(books.book(&format!("{number}")).unwrap());
        let kept = books.remembered();
        assert!(kept <= 3 + 32 + 1, "nothing of others goes, and it looks at every second message: {kept}");
    }
    assert!(books.remembered() >= 3 + 32);
}

/// Every second message looks whether there are too many.
#[test]
fn where_each_message_that_looks_is_rolled_back_the_next_one_looks() {
    let folder = Folder::new();
    let mut books = Books::open(&folder);
    books.inbox = books.inbox.keep_at_most(32).unwrap();
    for number in 0..60 {
        let fail = |_: &Connection| Err(Error::Closed);
        assert!(books.inbox.handle_on::<(), Error, _>(&books.connection, "poison", fail).is_err());
        assert!(books.book(&format!("{number}")).unwrap());
        let kept = books.remembered();
        assert!(kept <= 32 + 2 * 2, "{kept}");
    }
}

/// The clock was set back: what is new seems to be the oldest.
#[test]
fn the_id_of_the_message_at_hand_is_kept_however_old_it_seems() {
    let folder = Folder::new();
    let mut books = Books::open(&folder);
    assert!(books.book("a").unwrap());
    books.run("UPDATE event_sourcery_inbox SET handled_at = handled_at + 3600000000");
    books.inbox = books.inbox.keep_at_most(1).unwrap();
    assert!(books.book("b").unwrap());
    assert!(!books.book("b").unwrap());
}

#[test]
fn ids_and_names_have_limits() {
    let folder = Folder::new();
    let mut books = Books::open(&folder);
    for id in ["", "a\0b", &"ü".repeat(128)] {
        let refused = books.book(id).unwrap_err();
        assert!(matches!(refused, Error::InvalidOption { option: "message_id", .. }), "{id:?}: {refused:?}");
    }
    assert!(books.book(&"ü".repeat(127)).unwrap());
    for name in ["", "a\0b", &"x".repeat(256)] {
        let refused = Inbox::open(&books.connection, name).unwrap_err();
        assert!(matches!(refused, Error::InvalidOption { option: "consumer", .. }), "{name:?}: {refused:?}");
    }
    let refused = books.inbox.clone().keep_for(Duration::from_millis(999)).unwrap_err();
    assert!(matches!(refused, Error::InvalidOption { option: "keep_for", .. }));
    assert!(books.inbox.clone().keep_for(Duration::MAX).is_ok());
    let refused = books.inbox.clone().keep_at_most(0).unwrap_err();
    assert!(matches!(refused, Error::InvalidOption { option: "keep_at_most", .. }));
    books.inbox = books.inbox.keep_at_most(u64::MAX).unwrap();
    assert!(books.book("as many as there are").unwrap());
    books.run(Inbox::migration());
}
