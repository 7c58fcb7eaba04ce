//! Appending to several streams at once, for several callers.

use event_sourcery::backend::{AppendRequest, Written};
use uuid::Uuid;

use super::Operations;
use super::append::{last_version, row_version, written};
use super::held_tags::{HeldTags, bind_lists};
use crate::failure::Failure;
use crate::rows::value;
use crate::values::{EventColumns, stored_version};

/// How long a batch waits for another transaction that is creating one of its streams.
const PATIENCE_OF_A_BATCH: &str = "50ms";

/// What became of an append in a batch.
#[derive(Debug, Clone)]
pub(crate) enum InBatch {
    Written(Written),
    /// Somebody holds its stream, or one of its tags.
    Held,
    /// It was passed over. Why, it finds out by itself.
    Open,
}

impl Operations<'_> {
    /// Appends several requests of one stream each, all different, in one statement: what became of each of them. No two of them lock a
    /// tag in common. If the statement fails, none of them was written. Their positions are above this one.
    pub(crate) async fn append_batch(
        &mut self,
        requests: &[&AppendRequest],
        given: i64,
    ) -> Result<Vec<InBatch>, Failure> {
        self.send(requests.iter().map(|request| request.weight()).sum());
        let members: Vec<_> =
            requests.iter().filter_map(|request| Some((&request.tenant, request.streams.first()?))).collect();
        let (mut uuids, mut categories, mut tenants, mut names) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut expected, mut versions) = (Vec::new(), Vec::new());
        let (mut event_members, mut places) = (Vec::new(), Vec::new());
        for (number, (tenant, part)) in (1_i64..).zip(&members) {
            uuids.push(part.stream.uuid());
            categories.push(part.stream.stored_category());
            tenants.push(tenant.as_str());
            names.push(part.stream.name());
            expected.push(row_version(part.expectation));
            versions.push(last_version(part).map(stored_version));
            for place in 1..=part.events.len() as i64 {
                event_members.push(number);
                places.push(place);
            }
        }
        let ids: Vec<Uuid> = requests.iter().flat_map(|request| &request.outbox).copied().collect();
        let (sql, tags) = (&self.sql.append.batches, HeldTags::of(requests.iter().copied()));
        let statement = match (tags.is_empty(), ids.is_empty()) {
            (true, true) => &sql.append,
            (true, false) => &sql.append_and_enter,
            (false, true) => &sql.append_tagged,
            (false, false) => &sql.append_tagged_and_enter,
        };
        let query = statement.query();
        let query =
            query.bind(uuids).bind(categories).bind(tenants).bind(names).bind(expected).bind(versions);
        let query = query.bind(event_members).bind(places);
        let events = EventColumns::of(members.iter().flat_map(|(_, part)| &part.events));
        let query = events.bind(query).bind(PATIENCE_OF_A_BATCH).bind(given);
        let query = if ids.is_empty() && tags.is_empty() { query } else { query.bind(ids) };
        let query = if tags.is_empty() {
            query
        } else {
            let events = members.iter().flat_map(|(_, part)| &part.events);
            bind_lists(tags.bind_expected(tags.bind_members(query)), events)
        };
        let rows = self.rows(query).await?;
        let mut all = vec![InBatch::Open; requests.len()];
        for row in &rows {
            let (number, position): (i64, Option<i64>) = (value(row, 0)?, value(row, 1)?);
            let number = usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
            if let (Some(one), Some((_, part))) = (all.get_mut(number), members.get(number)) {
                *one = position.map_or(InBatch::Held, |position| InBatch::Written(written(part, position)));
            }
        }
        Ok(all)
    }
}
