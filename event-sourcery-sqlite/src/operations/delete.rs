//! Deleting.

use std::time::Duration;

use event_sourcery::backend::DeleteRequest;
use event_sourcery::{Result, StreamId};

use super::{Operations, StreamRow};
use crate::rows::hex;

/// How long a deletion removes what there is: mostly that is all. What it leaves, the writer removes.
const AT_ONCE: Duration = Duration::from_millis(2);

impl Operations<'_> {
    /// Deletes a stream and all that hangs on it. What hangs on a row without events goes too.
    pub(crate) fn delete(&self, request: &DeleteRequest) -> Result<()> {
        self.atomically(|| {
            let DeleteRequest { tenant, stream, drop_outbox, .. } = request;
            let (uuid, category) = (hex(stream.uuid()), stream.stored_category());
            let found = self.find_stream(tenant, stream)?;
            let may_have_cursors = found.is_some() || tenant.is_default();
            if let Some(row) = found {
                self.note_deletion(tenant)?;
                self.delete_rows(row, stream, *drop_outbox)?;
            }
            // Also where there is no stream: whoever does not know of subscriptions and cursors of ours may have deleted it.
            self.execute(&self.sql.free_deleted, (&uuid, category, tenant.as_str()))?;
            if *drop_outbox {
                self.execute(&self.sql.outbox.look_again, (&uuid, category, tenant.as_str()))?;
            }
            self.execute(&self.sql.forget_cursors, (&uuid, category, tenant.as_str()))?;
            // The reference's know no tenant, and count for the default one. They may be about another's stream, if he has one.
            if may_have_cursors {
                self.execute(&self.sql.delete_cursors, (&uuid, category))?;
                self.execute(&self.sql.outlive_cursors, (&uuid, category))?;
            }
            Ok(())
        })
    }

    fn delete_rows(&self, row: StreamRow, stream: &StreamId, drop_outbox: bool) -> Result<()> {
        if drop_outbox {
            self.execute(&self.sql.outbox.drop_entries, [row.id])?;
        } else if let Some(category) = stream.category() {
            self.execute(&self.sql.outbox.keep_category, (row.id, category.as_str()))?;
        }
        self.execute(&self.sql.delete_states, [row.id])?;
        if !self.remove(row.id, AT_ONCE).map_err(|failure| self.failed(failure))? {
            self.hide(row.id)?;
        }
        Ok(())
    }
}
