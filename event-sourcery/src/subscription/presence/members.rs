//! The members on a runtime, and the presence that speaks for them.
//!
//! The presence is renewed for all, so the store does not see that one of them hangs, or was dropped: it would vouch for that one as
//! long as any other shows itself. Hence each is noted here before it asks to be vouched for, with when it was last heard of. Once its
//! leases would have ended by that, it is taken out of its subscription, as though it had left, and others take over. But a moment
//! later: where the whole process was stopped for as long, all are silent, and none of them hangs. Nor does one to whom the store
//! has not answered yet.
//!
//! What it had asked for may be done late all the same, and have the presence vouch for it after that:
//!
//! 1. The member asks for its leases. The answer is lost, or the call is given up, and goes on at the store; or else it comes back just when
//!    it was taken out, and asks once more before that is noted here. Then it hangs.
//! 2. It is taken out.
//! 3. What it asked for is done. The presence vouches for it, and it is taken to be out here, so nobody looks whether it is silent.
//!
//! So a member that the store lists though it was taken out is taken out again. A renewal of the presence lists them; but where all
//! others are busy, each asks for himself, which renews the presence too, and lists nobody. Hence one that is out is looked for once in as
//! long as its leases last ([`Members::are_to_be_listed`]): that is one call more beside those that each of the others makes.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::Renewed;
use crate::backend::SubscriptionId;

/// For so long after a member was taken out, something that it has asked for may still be done.
const UNDER_WAY: Duration = Duration::from_secs(3_600);

/// The members on a runtime.
pub(super) struct Members {
    /// The number of their presence.
    number: i64,
    all: HashMap<Uuid, Member>,
    /// The last renewal of the presence that the store has confirmed.
    pub(super) renewed: Option<Arc<Renewed>>,
    /// When the store was asked last for whom it vouches.
    looked: Option<Instant>,
}

struct Member {
    last: Last,
    /// Whether the presence vouches for it, as far as is known.
    is_vouched_for: bool,
    /// What it has asked the store for, as long as that has not answered.
    under_way: Weak<()>,
    /// Whether it is about to be taken out, unless it is heard of, or is being taken out.
    is_silent: bool,
    /// Since when it is not in its subscription any more.
    out: Option<Instant>,
}

/// What a member has asked for last.
pub(in crate::subscription) struct Last {
    /// Of which subscription.
    pub(in crate::subscription) id: SubscriptionId,
    /// When.
    pub(in crate::subscription) asked: Instant,
    /// For how long its leases are to last.
    pub(in crate::subscription) lease: Duration,
}

/// Without any. Of two processes, none has the number of the other by chance; 0 is nobody's.
impl Default for Members {
    fn default() -> Self {
        let (random, _) = Uuid::new_v4().as_u64_pair();
        let number = (random >> 1).cast_signed().max(1);
        Self { number, all: HashMap::new(), renewed: None, looked: None }
    }
}

impl Members {
    /// The presence is about to be renewed. Its number.
    pub(super) fn begin_to_renew(&mut self, now: Instant) -> i64 {
        self.looked = Some(now);
        self.number
    }

    /// How many are driven, as far as is known.
    pub(super) fn count(&self) -> usize {
        self.all.values().filter(|member| member.out.is_none()).count()
    }

    /// A member is about to ask that the presence vouches for it. The presence's number.
    pub(super) fn ask(&mut self, id: Uuid, last: Last) -> i64 {
        let under_way = Weak::new();
        self.all.insert(id, Member { last, is_vouched_for: false, under_way, is_silent: false, out: None });
        self.number
    }

    /// A member waits for the store as long as this is there: it is not silent.
    pub(super) fn waits(&mut self, id: Uuid, under_way: Weak<()>) {
        if let Some(member) = self.all.get_mut(&id) {
            member.under_way = under_way;
        }
    }

    /// What has become of that.
    pub(super) fn vouch(&mut self, id: Uuid, is_vouched_for: bool) {
        if let Some(member) = self.all.get_mut(&id) {
            member.is_vouched_for = is_vouched_for;
        }
    }

    /// A member shows that it is there. How long its leases last, where the presence vouches for it.
    pub(super) fn show(&mut self, id: Uuid, now: Instant) -> Option<Duration> {
        let member = self.all.get_mut(&id).filter(|member| member.is_vouched_for && member.out.is_none())?;
        (member.last.asked, member.is_silent) = (now, false);
        Some(member.last.lease)
    }

    /// Those that have not been heard of for as long as their leases last, each told once, with how long that is: they are taken out.
    pub(super) fn silent(&mut self, now: Instant) -> Vec<(Uuid, Duration)> {
        let since = |then: Instant| now.saturating_duration_since(then);
        self.all.retain(|_, member| member.out.is_none_or(|out| since(out) < UNDER_WAY));
        let inside = self.all.iter_mut().filter(|(_, member)| member.out.is_none() && !member.is_silent);
        let unheard = inside.filter(|(_, member)| since(member.last.asked) >= member.last.lease);
        let silent = unheard.filter(|(_, member)| member.under_way.strong_count() == 0);
        let told = silent.map(|(id, member)| {
            member.is_silent = true;
            (*id, member.last.lease)
        });
        told.collect()
    }

    /// One is taken out of this subscription, where it was not heard of meanwhile.
    pub(super) fn take_out(&mut self, id: Uuid, now: Instant) -> Option<SubscriptionId> {
        let member = self.all.get_mut(&id).filter(|member| member.is_silent)?;
        member.out = Some(now);
        Some(member.last.id.clone())
    }

    /// One that has left, or was taken out.
    pub(super) fn leaves(&mut self, id: Uuid, now: Instant) {
        if let Some(member) = self.all.get_mut(&id) {
            (member.is_silent, member.out) = (false, Some(now));
        }
    }

    /// One that could not be taken out.
    pub(super) fn stays(&mut self, id: Uuid) {
        if let Some(member) = self.all.get_mut(&id) {
            (member.is_silent, member.out) = (false, None);
        }
    }

    /// Whether somebody is out for whom the presence may vouch again, and nobody has looked for as long as his leases last.
    pub(super) fn are_to_be_listed(&self, now: Instant) -> bool {
        self.all.values().any(|member| {
            let looked = member.out.map(|out| self.looked.map_or(out, |looked| looked.max(out)));
            looked.is_some_and(|looked| now.saturating_duration_since(looked) >= member.last.lease)
        })
    }

    /// The presence vouches for these, as the store says.
    pub(super) fn are_listed(&mut self, ids: &[Uuid]) {
        for id in ids {
            if let Some(member) = self.all.get_mut(id) {
                member.out = None;
            }
        }
    }

    /// A member is driven by another runtime from now on. Whether there are others here that may be heard of: where there are none,
    /// the presence is not renewed again, whoever comes later.
    pub(super) fn leave_to_another(&mut self, id: Uuid) -> bool {
        self.all.remove(&id);
        self.all
            .values()
            .any(|member| member.last.asked.elapsed() < member.last.lease.saturating_add(UNDER_WAY))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::stream_id::TenantId;

    const LEASE: Duration = Duration::from_secs(10);

    fn last(asked: Instant) -> Last {
        Last { id: SubscriptionId::new(TenantId::DEFAULT, "letters"), asked, lease: LEASE }
    }

    /// Takes those out that are silent, and have said nothing by then.
    fn silent(members: &mut Members, now: Instant) -> Vec<u128> {
        let silent = members.silent(now);
        assert!(silent.iter().all(|(id, lease)| *lease == LEASE && members.take_out(*id, now).is_some()));
        let mut silent: Vec<_> = silent.into_iter().map(|(id, _)| id.as_u128()).collect();
        silent.sort_unstable();
        silent
    }

    #[test]
    fn who_shows_itself_stays_and_who_does_not_is_taken_out_once_its_leases_have_ended() {
        let (mut members, begun) = (Members::default(), Instant::now());
        let second = |seconds| begun + Duration::from_secs(seconds);
        let [one, other] = [1, 2].map(Uuid::from_u128);
        for id in [one, other] {
            members.ask(id, last(begun));
            assert_eq!(members.show(id, begun), None, "the store has not said so");
            members.vouch(id, true);
        }
        assert_eq!(members.show(one, second(5)), Some(LEASE));
        assert!(silent(&mut members, second(9)).is_empty());
        assert_eq!(silent(&mut members, second(10)), [2]);
        assert!(silent(&mut members, second(11)).is_empty(), "it is out");
        assert_eq!(members.show(other, second(11)), None, "it has to ask for itself");
        assert_eq!(members.count(), 1);

        members.ask(other, last(second(12)));
        members.vouch(other, true);
        assert_eq!(members.show(other, second(13)), Some(LEASE));
        members.leaves(other, second(14));
        assert_eq!(members.show(other, second(14)), None);
        assert_eq!(silent(&mut members, second(60)), [1]);
    }

    #[test]
    fn who_could_not_be_taken_out_or_is_listed_all_the_same_is_taken_out_again() {
        let (mut members, begun) = (Members::default(), Instant::now());
        members.ask(Uuid::from_u128(1), last(begun));
        let later = begun + LEASE;
        assert_eq!(silent(&mut members, later), [1]);
        members.stays(Uuid::from_u128(1));
        assert_eq!(silent(&mut members, later), [1]);
        let listed = [1, 2].map(Uuid::from_u128);
        members.are_listed(&listed);
        assert!(silent(&mut members, later).is_empty(), "it is being taken out, and once is enough");
        members.leaves(Uuid::from_u128(1), later);
        members.are_listed(&listed);
        assert_eq!(silent(&mut members, later), [1]);
        members.leaves(Uuid::from_u128(1), later);
        assert!(silent(&mut members, later + UNDER_WAY).is_empty());
        assert!(members.all.is_empty(), "it is forgotten once nothing is under way any more");
    }

    /// Seldom, and by nobody where somebody has looked for another reason.
    #[test]
    fn one_that_is_out_is_looked_for_once_in_as_long_as_its_leases_last() {
        let (mut members, begun) = (Members::default(), Instant::now());
        for id in [1, 2].map(Uuid::from_u128) {
            members.ask(id, last(begun));
        }
        assert!(!members.are_to_be_listed(begun + 9 * LEASE), "nobody is out");
        members.leaves(Uuid::from_u128(1), begun);
        assert!(!members.are_to_be_listed(begun + LEASE / 2));
        assert!(members.are_to_be_listed(begun + LEASE));
        members.begin_to_renew(begun + LEASE);
        assert!(!members.are_to_be_listed(begun + LEASE * 3 / 2));
        assert!(members.are_to_be_listed(begun + LEASE * 2));
        members.are_listed(&[Uuid::from_u128(1)]);
        assert!(!members.are_to_be_listed(begun + LEASE * 2), "it is in, and taken out where it is silent");
    }

    /// The store may be away for longer than leases last.
    #[test]
    fn who_waits_for_the_store_is_not_silent_until_that_has_answered() {
        let (mut members, begun) = (Members::default(), Instant::now());
        let (id, under_way) = (Uuid::from_u128(1), Arc::new(()));
        members.ask(id, last(begun));
        members.waits(id, Arc::downgrade(&under_way));
        assert!(silent(&mut members, begun + LEASE).is_empty());
        drop(under_way);
        assert_eq!(silent(&mut members, begun + LEASE), [1]);
    }

    /// All are silent where their process was stopped, and speak up once it goes on.
    #[test]
    fn who_is_heard_of_before_it_is_taken_out_stays() {
        let (mut members, begun) = (Members::default(), Instant::now());
        let [shows, asks, hangs] = [1, 2, 3].map(Uuid::from_u128);
        for id in [shows, asks, hangs] {
            members.ask(id, last(begun));
            members.vouch(id, true);
        }
        let later = begun + LEASE;
        assert_eq!(members.silent(later).len(), 3);
        assert!(members.silent(later).is_empty(), "each is told once");
        assert_eq!(members.show(shows, later), Some(LEASE));
        members.ask(asks, last(later));
        let are_out = [shows, asks, hangs].map(|id| members.take_out(id, later).is_some());
        assert_eq!(are_out, [false, false, true]);
        assert_eq!(silent(&mut members, later + LEASE), [1, 2]);
    }

    #[test]
    fn each_has_a_number_of_its_own() {
        let numbers: std::collections::HashSet<_> = (0..1_000).map(|_| Members::default().number).collect();
        assert!(numbers.len() == 1_000 && numbers.iter().all(|number| *number > 0));
    }
}
