//! The keys of data subjects.
//!
//! Nothing is to be left of a key that was shredded, and SQLite leaves copies: where a page is split, or pages are joined, rows move,
//! and stay where they were until something else needs the room (`secure_delete = FAST` clears what is deleted, not what was moved, nor
//! pages that come free). So the
//! bytes of keys lie in a table of their own, in which no row ever moves:
//!
//! - Rows are added at its end alone, which moves none, and none is deleted. What the root held when it was full goes to another page,
//!   and `secure_delete` clears the root.
//! - Bytes are cleared, or replaced, by as many others: SQLite writes a record that stays as long over the old one.
//! - What is longer, or shorter, when a key is wrapped anew, is a new row.
//!
//! That leaves the log, in which pages stand as they were before. A key that was shredded says where its bytes were (`bytes`) until
//! the log was emptied behind that: see `writer::traces`.

use std::sync::Arc;

use event_sourcery::backend::{
    AppendRequest, KeysRequest, NewKeysRequest, OldKeysRequest, RewrapRequest, SubjectKey, WrappedKey,
    stored_tenant_id,
};
use event_sourcery::{Result, TenantId};
use jiff::Timestamp;
use rusqlite::Row;
use uuid::Uuid;

use super::{Operations, unreadable};
use crate::rows::{self, hex};
use crate::time;

/// How many traces are forgotten at once.
pub(crate) const TRACES: usize = 1_000;

impl Operations<'_> {
    /// The keys of these subjects, as far as they were given one.
    pub(crate) fn keys(&self, request: &KeysRequest) -> Result<Vec<SubjectKey>> {
        let found = request.subjects.iter().map(|subject| self.key(&request.tenant, subject).transpose());
        found.flatten().collect()
    }

    /// The key of a subject, if it was given one.
    pub(super) fn key(&self, tenant: &TenantId, subject: &Arc<str>) -> Result<Option<SubjectKey>> {
        let read = |row: &Row<'_>| Ok(rows::subject_key(row, Arc::clone(subject)));
        let found = self.first(&self.sql.keys.key, (tenant.as_str(), &**subject), read)?;
        found.transpose().map_err(unreadable)
    }

    /// Stores keys for those who have none, and tells what there is now. There is one writer: nobody comes between.
    pub(crate) fn create_keys(&self, request: &NewKeysRequest) -> Result<Vec<SubjectKey>> {
        let NewKeysRequest { tenant, keys, .. } = request;
        self.atomically(|| keys.iter().map(|key| self.create_key(tenant, key)).collect())
    }

    fn create_key(&self, tenant: &TenantId, key: &SubjectKey) -> Result<SubjectKey> {
        if let Some(there) = self.key(tenant, &key.subject)? {
            return Ok(there);
        }
        let now = time::to_text(Timestamp::now());
        let (mut by, mut bytes, mut shredded_at) = (None, None, None);
        match &key.wrapped {
            Some(wrapped) => (by, bytes) = (Some(&*wrapped.by), Some(self.insert_bytes(wrapped)?)),
            None => shredded_at = Some(now.clone()),
        }
        let values = (tenant.as_str(), &*key.subject, hex(key.id), by, bytes, now, shredded_at);
        self.execute(&self.sql.keys.insert_key, values)?;
        Ok(key.clone())
    }

    fn insert_bytes(&self, wrapped: &WrappedKey) -> Result<i64> {
        self.execute(&self.sql.keys.insert_bytes, [&*wrapped.bytes])?;
        Ok(self.connection.last_insert_rowid())
    }

    /// A page of keys that are wrapped by something else.
    pub(crate) fn old_keys(&self, request: &OldKeysRequest) -> Result<Vec<(TenantId, SubjectKey)>> {
        let OldKeysRequest { by, after, limit, .. } = request;
        // No subject is empty, so this is before the first.
        let (tenant, subject) =
            after.as_ref().map_or(("", ""), |(tenant, subject)| (tenant.as_str(), &**subject));
        let limit = i64::try_from(*limit).unwrap_or(i64::MAX);
        self.all_rows(&self.sql.keys.old_keys, (&**by, tenant, subject, limit), |row| {
            let (tenant, subject) = rows::tenant_and_subject(row, 4)?;
            Ok((stored_tenant_id(tenant), rows::subject_key(row, subject.into())?))
        })
    }

    /// Stores a key as it is wrapped now, if it is still the one that was read.
    pub(crate) fn rewrap_key(&self, request: &RewrapRequest) -> Result<bool> {
        let RewrapRequest { tenant, from, to, .. } = request;
        self.atomically(|| {
            if from.wrapped.is_none() || self.key(tenant, &from.subject)?.as_ref() != Some(from) {
                return Ok(false);
            }
            let (sql, tenant, subject) = (&self.sql.keys, tenant.as_str(), &*from.subject);
            if self.execute(&sql.replace_bytes, (tenant, subject, &*to.bytes))? == 0 {
                self.execute(&sql.clear_bytes, (tenant, subject))?;
                let bytes = self.insert_bytes(to)?;
                self.execute(&sql.move_bytes, (tenant, subject, bytes))?;
            }
            self.execute(&sql.wrapped_by, (tenant, subject, &*to.by))?;
            Ok(true)
        })
    }

    /// Shreds the keys that a request shreds.
    pub(super) fn shred(&self, request: &AppendRequest) -> Result<()> {
        let (sql, tenant) = (&self.sql.keys, request.tenant.as_str());
        for subject in &request.shreds {
            let cleared = self.execute(&sql.clear_bytes, (tenant, &**subject))?;
            let now = time::to_text(Timestamp::now());
            self.execute(&sql.shred, (tenant, &**subject, hex(Uuid::nil()), now))?;
            if let Some(traces) = self.traces.filter(|_| cleared > 0) {
                traces.set(true);
            }
        }
        Ok(())
    }

    /// Where the bytes of shredded keys were of which there may be traces in the log, some of them.
    pub(crate) fn traces(&self) -> Result<Vec<i64>> {
        let read = |row: &Row<'_>| row.get(0).map_err(|error| error.to_string());
        self.all_rows(&self.sql.keys.traces, [TRACES], read)
    }

    /// There is none of these any more.
    pub(crate) fn forget_traces(&self, traces: &[i64]) -> Result<()> {
        traces.iter().try_for_each(|trace| self.execute(&self.sql.keys.forget_trace, [*trace]).map(drop))
    }
}
