//! Processes that run a durable subscription, or an outbox, and are killed: what the tests of the databases share.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "this is test code: a panic is a failed test"
)]

mod handled;
mod load;
mod noting;
mod worker;

use std::time::{Duration, Instant};

pub use handled::{HandledEvents, Line};
pub use load::{HAPPENED, Load, append, append_to_all, streams};
pub use noting::Noting;
pub use worker::{Worker, freeze_once, told_to_stop};

/// What is waited for comes within this, or never.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often to kill: `EVENT_SOURCERY_KILLS`, or 60 times.
pub fn kills() -> u64 {
    std::env::var("EVENT_SOURCERY_KILLS").map_or(60, |kills| kills.parse().expect("a number"))
}

/// Keeps two processes at work on a subscription and kills one or the other, so many times; `effects` tells how much they
/// have done so far.
pub async fn kill_again_and_again<N: PartialOrd>(
    kills: u64,
    start: impl Fn() -> Worker,
    mut effects: impl AsyncFnMut() -> N,
) {
    let mut workers = [start(), start()];
    for _ in 0..kills {
        if fastrand::u8(..3) == 0 {
            let before = effects().await;
            until(async || effects().await > before).await;
        }
        tokio::time::sleep(Duration::from_micros(fastrand::u64(..120_000))).await;
        let killed = fastrand::choice(&mut workers).unwrap();
        std::mem::replace(killed, start()).kill();
    }
}

/// Returns once it holds.
pub async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let (deadline, mut looks) = (Instant::now() + PATIENCE, tokio::time::interval(Duration::from_millis(2)));
    while !holds().await {
        assert!(Instant::now() < deadline, "what was waited for did not happen");
        looks.tick().await;
    }
}
