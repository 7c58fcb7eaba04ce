//! Reading rows one by one, as long as they are wanted.

use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::atomic::Ordering;

use futures_util::TryStreamExt as _;
use sqlx::Postgres;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;

use super::Operations;
use crate::at_work::answer;
use crate::failure::Failure;
use crate::rows;

/// How much of what is not wanted is read all the same, to keep the connection: to open another one takes as long.
const READ_IN_VAIN: usize = 8 << 20;

impl Operations<'_> {
    /// Hands over row by row, of at most so many, until no more are wanted. Those that are left the server sends all the same. In
    /// the caller's transaction they are read; on a connection of ours only if they are not much, and otherwise it is
    /// [spent](crate::connections::Opened::spent).
    pub(crate) async fn each_row(
        &mut self,
        query: Query<'_, Postgres, PgArguments>,
        at_most: usize,
        mut take: impl FnMut(PgRow) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        self.enter().await?;
        let joined = self.joined;
        let mut is_spent = false;
        let read = async {
            let mut rows = pin!(query.fetch(&mut *self.connection));
            let (mut number, mut bytes) = (0, 0);
            while let Some(row) = rows.try_next().await? {
                number += 1;
                bytes += rows::size(&row);
                if take(row).is_break() {
                    let left = (bytes / number).saturating_mul(at_most.saturating_sub(number));
                    is_spent = !joined && left > READ_IN_VAIN;
                    break;
                }
            }
            while !is_spent && rows.try_next().await?.is_some() {}
            Ok(())
        };
        let read: Result<(), sqlx::Error> = answer(self.at_work.as_ref(), read).await;
        if is_spent {
            self.spent.store(true, Ordering::Relaxed);
            return Ok(read?);
        }
        self.leave(read).await
    }
}
