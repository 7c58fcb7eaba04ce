//! Deleting.

use event_sourcery::backend::DeleteRequest;
use event_sourcery::{Result, StreamId, TenantId};

use super::Operations;
use crate::failure::Failure;
use crate::rows::value;

impl Operations<'_> {
    /// Deletes a stream and all that hangs on it. What hangs on a row without events goes too.
    pub(crate) async fn delete(&mut self, request: &DeleteRequest) -> Result<()> {
        self.try_delete(request).await.map_err(|failure| self.failed_committing(failure))
    }

    async fn try_delete(&mut self, request: &DeleteRequest) -> Result<(), Failure> {
        self.begin().await?;
        let deleted = self.delete_under_lock(request).await.map(Some);
        self.end(deleted).await.map(drop)
    }

    async fn delete_under_lock(&mut self, request: &DeleteRequest) -> Result<(), Failure> {
        let DeleteRequest { tenant, stream, drop_outbox, .. } = request;
        let sql = self.sql;
        // The table before tags, and tags before the stream, as whoever appends.
        self.execute(sql.tags.lock_events.query()).await?;
        self.execute(Self::about(&sql.tags.raise_deleted, tenant, stream)).await?;
        let found = self.row(Self::about(&sql.lock_for_deletion, tenant, stream)).await?;
        if let Some(row) = &found {
            // Again: others may have appended in between. Nobody does any more.
            self.execute(Self::about(&sql.tags.raise_deleted, tenant, stream)).await?;
            let number: i64 = value(row, 0)?;
            self.execute(sql.tags.leave.query().bind(tenant.as_str()).bind(number)).await?;
            self.execute(sql.tags.note_deletion.query().bind(tenant.as_str())).await?;
            self.delete_rows(number, stream, *drop_outbox).await?;
        } else {
            // It may have been deleted by a call like this one, whose commit was not confirmed.
            self.execute(sql.append.confirm.query()).await?;
        }
        // Also where there is no stream: whoever does not know of subscriptions and cursors of ours may have deleted it.
        let subscriptions = &sql.subscriptions;
        let free = if found.is_some() { &subscriptions.free_held } else { &subscriptions.free_deleted };
        self.execute(Self::about(free, tenant, stream)).await?;
        if *drop_outbox {
            self.execute(Self::about(&subscriptions.look_again, tenant, stream)).await?;
        }
        self.execute(Self::about(&sql.cursors.forget, tenant, stream)).await?;
        // The reference's know no tenant, and count for the default one. They may be about another's stream, if he has one.
        if found.is_some() || tenant.is_default() {
            self.execute(sql.delete_cursors.query().bind(stream.uuid()).bind(stream.stored_category()))
                .await?;
            self.execute(Self::about(&sql.cursors.outlive, &TenantId::DEFAULT, stream)).await?;
        }
        Ok(())
    }

    async fn delete_rows(&mut self, row: i64, stream: &StreamId, drop_outbox: bool) -> Result<(), Failure> {
        let sql = self.sql;
        self.execute(sql.outbox.sweep.query()).await?;
        let outbox = if drop_outbox { &sql.outbox.drop_entries } else { &sql.outbox.keep_category };
        if drop_outbox || stream.category().is_some() {
            self.execute(outbox.query().bind(row).bind(stream.stored_category())).await?;
        }
        let statements = [&sql.delete_snapshots, &sql.delete_states, &sql.delete_events, &sql.delete_streams];
        for statement in statements {
            self.execute(statement.query().bind([row].as_slice())).await?;
        }
        Ok(())
    }
}
