//! Appends to one stream, in one statement.

use event_sourcery::backend::{AppendRequest, Expectation, StreamAppend, Written};
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres};
use uuid::Uuid;

use super::Operations;
use super::append::{last_version, written};
use super::keys::sealed_with;
use crate::rows::value;
use crate::sql::Sql;
use crate::values::{self, EventColumns, stored_version};

/// The statement for what the part expects, run as it is. What is sealed has one of its own, which locks the keys first.
pub(super) async fn append_at_once(
    connection: &mut PgConnection,
    sql: &Sql,
    request: &AppendRequest,
    part: &StreamAppend,
    given: i64,
) -> Result<Option<Written>, sqlx::Error> {
    let (StreamAppend { stream, expectation, events, .. }, sql) = (part, &sql.append);
    let (one, several, and_enter, sealed) = match expectation {
        Expectation::Version(0) => (&sql.create_one, &sql.create, &sql.create_and_enter, &sql.create_sealed),
        Expectation::Version(_) => (&sql.extend_one, &sql.extend, &sql.extend_and_enter, &sql.extend_sealed),
        Expectation::NoVersioning => (
            &sql.extend_or_create_one,
            &sql.extend_or_create,
            &sql.extend_or_create_and_enter,
            &sql.extend_or_create_sealed,
        ),
    };
    let (is_sealed, enters) = (!request.requirements.is_empty(), !request.outbox.is_empty());
    let is_plain = !is_sealed && !enters;
    let statement = match events.len() {
        _ if is_sealed => sealed,
        _ if enters => and_enter,
        1 => one,
        _ => several,
    };
    let first = part.first().map(stored_version);
    let query = Operations::about(statement, &request.tenant, stream).bind(stream.name());
    let query = query.bind(last_version(part).map(stored_version)).bind(first);
    let query = match events.as_slice() {
        [event] if is_plain => values::bind_event(query, event),
        events => EventColumns::of(events).bind(query),
    };
    let query = query.bind(given);
    let query = if is_sealed { bind_keys(query, request) } else { bind_outbox(query, request) };
    let row = query.fetch_optional(connection).await?;
    let position = row.map(|row| value::<Option<i64>>(&row, 0)).transpose()?.flatten();
    Ok(position.map(|position| written(part, position)))
}

/// Binds the ids of the events that go into the outbox, last, if there are any.
pub(super) fn bind_outbox<'q>(
    query: Query<'q, Postgres, PgArguments>,
    request: &AppendRequest,
) -> Query<'q, Postgres, PgArguments> {
    let ids: Vec<Uuid> = request.outbox.iter().copied().collect();
    if ids.is_empty() { query } else { query.bind(ids) }
}

/// Binds the ids of the events that go into the outbox, and the subjects and the ids of the keys that the events are sealed with.
fn bind_keys<'q>(
    query: Query<'q, Postgres, PgArguments>,
    request: &'q AppendRequest,
) -> Query<'q, Postgres, PgArguments> {
    let ids: Vec<Uuid> = request.outbox.iter().copied().collect();
    let (subjects, keys): (Vec<&str>, Vec<Uuid>) =
        sealed_with(request).map(|required| (&*required.subject, required.key)).unzip();
    query.bind(ids).bind(subjects).bind(keys)
}
