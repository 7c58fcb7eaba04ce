//! `subscriptions show`: one subscription, with who works on it and what waits in it.

use event_sourcery::backend::{Member, SegmentRecord};
use event_sourcery::jiff::Timestamp;
use event_sourcery::uuid::Uuid;
use serde::Serialize;

use super::mending::{self, WaitingJson};
use super::{COLUMNS, Seen, Show, SubscriptionJson, find, id_of};
use crate::events::time;
use crate::failure::Failure;
use crate::output::Output;
use crate::session::{Access, Session};
use crate::table::{Column, Table, left, right};

const SEGMENTS: &[Column] = &[right("Segment"), right("Checkpoint"), left("Member"), left("Lease until")];

/// What a program gets.
#[derive(Serialize)]
struct ShowJson<'a> {
    #[serde(flatten)]
    subscription: SubscriptionJson<'a>,
    segments: Vec<SegmentJson>,
    taking_part: Vec<MemberJson>,
    waiting: WaitingJson<'a>,
}

#[derive(Serialize)]
struct SegmentJson {
    number: usize,
    position: i64,
    member: Option<Uuid>,
    leased_until: Option<Timestamp>,
}

#[derive(Serialize)]
struct MemberJson {
    id: Uuid,
    until: Timestamp,
    lease_seconds: f64,
}

impl Show {
    pub(super) async fn run(self, session: &Session, out: &mut Output) -> Result<(), Failure> {
        let id = id_of(session, &self.name)?;
        let store = session.open(Access::Look).await?;
        let seen = Seen::of(&store, find(&store, &id).await?).await?;
        let (segments, members) = match &seen.summary.record {
            Some(record) => (record.segments.as_slice(), record.members.as_slice()),
            None => (&[] as &[SegmentRecord], &[] as &[Member]),
        };
        let numbered = segments.iter().enumerate();
        let segments: Vec<_> =
            numbered.map(|(number, segment)| SegmentJson::of(number, segment, members)).collect();
        if out.is_json() {
            let (waiting, next) = mending::gather(&store, &id, &self.paging).await?;
            return out.json(&ShowJson {
                subscription: seen.json(),
                segments,
                taking_part: members.iter().map(MemberJson::of).collect(),
                waiting: WaitingJson::of(&waiting, next.as_ref()),
            });
        }
        let mut table = Table::new(COLUMNS);
        table.row(seen.cells());
        table.print(out)?;
        out.line("")?;
        let mut table = Table::new(SEGMENTS);
        segments.iter().for_each(|segment| table.row(segment.cells()));
        table.print(out)?;
        out.line("")?;
        mending::list(&store, &id, &self.paging, out).await
    }
}

impl SegmentJson {
    /// A lease lasts as long as its member counts.
    fn of(number: usize, segment: &SegmentRecord, members: &[Member]) -> Self {
        let holder = members.iter().find(|member| Some(member.id) == segment.member);
        let leased_until = holder.map(|member| member.until.max(segment.leased_until));
        Self { number, position: segment.position.to_i64(), member: segment.member, leased_until }
    }

    fn cells(&self) -> Vec<String> {
        let member = match (self.member, self.leased_until) {
            (Some(member), Some(_)) => member.to_string(),
            (Some(member), None) => format!("{member}, who is gone"),
            (None, _) => "nobody".to_owned(),
        };
        let until = self.leased_until.map(time).unwrap_or_default();
        vec![self.number.to_string(), self.position.to_string(), member, until]
    }
}

impl MemberJson {
    fn of(member: &Member) -> Self {
        Self { id: member.id, until: member.until, lease_seconds: member.lasting.as_secs_f64() }
    }
}
