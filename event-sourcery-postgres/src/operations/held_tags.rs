//! The tags that appends lock, column by column, in the order in which all lock them.

use std::collections::BTreeMap;

use event_sourcery::Tag;
use event_sourcery::backend::{AppendRequest, NewRecord};
use serde_json::Value;
use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;

use super::tags::guards;
use crate::values::Jsonb;

/// The tags of appends, each once for each of them.
#[derive(Debug, Default)]
pub(super) struct HeldTags<'r> {
    /// The numbers of their appends, from 1.
    members: Vec<i64>,
    tenants: Vec<&'r str>,
    values: Vec<&'r str>,
    /// By how much the version of each is raised: by nothing, where the append only depends on it.
    raised: Vec<i64>,
    /// The version at which each has to be, where that counts.
    expected: Vec<Option<i64>>,
}

impl<'r> HeldTags<'r> {
    /// What the requests' events are tagged with, and what their boundaries are guarded by.
    pub(super) fn of(requests: impl IntoIterator<Item = &'r AppendRequest>) -> Self {
        let mut all: BTreeMap<(&str, &str, i64), (i64, Option<i64>)> = BTreeMap::new();
        for (member, request) in (1..).zip(requests) {
            let tenant = request.tenant.as_str();
            for (tag, version) in guards(request) {
                let (_, expected) = all.entry((tag, tenant, member)).or_default();
                // Versions only rise: two that differ do not both hold, and the lower one does not.
                *expected = Some(expected.map_or(version, |other| version.min(other)));
            }
            let events = request.streams.iter().flat_map(|part| &part.events);
            for tag in events.flat_map(|event| &event.tags) {
                all.entry((tag.as_str(), tenant, member)).or_default().0 = 1;
            }
        }
        let mut held = Self::default();
        for ((value, tenant, member), (raised, expected)) in all {
            held.members.push(member);
            held.tenants.push(tenant);
            held.values.push(value);
            held.raised.push(raised);
            held.expected.push(expected);
        }
        held
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub(super) fn into_values(self) -> Vec<&'r str> {
        self.values
    }

    /// Binds the numbers of their appends, and the tenants.
    pub(super) fn bind_members<'q>(
        &self,
        query: Query<'q, Postgres, PgArguments>,
    ) -> Query<'q, Postgres, PgArguments> {
        query.bind(self.members.as_slice()).bind(self.tenants.as_slice())
    }

    /// Binds the tags, and by how much they are raised.
    pub(super) fn bind<'q>(
        &self,
        query: Query<'q, Postgres, PgArguments>,
    ) -> Query<'q, Postgres, PgArguments> {
        query.bind(self.values.as_slice()).bind(self.raised.as_slice())
    }

    /// Binds the tags, by how much they are raised, and at which versions they have to be.
    pub(super) fn bind_expected<'q>(
        &self,
        query: Query<'q, Postgres, PgArguments>,
    ) -> Query<'q, Postgres, PgArguments> {
        self.bind(query).bind(self.expected.as_slice())
    }
}

/// Binds the tags of events, a list for each.
pub(super) fn bind_lists<'q, 'r>(
    query: Query<'q, Postgres, PgArguments>,
    events: impl IntoIterator<Item = &'r NewRecord>,
) -> Query<'q, Postgres, PgArguments> {
    let list = |event: &NewRecord| Value::from_iter(texts(event)).to_string();
    let lists: Vec<_> = events.into_iter().map(list).collect();
    let lists: Vec<_> = lists.iter().map(|list| Jsonb(list)).collect();
    query.bind(lists.as_slice())
}

/// The tags of an event, as they are stored.
pub(super) fn texts(event: &NewRecord) -> Vec<&str> {
    event.tags.iter().map(Tag::as_str).collect()
}
