//! Poolers that hand out server connections by the transaction, found out before anything is set or prepared on what is not
//! ours alone.

use std::sync::Arc;
use std::time::Instant;

use event_sourcery::{Error, Result};
use sqlx::{PgConnection, Row as _};

use crate::connections::{Connections, answer_in_time};

/// How often it is looked. With a pooler in transaction mode the first look tells, unless others take its server connections
/// between two statements of ours.
const LOOKS: usize = 3;

/// What tells of a pooler while the store is in use.
pub(crate) const ANOTHER_PROCESS: &str = "a connection was given another server process";

/// Whatever the role allows to transactions that idle.
const BEGIN: &str = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0";

/// Refuses what hands out server connections by the transaction, unless the store was told of it.
///
/// While one client has a transaction open, another one's statement runs in the same server process as before: so it is with
/// sessions of their own. Shared, either the first transaction has got the process that the other client had before, or that
/// client is given another one. A pooler that gives its processes out in turn gives the other client another one before that:
/// meanwhile there may be one left to give.
pub(crate) async fn refuse_shared_connections(connections: &Arc<Connections>) -> Result<()> {
    let since = Instant::now();
    loop {
        let found = one_of_two(connections).await;
        if !connections.was_cut_short(&found, since) {
            return connections.adopt(found?).await;
        }
    }
}

/// One of two connections that have sessions of their own.
async fn one_of_two(connections: &Connections) -> Result<PgConnection> {
    let since = Instant::now();
    let (mut one, mut other) = (connections.connect(since).await?, connections.connect(since).await?);
    let looks = async {
        for _ in 0..LOOKS {
            if is_shared(&mut one, &mut other).await? {
                return Ok(true);
            }
        }
        Ok(false)
    };
    if answer_in_time(connections.acquire_timeout, looks).await? {
        return Err(refused("two connections were given the same server process"));
    }
    Ok(one)
}

/// The error for a pooler that the store was not told of.
pub(crate) fn refused(seen: &str) -> Error {
    Error::InvalidOption { option: "transaction_pooler", problem: shared(seen) }
}

/// What to do about it.
pub(crate) fn shared(message: &str) -> String {
    format!(
        "{message}: there is a pooler that hands out server connections by the transaction. Set `transaction_pooler(true)`, \
         or connect to the server itself, or to a pooler in session mode"
    )
}

async fn is_shared(one: &mut PgConnection, other: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let (first, before) = (server_process(one).await?, server_process(one).await?);
    sqlx::raw_sql(BEGIN).execute(&mut *other).await?;
    let meanwhile = server_process(other).await?;
    let after = server_process(one).await?;
    sqlx::raw_sql("ROLLBACK").execute(&mut *other).await?;
    Ok(first != before || before == meanwhile || before != after)
}

/// The server's process behind a connection, in which nothing may be set yet. As text, and not prepared: that is understood by
/// every pooler.
pub(crate) async fn server_process(connection: &mut PgConnection) -> Result<i32, sqlx::Error> {
    let row =
        sqlx::Executor::fetch_one(connection, sqlx::raw_sql("SELECT pg_catalog.pg_backend_pid()")).await?;
    row.try_get(0)
}
