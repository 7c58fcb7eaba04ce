//! The keys of data subjects, and the appends that depend on them.
//!
//! An append that is sealed with keys locks them (`FOR SHARE`) until its transaction has ended; whoever shreds a key takes it
//! for himself (`FOR UPDATE`). So one of the two comes first:
//!
//! - The append: the shredding waits until it is committed, or was rolled back.
//! - The shredding: the append waits for it, and then sees what it has left. It is refused.
//! - The shredding, but the append's transaction has its snapshot from before it (REPEATABLE READ, SERIALIZABLE): the lock is an error
//!   there, and the transaction is to be made again.
//!
//! Keys are locked before streams, and in the order of their subjects, whatever for.
//!
//! A key that is required and not there may still be on its way, in a transaction that is open, or be too new for a snapshot.
//! To tell that from one that never was, a mark is put in its place, and taken back: it waits for the one, and fails by the other.

use std::collections::HashSet;

use event_sourcery::backend::{
    AppendRequest, KeyRequirement, KeysRequest, NewKeysRequest, OldKeysRequest, Requirement, RewrapRequest,
    SubjectKey, WrappedKey, stored_tenant_id,
};
use event_sourcery::{Result, TenantId};
use sqlx::Postgres;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use uuid::Uuid;

use super::Operations;
use crate::failure::Failure;
use crate::rows::value;
use crate::sql::Statement;

/// The id of a key that nobody ever had.
const NO_KEY: Uuid = Uuid::nil();

impl Operations<'_> {
    /// The keys of these subjects, as far as they were given one.
    pub(crate) async fn keys(&mut self, request: &KeysRequest) -> Result<Vec<SubjectKey>> {
        let subjects: Vec<_> = request.subjects.iter().map(|subject| &**subject).collect();
        let found = self.read_keys(&self.sql.keys.keys, &request.tenant, &subjects).await;
        found.map_err(|failure| self.failed(failure))
    }

    /// Stores keys for those who have none, and tells what there is now.
    pub(crate) async fn create_keys(&mut self, request: &NewKeysRequest) -> Result<Vec<SubjectKey>> {
        self.try_create_keys(request).await.map_err(|failure| self.failed_committing(failure))
    }

    /// In one statement, unless somebody else stores one of them meanwhile. In the caller's transaction, under a savepoint.
    async fn try_create_keys(&mut self, request: &NewKeysRequest) -> Result<Vec<SubjectKey>, Failure> {
        if !self.joined {
            return self.create_or_find(request).await;
        }
        self.begin().await?;
        let created = self.create_or_find(request).await.map(Some);
        Ok(self.end(created).await?.unwrap_or_default())
    }

    async fn create_or_find(&mut self, request: &NewKeysRequest) -> Result<Vec<SubjectKey>, Failure> {
        let NewKeysRequest { tenant, keys, .. } = request;
        let (mut subjects, mut ids, mut by, mut bytes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for SubjectKey { subject, id, wrapped, .. } in keys {
            subjects.push(&**subject);
            ids.push(*id);
            by.push(wrapped.as_ref().map(|wrapped| &*wrapped.by));
            bytes.push(wrapped.as_ref().map(|wrapped| &*wrapped.bytes));
        }
        let query = about(&self.sql.keys.create, tenant, &subjects).bind(ids).bind(by).bind(bytes);
        let mut found = read(&self.rows(query).await?)?;
        if found.len() < keys.len() {
            let late = without(subjects, &found);
            found.extend(self.read_keys(&self.sql.keys.keys, tenant, &late).await?);
        }
        Ok(found)
    }

    /// A page of keys that are wrapped by something else.
    pub(crate) async fn old_keys(&mut self, request: &OldKeysRequest) -> Result<Vec<(TenantId, SubjectKey)>> {
        let OldKeysRequest { by, after, limit, .. } = request;
        // No subject is empty, so this is before the first.
        let (tenant, subject) =
            after.as_ref().map_or(("", ""), |(tenant, subject)| (tenant.as_str(), &**subject));
        let query = self.sql.keys.old_keys.query().bind(&**by).bind(tenant).bind(subject);
        let rows = self.rows(query.bind(i64::try_from(*limit).unwrap_or(i64::MAX))).await;
        let rows = rows.map_err(|failure| self.failed(failure))?;
        let keys = rows.iter().map(|row| Ok((stored_tenant_id(value(row, 5)?), subject_key(row)?)));
        keys.collect::<Result<_, sqlx::Error>>().map_err(|error| self.failed(error))
    }

    /// Stores a key as it is wrapped now, if it is still the one that was read. Waits for appends that are sealed with it.
    pub(crate) async fn rewrap_key(&mut self, request: &RewrapRequest) -> Result<bool> {
        let RewrapRequest { tenant, from, to, .. } = request;
        let Some(wrapped) = &from.wrapped else { return Ok(false) };
        let query = self.sql.keys.rewrap.query().bind(tenant.as_str()).bind(&*from.subject).bind(from.id);
        let query = query.bind(&*wrapped.by).bind(&*wrapped.bytes).bind(&*to.by).bind(&*to.bytes);
        let rewrapped = self.execute(query).await;
        rewrapped.map(|rows| rows > 0).map_err(|failure| self.failed_committing(failure))
    }

    /// Locks the keys that an append requires, and those that it shreds. Tells what those are that it requires.
    pub(super) async fn hold_keys(&mut self, request: &AppendRequest) -> Result<Vec<SubjectKey>, Failure> {
        let mut subjects = required(request);
        if subjects.is_empty() && request.shreds.is_empty() {
            return Ok(Vec::new());
        }
        let (sql, tenant) = (&self.sql.keys, &request.tenant);
        let mut hold = &sql.hold;
        if !request.shreds.is_empty() {
            let shreds = shreds(request);
            self.execute(about(&sql.mark_missing, tenant, &shreds).bind(NO_KEY)).await?;
            subjects.extend(shreds);
            subjects = once_each(subjects);
            hold = &sql.hold_to_shred;
        }
        self.read_keys(hold, tenant, &subjects).await
    }

    /// Shreds the keys that a request shreds, which are locked.
    pub(super) async fn shred(&mut self, request: &AppendRequest) -> Result<(), Failure> {
        if request.shreds.is_empty() {
            return Ok(());
        }
        let shred = about(&self.sql.keys.shred, &request.tenant, &shreds(request));
        self.execute(shred).await.map(drop)
    }

    /// The keys that an append requires, as they are now. What is on its way is waited for.
    pub(super) async fn required_keys(
        &mut self,
        request: &AppendRequest,
    ) -> Result<Vec<SubjectKey>, Failure> {
        let subjects = required(request);
        if subjects.is_empty() {
            return Ok(Vec::new());
        }
        let (sql, tenant) = (&self.sql.keys, &request.tenant);
        let mut found = self.read_keys(&sql.keys, tenant, &subjects).await?;
        let missing = without(subjects, &found);
        if !missing.is_empty() {
            self.begin().await?;
            let marked = self.execute(about(&sql.mark_missing, tenant, &missing).bind(NO_KEY)).await;
            self.end::<()>(marked.map(|_| None)).await?;
            found.extend(self.read_keys(&sql.keys, tenant, &missing).await?);
        }
        Ok(found)
    }

    async fn read_keys(
        &mut self,
        statement: &Statement,
        tenant: &TenantId,
        subjects: &[&str],
    ) -> Result<Vec<SubjectKey>, Failure> {
        Ok(read(&self.rows(about(statement, tenant, subjects)).await?)?)
    }
}

/// The keys that an append is sealed with.
pub(super) fn sealed_with(request: &AppendRequest) -> impl Iterator<Item = &KeyRequirement> {
    request.requirements.iter().filter_map(|requirement| match requirement {
        Requirement::Key(required) => Some(required),
        _ => None,
    })
}

fn required(request: &AppendRequest) -> Vec<&str> {
    once_each(sealed_with(request).map(|required| &*required.subject).collect())
}

fn shreds(request: &AppendRequest) -> Vec<&str> {
    request.shreds.iter().map(|subject| &**subject).collect()
}

fn once_each(mut subjects: Vec<&str>) -> Vec<&str> {
    subjects.sort_unstable();
    subjects.dedup();
    subjects
}

/// Those of the subjects whose keys were not found.
fn without<'s>(mut subjects: Vec<&'s str>, found: &[SubjectKey]) -> Vec<&'s str> {
    let found: HashSet<_> = found.iter().map(|key| &*key.subject).collect();
    subjects.retain(|subject| !found.contains(subject));
    subjects
}

/// A statement of ours with a tenant and subjects bound.
fn about<'q>(
    statement: &Statement,
    tenant: &'q TenantId,
    subjects: &[&'q str],
) -> Query<'q, Postgres, PgArguments> {
    statement.query().bind(tenant.as_str()).bind(subjects.to_vec())
}

fn read(rows: &[PgRow]) -> Result<Vec<SubjectKey>, sqlx::Error> {
    rows.iter().map(subject_key).collect()
}

fn subject_key(row: &PgRow) -> Result<SubjectKey, sqlx::Error> {
    let (subject, id) = (value::<&str>(row, 0)?.into(), value(row, 1)?);
    if value(row, 4)? {
        return Ok(SubjectKey::shredded(subject, id));
    }
    let (by, bytes): (&str, &[u8]) = (value(row, 2)?, value(row, 3)?);
    Ok(SubjectKey::new(subject, id, WrappedKey::new(by.into(), bytes.into())))
}
