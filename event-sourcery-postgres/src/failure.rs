//! What PostgreSQL and the driver report, and the error that a caller gets for it.

use std::time::Duration;

use event_sourcery::Error;
use sqlx::postgres::PgDatabaseError;
use tokio::time::timeout;

use crate::append_sql::GIVEN_BEFORE;
use crate::pooler;
use crate::reported::Reported;
use crate::rights;
use crate::tables::Tables;

/// A failure of the database or of the way to it.
#[derive(Debug)]
pub(crate) struct Failure(sqlx::Error);

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self(match error {
            sqlx::Error::Database(error) => sqlx::Error::Database(Box::new(Reported(error))),
            other => other,
        })
    }
}

/// The store's error for a failure of a statement of your own, so that one place decides what can be tried again:
/// [`Error::is_retryable`].
///
/// Not for the end of a transaction, which may have been committed when the connection breaks:
/// [`PostgresTransaction::commit`](crate::PostgresTransaction::commit) tells that.
#[must_use]
pub fn classify(error: sqlx::Error) -> Error {
    Failure::from(error).into_error(During::NothingKept, Duration::ZERO)
}

/// What the server answers, if it does so within this time.
pub(crate) async fn in_time<T>(
    patience: Duration,
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    timeout(patience, answer).await.unwrap_or_else(|_| Err(no_answer()))
}

/// The failure where it does not.
pub(crate) fn no_answer() -> sqlx::Error {
    std::io::Error::new(std::io::ErrorKind::TimedOut, "the server does not answer").into()
}

/// The error where a transaction was handed out, and is not there any more.
pub(crate) fn ended_before_its_time() -> Error {
    let problem = "the transaction has been ended by a statement that was run in it (COMMIT, ROLLBACK), so that what comes before \
                   and after is not kept or undone as one: a handler, or a listener, leaves the end to the store, and passes on the \
                   errors that it gets";
    Error::backend("postgres", problem)
}

/// What PgBouncer says, under a code that it uses for outages too, of what will not be there when it is asked again.
const NO_SUCH: [&str; 5] =
    ["no such user", "no such database", "auth failed", "authentication failed", "bouncer config error"];

/// Whether the error may have to do with the connection, so that it is to be tried before it is used again.
pub(crate) const fn may_be_of_the_connection(error: &Error) -> bool {
    matches!(
        error,
        Error::Unavailable { .. }
            | Error::OutcomeUnknown { .. }
            | Error::Backend { .. }
            | Error::InvalidOption { .. }
    )
}

/// Whether a call met what the server has lost.
pub(crate) fn met_damage(error: &Error) -> bool {
    let Error::Backend { source, .. } = error else { return false };
    source.downcast_ref().is_some_and(is_damage)
}

fn is_damage(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code.starts_with("XX"))
}

/// Whether TLS failed because the connection broke meanwhile. Whatever else it complains of, it will complain of again.
fn is_about_the_way(problem: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(problem), |error| error.source()).any(|error| error.is::<std::io::Error>())
}

/// What was going on when a call failed: whether it may have taken effect all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum During {
    /// Nothing is kept of the call: it only reads, or its transaction was not being committed.
    NothingKept,
    /// A commit may have been under way.
    Commit,
}

/// What others may be in the way of a statement with, whoever's it is: only this place knows by which codes.
pub(crate) enum InTheWay {
    ALock,
    ARace,
}

impl InTheWay {
    pub(crate) fn of(code: &str) -> Option<Self> {
        match code {
            // The first by its own limit; the second where the store has had enough of it first.
            "55P03" | "57014" => Some(Self::ALock),
            "40001" | "40P01" => Some(Self::ARace),
            _ => None,
        }
    }
}

impl Failure {
    /// The database's five-letter code.
    fn code(&self) -> Option<String> {
        self.0.as_database_error().and_then(|error| error.code()).map(|code| code.into_owned())
    }

    fn has_code(&self, codes: &[&str]) -> bool {
        self.code().is_some_and(|found| codes.contains(&found.as_str()))
    }

    fn of_postgres(&self) -> Option<&PgDatabaseError> {
        self.0.as_database_error().and_then(|error| error.try_downcast_ref())
    }

    /// A constraint of one of these tables does not hold. A trigger of the user's may meet others.
    fn is_violation(&self, code: &str, tables: &Tables) -> bool {
        let error = self.of_postgres().filter(|error| error.code() == code);
        let table = error.and_then(|error| Some((error.schema()?, error.table()?)));
        table.is_some_and(|(schema, table)| tables.include(schema, table))
    }

    /// It was raised within a function, such as a trigger of the user's, or the server's own that checks a foreign key.
    pub(crate) fn is_within_a_function(&self) -> bool {
        self.of_postgres().is_some_and(|error| error.r#where().is_some())
    }

    /// A name, an id or a version is taken.
    pub(crate) fn is_unique_violation(&self, tables: &Tables) -> bool {
        self.is_violation("23505", tables)
    }

    /// A sequence has no number left.
    pub(crate) fn is_a_used_up_sequence(&self) -> bool {
        self.has_code(&["2200H"])
    }

    /// The position that a new event would have got, which was given before, and the highest that was.
    pub(crate) fn position_given_before(&self) -> Option<(i64, i64)> {
        let error = self.of_postgres().filter(|error| error.code() == "22P02")?;
        let (drawn, highest) = error.message().split_once(GIVEN_BEFORE)?;
        let number = |said: &str| {
            said.split(|c: char| c != '-' && !c.is_ascii_digit()).find_map(|number| number.parse().ok())
        };
        Some((number(drawn)?, number(highest)?))
    }

    /// The stream was deleted before its events arrived.
    pub(crate) fn is_foreign_key_violation(&self, tables: &Tables) -> bool {
        self.is_violation("23503", tables)
    }

    /// The database ended this transaction in favour of another one: serialisation failure, deadlock.
    pub(crate) fn is_lost_race(&self) -> bool {
        matches!(self.code().as_deref().and_then(InTheWay::of), Some(InTheWay::ARace))
    }

    /// There is no transaction, or no savepoint of ours in it.
    pub(crate) fn is_an_ended_transaction(&self) -> bool {
        self.has_code(&["25P01", "3B001"])
    }

    /// This role may not do it.
    pub(crate) fn is_about_rights(&self) -> bool {
        self.has_code(&["42501"])
    }

    /// A policy for rows is in the way, and not a right that is missing.
    pub(crate) fn is_about_row_security(&self) -> bool {
        let routine = self.of_postgres().and_then(PgDatabaseError::routine);
        routine.is_some_and(|routine| ["ExecWithCheckOptions", "check_enable_rls"].contains(&routine))
    }

    /// A value that a column cannot hold, such as a NUL in JSONB, or one that is too large.
    pub(crate) fn is_about_a_value(&self) -> bool {
        self.code().is_some_and(|code| code.starts_with("22") || code.starts_with("54"))
    }

    /// The server has lost a part of what it was asked for, or cannot make sense of it.
    pub(crate) fn is_damage(&self) -> bool {
        is_damage(&self.0)
    }

    /// The server has no such function, or does not run it.
    pub(crate) fn is_unsupported(&self) -> bool {
        self.has_code(&["0A000", "42883", "55000"])
    }

    /// What is not logged cannot be read on a server that only follows another one.
    fn is_about_a_standby(&self) -> bool {
        let error = self.of_postgres().filter(|error| error.code() == "0A000");
        error.and_then(PgDatabaseError::routine) == Some("get_relation_info")
    }

    /// A view or a rule of the user's is in the way of a change.
    pub(crate) fn is_about_what_depends_on_it(&self) -> bool {
        self.has_code(&["0A000", "2BP01"])
    }

    /// The database's own words. Details of a constraint that does not hold are left out: they are the row.
    pub(crate) fn message(&self) -> String {
        match self.of_postgres() {
            Some(error) => match error.detail().filter(|_| !error.code().starts_with("23")) {
                Some(detail) => format!("{}: {detail}", error.message()),
                None => error.message().to_owned(),
            },
            None => self.0.to_string(),
        }
    }

    /// The connection is gone, or its server is about to be.
    pub(crate) fn is_lost_connection(&self) -> bool {
        match &self.0 {
            sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
            sqlx::Error::Tls(problem) => is_about_the_way(&**problem),
            _ => self.code().is_some_and(|code| {
                code.starts_with("08")
                    || code.starts_with("57P")
                    || ["53300", "25P03", "25P04"].contains(&&*code)
            }),
        }
    }

    /// What a pooler says that was not told of, or that does not pass on what we need. Trying again does not help.
    fn about_a_pooler(&self) -> Option<Error> {
        let (code, message) = (self.code()?, self.message());
        let refused = |option, problem| Some(Error::InvalidOption { option, problem });
        match code.as_str() {
            "26000" | "42P05" => refused("transaction_pooler", pooler::shared(&message)),
            "08P01" if message.contains("statement pooling mode") => refused(
                "url",
                format!(
                    "{message}: the pooler hands out connections by the statement; session or transaction mode is needed"
                ),
            ),
            "08P01" if message.contains("startup parameter") => refused(
                "url",
                format!(
                    "{message}: leave `options` out of the address, or let the pooler pass it (ignore_startup_parameters)"
                ),
            ),
            "08P01" if message.starts_with("database ") && message.ends_with(" does not exist") => {
                Some(Error::StoreNotFound { place: "that address".to_owned(), problem: message })
            }
            "08P01" if NO_SUCH.iter().any(|words| message.contains(words)) => {
                refused("url", format!("the pooler says: {message}"))
            }
            _ => None,
        }
    }

    /// The error for a call that took this long.
    pub(crate) fn into_error(self, during: During, took: Duration) -> Error {
        if let Some(error) = self.about_a_pooler() {
            return error;
        }
        if self.is_lost_connection() {
            let source = self.0;
            return match during {
                During::NothingKept => Error::unavailable(source),
                During::Commit => Error::outcome_unknown(source),
            };
        }
        let code = self.code();
        match code.as_deref().and_then(InTheWay::of) {
            Some(InTheWay::ALock) => return Error::busy(took),
            Some(InTheWay::ARace) => return Error::serialization_failure(self.0),
            None => {}
        }
        // What a trigger of the user's lacks has nothing to do with our tables.
        let is_the_users = self.is_within_a_function();
        match code.as_deref() {
            Some("25P01") => ended_before_its_time(),
            Some("25P02") => Error::rolled_back(self.0),
            Some("53100") => Error::storage_full(self.0),
            Some("3D000") => {
                Error::StoreNotFound { place: "that address".to_owned(), problem: self.message() }
            }
            Some("25006") => Error::read_only(self.message()),
            Some("0A000") if self.is_about_a_standby() => Error::read_only(self.message()),
            // What is missing can be told where the tables are known: see `rights::MissingRights`.
            Some("42501") if !is_the_users => {
                Error::MissingGrant { problem: self.message(), grant: rights::EVERYTHING.to_owned() }
            }
            Some("42P01") if !is_the_users => Error::MigrationNeeded { problem: self.message() },
            _ => match self.0 {
                sqlx::Error::PoolTimedOut => Error::busy(took),
                sqlx::Error::PoolClosed => Error::Closed,
                other => Error::backend("postgres", other),
            },
        }
    }
}
