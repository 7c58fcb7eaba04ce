//! A copy at work: what is there is met, and what is missing is written.

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};

use super::destination::Destination;
use super::lockstep::{Lockstep, Met};
use super::origin::{Origin, Stretch};
use super::report::{Compared, Copied, DifferenceKind};
use super::{Copy, Told, carried, keys};
use crate::backend::StoredRecord;
use crate::error::{Error, Result};
use crate::stream_id::TenantId;

/// A copy that runs.
pub(super) struct Working<'a> {
    origin: Box<dyn Origin + 'a>,
    destination: Destination,
    tenant: Option<TenantId>,
    with_keys: bool,
    without_tags: bool,
    /// What was at the destination when it began, until all of it was met.
    lockstep: Option<Lockstep>,
    copied: Copied,
    told: Option<Told<'a>>,
}

impl<'a> Working<'a> {
    pub(super) async fn begin(copy: Copy<'a>) -> Result<Self> {
        let Copy { origin, destination, tenant, deletes, with_keys, without_tags, told, .. } = copy;
        let (tenant, destination) = (tenant?, Destination::new(destination, deletes));
        let backend = destination.backend();
        if with_keys {
            check_keys(&*origin, &destination)?;
        }
        if deletes && origin.backend().is_none() {
            let problem = "a file of events does not tell what was deleted".to_owned();
            return Err(Error::InvalidOption { option: "deleting", problem });
        }
        let lockstep = Some(Lockstep::begin(Arc::clone(backend), tenant.clone()).await?);
        let copied = Copied::new();
        Ok(Self { origin, destination, tenant, with_keys, without_tags, lockstep, copied, told })
    }

    /// Copies what there is, and then what is written, until `until` is ready.
    pub(super) async fn run(mut self, until: impl Future<Output = ()> + Send) -> Result<Copied> {
        let mut until = pin!(until);
        loop {
            self.pass().await?;
            let is_over = match select(until.as_mut(), self.origin.wait()).await {
                Either::Left(_) => true,
                Either::Right((more, _)) => !more?,
            };
            if is_over {
                break;
            }
        }
        // What was written up to then.
        self.pass().await?;
        if let (true, Some(source)) = (self.with_keys, self.origin.backend()) {
            let destination = &**self.destination.backend();
            keys::carry(&*source, destination, self.tenant.as_ref(), &mut self.copied).await?;
        }
        self.tell();
        Ok(self.copied)
    }

    /// Copies up to what is settled.
    async fn pass(&mut self) -> Result<()> {
        loop {
            let Stretch { mut records, up_to, has_more } = self.origin.read().await?;
            self.heed_tags(&mut records)?;
            let mut missing = Vec::with_capacity(records.len());
            for record in records {
                if self.is_missing(&record).await? {
                    missing.push(record);
                }
            }
            self.destination.write(&mut *self.origin, &missing, &mut self.copied).await?;
            self.copied.up_to = up_to;
            self.tell();
            if !has_more {
                break;
            }
        }
        if let Some(mut lockstep) = self.lockstep.take() {
            while let Some(extra) = lockstep.rest(&mut *self.origin).await? {
                self.destination.remove(&extra, &mut self.copied).await?;
            }
        }
        Ok(())
    }

    /// Leaves tags out where that was asked, and else refuses them where the destination has none.
    fn heed_tags(&mut self, records: &mut [StoredRecord]) -> Result<()> {
        if self.without_tags {
            self.copied.untagged += carried::untag(records);
            return Ok(());
        }
        let backend = self.destination.backend();
        if backend.capabilities().tags || records.iter().all(|record| record.event.tags.is_empty()) {
            return Ok(());
        }
        Err(Error::unsupported(backend.name(), "tags (a copy can leave them out: without_tags)"))
    }

    /// Whether an event is to be written: it is not there, as far as that was met.
    async fn is_missing(&mut self, record: &StoredRecord) -> Result<bool> {
        if let Err(problem) = carried::check(record) {
            self.destination.leave_out(&mut *self.origin, record, problem, &mut self.copied).await?;
            return Ok(false);
        }
        while let Some(lockstep) = &mut self.lockstep {
            match lockstep.meet(&mut *self.origin, &self.destination, record).await? {
                Met::There(there) => {
                    self.copied.found(record, &there);
                    return Ok(false);
                }
                Met::Nowhere => return Ok(true),
                Met::End => self.lockstep = None,
                Met::Extra(extra) => self.destination.remove(&extra, &mut self.copied).await?,
                Met::Damaged(_) => {}
            }
        }
        Ok(true)
    }

    fn tell(&mut self) {
        if let Some(told) = &mut self.told {
            told(&self.copied);
        }
    }
}

/// Compares what there is.
pub(super) async fn compare(copy: Copy<'_>) -> Result<Compared> {
    let Copy { mut origin, destination, tenant, with_keys, without_tags, checkpoints, mut told, .. } = copy;
    let (tenant, destination) = (tenant?, Destination::new(destination, false));
    if with_keys {
        check_keys(&*origin, &destination)?;
    }
    let (mut compared, mut so_far) = (Compared::new(checkpoints), Copied::new());
    let mut lockstep = Lockstep::begin(Arc::clone(destination.backend()), tenant.clone()).await?;
    loop {
        let Stretch { mut records, up_to, has_more } = origin.read().await?;
        if without_tags {
            carried::untag(&mut records);
        }
        for record in &records {
            compare_one(record, &mut *origin, &destination, &mut lockstep, &mut compared).await?;
        }
        compared.up_to = up_to;
        if let Some(told) = &mut told {
            (so_far.present, so_far.up_to) = (compared.same, up_to);
            told(&so_far);
        }
        if !has_more {
            break;
        }
    }
    while let Some(extra) = lockstep.rest(&mut *origin).await? {
        compared.note(&extra, DifferenceKind::Extra);
    }
    compared.end();
    compared.is_settled = origin.is_settled().await?;
    if let (true, Some(source)) = (with_keys, origin.backend()) {
        let destination = &**destination.backend();
        keys::compare(&*source, destination, tenant.as_ref(), &mut compared).await?;
    }
    Ok(compared)
}

async fn compare_one(
    record: &StoredRecord,
    origin: &mut dyn Origin,
    destination: &Destination,
    lockstep: &mut Lockstep,
    compared: &mut Compared,
) -> Result<()> {
    if record.event.unreadable.is_some() {
        compared.note(record, DifferenceKind::Unreadable);
        return Ok(());
    }
    loop {
        let there = match lockstep.meet(origin, destination, record).await? {
            Met::There(there) => there,
            Met::Nowhere => {
                compared.note(record, DifferenceKind::Missing);
                return Ok(());
            }
            // What others hold up at the destination is there all the same.
            Met::End => match destination.find(record).await? {
                Some(there) => there,
                None => {
                    compared.note(record, DifferenceKind::Missing);
                    return Ok(());
                }
            },
            Met::Extra(extra) => {
                compared.note(&extra, DifferenceKind::Extra);
                continue;
            }
            Met::Damaged(damaged) => {
                compared.note(&damaged, DifferenceKind::Unreadable);
                continue;
            }
        };
        compared.meet(record, &there);
        return Ok(());
    }
}

/// Keys are carried from one store to another that keeps some.
fn check_keys(origin: &dyn Origin, destination: &Destination) -> Result<()> {
    if origin.backend().is_none() {
        let problem = "a file of events has no keys: copy from the store itself".to_owned();
        return Err(Error::InvalidOption { option: "with_keys", problem });
    }
    let backend = destination.backend();
    if backend.capabilities().keys {
        return Ok(());
    }
    Err(Error::unsupported(backend.name(), "keys of data subjects"))
}
