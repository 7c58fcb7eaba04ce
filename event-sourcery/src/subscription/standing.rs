//! Where a durable subscription stands, and how much it has before it.

use std::time::Duration;

use jiff::Timestamp;

use super::durable::Status;
use crate::backend::{
    Backend, Backlog, BacklogRequest, Filter, MOST_SEGMENTS, ScanRequest, Segments, SubscriptionRecord,
};
use crate::error::Result;
use crate::position::Position;

/// How many of the events that a subscription is behind are counted.
const COUNTED: u64 = 10_000;

/// How many are read at once, where they are read to be counted.
const PAGE: usize = 512;

/// The status of a subscription that wants these events. What it costs does not grow with the backlog.
pub(crate) async fn status(
    backend: &dyn Backend,
    record: &SubscriptionRecord,
    filter: Filter,
) -> Result<Status> {
    let positions: Vec<Position> = record.segments.iter().map(|segment| segment.position).collect();
    let mut distinct = positions.clone();
    distinct.sort();
    distinct.dedup();
    let (mut behind, mut handled, mut has_more) = (Backlog::default(), 0, false);
    for position in &distinct {
        let here = (0..).zip(&positions).filter(|(_, of_segment)| *of_segment == position);
        let of = u16::try_from(positions.len()).unwrap_or(MOST_SEGMENTS);
        let segments = Segments::new(of, here.map(|(number, _)| number));
        let filter = Filter { segments: (!segments.are_all()).then_some(segments), ..filter.clone() };
        let most = COUNTED.saturating_sub(behind.events).max(1);
        let backlog = backlog(backend, BacklogRequest::new(*position, filter).at_most(most)).await?;
        handled += handled_above(backend, record, *position, backlog.cut_off, segments).await?;
        behind.events += backlog.events;
        has_more |= backlog.cut_off.is_some();
        behind.oldest = [behind.oldest, backlog.oldest].into_iter().flatten().min();
    }
    let now = Timestamp::now();
    let age = |oldest: Timestamp| Duration::try_from(now.duration_since(oldest));
    Ok(Status {
        position: distinct.first().copied().unwrap_or(Position::START),
        members: record.members.len(),
        events_behind: behind.events.saturating_sub(handled),
        has_more,
        behind: behind.oldest.and_then(|oldest| age(oldest).ok()).unwrap_or_default(),
    })
}

/// How many events above these segments' checkpoint, and up to where others were counted, were handled before it was moved back.
async fn handled_above(
    backend: &dyn Backend,
    record: &SubscriptionRecord,
    checkpoint: Position,
    cut_off: Option<Position>,
    segments: Segments,
) -> Result<u64> {
    let mut events = 0;
    let Some(kept) = &record.kept else { return Ok(0) };
    for number in segments.numbers() {
        for (scope, after, up_to) in kept.handled_above(number, checkpoint) {
            let segments = Some(Segments::new(segments.of(), [number]));
            let filter = Filter { segments, ..scope.filter() };
            let up_to = cut_off.map_or(up_to, |cut_off| cut_off.min(up_to));
            if after < up_to {
                events += backlog(backend, BacklogRequest::new(after, filter).up_to(up_to)).await?.events;
            }
        }
    }
    Ok(events)
}

/// What passes a filter. No backend counts by tags: those that pass otherwise are read then, no more than would be counted.
async fn backlog(backend: &dyn Backend, request: BacklogRequest) -> Result<Backlog> {
    if request.filter.tags.is_empty() {
        return backend.backlog(request).await;
    }
    let BacklogRequest { after, up_to, filter, most } = request;
    let mut request = ScanRequest { after, up_to, filter, limit: PAGE };
    let (mut backlog, mut read) = (Backlog::default(), 0);
    loop {
        let page = backend.scan(request.clone()).await?;
        let tagged = page.records.iter().filter(|record| request.filter.finds_tags_on(&record.event));
        for record in tagged {
            backlog.events += 1;
            backlog.oldest = backlog.oldest.or(Some(record.event.created_at));
        }
        read += PAGE as u64;
        if !page.has_more {
            return Ok(backlog);
        }
        if most.is_some_and(|most| read >= most) {
            return Ok(backlog.with_cut_off(Some(page.next)));
        }
        request.after = page.next;
    }
}
