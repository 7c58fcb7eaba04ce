//! Replaying and skipping a failed event.

use event_sourcery::look::{Mark, SubscriptionId};
use event_sourcery::{BlockedStream, EventStore};
use serde::Serialize;
use serde_json::Value;

use crate::asked::{self, Failed};
use crate::failure::Failure;
use crate::shown::{Waiting, told};

/// How many streams that wait at one position are gone through for the one that is meant.
const TOGETHER: usize = 64;

/// What was done, and what it was done to, as it was before.
#[derive(Serialize)]
struct Done {
    done: &'static str,
    before: Waiting,
}

pub(crate) async fn replay(store: &EventStore, asked: Failed) -> Result<Value, Failure> {
    let (id, blocked) = find(store, &asked).await?;
    store.look().replay(&id, &blocked).await?;
    told(&Done { done: "it is tried again, by whoever runs the subscription", before: Waiting::of(&blocked) })
}

pub(crate) async fn skip(store: &EventStore, asked: Failed) -> Result<Value, Failure> {
    let (id, blocked) = find(store, &asked).await?;
    store.look().skip(&id, &blocked).await?;
    told(&Done { done: "it is left out, for good", before: Waiting::of(&blocked) })
}

/// The stream that is meant, as it waits now.
async fn find(store: &EventStore, asked: &Failed) -> Result<(SubscriptionId, BlockedStream), Failure> {
    let id = asked::subscription(store, asked.name.as_deref(), asked.tenant.as_deref())?;
    let from = Some(Mark::at(asked.position.saturating_sub(1)));
    let mut found = store.look().blocked(&id, from, TOGETHER).await?.items;
    found.retain(|blocked| {
        blocked.position.to_i64() == asked.position
            && asked.stream.is_none_or(|stream| blocked.stream.uuid() == stream)
    });
    let count = found.len();
    match found.pop().filter(|_| count == 1) {
        Some(blocked) => Ok((id, blocked)),
        None if count > 1 => Err(Failure::Several { count }),
        None => {
            let to_do = "See `subscription`: it may have been replayed, skipped or handled meanwhile.";
            Err(Failure::NotFound { what: "failed event that a stream waits for", to_do })
        }
    }
}
