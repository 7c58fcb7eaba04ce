//! Clause 8.8: a handler whose values panic when they are dropped.

use std::sync::Arc;
use std::time::Duration;

use event_sourcery::backend::Backend;
use event_sourcery::{Durable, EventStore, Recorded, Source};

use super::ledger::{Noted, ledger, noted};
use super::running::{Handled, Running, Settings, eventually, letters};
use super::subject::Subject;

/// Panics when it is dropped.
#[derive(Debug)]
struct Explosive;

impl Drop for Explosive {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "dropped with a bang");
    }
}

impl std::fmt::Display for Explosive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("it went wrong")
    }
}

impl std::error::Error for Explosive {}

/// What a handler does with an event: all but the fourth leave something.
async fn react(recorded: &Recorded<Noted>) -> Result<(), Source> {
    match recorded.wrapped_event.event.number {
        1 => return Err(Explosive.into()),
        2 => std::panic::panic_any(Explosive),
        3 => {
            let _held = Explosive;
            std::future::pending::<()>().await;
        }
        _ => {}
    }
    Ok(())
}

/// Runs with four events, each of a stream of its own: three of them are parked, and the fourth is handled.
async fn assert_each_harms_its_own_stream_only(
    store: &EventStore,
    handled: &Handled,
    start: impl FnOnce(Durable<Arc<dyn Backend>, Noted>) -> Running,
) {
    for number in 1..=4 {
        store.append(&ledger(&number.to_string()), noted(number)).await.unwrap();
    }
    let limit = Some(Duration::from_millis(100));
    let settings = Settings { attempts: 1, handler_timeout: limit, ..Settings::default() };
    let run = start(settings.of(store.subscribe()));
    eventually("all but one are parked", async || letters(store).parked().await.unwrap().len() == 3).await;
    handled.reach(1).await;
    run.stop().await;
    for parked in letters(store).parked().await.unwrap() {
        assert!(parked.error.ends_with("dropped with a bang"), "{}", parked.error);
    }
}

pub(super) async fn clause_8_8_what_a_handler_leaves_that_panics_when_it_is_dropped_harms_its_own_stream_only(
    subject: Subject,
) {
    let (store, handled) = (subject.store(), Handled::default());
    let noting = handled.clone();
    let start = |durable| {
        Running::start(durable, move |recorded: Recorded<Noted>, _| {
            let noting = noting.clone();
            async move {
                react(&recorded).await?;
                noting.note(&recorded);
                Ok(())
            }
        })
    };
    assert_each_harms_its_own_stream_only(&store, &handled, start).await;
}

pub(super) async fn clause_8_13_what_a_handler_of_batches_leaves_that_panics_when_it_is_dropped_harms_its_own_stream_only(
    subject: Subject,
) {
    let (store, handled) = (subject.store(), Handled::default());
    let noting = handled.clone();
    let start = |durable| {
        Running::start_batches(durable, move |batch: Vec<Recorded<Noted>>, _| {
            let noting = noting.clone();
            async move {
                for recorded in &batch {
                    react(recorded).await?;
                }
                batch.iter().for_each(|recorded| noting.note(recorded));
                Ok(())
            }
        })
    };
    assert_each_harms_its_own_stream_only(&store, &handled, start).await;
}
