//! Presences: what a process says once for all members of durable subscriptions that it runs.
//!
//! A member that has nothing to ask for but that its leases go on is vouched for by its process's presence: one row, which is renewed
//! for all of them. Whoever changes anything of a subscription has the other members speak for themselves again
//! ([`SubscriptionChange::apply`](super::SubscriptionChange::apply)), so they ask, and find what has become of it.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::subscriptions::{Member, later};

/// A presence that was renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PresenceRecord {
    /// When, by the store's clock.
    pub renewed: Timestamp,
    /// The members that it vouches for, of whatever subscriptions.
    pub members: Vec<Uuid>,
    /// The other presences: their numbers, and when they were renewed last.
    pub others: Vec<(i64, Timestamp)>,
}

impl PresenceRecord {
    /// A presence that was renewed then, and vouches for these members.
    #[must_use]
    pub const fn new(renewed: Timestamp, members: Vec<Uuid>) -> Self {
        Self { renewed, members, others: Vec::new() }
    }

    /// The same beside the other presences: their numbers, and when they were renewed last.
    #[must_use]
    pub fn with_others(self, others: Vec<(i64, Timestamp)>) -> Self {
        Self { others, ..self }
    }
}

impl Member {
    /// Stands for the presence of a member that speaks for itself.
    pub const FOR_ITSELF: i64 = 0;

    /// The same with the presence that vouches for it.
    #[must_use]
    pub const fn with_presence(self, presence: Option<i64>) -> Self {
        Self { presence, ..self }
    }

    /// The presence that vouches for it, if one does.
    #[must_use]
    pub fn vouched_for_by(&self) -> Option<i64> {
        self.presence.filter(|presence| *presence != Self::FOR_ITSELF)
    }

    /// From here on it speaks for itself, and counts for as long as it would have.
    pub(super) fn speak_up(&mut self) {
        self.presence = self.presence.map(|_| Self::FOR_ITSELF);
    }

    /// The same where the presence that vouches for it was renewed then: it counts for as long as its leases last from there on.
    #[must_use]
    pub fn renewed_at(self, renewed: Timestamp) -> Self {
        Self { until: later(renewed, self.lasting), ..self }
    }

    /// Whether nothing has to be written where it was kept as this before: what differs is told by the presence that vouches for it.
    #[must_use]
    pub fn is_kept_as(&self, before: &Self) -> bool {
        let is_vouched_for = self.vouched_for_by().is_some();
        self == before || is_vouched_for && *self == Self { until: self.until, ..*before }
    }
}

/// How long leases last, as it is kept: in whole milliseconds.
pub(super) fn as_kept(lasting: Duration) -> Duration {
    let longest = u128::from(i64::MAX.unsigned_abs());
    Duration::from_millis(u64::try_from(lasting.as_millis().min(longest)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Kept, Lease, RenewRequest, Scope, SubscriptionChange, SubscriptionRecord};
    use crate::position::Position;

    const LASTING: Duration = Duration::from_secs(10);
    const PRESENCE: i64 = 7;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn asks(member: u128) -> RenewRequest {
        let kept = Kept::new(Scope::default(), Position::START, Vec::new());
        RenewRequest::new(Uuid::from_u128(member), (2, Position::START), kept, LASTING)
    }

    fn asks_for(member: u128, presence: i64) -> SubscriptionChange {
        SubscriptionChange::Renew(asks(member).with_presence(presence))
    }

    fn apply(
        change: &SubscriptionChange,
        record: Option<SubscriptionRecord>,
        second: i64,
    ) -> SubscriptionRecord {
        change.apply(record, at(second)).unwrap()
    }

    fn presences(record: &SubscriptionRecord) -> Vec<Option<i64>> {
        record.members.iter().map(|member| member.presence).collect()
    }

    /// Two members, on a presence each, that have their share and have asked again since.
    fn two() -> SubscriptionRecord {
        let mut record = None;
        for (member, presence) in [(1, 7), (2, 8), (1, 7), (2, 8), (1, 7), (2, 8)] {
            record = Some(apply(&asks_for(member, presence), record, 0));
        }
        let record = record.unwrap();
        assert_eq!(presences(&record), [Some(7), Some(8)]);
        record
    }

    #[test]
    fn a_member_is_vouched_for_by_its_presence_once_it_has_its_share() {
        let record = apply(&asks_for(1, PRESENCE), None, 5);
        assert_eq!(record.members[0].vouched_for_by(), Some(PRESENCE));
        assert_eq!(record.members[0].until, at(15));
        assert_eq!(asks_for(1, PRESENCE).renews(&record), Some(PRESENCE));

        let keeps = SubscriptionChange::Renew(asks(1).with_presence(PRESENCE).without_share());
        let record = apply(&keeps, Some(record), 6);
        assert_eq!(presences(&record), [Some(Member::FOR_ITSELF)], "it may have to give something up");
        assert_eq!(keeps.renews(&record), None);
    }

    #[test]
    fn a_member_whose_presence_was_renewed_is_kept_as_it_was() {
        let before = apply(&asks_for(1, PRESENCE), None, 0).members[0];
        let after = apply(&asks_for(1, PRESENCE), Some(two()), 3).members[0];
        assert!(after.is_kept_as(&before) && after != before);
        assert_eq!(before.renewed_at(at(3)), after);
        for other in [
            Member { presence: Some(8), ..before },
            Member { presence: Some(Member::FOR_ITSELF), ..before },
            Member { presence: None, ..before },
            Member { lasting: LASTING * 2, ..before },
        ] {
            assert!(!after.is_kept_as(&other) && !other.is_kept_as(&after), "{other:?}");
        }
        let alone = Member { presence: Some(Member::FOR_ITSELF), ..before };
        assert!(!alone.renewed_at(at(3)).is_kept_as(&alone), "its row alone tells until when");
    }

    #[test]
    fn who_asks_and_changes_nothing_leaves_the_others_vouched_for() {
        let record = apply(&asks_for(1, 7), Some(two()), 3);
        assert_eq!(presences(&record), [Some(7), Some(8)]);
        assert_eq!(record.members[1].until, at(10), "that is for the other presence to say");
        let record = apply(&asks_for(2, 7), Some(record), 4);
        assert_eq!(record.members[0].until, at(14), "it is theirs both by now");
    }

    #[test]
    fn whoever_changes_anything_has_the_others_speak_for_themselves() {
        let (one, two) = (Uuid::from_u128(1), two());
        let itself = Some(Member::FOR_ITSELF);
        let joined = apply(&asks_for(3, 9), Some(two.clone()), 1);
        assert_eq!(presences(&joined), [itself, itself, Some(9)]);
        assert_eq!(joined.members[0].until, at(10), "its leases last as long as before");

        let leaves = SubscriptionChange::Leave { member: one, reached: Vec::new() };
        assert_eq!(presences(&apply(&leaves, Some(two.clone()), 1)), [itself]);
        let gone = asks(2).with_presence(8).with_members(Vec::new(), vec![two.members[0]]);
        assert_eq!(presences(&apply(&SubscriptionChange::Renew(gone), Some(two.clone()), 1)), [Some(8)]);
        let reset = SubscriptionChange::Reset { position: Position::START, present: Vec::new() };
        assert_eq!(presences(&apply(&reset, Some(two.clone()), 1)), [itself, itself]);
        let was = two.kept.clone().unwrap();
        let to = Scope::default();
        let rescope = SubscriptionChange::Rescope {
            was,
            to,
            after: Some(Position::START),
            checkpoints: two.checkpoints(),
            waiting: Vec::new(),
        };
        assert_eq!(presences(&apply(&rescope, Some(two), 1)), [itself, itself]);
    }

    #[test]
    fn a_checkpoint_that_moves_concerns_nobody_else() {
        let (record, one) = (two(), Uuid::from_u128(1));
        let reached: Vec<(Lease, Position)> =
            record.leases_of(one).map(|(lease, _)| (lease, Position::from_i64(5))).collect();
        assert!(!reached.is_empty());
        let renew = SubscriptionChange::Renew(asks(1).with_presence(7).with_reached(reached));
        let record = apply(&renew, Some(record), 1);
        assert_eq!(presences(&record), [Some(7), Some(8)]);
    }

    /// It goes by the rows of members alone, and would take segments over whose holder is there.
    #[test]
    fn beside_a_member_of_a_version_that_knows_no_presences_everybody_speaks_for_himself() {
        let older = SubscriptionChange::Renew(asks(9));
        let record = apply(&older, Some(two()), 1);
        let record = apply(&asks_for(1, 7), Some(record), 1);
        assert_eq!(presences(&record), [Some(Member::FOR_ITSELF), Some(Member::FOR_ITSELF), None]);
        let leaves = SubscriptionChange::Leave { member: Uuid::from_u128(9), reached: Vec::new() };
        let record = apply(&leaves, Some(record), 1);
        assert_eq!(apply(&asks_for(1, 7), Some(record), 1).members[0].presence, Some(7));
    }

    #[test]
    fn how_long_leases_last_is_kept_in_whole_milliseconds() {
        assert_eq!(as_kept(Duration::from_nanos(12_345_678_901)), Duration::from_millis(12_345));
        assert_eq!(as_kept(Duration::MAX), Duration::from_millis(i64::MAX.unsigned_abs()));
    }
}
