//! What a backend supplies: a database that both languages work on.

use std::collections::BTreeMap;

use async_trait::async_trait;
use event_sourcery::{EventStore, Projected, RawEvent, Recorded, Result, StreamId};

use crate::python::Python;
use crate::unreadable::Unreadable;

/// A database that both languages work on, made for one test.
///
/// It is empty at first: [`made_by_python`](Self::made_by_python) or [`rust`](Self::rust) makes the tables. Everything
/// here may panic: what cannot be made or reached fails the test.
#[async_trait]
pub trait SharedDatabase: Send + Sync + 'static {
    /// Makes a database that no other test sees, and that goes with this value.
    async fn create() -> Self
    where
        Self: Sized;

    /// Where the reference finds it, as SQLAlchemy spells it.
    fn url(&self) -> String;

    /// Opens the store in Rust. It may bring the tables up to date, or has to refuse where they are not.
    async fn open(&self, migrate: bool) -> Result<EventStore>;

    /// Feeds a projector, in a transaction of its own; tells what the read model was given: versions, and `anew`.
    async fn project(&self, projector: &str, recorded: Recorded<RawEvent>) -> Vec<String>;

    /// Runs statements by hand, for what neither language can be brought to do.
    fn run(&self, sql: &str);

    /// The first column of an answer, as text; NULL is an empty text.
    fn texts(&self, sql: &str) -> Vec<String>;

    /// Every row of every table of the reference.
    fn rows(&self) -> Rows;

    /// Everything in the database but the rows: tables, their columns, indexes and constraints. Where the database can tell
    /// whether a table was written anew, that too.
    fn schema(&self) -> Vec<String>;

    /// What the database lets somebody write into the reference's tables, though nobody can read it.
    fn unreadable(&self) -> Unreadable;

    /// Starts the reference on it.
    fn python(&self) -> Python {
        Python::start(&self.url())
    }

    /// Has Python make the tables, and go on.
    fn made_by_python(&self) -> Python {
        let mut python = self.python();
        python.create_all();
        python
    }

    /// Opens the store in Rust.
    async fn rust(&self) -> EventStore {
        self.open(true).await.expect("the store opens")
    }

    /// Has Python make the tables and Rust adopt them: both at work.
    async fn both(&self) -> (Python, EventStore) {
        let python = self.made_by_python();
        (python, self.rust().await)
    }

    /// A number that SQL finds; `None` for NULL.
    fn number(&self, sql: &str) -> Option<i64> {
        let found = self.texts(sql);
        let [text] = found.as_slice() else { panic!("{sql}: not one row: {found:?}") };
        (!text.is_empty()).then(|| text.parse().unwrap_or_else(|error| panic!("{sql}: {error}: {text}")))
    }

    /// The version in the row of a stream, which may have drifted.
    fn row_version(&self, stream: &StreamId) -> Option<i64> {
        let uuid = stream.uuid().simple();
        self.number(&format!("SELECT version FROM event_sourcery_streams WHERE uuid = '{uuid}'"))
    }
}

/// Rows as texts, by their table, without the columns that we add: equal where all values and their types are.
pub type Rows = BTreeMap<String, Vec<String>>;

/// What a read model was given, in a word: `anew`, or the version.
pub fn in_a_word(projected: &Projected<RawEvent>) -> String {
    match projected {
        Projected::Anew { .. } => "anew".to_owned(),
        Projected::Event(recorded) => recorded.wrapped_event.version.unwrap_or_default().to_string(),
    }
}
