//! In which run of the server it may be put down that a position was reached.
//!
//! A checkpoint says what was handled of one history. The server behind an address may be replaced by one whose history lacks the
//! latest, while a handler is at work and no call fails: there the same lease has the same token, and other events come to stand
//! at the positions that were reached. So what says that positions were reached is written only in the run in which this process
//! has last looked. In another run it looks first: that one goes on with the history that was seen, and it is written there; or it
//! does not, and nothing of this process is written any more.
//!
//! Above the newest event a new run has to settle again what was settled before; until it has come as far as what was reached,
//! an event may turn up below that.
//!
//! That all events are there does not tell that all commits are: a standby may have the events and not what a handler has made of
//! them, nor its checkpoint, and a crash takes back what was committed without waiting for the disk. Who went on from the checkpoint
//! that he remembers would pass effects that are gone, and free a stream a second time. So a lease counts only in the run in which
//! it was given. The tokens that are told are not those in the table: they are mixed with the name of the run, by the statements
//! that read and write them (`subscription_sql.rs`), and the same row has other tokens in another run. Nothing has to be written
//! for that. Whoever held a segment holds it still, under a token that he does not know: he is told that his lease is lost, asks
//! for it again, and goes on from what the store says. Where nothing was lost, that costs one reading.
//!
//! A process that has never looked has read no page. What it knows stood in the store when it was given its leases, and their tokens
//! tell that it stands there still: nobody else would have been given the same, nor in another run.

use event_sourcery::backend::{Lease, SubscriptionChange};
use event_sourcery::{Error, Position, Result};

use super::{Known, Run, Settled};

impl Settled {
    /// The run in which it may be put down that these positions were reached; `None` where it has to be looked first.
    pub(crate) fn run_to_reach(&self, reached: &[Position]) -> Result<Option<Run>> {
        if let Some(position) = self.replaced.get() {
            return Err(Error::HistoryReplaced { position: *position });
        }
        let Known { position, run, readable, .. } = self.known();
        let is_settled_anew = |reached: &Position| readable < *reached && *reached <= position;
        Ok((!reached.iter().any(is_settled_anew)).then_some(run))
    }
}

/// The highest position that a change puts down.
pub(crate) fn reached_by(change: &SubscriptionChange) -> Option<Position> {
    let highest = |reached: &[(Lease, Position)]| reached.iter().map(|(_, position)| *position).max();
    let reached = match change {
        SubscriptionChange::Renew(request) => highest(&request.reached).max(Some(request.create.1)),
        SubscriptionChange::Leave { reached, .. } => highest(reached),
        SubscriptionChange::Reset { position, .. } => Some(*position),
        SubscriptionChange::Rescope { after, .. } => *after,
        _ => None,
    };
    reached.filter(|position| *position > Position::START)
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::super::look::tests::run;
    use super::*;

    fn knowing(position: i64, readable: i64) -> Settled {
        let [position, readable] = [position, readable].map(Position::from_i64);
        let known = Known { position, readable, run: run("a run"), ..Known::default() };
        Settled { state: State { known, ..State::default() }.into(), ..Settled::default() }
    }

    fn reaches(settled: &Settled, position: i64) -> bool {
        settled.run_to_reach(&[Position::from_i64(position)]).unwrap().is_some()
    }

    #[test]
    fn what_a_new_run_has_not_settled_again_is_not_put_down_as_reached() {
        let settled = knowing(12, 9);
        assert!(reaches(&settled, 9) && !reaches(&settled, 10) && !reaches(&settled, 12));
        assert!(settled.run_to_reach(&[]).unwrap().is_some());
        assert!(reaches(&knowing(12, 12), 12));
    }

    #[test]
    fn of_several_positions_each_has_to_be_settled_again() {
        let (settled, positions) = (knowing(12, 9), [9, 10, 13].map(Position::from_i64));
        assert!(settled.run_to_reach(&positions).unwrap().is_none());
        assert!(settled.run_to_reach(&[positions[0], positions[2]]).unwrap().is_some());
    }

    #[test]
    fn once_the_server_was_replaced_nothing_is_put_down() {
        let settled = knowing(12, 12);
        settled.replaced.set(Position::from_i64(12)).unwrap();
        for reached in [vec![], vec![Position::from_i64(3)]] {
            assert!(matches!(settled.run_to_reach(&reached), Err(Error::HistoryReplaced { .. })));
        }
    }

    #[test]
    fn who_has_never_looked_is_bound_to_no_run() {
        let run = Settled::default().run_to_reach(&[]).unwrap().unwrap();
        assert_eq!(run.looked_at(), None);
        assert_eq!(knowing(12, 12).run_to_reach(&[]).unwrap().unwrap().looked_at(), Some("a run"));
    }
}
