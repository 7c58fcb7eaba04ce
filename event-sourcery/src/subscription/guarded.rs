//! What becomes of a handler: it is done, or it has failed, in words.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::{Instant, timeout_at};

use super::later;
pub(super) use crate::error::whole;
use crate::error::{KEPT, Result, Source, shortened};
use crate::panics;

/// What a handler answers.
pub(super) type Handled = Result<(), Source>;

/// The same in words. A type without a lifetime in it: the compiler finds the future of a run to be `Send` by it.
pub(super) type Guarded = Result<(), String>;

/// The handler's failure in words. A panic is a failure, and so it is to take longer than the limit. What is left of it is dropped
/// here, where a panic of that is no more than a failure, too.
pub(super) async fn guarded(limit: Option<Duration>, handling: impl Future<Output = Handled>) -> Guarded {
    let mut handling = Box::pin(AssertUnwindSafe(handling).catch_unwind());
    let handled = match limit {
        Some(limit) => {
            let handled = timeout_at(later(Instant::now(), limit), &mut handling).await;
            handled.map_err(|_| took_longer(limit))
        }
        None => Ok((&mut handling).await),
    };
    let handled = match handled {
        Ok(handled) => in_words(handled),
        Err(took_longer) => Err(took_longer),
    };
    match handled {
        Ok(()) => panics::caught(|| drop(handling)).map_err(|panic| panicked(&panic)),
        Err(error) => Err(told(handling, |_| error)),
    }
}

/// The same of a handler that has returned once it was called.
pub(super) fn guarded_call(handling: impl FnOnce() -> Handled) -> Guarded {
    in_words(catch_unwind(AssertUnwindSafe(handling)))
}

fn in_words(handled: std::thread::Result<Handled>) -> Guarded {
    match handled {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(told(error, |error| whole(&**error))),
        Err(panic) => Err(told(panic, |panic| panicked(&**panic))),
    }
}

/// What is said of something that the handler has left, and of a panic when it is dropped.
fn told<T>(left: T, say: impl FnOnce(&T) -> String) -> String {
    let said = say(&left);
    match panics::caught(|| drop(left)) {
        Ok(()) => said,
        Err(panic) => format!("{said}; and it panicked when it was dropped: {}", shortened(&panic, KEPT)),
    }
}

pub(super) fn took_longer(limit: Duration) -> String {
    format!("the handler took longer than {limit:?}, which is its handler_timeout")
}

pub(super) fn panicked(panic: &(dyn Any + Send)) -> String {
    format!("the handler panicked: {}", shortened(panics::text(panic), KEPT))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::sync::oneshot::{Sender, channel};

    use super::*;
    use crate::{EventStore, MemoryBackend, RawEvent, Recorded, Source, StreamId};

    /// An error that is its own cause, and may panic when it is put into words.
    #[derive(Debug)]
    struct Odd {
        panics: bool,
    }

    impl std::fmt::Display for Odd {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            assert!(!self.panics, "byte 40 is no boundary of a character");
            f.write_str("it went wrong")
        }
    }

    impl std::error::Error for Odd {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(if self.panics { &Odd { panics: true } } else { &Odd { panics: false } })
        }
    }

    #[tokio::test]
    async fn an_error_that_panics_or_is_its_own_cause_is_a_failure() {
        let fails = |panics| guarded(None, async move { Err(Odd { panics }.into()) });
        let told = fails(true).await.unwrap_err();
        assert!(told.contains("byte 40 is no boundary of a character"), "{told}");
        fails(false).await.unwrap_err();
    }

    /// It panics when it is dropped, with another one that does.
    #[derive(Debug)]
    struct Explosive(u8);

    impl Drop for Explosive {
        fn drop(&mut self) {
            match self.0.checked_sub(1) {
                _ if std::thread::panicking() => {}
                Some(left) => std::panic::panic_any(Self(left)),
                None => panic!("dropped with a bang"),
            }
        }
    }

    impl std::fmt::Display for Explosive {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("it went wrong")
        }
    }

    impl std::error::Error for Explosive {}

    fn explode() -> Handled {
        std::panic::panic_any(Explosive(0))
    }

    #[tokio::test]
    async fn what_panics_when_it_is_dropped_is_a_failure() {
        let told = guarded(None, async { Err(Explosive(0).into()) }).await.unwrap_err();
        assert!(told.starts_with("it went wrong; ") && told.ends_with("dropped with a bang"), "{told}");
        let told = guarded(None, async { Err(Explosive(3).into()) }).await.unwrap_err();
        assert!(told.starts_with("it went wrong; "), "{told}");
        let told = guarded(None, async { explode() }).await.unwrap_err();
        assert!(
            told.starts_with("the handler panicked: ") && told.ends_with("dropped with a bang"),
            "{told}"
        );

        let hangs = async {
            let _held = Explosive(0);
            std::future::pending().await
        };
        let told = guarded(Some(Duration::from_millis(1)), hangs).await.unwrap_err();
        assert!(told.contains("handler_timeout") && told.ends_with("dropped with a bang"), "{told}");
    }

    /// A future that holds something when it is done.
    struct Done {
        _held: Explosive,
    }

    impl Future for Done {
        type Output = Handled;

        fn poll(self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<Handled> {
            std::task::Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_handler_that_panics_once_it_is_done_has_failed() {
        let told = guarded(None, Done { _held: Explosive(0) }).await.unwrap_err();
        assert!(
            told.starts_with("the handler panicked: ") && told.ends_with("dropped with a bang"),
            "{told}"
        );
    }

    /// What a closure makes of an event: the last one ends the run.
    fn left_by(event: &RawEvent, done: &Mutex<Option<Sender<()>>>) -> Result<(), Source> {
        match event.name() {
            "Fails" => return Err(Explosive(0).into()),
            "Panics" => explode()?,
            _ => drop(done.lock().unwrap().take()),
        }
        Ok(())
    }

    #[tokio::test]
    async fn what_a_closure_leaves_that_panics_when_it_is_dropped_harms_its_own_stream_only() {
        for in_batches in [false, true] {
            let store = EventStore::new(MemoryBackend::new());
            for name in ["Fails", "Panics", "Fine"] {
                store.append(&StreamId::random(), RawEvent::new(name, "{}").unwrap()).await.unwrap();
            }
            let durable = || store.subscribe::<RawEvent>().durable("letters").attempts(1);
            let (done, stop) = channel::<()>();
            let (done, run) = (Mutex::new(Some(done)), durable().until(stop));
            let ended = if in_batches {
                let each = move |batch: Vec<Recorded<RawEvent>>| {
                    batch.iter().try_for_each(|recorded| left_by(recorded.event(), &done))
                };
                run.run_batches_in_transaction(move |batch, _| each(batch)).await
            } else {
                run.run_in_transaction(move |recorded, _| left_by(recorded.event(), &done)).await
            };
            ended.unwrap();
            let parked = durable().parked().await.unwrap();
            let errors: Vec<_> = parked.iter().map(|parked| &*parked.error).collect();
            let are_told = errors.iter().all(|error| error.ends_with("with a bang"));
            assert!(errors.len() == 2 && are_told, "{in_batches}: {errors:?}");
        }
    }
}
