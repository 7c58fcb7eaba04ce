//! Clause 8.6, with a transaction: a handler may delete in it, also a stream that waits.

use std::sync::atomic::{AtomicU64, Ordering};

use event_sourcery::{Event as _, EventStore, NewEvent, RawEvent};

use super::exactly_once::{Handing, effect, effects_so_far, source};
use super::ledger::{Ledgers as _, noted, notes, number};
use super::reaction::{End, Reaction};
use super::running::{Running, Settings, eventually};
use super::subject::Subject;

/// What is appended to a stream that was made anew.
const ANEW: u64 = 9;

fn anew() -> NewEvent<RawEvent> {
    RawEvent::new("noted", format!(r#"{{"number":{ANEW}}}"#)).unwrap().with_id(uuid::Uuid::now_v7())
}

/// Waits until these events of a stream, and no others, have taken effect, and no stream waits.
async fn until_all_is_done(store: &EventStore, expected: &[(u64, &[u64])]) {
    for (stream, numbers) in expected {
        let what = format!("{numbers:?} of stream {stream} take effect");
        eventually(&what, async || effects_so_far(store, *stream).await.len() >= numbers.len()).await;
    }
    let durable = Settings::default().of(store.subscribe::<RawEvent>());
    eventually("nothing waits", async || durable.blocked().await.unwrap().is_empty()).await;
    for (stream, numbers) in expected {
        assert_eq!(effects_so_far(store, *stream).await, *numbers, "the effects of stream {stream}");
    }
}

pub(super) async fn clause_8_6_a_handler_may_delete_the_stream_of_the_event_that_it_tries_again(
    subject: Subject,
) {
    for handing in [Handing::OneByOne, Handing::InBatches] {
        for (length, is_made_anew) in [(1, false), (2, false), (1, true), (2, true)] {
            let subject = subject.fresh().await;
            let store = subject.store();
            store.append(&source(0), notes(1..=length)).await.unwrap();
            let calls = AtomicU64::new(0);
            let reaction = Reaction::new(move |recorded| {
                let is_first = number(recorded) == 1;
                if is_first && calls.fetch_add(1, Ordering::SeqCst) == 0 {
                    return effect(recorded, End::Fails);
                }
                let mut deed = effect(recorded, End::Done);
                if is_first {
                    deed.deletes.push(source(0));
                    deed.appends.extend(is_made_anew.then(|| (source(0), anew())));
                }
                deed
            });
            let settings = Settings { batch: 1, ..Settings::default() };
            let run = Running::exactly_once(&subject.reactor().await, settings, handing.to(reaction));
            let done: &[u64] = if is_made_anew { &[1, ANEW] } else { &[1] };
            until_all_is_done(&store, &[(0, done)]).await;
            // It goes on.
            store.append(&source(1), noted(5)).await.unwrap();
            until_all_is_done(&store, &[(0, done), (1, &[5])]).await;
            run.stop().await;
            let left = if is_made_anew { vec![ANEW] } else { Vec::new() };
            assert_eq!(store.numbers(&source(0)).await, left);
        }
    }
}

/// An event of the other stream is passed, because it waits, in the transaction that deletes that stream.
pub(super) async fn clause_8_6_a_handler_may_delete_another_stream_that_waits(subject: Subject) {
    for handing in [Handing::OneByOne, Handing::InBatches] {
        for is_made_anew in [false, true] {
            let subject = subject.fresh().await;
            let store = subject.store();
            store.append(&source(0), noted(1)).await.unwrap();
            let fails = Reaction::new(|recorded| effect(recorded, End::Fails));
            let settings = Settings { attempts: 1, ..Settings::default() };
            let run = Running::exactly_once(&subject.reactor().await, settings, handing.to(fails));
            let durable = Settings::default().of(store.subscribe::<RawEvent>());
            eventually("it is parked", async || durable.parked().await.unwrap().len() == 1).await;
            run.stop().await;
            store.append(&source(0), noted(2)).expected_version(1).await.unwrap();
            store.append(&source(1), noted(3)).await.unwrap();
            let last = store.append(&source(2), noted(4)).await.unwrap();
            store.settled(last.position).await;
            let reaction = Reaction::new(move |recorded| {
                let mut deed = effect(recorded, End::Done);
                if number(recorded) == 3 {
                    deed.deletes.push(source(0));
                    deed.appends.extend(is_made_anew.then(|| (source(0), anew())));
                }
                deed
            });
            let settings = Settings::default();
            let run = Running::exactly_once(&subject.reactor().await, settings, handing.to(reaction));
            let of_the_deleted: &[u64] = if is_made_anew { &[ANEW] } else { &[] };
            until_all_is_done(&store, &[(1, &[3]), (2, &[4]), (0, of_the_deleted)]).await;
            run.stop().await;
            assert_eq!(store.numbers(&source(0)).await, of_the_deleted);
        }
    }
}
