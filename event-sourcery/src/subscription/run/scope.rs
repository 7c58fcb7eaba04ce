//! What the subscription is run for, and what this member was made for: whether the two go together.

use std::collections::BTreeSet;

use super::{PAGE, Runner};
use crate::backend::{
    BlockedRequest, BlockedStream, Filter, Kept, MOST_SEGMENTS, ScanRequest, Scope, Segments, StoredRecord,
    SubscriptionChange, SubscriptionRecord,
};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::position::Position;
use crate::subscription::blocked;
use crate::subscription::deliver::Deliver;
use crate::subscription::durable::Passed;

impl<E: Event, D: Deliver<E>> Runner<'_, E, D> {
    /// Whether this member can take part in what was found. Where it could not, and the subscription is run for more from now
    /// on, or may be soon, it has to ask again.
    pub(super) async fn goes_together(&self, record: &SubscriptionRecord) -> Result<bool> {
        let Some(kept) = &record.kept else { return Ok(true) };
        let own = &self.plan.scope;
        // The words count when a run begins. Two that say different ones would go on for ever otherwise.
        let begins = !self.has_begun || self.plan.stands_in().is_some();
        let narrows = self.plan.narrow && begins && kept.scope() != own;
        if kept.scope().admits(own) && !narrows {
            self.plan.stand_in(None);
            return Ok(true);
        }
        let to = if narrows { Some(own.clone()) } else { kept.scope().with(own) };
        let Some(to) = to.filter(|_| begins) else {
            let (kept, asked) = (kept.scope().to_string(), own.to_string());
            return Err(Error::RunForOthers { subscription: self.plan.id.name.to_string(), kept, asked });
        };
        let after = if kept.scope().covers(&to) { None } else { self.hands_over(record, kept, &to).await? };
        if after.is_some() && self.still_hands_over(record, kept).await? {
            // Until then it helps with what the subscription is run for so far: there may be nobody else.
            if self.plan.stands_in().as_ref() == Some(kept.scope()) {
                return Ok(true);
            }
            let subscription = &*self.plan.id.name;
            tracing::warn!(
                subscription,
                "it is asked for more events, and has to hand over first what had been passed before: replay or skip what is \
                 parked of that"
            );
            self.plan.stand_in(Some(kept.scope().clone()));
            return Ok(false);
        }
        self.plan.stand_in(None);
        self.rescope(record, kept, to, after).await?;
        Ok(false)
    }

    async fn rescope(
        &self,
        record: &SubscriptionRecord,
        kept: &Kept,
        to: Scope,
        after: Option<Position>,
    ) -> Result<()> {
        // After the checkpoints: what is behind them, and waits for nothing by now, was handled.
        let waiting = if to.covers(kept.scope()) { Vec::new() } else { self.waiting().await? };
        tracing::info!(
            subscription = &*self.plan.id.name,
            was = %kept.scope(),
            is = %to,
            "the subscription is run for other events from now on"
        );
        let checkpoints = record.checkpoints();
        let change = SubscriptionChange::Rescope { was: kept.clone(), to, after, checkpoints, waiting };
        self.plan.backend.change_subscription(self.plan.id.clone(), change).await.map(drop)
    }

    /// Behind which position what was passed unasked is handed over; `None`: nothing is. Without a word about it, nothing may
    /// have been passed.
    async fn hands_over(
        &self,
        record: &SubscriptionRecord,
        kept: &Kept,
        to: &Scope,
    ) -> Result<Option<Position>> {
        let up_to = record.segments.iter().map(|segment| segment.position).max().unwrap_or(Position::START);
        match self.plan.widen {
            Some(Passed::HandOver) => Ok(Some(kept.began())),
            Some(Passed::LeaveOut) => Ok(None),
            None => match self.first_passed(record, kept, to, up_to).await? {
                // Others may go on meanwhile: what they pass beyond this position is handed over.
                None => Ok(Some(up_to)),
                Some((first, name)) => {
                    let names = to.names_beyond(kept.scope()).unwrap_or_else(|| BTreeSet::from([name]));
                    let (subscription, names) = (self.plan.id.name.to_string(), names.into_iter().collect());
                    Err(Error::PassedUnasked { subscription, names, first, up_to })
                }
            },
        }
    }

    /// The first event that nobody was handed, although it is asked for now and a checkpoint is behind it.
    async fn first_passed(
        &self,
        of: &SubscriptionRecord,
        kept: &Kept,
        to: &Scope,
        up_to: Position,
    ) -> Result<Option<(Position, String)>> {
        let of = u16::try_from(of.segments.len()).unwrap_or(MOST_SEGMENTS);
        let names = to.names_beyond(kept.scope());
        let names = names.map(|names| names.iter().map(|name| name.as_str().into()).collect());
        let all = to.filter();
        let filter = Filter { names: names.or(all.names), ..all };
        let mut request = ScanRequest { after: kept.began(), up_to: Some(up_to), filter, limit: PAGE };
        while request.after < up_to {
            let Some(page) = self.stop.or(self.plan.backend.scan(request.clone())).await.transpose()? else {
                return Err(self.lost());
            };
            let passed = page.records.iter().find(|record| {
                let StoredRecord { tenant, stream, event } = record;
                let segment = Segments::number_of(stream.uuid(), of);
                to.passes(tenant, stream, event)
                    && !kept.was_present(event.position)
                    && !kept.scope().passes(tenant, stream, event)
                    && !kept.was_handled(segment, tenant, stream, event)
                    && !kept.was_left_out(segment, tenant, stream, event)
            });
            if let Some(passed) = passed {
                return Ok(Some((passed.event.position, passed.event.name.to_string())));
            }
            if !page.has_more {
                break;
            }
            request.after = page.next;
        }
        Ok(None)
    }

    /// Whether something is still left of what was handed over before: some segment has not come to where it was, or a stream
    /// waits for such an event. While no segment has, no such stream is added.
    async fn still_hands_over(&self, record: &SubscriptionRecord, kept: &Kept) -> Result<bool> {
        let is_back = |(number, position): (u16, Position)| position < kept.handled_up_to(number);
        if (0..).zip(record.segments.iter().map(|segment| segment.position)).any(is_back) {
            return Ok(true);
        }
        Ok(self.waiting().await?.iter().any(|blocked| blocked.position <= blocked.after))
    }

    /// Every stream that waits.
    async fn waiting(&self) -> Result<Vec<BlockedStream>> {
        let request = BlockedRequest { errors: false, ..BlockedRequest::new(self.plan.id.clone()) };
        blocked::all(&*self.plan.backend, request).await
    }
}
