//! Clause 8.8 for streams by the thousand: parking, replaying and skipping them takes few commits, and each has its due.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use event_sourcery::backend::{
    Backend, BlockedAt, BlockedStream, ProgressRequest, StreamProgress, SubscriptionBackend as _,
    SubscriptionId,
};
use event_sourcery::testing::{Fault, FaultyBackend};
use event_sourcery::{Durable, Error, EventStore, Position, Result, StreamId, TenantId};
use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::ledger::{Noted, ledger, noted, notes};
use super::running::{Handled, Running, SOON, Settings, eventually, letters, within};
use super::subject::Subject;

type Counting = EventStore<FaultyBackend<Arc<dyn Backend>>>;

const STREAMS: usize = 1_000;

/// How many commits these may take: 100 for ten thousand.
const COMMITS: u64 = 10;

/// As many may be made because time passes: on a slow machine it is looked for what is due, and kept what waits, meanwhile.
const IN_TIME: u64 = 40;

fn stream(number: usize) -> StreamId {
    ledger(&number.to_string())
}

async fn with_streams(store: &Counting, count: usize) -> Vec<Position> {
    let mut positions = Vec::new();
    for first in (0..count).step_by(1_000) {
        let mut append = store.append_all();
        for number in first..(first + 1_000).min(count) {
            append = append.and(&stream(number), noted(1));
        }
        let appended = append.await.unwrap();
        positions.extend(appended.iter().map(|one| Position::from_i64(one.position.to_i64())));
    }
    positions
}

fn durable(store: &Counting, attempts: u32) -> Durable<FaultyBackend<Arc<dyn Backend>>, Noted> {
    let settings = Settings { attempts, batch: 512, lease: Duration::from_secs(60), ..Settings::default() };
    settings.of(store.subscribe())
}

/// Parks so many streams at once, each by its only event.
async fn park(store: &Counting, count: usize) -> Vec<BlockedStream> {
    let parked = |(number, position): (usize, Position)| {
        let at = BlockedAt::new(Position::from_i64(position.to_i64() - 1), position);
        let blocked = BlockedStream::new(TenantId::DEFAULT, stream(number), 0, at, Timestamp::UNIX_EPOCH);
        blocked.with_attempts(3).with_error("as always")
    };
    let parked: Vec<_> = with_streams(store, count).await.into_iter().enumerate().map(parked).collect();
    let id = SubscriptionId::new(TenantId::DEFAULT, "letters");
    let streams = parked.iter().cloned().map(StreamProgress::Block).collect();
    store.backend().progress(ProgressRequest::new(id).with_streams(streams)).await.unwrap();
    parked
}

/// Runs with a handler that fails as long as it is told to, and counts its calls. It ends when it is told to stop.
struct Counted {
    calls: Arc<AtomicUsize>,
    fails: Arc<AtomicBool>,
    stop: oneshot::Sender<()>,
    run: JoinHandle<Result<()>>,
}

impl Counted {
    fn start(durable: Durable<FaultyBackend<Arc<dyn Backend>>, Noted>) -> Self {
        let (calls, fails) = (Arc::<AtomicUsize>::default(), Arc::new(AtomicBool::new(true)));
        let (stop, stopped) = oneshot::channel::<()>();
        let (counted, asked) = (Arc::clone(&calls), Arc::clone(&fails));
        let run = tokio::spawn(durable.until(stopped).run(async move |_, _| {
            counted.fetch_add(1, Ordering::SeqCst);
            if asked.load(Ordering::SeqCst) { Err("for now".into()) } else { Ok(()) }
        }));
        Self { calls, fails, stop, run }
    }

    async fn until_called(&self, times: usize) {
        within(3 * SOON, "all are tried", async || self.calls.load(Ordering::SeqCst) >= times).await;
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.run.await.unwrap().unwrap();
    }
}

pub(super) async fn clause_8_8_thousands_of_streams_are_parked_and_replayed_in_few_commits(subject: Subject) {
    let store = subject.faulty();
    with_streams(&store, STREAMS).await;
    let run = Counted::start(durable(&store, 1));
    let before = store.backend().commits();
    run.until_called(STREAMS).await;
    eventually("all are parked", async || durable(&store, 1).parked().await.unwrap().len() == STREAMS).await;
    let parking = store.backend().commits() - before;
    assert!(parking <= COMMITS + IN_TIME, "{parking} commits to park {STREAMS} streams");

    run.fails.store(false, Ordering::SeqCst);
    let before = store.backend().commits();
    let replayed = durable(&store, 1).replay_all().await.unwrap();
    assert_eq!((replayed.streams, replayed.changed_meanwhile), (STREAMS, 0));
    run.until_called(2 * STREAMS).await;
    eventually("all are free", async || durable(&store, 1).blocked().await.unwrap().is_empty()).await;
    let replaying = store.backend().commits() - before;
    // They are looked up for as long as a moment lasts, which is few of them on a slow machine.
    assert!(
        replaying <= 2 * COMMITS + IN_TIME + STREAMS as u64 / 4,
        "{replaying} commits to replay {STREAMS} streams, and to handle them"
    );
    assert_eq!(run.calls.load(Ordering::SeqCst), 2 * STREAMS, "each once, and once again");
    run.stop().await;
}

pub(super) async fn clause_8_8_everything_that_is_parked_is_replayed_or_skipped_in_few_commits(
    subject: Subject,
) {
    let store = subject.faulty();
    let parked = park(&store, STREAMS).await;
    let before = store.backend().commits();
    let replayed = durable(&store, 1).replay_all().await.unwrap();
    let commits = store.backend().commits() - before;
    assert_eq!((replayed.streams, replayed.changed_meanwhile), (STREAMS, 0));
    assert!(commits <= COMMITS, "{commits} commits to replay {STREAMS} streams");
    let again = durable(&store, 1).blocked().await.unwrap();
    assert_eq!(again.len(), STREAMS);
    let is_asked_for = |blocked: &BlockedStream| blocked.retry_at.is_some() && blocked.attempts == 0;
    assert!(again.iter().all(is_asked_for));
    assert!(again.iter().zip(&parked).all(|(again, parked)| again.at() == parked.at()));

    assert_eq!(durable(&store, 1).skip_all().await.unwrap().streams, 0, "nothing is parked any more");
    let id = SubscriptionId::new(TenantId::DEFAULT, "letters");
    let park = |blocked: &BlockedStream| StreamProgress::Change(blocked.at(), blocked.clone());
    let parking = ProgressRequest::new(id).with_streams(parked.iter().map(park).collect());
    store.backend().progress(parking).await.unwrap();
    let before = store.backend().commits();
    let skipped = durable(&store, 1).skip_all().await.unwrap();
    let commits = store.backend().commits() - before;
    assert_eq!((skipped.streams, skipped.changed_meanwhile), (STREAMS, 0));
    assert!(commits <= COMMITS, "{commits} commits to skip {STREAMS} streams");
    let behind = durable(&store, 1).blocked().await.unwrap();
    let is_behind = |(blocked, parked): (&BlockedStream, &BlockedStream)| {
        blocked.position.to_i64() == parked.position.to_i64() + 1 && blocked.retry_at.is_some()
    };
    assert!(behind.iter().zip(&parked).all(is_behind));
}

/// The second commit is not confirmed, or not made: called again, it goes on with what is still parked.
pub(super) async fn clause_8_8_replaying_everything_goes_on_where_it_was_interrupted(subject: Subject) {
    const COUNT: usize = 700;
    for (fault, left) in [(Fault::Before, COUNT - 256), (Fault::After, COUNT - 512)] {
        let subject = subject.fresh().await;
        let store = subject.faulty();
        park(&store, COUNT).await;
        let listing = {
            let before = store.backend().calls();
            durable(&store, 1).parked().await.unwrap();
            store.backend().calls() - before
        };
        store.backend().fail(listing + 2, fault);
        assert_refused!(durable(&store, 1).replay_all().await, Error::Backend { .. });
        assert_eq!(durable(&store, 1).parked().await.unwrap().len(), left, "{fault:?}");
        let rest = durable(&store, 1).replay_all().await.unwrap();
        assert_eq!((rest.streams, rest.changed_meanwhile), (left, 0));
        assert!(durable(&store, 1).parked().await.unwrap().is_empty());
    }
}

/// While it is at work, others are at work on the same: what they have changed is left as it is, and everything else goes on.
pub(super) async fn clause_8_8_what_others_change_meanwhile_is_left_to_them_and_told(subject: Subject) {
    const COUNT: usize = 40;
    let store = subject.faulty();
    let parked = park(&store, COUNT).await;
    let others = [&parked[0], &parked[13], &parked[39]];
    let held = store.backend().hold_lists().await;
    let replaying = {
        let store = store.clone();
        tokio::spawn(async move { durable(&store, 1).replay_all().await })
    };
    eventually("they are listed", async || store.backend().listed() > 0).await;
    letters(&subject.store()).skip(others[0]).await.unwrap();
    letters(&subject.store()).skip(others[1]).await.unwrap();
    subject.store().delete_stream(&others[2].stream).await.unwrap();
    drop(held);
    let replayed = replaying.await.unwrap().unwrap();
    assert_eq!((replayed.streams, replayed.changed_meanwhile), (COUNT - 3, 3));
    let blocked = letters(&subject.store()).blocked().await.unwrap();
    let of = |stream: &StreamId| blocked.iter().find(|blocked| blocked.stream == *stream);
    let skipped = of(&others[0].stream).map(|skipped| skipped.position.to_i64());
    assert_eq!(skipped, Some(others[0].position.to_i64() + 1));
    assert!(of(&others[2].stream).is_none(), "it was deleted");
    assert_eq!(blocked.iter().filter(|blocked| blocked.retry_at.is_some()).count(), COUNT - 1);
}

/// Where one of those that are tried again together fails, it alone is blamed, and its stream waits; the others go on in their order.
pub(super) async fn clause_8_8_one_that_fails_among_many_that_are_replayed_waits_alone(subject: Subject) {
    const COUNT: u64 = 60;
    let (store, handled) = (subject.store(), Handled::default());
    let stream = |number: u64| stream(usize::try_from(number).unwrap());
    for number in 0..COUNT {
        store.append(&stream(number), notes([number, 1_000 + number])).await.unwrap();
    }
    let settings = || Settings { attempts: 1, ..Settings::default() };
    let run = Running::planned(settings().of(store.subscribe()), &handled, |item, before| {
        let is_first = item.number < COUNT && before == 0;
        let fails_again = item.number == 41 && before == 1;
        if is_first || fails_again { Err("not yet".into()) } else { Ok(()) }
    });
    let all = usize::try_from(COUNT).unwrap();
    eventually("all are parked", async || letters(&store).parked().await.unwrap().len() == all).await;
    assert_eq!(letters(&store).replay_all().await.unwrap().streams, all);
    eventually("one is left", async || letters(&store).blocked().await.unwrap().len() == 1).await;
    eventually("it is parked", async || letters(&store).parked().await.unwrap().len() == 1).await;
    assert_eq!(letters(&store).parked().await.unwrap()[0].stream, stream(41));
    assert_eq!(letters(&store).skip_all().await.unwrap().streams, 1);
    eventually("all are free", async || letters(&store).blocked().await.unwrap().is_empty()).await;
    run.stop().await;
    for number in 0..COUNT {
        assert_eq!(handled.of(&stream(number)), [number, number, 1_000 + number]);
    }
}
