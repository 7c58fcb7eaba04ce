//! Which members are there, by this process's own steady clock.
//!
//! The store's clock may be set forwards or back. So a member that has seen another renew its leases does not ask the store's
//! clock whether they last: it takes them to be over once they were unchanged for as long as they last. And at once where it
//! sees that the other's process has ended.

use std::collections::HashMap;

use jiff::Timestamp;
use tokio::time::Instant;
use uuid::Uuid;

use super::process::Process;
use crate::backend::Member;

/// Members as they were last found, and since when.
#[derive(Debug)]
pub(in crate::subscription) struct Heard {
    members: HashMap<Uuid, (Member, Instant)>,
    process: Option<Process>,
}

impl Heard {
    /// Nothing was found yet.
    pub(in crate::subscription) fn nothing() -> Self {
        Self { members: HashMap::new(), process: Process::own() }
    }

    /// The id of a new member.
    pub(super) fn new_member(&self) -> Uuid {
        self.process.map_or_else(Uuid::new_v4, Process::new_member)
    }

    /// Who is there, and who is gone, as far as can be told by now. Who was not found before is neither.
    pub(super) fn verdict(&self, now: Instant) -> (Vec<Member>, Vec<Member>) {
        let known = self.members.values().filter(|(member, _)| !member.lasting.is_zero());
        let has_ended =
            |member: &Member| self.process.is_some_and(|here| here.has_seen_the_end_of(member.id));
        let (heard, unheard): (Vec<_>, Vec<_>) = known
            .partition(|(member, since)| now.duration_since(*since) <= member.lasting && !has_ended(member));
        let members = |of: Vec<&(Member, Instant)>| of.into_iter().map(|(member, _)| *member).collect();
        (members(heard), members(unheard))
    }

    /// Notes when presences were renewed last. Whether they vouch for all who were found last: of somebody who speaks for himself,
    /// they tell nothing.
    pub(super) fn note_presences(&mut self, renewed: &HashMap<i64, Timestamp>, now: Instant) -> bool {
        for (member, since) in self.members.values_mut() {
            let Some(presence) = member.vouched_for_by() else { return false };
            let renewed = renewed.get(&presence).map(|renewed| member.renewed_at(*renewed));
            if let Some(renewed) = renewed.filter(|renewed| *renewed != *member) {
                (*member, *since) = (renewed, now);
            }
        }
        true
    }

    /// Notes who was found.
    pub(super) fn note(&mut self, members: &[Member], own: Uuid, now: Instant) {
        let mut before = std::mem::take(&mut self.members);
        for member in members.iter().filter(|member| member.id != own) {
            let known = before.remove(&member.id).filter(|(known, _)| known == member);
            self.members.insert(member.id, known.unwrap_or((*member, now)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LASTING: Duration = Duration::from_secs(3);

    fn member(until: i64) -> Member {
        Member::new(Uuid::from_u128(1), Timestamp::from_second(until).unwrap(), LASTING)
    }

    #[test]
    fn who_changes_is_there_and_who_does_not_is_gone_whatever_the_times_say() {
        let (mut heard, begun, own) = (Heard::nothing(), Instant::now(), Uuid::from_u128(2));
        let second = |seconds| begun + Duration::from_secs(seconds);
        // The clock is set back by an hour in between.
        for (at, until) in [(0, 9_000), (2, 9_002), (4, 5_404)] {
            heard.note(&[member(until)], own, second(at));
        }
        assert_eq!(heard.verdict(second(7)), (vec![member(5_404)], vec![]));
        heard.note(&[member(5_404)], own, second(7));
        assert_eq!(heard.verdict(second(8)), (vec![], vec![member(5_404)]));
        heard.note(&[], own, second(8));
        assert_eq!(heard.verdict(second(9)), (vec![], vec![]));
    }

    /// The clock is set back by an hour, and the presence is lost then.
    #[test]
    fn who_is_vouched_for_is_there_as_long_as_the_presence_is_renewed() {
        let (mut heard, begun, own) = (Heard::nothing(), Instant::now(), Uuid::from_u128(2));
        let second = |seconds| begun + Duration::from_secs(seconds);
        let vouched_for =
            |renewed| member(0).with_presence(Some(7)).renewed_at(Timestamp::from_second(renewed).unwrap());
        let renewed = |renewed: i64| {
            HashMap::from([(7, Timestamp::from_second(renewed).unwrap()), (8, Timestamp::MAX)])
        };
        heard.note(&[vouched_for(9_000)], own, begun);
        for (at, when) in [(2, 9_002), (4, 5_404), (6, 5_406)] {
            assert!(heard.note_presences(&renewed(when), second(at)));
            assert_eq!(heard.verdict(second(at + 3)), (vec![vouched_for(when)], vec![]));
        }
        assert!(heard.note_presences(&renewed(5_406), second(9)));
        assert!(heard.note_presences(&HashMap::new(), second(9)));
        assert_eq!(heard.verdict(second(10)), (vec![], vec![vouched_for(5_406)]));

        heard.note(&[member(5_409)], own, second(10));
        assert!(!heard.note_presences(&renewed(5_410), second(10)), "it speaks for itself");
    }

    #[test]
    fn of_one_that_does_not_tell_how_long_its_leases_last_nothing_is_known() {
        let (mut heard, begun) = (Heard::nothing(), Instant::now());
        heard.note(&[Member { lasting: Duration::ZERO, ..member(1) }], Uuid::from_u128(2), begun);
        assert_eq!(heard.verdict(begun + LASTING), (vec![], vec![]));
    }
}
