//! Contract 4.1 to 4.6: readers follow, whatever the order in which writers commit. The interleavings are forced by hand,
//! with open connections and no luck.

mod address;
mod bystanders;
mod checkpoints;
mod demoted;
mod failover;
mod held_back;
mod holders;
mod interleavings;
mod lag;
mod lost_commits;
mod numbering;
mod outbox;
mod prepared;
mod refused;
mod restarts;
mod roles;
mod runs;
mod set_back;
mod short_lived;
mod stress;
mod synchronous;

use event_sourcery::{Error, Position, RawEvent, Result, StreamId};

use crate::scene::{Store, Tx, event, events, until};

/// Follows the store as a subscription does: from what it was handed, or from the settled position where that is higher.
pub(super) struct Reader {
    store: Store,
    at: Position,
    read: Vec<i64>,
}

impl Reader {
    pub(super) fn of(store: &Store) -> Self {
        Self { store: store.clone(), at: Position::START, read: Vec::new() }
    }

    /// All that it was ever handed, after another look.
    pub(super) async fn look(&mut self) -> &[i64] {
        // Each connection from before a restart of the server fails once.
        until(async || match self.try_look().await {
            Ok(()) => true,
            Err(Error::Unavailable { .. }) => false,
            Err(other) => panic!("{other:?}"),
        })
        .await;
        &self.read
    }

    async fn try_look(&mut self) -> Result<()> {
        let settled = self.store.position().await?;
        let mut all = self.store.read_all::<RawEvent>().after(self.at).stream();
        while let Some(recorded) = all.try_next().await? {
            assert!(recorded.position > self.at, "{} was handed out after {}", recorded.position, self.at);
            self.at = recorded.position;
            self.read.push(recorded.position.to_i64());
        }
        self.at = self.at.max(settled);
        Ok(())
    }

    /// It looks, again and again, and is handed no more than this.
    pub(super) async fn sees_only(&mut self, positions: &[i64]) {
        for _ in 0..5 {
            assert_eq!(self.look().await, positions);
        }
    }

    /// It is handed this in the end, and nothing more.
    pub(super) async fn comes_to_see(&mut self, positions: &[i64]) {
        until(async || self.look().await.len() >= positions.len()).await;
        self.sees_only(positions).await;
    }
}

/// Appends to a new stream inside the transaction: the positions that were drawn.
pub(super) async fn draw(store: &Store, tx: &mut Tx, count: usize) -> Vec<i64> {
    let appended = store.within(tx).append(&StreamId::random(), events(count)).await.unwrap();
    let last = appended.position.to_i64();
    (last + 1 - i64::try_from(count).unwrap()..=last).collect()
}

/// Appends to a new stream and commits: the position.
pub(super) async fn append(store: &Store) -> i64 {
    store.append(&StreamId::random(), event()).await.unwrap().position.to_i64()
}

pub(super) async fn settled(store: &Store) -> i64 {
    store.position().await.unwrap().to_i64()
}
