//! Tags for what is stored already.
//!
//! An event that gets a tag stands below what others have seen of the tag: within it, positions are in the order of the commits no more.
//! So whatever was read before is refused, by the number that tells since when marks are exact (`exact_from`).
//!
//! - An item that asks for the new tag and for one that the event has matches it from now on, and its guard may be either. So all tags
//!   of the event are raised. One at a time tags: else a tag that another adds meanwhile would not be among them.
//! - Who appends with one of the tags, or with a boundary that it guards, has it locked until the commit: what is decided before the
//!   tags are raised does not see the event, and comes first.
//! - The tags come before the streams, as for who appends. A stream is locked against deletion, and what it has is looked at once more
//!   after that: a deletion that has waited takes the tags away, and one that was waited for leaves no event to tag.

use std::collections::{BTreeSet, HashMap};

use event_sourcery::Result;
use event_sourcery::backend::{EventTags, TagRequest};
use serde_json::Value;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::Operations;
use crate::failure::Failure;
use crate::rows::value;
use crate::values::Jsonb;

/// An event that lacks some of the tags that it is to have.
struct Lacking {
    position: i64,
    stream: i64,
    /// Those that it has, and those that it is to have.
    tags: BTreeSet<String>,
}

impl Operations<'_> {
    /// Gives events that are stored tags that they have not; tells how many lacked some.
    pub(crate) async fn tag_stored(&mut self, request: &TagRequest) -> Result<u64> {
        self.try_tag_stored(request).await.map_err(|failure| self.failed_committing(failure))
    }

    async fn try_tag_stored(&mut self, request: &TagRequest) -> Result<u64, Failure> {
        self.begin().await?;
        let tagged = self.tag_alone(request).await.map(Some);
        Ok(self.end(tagged).await?.unwrap_or_default())
    }

    async fn tag_alone(&mut self, request: &TagRequest) -> Result<u64, Failure> {
        let (sql, tenant) = (&self.sql.tags, request.tenant.as_str());
        self.execute(sql.lock_taggers.query()).await?;
        let lacking = self.lacking(request).await?;
        if lacking.is_empty() {
            return Ok(0);
        }
        let tags: BTreeSet<&str> = lacking.iter().flat_map(|event| &event.tags).map(String::as_str).collect();
        let tags: Vec<_> = tags.into_iter().collect();
        self.execute(sql.raise_stored.query().bind(tenant).bind(tags)).await?;
        let streams: BTreeSet<_> = lacking.iter().map(|event| event.stream).collect();
        let streams: Vec<_> = streams.into_iter().collect();
        self.rows(sql.keep_streams.query().bind(streams)).await?;
        let positions: Vec<_> = lacking.iter().map(|event| event.position).collect();
        self.execute(sql.untag_stored.query().bind(positions.clone())).await?;
        let list = |event: &Lacking| Value::from_iter(event.tags.iter().map(String::as_str)).to_string();
        let lists: Vec<_> = lacking.iter().map(list).collect();
        let lists: Vec<_> = lists.iter().map(|list| Jsonb(list)).collect();
        let enter = sql.enter_stored.query().bind(tenant).bind(positions).bind(lists.as_slice());
        let row = self.row(enter).await?.ok_or(sqlx::Error::RowNotFound)?;
        Ok(value::<i64>(&row, 0)?.unsigned_abs())
    }

    async fn lacking(&mut self, request: &TagRequest) -> Result<Vec<Lacking>, Failure> {
        let given: HashMap<_, _> =
            request.events.iter().map(|event| (event.position.to_i64(), event)).collect();
        let positions: Vec<_> = given.keys().copied().collect();
        let stored = self.sql.tags.stored_tags.query().bind(request.tenant.as_str()).bind(positions);
        let rows = self.rows(stored).await?;
        let lacking = rows.iter().map(|row| Lacking::read(row, &given)).collect::<Result<Vec<_>, _>>()?;
        Ok(lacking.into_iter().flatten().collect())
    }
}

impl Lacking {
    fn read(row: &PgRow, given: &HashMap<i64, &EventTags>) -> Result<Option<Self>, sqlx::Error> {
        let (position, stream): (i64, i64) = (value(row, 0)?, value(row, 3)?);
        let id: Option<Uuid> = value(row, 1)?;
        let mut tags: BTreeSet<String> = value::<Vec<String>>(row, 2)?.into_iter().collect();
        let stored = tags.len();
        let event = given.get(&position).filter(|event| Some(event.id) == id);
        tags.extend(event.into_iter().flat_map(|event| &event.tags).map(ToString::to_string));
        Ok((tags.len() > stored).then_some(Self { position, stream, tags }))
    }
}
