//! Appends to one stream, in one statement.

use event_sourcery::backend::{AppendRequest, Expectation, StreamAppend, Written};
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres};
use uuid::Uuid;

use super::Operations;
use super::append::{last_version, written};
use super::held_tags::{HeldTags, bind_lists, texts};
use super::keys::sealed_with;
use crate::append_sql::TaggedSql;
use crate::rows::value;
use crate::sql::{Sql, Statement};
use crate::values::{self, EventColumns, stored_version};

/// The statement for what the part expects, run as it is. What is sealed, and what has tags, has one of its own, which locks the keys
/// first, and then the tags.
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
    let (tags, is_sealed) = (HeldTags::of([request]), sealed_with(request).next().is_some());
    let is_lone = events.len() == 1 && !is_sealed && request.outbox.is_empty();
    let statement = match (tags.is_empty(), is_lone) {
        (false, _) => tagged(&sql.tagged, *expectation, is_lone),
        (true, true) => one,
        _ if is_sealed => sealed,
        _ if request.outbox.is_empty() => several,
        _ => and_enter,
    };
    let first = part.first().map(stored_version);
    let query = Operations::about(statement, &request.tenant, stream).bind(stream.name());
    let query = query.bind(last_version(part).map(stored_version)).bind(first);
    let query = match events.as_slice() {
        [event] if is_lone => values::bind_event(query, event),
        events => EventColumns::of(events).bind(query),
    };
    let query = query.bind(given);
    let query = match events.as_slice() {
        [event] if is_lone && !tags.is_empty() => {
            tags.bind_expected(bind_keys(query, request)).bind(texts(event))
        }
        events if !tags.is_empty() => bind_lists(tags.bind_expected(bind_keys(query, request)), events),
        _ if is_sealed => bind_keys(query, request),
        _ => bind_outbox(query, request),
    };
    let row = query.fetch_optional(connection).await?;
    let position = row.map(|row| value::<Option<i64>>(&row, 0)).transpose()?.flatten();
    Ok(position.map(|position| written(part, position)))
}

/// The statement of an append with tags, for what it expects.
const fn tagged(sql: &TaggedSql, expectation: Expectation, is_lone: bool) -> &Statement {
    match (expectation, is_lone) {
        (Expectation::Version(0), true) => &sql.create_one,
        (Expectation::Version(0), false) => &sql.create,
        (Expectation::Version(_), true) => &sql.extend_one,
        (Expectation::Version(_), false) => &sql.extend,
        (Expectation::NoVersioning, true) => &sql.extend_or_create_one,
        (Expectation::NoVersioning, false) => &sql.extend_or_create,
    }
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
