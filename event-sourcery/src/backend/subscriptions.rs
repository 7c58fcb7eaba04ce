//! Durable subscriptions: where they have got to, and who works on them.
//!
//! A subscription's streams are divided into segments. Each segment has a checkpoint and at most one member that works on
//! it, under a lease; whoever takes a segment over gets a new token, and with an old token nothing can be written. What
//! is decided about them is decided here, in [`SubscriptionChange::apply`]; a backend reads, asks, and writes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::kept::Kept;
use super::presences::as_kept;
use super::progress::BlockedStream;
use super::scope::Scope;
use super::segments::{Lease, SegmentRecord};
use crate::position::Position;
use crate::stream_id::TenantId;

/// Which subscription.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SubscriptionId {
    /// Whose handle it was made with; the default tenant's is about every tenant.
    pub tenant: TenantId,
    /// Its name.
    pub name: Arc<str>,
}

impl SubscriptionId {
    /// The subscription of this name, of this tenant's handle.
    #[must_use]
    pub fn new(tenant: TenantId, name: impl Into<Arc<str>>) -> Self {
        Self { tenant, name: name.into() }
    }
}

impl fmt::Display for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// A subscription as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscriptionRecord {
    /// Its segments, by number from 0. Their count is fixed for life.
    pub segments: Vec<SegmentRecord>,
    /// Who takes part, by id.
    pub members: Vec<Member>,
    /// What it is run for; `None` where a version of this library has written it that did not keep that.
    pub kept: Option<Kept>,
}

/// A process, or a part of one, that takes part in a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// Its id.
    pub id: Uuid,
    /// Until when it counts, by the store's clock, if it is not heard of again.
    pub until: Timestamp,
    /// For how long its leases last; zero where that is not known.
    pub lasting: Duration,
    /// The number of the [presence](super::PresenceRecord) that vouches for it: it counts for as long as its leases last from when
    /// that was renewed. [`FOR_ITSELF`](Self::FOR_ITSELF) where none does; `None` where a version of this library has written it
    /// that knows of none.
    pub presence: Option<i64>,
}

impl Member {
    /// Who counts until then, and whose leases last for so long.
    #[must_use]
    pub const fn new(id: Uuid, until: Timestamp, lasting: Duration) -> Self {
        Self { id, until, lasting, presence: None }
    }
}

/// A change of a subscription as a whole.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SubscriptionChange {
    /// A member shows up, or shows that it is still there.
    Renew(RenewRequest),
    /// A member leaves, and others may take over at once.
    Leave {
        /// Who.
        member: Uuid,
        /// Checkpoints that it has not written yet.
        reached: Vec<(Lease, Position)>,
    },
    /// The subscription starts again behind a position. Whoever works on it loses its leases, and blocked streams are free.
    Reset {
        /// Where to start.
        position: Position,
        /// What is not handed over although it stands above that position.
        present: Vec<(Position, Position)>,
    },
    /// The subscription is run for other events. Whoever works on it loses its leases. Does nothing where it is not what it
    /// was taken to be.
    Rescope {
        /// What was found.
        was: Kept,
        /// What it is run for from here on.
        to: Scope,
        /// What of that was passed above this position is handed over; `None`: nothing is.
        after: Option<Position>,
        /// Where names are dropped: the checkpoints that were found.
        checkpoints: Vec<Position>,
        /// And the streams that waited after that: what else was handled of those names is not handed over another time.
        waiting: Vec<BlockedStream>,
    },
    /// The subscription is forgotten, with its blocked streams.
    Remove,
}

/// What a member asks for when it shows up.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RenewRequest {
    /// Who.
    pub member: Uuid,
    /// How many segments a subscription gets that does not exist yet, and where it starts.
    pub create: (u16, Position),
    /// What such a subscription keeps beside; its scope is the member's, whether the subscription exists or not.
    pub kept: Kept,
    /// For how long the leases are to last.
    pub lasting: Duration,
    /// Checkpoints that it has not written yet.
    pub reached: Vec<(Lease, Position)>,
    /// Whether it gives up and takes on segments, so that every member has its share. Without, it only keeps what it has.
    pub share: bool,
    /// Members that it has found changed, not longer ago than their leases last, by its own steady clock: they are there,
    /// whatever the store's clock says.
    pub heard: Vec<Member>,
    /// Members that it has found unchanged for longer than that: they are gone, whatever the store's clock says.
    pub unheard: Vec<Member>,
    /// The presence that speaks for the members of its process, and is to vouch for this one where it can. Asked of backends alone
    /// that have [presences](super::Capabilities::presences).
    pub presence: Option<i64>,
}

impl SubscriptionChange {
    /// What a subscription becomes. `None` is one that does not exist. Where it is another one then for its members, no presence
    /// vouches any more for those who have not asked for that.
    #[must_use]
    pub fn apply(&self, record: Option<SubscriptionRecord>, now: Timestamp) -> Option<SubscriptionRecord> {
        let before = record.clone();
        let asker = match self {
            Self::Renew(request) => Some(request.member),
            _ => None,
        };
        self.carry_out(record, now).map(|mut after| {
            if before.is_some_and(|before| !after.is_the_same_for_members(&before)) {
                after.members.iter_mut().filter(|member| Some(member.id) != asker).for_each(Member::speak_up);
            }
            after
        })
    }

    fn carry_out(&self, record: Option<SubscriptionRecord>, now: Timestamp) -> Option<SubscriptionRecord> {
        match self {
            Self::Renew(request) => Some(request.apply(record, now)),
            Self::Leave { member, reached } => record.map(|mut record| {
                record.reach(reached);
                record.members.retain(|other| other.id != *member);
                record.free(*member);
                record
            }),
            Self::Reset { position, present } => record.map(|mut record| {
                let from_there = vec![*position; record.segments.len()];
                record.take_back(&from_there);
                if let Some(kept) = &mut record.kept {
                    kept.begin(*position, present.clone());
                }
                record
            }),
            Self::Rescope { was, to, after, checkpoints: found, waiting } => record.map(|mut record| {
                let checkpoints = record.checkpoints();
                if let Some(kept) = record.kept.as_mut().filter(|kept| *kept == was) {
                    let positions = kept.change(to.clone(), *after, (found, waiting), &checkpoints);
                    record.take_back(&positions);
                }
                record
            }),
            Self::Remove => None,
        }
    }

    /// The presence that is renewed with this change where it makes this of a subscription: it vouches for the member from then on.
    #[must_use]
    pub fn renews(&self, after: &SubscriptionRecord) -> Option<i64> {
        let Self::Renew(request) = self else { return None };
        let member = after.members.iter().find(|member| member.id == request.member);
        member.and_then(Member::vouched_for_by)
    }

    /// Whether the subscription's blocked streams are forgotten.
    #[must_use]
    pub const fn frees_streams(&self) -> bool {
        matches!(self, Self::Reset { .. } | Self::Remove)
    }
}

impl RenewRequest {
    /// A member that shows up for the first time, and asks for its share.
    #[must_use]
    pub fn new(member: Uuid, create: (u16, Position), kept: Kept, lasting: Duration) -> Self {
        let (reached, heard, unheard) = (Vec::new(), Vec::new(), Vec::new());
        Self { member, create, kept, lasting, reached, share: true, heard, unheard, presence: None }
    }

    /// The same with checkpoints that it has not written yet.
    #[must_use]
    pub fn with_reached(self, reached: Vec<(Lease, Position)>) -> Self {
        Self { reached, ..self }
    }

    /// It only keeps what it has.
    #[must_use]
    pub fn without_share(self) -> Self {
        Self { share: false, ..self }
    }

    /// The same with the members that it has found changed, and those that it has found unchanged for longer than their leases last.
    #[must_use]
    pub fn with_members(self, heard: Vec<Member>, unheard: Vec<Member>) -> Self {
        Self { heard, unheard, ..self }
    }

    /// The same with the presence that speaks for the members of its process.
    #[must_use]
    pub fn with_presence(self, presence: i64) -> Self {
        Self { presence: Some(presence), ..self }
    }

    fn apply(&self, record: Option<SubscriptionRecord>, now: Timestamp) -> SubscriptionRecord {
        let (count, position) = self.create;
        // A subscription that was removed and made anew does not give the same tokens again.
        let token = now.as_microsecond();
        let free = SegmentRecord { position, token, member: None, leased_until: now };
        let mut record = record.unwrap_or_else(|| SubscriptionRecord {
            segments: vec![free; usize::from(count)],
            members: Vec::new(),
            kept: Some(self.kept.clone()),
        });
        // What it was run for before is not on record: the same, most likely. Where it began is not either.
        let adopted = || Kept::new(self.kept.scope().clone(), Position::START, Vec::new());
        let kept = record.kept.get_or_insert_with(adopted);
        let is_let_in = kept.scope().admits(self.kept.scope());
        record.reach(&self.reached);
        let is_there = |member: &Member| {
            self.heard.contains(member) || member.until > now && !self.unheard.contains(member)
        };
        record.members.retain(|member| member.id != self.member && is_there(member));
        if !is_let_in {
            record.free(self.member);
            return record;
        }
        let (lasting, presence) = (as_kept(self.lasting), self.presence_beside(&record.members));
        let member = Member { id: self.member, until: later(now, lasting), lasting, presence };
        if let Some(renewed) = member.vouched_for_by() {
            let others = record.members.iter_mut().filter(|other| other.presence == Some(renewed));
            others.for_each(|other| *other = other.renewed_at(now));
        }
        record.members.push(member);
        record.members.sort_by_key(|member| member.id);
        if self.share {
            record.share(self.member, member.until);
        }
        record
    }

    /// What vouches for it beside these. Who only keeps what it has may have to give some of it up, and has to be told that later;
    /// and a member that knows of no presences goes by what stands in the rows of the others.
    fn presence_beside(&self, others: &[Member]) -> Option<i64> {
        let is_known = others.iter().all(|other| other.presence.is_some());
        self.presence.map(|presence| if self.share && is_known { presence } else { Member::FOR_ITSELF })
    }
}

impl SubscriptionRecord {
    /// A subscription of these segments, with these members.
    #[must_use]
    pub const fn new(segments: Vec<SegmentRecord>, members: Vec<Member>, kept: Option<Kept>) -> Self {
        Self { segments, members, kept }
    }

    /// The same at this time, by the store's clock: without the members that were not heard of again.
    #[must_use]
    pub fn as_of(mut self, now: Timestamp) -> Self {
        self.members.retain(|member| member.until > now);
        self
    }

    /// The leases of a member.
    pub fn leases_of(&self, member: Uuid) -> impl Iterator<Item = (Lease, Position)> {
        let numbered = (0..).zip(&self.segments).filter(move |(_, segment)| segment.member == Some(member));
        numbered.map(|(number, segment)| (Lease { segment: number, token: segment.token }, segment.position))
    }

    /// The checkpoints of its segments.
    pub(crate) fn checkpoints(&self) -> Vec<Position> {
        self.segments.iter().map(|segment| segment.position).collect()
    }

    /// Whether it is the same for those who take part: who they are, what each works on, and what it is run for. Checkpoints are
    /// told by those who write them.
    fn is_the_same_for_members(&self, before: &Self) -> bool {
        let ids = |record: &Self| record.members.iter().map(|member| member.id).collect::<Vec<_>>();
        let held = |segment: &SegmentRecord| (segment.token, segment.member);
        self.segments.iter().map(held).eq(before.segments.iter().map(held))
            && ids(self) == ids(before)
            && self.kept == before.kept
    }

    /// A member gives up its segments.
    fn free(&mut self, member: Uuid) {
        for segment in &mut self.segments {
            segment.member = segment.member.filter(|holder| *holder != member);
        }
    }

    /// Nobody works on it any more, and what those who did write from here on is refused. The checkpoints go where they are told.
    fn take_back(&mut self, positions: &[Position]) {
        for (segment, position) in self.segments.iter_mut().zip(positions) {
            let token = segment.next_token();
            *segment = SegmentRecord { position: *position, token, member: None, ..*segment };
        }
    }

    /// Moves the checkpoints of segments whose token is still the same.
    fn reach(&mut self, reached: &[(Lease, Position)]) {
        for (lease, position) in reached {
            let segment = self.segments.get_mut(usize::from(lease.segment));
            if let Some(segment) = segment.filter(|segment| segment.token == lease.token) {
                segment.position = segment.position.max(*position);
            }
        }
    }

    /// Gives a member its share: as many segments as the others have, or one more for those who come first by id.
    fn share(&mut self, member: Uuid, until: Timestamp) {
        let rank = self.members.iter().position(|other| other.id == member).unwrap_or(0);
        let (segments, members) = (self.segments.len(), self.members.len().max(1));
        let share = segments / members + usize::from(rank < segments % members);
        let mut has = 0;
        for segment in &mut self.segments {
            if segment.member == Some(member) {
                has += 1;
                segment.member = segment.member.filter(|_| has <= share);
            }
        }
        let members = &self.members;
        // A lease lasts as long as its member counts.
        let is_leased = |holder: Uuid| members.iter().any(|other| other.id == holder);
        let free = self.segments.iter_mut().filter(|segment| !segment.member.is_some_and(is_leased));
        for segment in free.take(share.saturating_sub(has)) {
            (segment.member, segment.leased_until) = (Some(member), until);
            segment.token = segment.token_for(member);
        }
    }
}

/// A time that much later, as far as there is one.
pub(crate) fn later(now: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renewed(record: Option<SubscriptionRecord>, member: Uuid) -> Option<SubscriptionRecord> {
        let kept = Kept::new(Scope::default(), Position::START, Vec::new());
        let request = RenewRequest::new(member, (2, Position::START), kept, Duration::from_secs(10));
        SubscriptionChange::Renew(request).apply(record, Timestamp::UNIX_EPOCH)
    }

    /// One on the server that has the latest, and one on the server that takes its place.
    #[test]
    fn two_members_that_take_segments_over_from_the_same_tokens_get_different_ones() {
        let [left, here, there] = [1, 2, 3].map(Uuid::from_u128);
        let leave = SubscriptionChange::Leave { member: left, reached: Vec::new() };
        let free = leave.apply(renewed(None, left), Timestamp::UNIX_EPOCH);
        let tokens = |member| {
            let record = renewed(free.clone(), member).unwrap();
            record.leases_of(member).map(|(lease, _)| lease.token).collect::<Vec<_>>()
        };
        let (here, there) = (tokens(here), tokens(there));
        assert_eq!((here.len(), there.len()), (2, 2));
        assert!(here.iter().zip(&there).all(|(here, there)| here != there), "{here:?} {there:?}");
    }
}
