//! Clause 8.8 where it matters to others: streams that fail, handlers that hang, tenants and subscribers in a hurry or none harm
//! themselves only.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use event_sourcery::backend::{BlockedAt, BlockedStream, ProgressRequest, StreamProgress, SubscriptionId};
use event_sourcery::{EventStore, Position, RawEvent, TenantId};
use futures_util::FutureExt as _;
use jiff::Timestamp;
use tokio::time::sleep;

use super::exactly_once::{effect, effects_so_far, source, with_sources};
use super::ledger::{Noted, ledger, noted, notes, number, tenant};
use super::reaction::{End, Reaction};
use super::running::{Handled, Running, Settings, eventually, letters};
use super::subject::Subject;
use super::subscribing::InTime as _;

/// How many streams fail.
const FAILING: u64 = 40;

/// Streams of one tenant whose events fail again and again, and those of others, which do not.
struct Contention {
    run: Running,
    /// How often each of the failing ones was tried.
    tried: Arc<Vec<AtomicUsize>>,
    /// How long each of these attempts takes, in milliseconds.
    takes: Arc<AtomicU64>,
    handled: Handled,
    /// How many attempts there had been when each of the others was handled.
    before: Arc<Mutex<Vec<usize>>>,
}

impl Contention {
    /// Begins, once all that fails is blocked. `healthy` is how long the others take.
    async fn begin(store: &EventStore, healthy: Duration) -> Self {
        let acme = store.for_tenant(tenant("acme"));
        for number in 0..FAILING {
            acme.append(&ledger(&format!("failing {number}")), noted(number)).await.unwrap();
        }
        let tried: Arc<Vec<AtomicUsize>> = Arc::new((0..FAILING).map(|_| AtomicUsize::new(0)).collect());
        let (takes, handled) = (Arc::<AtomicU64>::default(), Handled::default());
        let before = Arc::<Mutex<Vec<usize>>>::default();
        let settings = Settings { attempts: u32::MAX, ..Settings::default() };
        let shared = (Arc::clone(&tried), Arc::clone(&takes), handled.clone(), Arc::clone(&before));
        let run = Running::start(settings.of(store.subscribe::<Noted>()), move |recorded, _| {
            let (tried, takes, handled, before) = shared.clone();
            async move {
                if recorded.tenant_id == tenant("acme") {
                    let number = usize::try_from(recorded.wrapped_event.event.number)?;
                    tried[number].fetch_add(1, Ordering::SeqCst);
                    sleep(Duration::from_millis(takes.load(Ordering::SeqCst))).await;
                    return Err("as always".into());
                }
                let attempts = tried.iter().map(|times| times.load(Ordering::SeqCst)).sum();
                before.lock().unwrap().push(attempts);
                sleep(healthy).await;
                handled.note(&recorded);
                Ok(())
            }
        });
        let contention = Self { run, tried, takes, handled, before };
        let all = FAILING as usize;
        eventually("all of them fail", async || contention.times_tried().iter().all(|times| *times > 0))
            .await;
        eventually("all wait", async || letters(store).blocked().await.unwrap().len() == all).await;
        contention
    }

    fn times_tried(&self) -> Vec<usize> {
        self.tried.iter().map(|times| times.load(Ordering::SeqCst)).collect()
    }

    fn attempts(&self) -> usize {
        self.times_tried().iter().sum()
    }
}

pub(super) async fn clause_8_8_a_stream_that_does_not_fail_goes_on_soon_however_many_others_do(
    subject: Subject,
) {
    let (store, globex) = (subject.store(), subject.store().for_tenant(tenant("globex")));
    let contention = Contention::begin(&store, Duration::ZERO).await;
    contention.takes.store(100, Ordering::SeqCst);
    let mut attempts = Vec::new();
    for round in 0..7 {
        globex.append(&ledger("1"), noted(round)).expected_version(round).await.unwrap();
        let there_since = contention.attempts();
        contention.handled.reach(usize::try_from(round).unwrap() + 1).await;
        let handled_at = contention.before.lock().unwrap().last().copied().unwrap();
        attempts.push(handled_at.saturating_sub(there_since));
    }
    contention.takes.store(0, Ordering::SeqCst);
    contention.run.stop().await;
    attempts.sort_unstable();
    assert!(attempts[3] <= 4, "so many attempts at others came before a fresh event: {attempts:?}");
}

/// Nobody knows before that a first attempt will fail. But those of one tenant do not come one after the other before the others.
pub(super) async fn clause_8_8_the_first_failures_of_one_tenant_s_streams_do_not_all_come_before_others(
    subject: Subject,
) {
    first_failures_are_held_back(&subject.store(), 0).await;
}

/// What is parked is not tried: it takes no place of those that are held back.
pub(super) async fn clause_8_8_a_tenant_s_first_failures_are_held_back_however_many_streams_are_parked(
    subject: Subject,
) {
    first_failures_are_held_back(&subject.store(), 1_100).await;
}

async fn first_failures_are_held_back(store: &EventStore, parked: u64) {
    park(store, parked).await;
    let [acme, globex] = ["acme", "globex"].map(|name| store.for_tenant(tenant(name)));
    let stream = |number: u64| ledger(&format!("of acme {number}"));
    for number in 0..FAILING {
        acme.append(&stream(number), notes([number, FAILING + number])).await.unwrap();
    }
    globex.append(&ledger("1"), noted(0)).await.unwrap();
    let [failures, before] = [(); 2].map(|()| Arc::<AtomicUsize>::default());
    let (fails, handled) = (Arc::new(AtomicBool::new(true)), Handled::default());
    let settings = Settings { attempts: u32::MAX, segments: Some(1), ..Settings::default() };
    let shared = (failures, Arc::clone(&before), Arc::clone(&fails), handled.clone());
    let run = Running::start(settings.of(store.subscribe::<Noted>()), move |recorded, _| {
        let (failures, before, fails, handled) = shared.clone();
        async move {
            if recorded.tenant_id == tenant("acme") && fails.load(Ordering::SeqCst) {
                sleep(Duration::from_millis(100)).await;
                failures.fetch_add(1, Ordering::SeqCst);
                return Err("for now".into());
            }
            if recorded.tenant_id == tenant("globex") {
                before.store(failures.load(Ordering::SeqCst), Ordering::SeqCst);
            }
            handled.note(&recorded);
            Ok(())
        }
    });
    handled.reach(1).await;
    fails.store(false, Ordering::SeqCst);
    handled.reach(1 + 2 * usize::try_from(FAILING).unwrap()).await;
    run.stop().await;
    let before = before.load(Ordering::SeqCst);
    assert!(before <= 10, "so many attempts at another tenant's events came first: {before}");
    for number in 0..FAILING {
        assert_eq!(handled.of(&stream(number)), [number, FAILING + number]);
    }
    assert_eq!(letters(store).blocked().await.unwrap().len(), usize::try_from(parked).unwrap());
}

/// How many streams are made, and parked, at once: not every backend takes a thousand.
const AT_ONCE: usize = 500;

/// Makes so many streams, each parked by its only event.
async fn park(store: &EventStore, count: u64) {
    let streams: Vec<_> = (0..count).map(|number| ledger(&format!("parked {number}"))).collect();
    for some in streams.chunks(AT_ONCE) {
        let append = some.iter().fold(store.append_all(), |append, stream| append.and(stream, noted(0)));
        let appended = append.await.unwrap();
        let parked = appended.iter().zip(some).map(|(appended, stream)| {
            let position = Position::from_i64(appended.position.to_i64());
            let at = BlockedAt::new(Position::from_i64(position.to_i64() - 1), position);
            let blocked = BlockedStream::new(TenantId::DEFAULT, stream.clone(), 0, at, Timestamp::UNIX_EPOCH);
            StreamProgress::Block(blocked.with_attempts(3).with_error("as always"))
        });
        let subscription = SubscriptionId::new(TenantId::DEFAULT, "letters");
        let parking = ProgressRequest::new(subscription).with_streams(parked.collect());
        store.backend().progress(parking).await.unwrap();
    }
}

pub(super) async fn clause_8_8_each_of_many_failing_streams_is_tried_again_in_its_turn(subject: Subject) {
    let store = subject.store();
    let contention = Contention::begin(&store, Duration::ZERO).await;
    contention.takes.store(2, Ordering::SeqCst);
    let before = contention.times_tried();
    eventually("each is tried several times", async || {
        contention.times_tried().iter().zip(&before).all(|(times, before)| *times >= before + 4)
    })
    .await;
    contention.run.stop().await;
}

pub(super) async fn clause_8_8_what_failed_is_tried_again_however_many_fresh_events_come(subject: Subject) {
    let store = subject.store();
    let contention = Contention::begin(&store, Duration::from_millis(2)).await;
    let (writer, over) = (store.clone(), Arc::new(AtomicBool::new(false)));
    let (is_over, handled) = (Arc::clone(&over), contention.handled.clone());
    let writing = tokio::spawn(async move {
        let mut appended = 0;
        while !is_over.load(Ordering::SeqCst) {
            if appended > handled.items().len() + 1_000 {
                sleep(Duration::from_millis(1)).await;
                continue;
            }
            writer.append(&ledger("1"), notes(1..=100)).no_versioning().await.unwrap();
            appended += 100;
        }
    });
    contention.handled.reach(1).await;
    let before = contention.times_tried();
    eventually("each is tried again", async || {
        contention.times_tried().iter().zip(&before).all(|(times, before)| *times >= before + 2)
    })
    .await;
    let handled = contention.handled.items().len();
    contention.handled.reach(handled + 10).await;
    over.store(true, Ordering::SeqCst);
    writing.await.unwrap();
    contention.run.stop().await;
}

/// However many streams of another tenant fail for the first time meanwhile, all of them behind it.
pub(super) async fn clause_8_8_what_failed_is_tried_again_however_many_streams_fail_after_it(
    subject: Subject,
) {
    const AT_ONCE: u64 = 64;
    let (store, tried, begun) = (subject.store(), Handled::default(), Arc::new(AtomicU64::new(AT_ONCE)));
    let [acme, globex] = ["acme", "globex"].map(|name| store.for_tenant(tenant(name)));
    let of_acme = |number: u64| ledger(&format!("of acme {number}"));
    for number in 0..AT_ONCE {
        acme.append(&of_acme(number), noted(number)).await.unwrap();
    }
    globex.append(&ledger("1"), noted(0)).await.unwrap();
    let settings = Settings { attempts: u32::MAX, ..Settings::default() };
    let shared = (tried.clone(), begun);
    let run = Running::start(settings.of(store.subscribe::<Noted>()), move |recorded, store| {
        let (tried, begun) = shared.clone();
        async move {
            let before = tried.items().iter().filter(|item| item.position == recorded.position).count();
            tried.note(&recorded);
            if recorded.tenant_id == tenant("globex") {
                return if before < 4 { Err("not yet".into()) } else { Ok(()) };
            }
            if before == 0 {
                return Err("the first time".into());
            }
            // For each that goes well another one fails, so that as many wait at any time.
            let next = begun.fetch_add(1, Ordering::SeqCst);
            store.append(&of_acme(next), noted(next)).await?;
            sleep(Duration::from_millis(2)).await;
            Ok(())
        }
    });
    eventually("it is tried until it goes well", async || tried.of(&ledger("1")).len() == 5).await;
    run.stop().await;
}

pub(super) async fn clause_8_8_a_handler_that_never_returns_harms_its_own_stream_only(subject: Subject) {
    let (store, handled) = (subject.store(), Handled::default());
    store.append(&ledger("hung"), notes(1..=2)).await.unwrap();
    store.append(&ledger("other"), notes(11..=14)).await.unwrap();
    let limit = Some(Duration::from_millis(100));
    let settings = Settings { attempts: 2, handler_timeout: limit, ..Settings::default() };
    let noting = handled.clone();
    let run = Running::start(settings.of(store.subscribe::<Noted>()), move |recorded, _| {
        noting.note(&recorded);
        async move {
            if recorded.wrapped_event.event.number == 1 {
                std::future::pending::<()>().await;
            }
            Ok(())
        }
    });
    eventually("it is parked", async || !letters(&store).parked().await.unwrap().is_empty()).await;
    handled.reach(6).await;
    run.stop().await;
    let parked = letters(&store).parked().await.unwrap();
    assert_eq!((&parked[0].stream, parked[0].attempts), (&ledger("hung"), 2));
    assert!(parked[0].error.contains("handler_timeout"), "{}", parked[0].error);
    assert_eq!(handled.of(&ledger("hung")), [1, 1]);
    assert_eq!(handled.of(&ledger("other")), [11, 12, 13, 14]);
}

/// A handler on the backend's writer cannot be interrupted: it has failed once it returns.
pub(super) async fn clause_8_6_a_handler_that_takes_too_long_has_no_effect(subject: Subject) {
    let store = subject.store();
    with_sources(&store, 3).await;
    // Who is not run between the two finds that both times are over, and the handler is done.
    let (limit, takes) = (Duration::from_secs(1), Duration::from_millis(3_200));
    let reaction = Reaction::new(move |recorded| {
        let takes_long = recorded.stream_id == source(1) && number(recorded) == 2;
        effect(recorded, if takes_long { End::Takes(takes) } else { End::Done })
    });
    let settings = Settings { attempts: 2, handler_timeout: Some(limit), ..Settings::default() };
    let run = Running::exactly_once(&subject.reactor().await, settings, reaction);
    let durable = Settings::default().of(store.subscribe::<RawEvent>());
    eventually("it is parked", async || durable.parked().await.unwrap().len() == 1).await;
    eventually("others go on", async || effects_so_far(&store, 4).await.len() == 3).await;
    run.stop().await;
    let parked = durable.parked().await.unwrap();
    assert!(parked[0].error.contains("handler_timeout"), "{}", parked[0].error);
    assert_eq!(parked[0].stream, source(1));
    assert_eq!(effects_so_far(&store, 1).await, [1]);
}

pub(super) async fn clause_8_4_who_hangs_and_who_does_not_read_on_keep_nobody_else_waiting(subject: Subject) {
    let store = subject.store();
    let mut idle = store.subscribe::<Noted>().stream();
    idle.until_caught_up().await;
    let begun = Arc::new(AtomicBool::new(false));
    let has_begun = Arc::clone(&begun);
    let hanging = Settings { name: "hanging", ..Settings::default() };
    let hung = Running::start(hanging.of(store.subscribe::<Noted>()), move |_, _| {
        has_begun.store(true, Ordering::SeqCst);
        std::future::pending()
    });
    let handled = Handled::default();
    let run = Running::noting(letters(&store), &handled);
    let mut subscription = store.subscribe::<Noted>().stream();
    subscription.until_caught_up().await;
    for round in 0..10 {
        store.append(&ledger("1"), noted(round)).expected_version(round).await.unwrap();
        assert_eq!(subscription.next_event().await.wrapped_event.event.number, round);
        subscription.until_caught_up().await;
        handled.reach(usize::try_from(round).unwrap() + 1).await;
        eventually("the other handler hangs", async || begun.load(Ordering::SeqCst)).await;
    }
    run.stop().await;
    hung.kill().await;
    for round in 0..10 {
        assert_eq!(idle.next_event().await.wrapped_event.event.number, round);
    }
}

pub(super) async fn clause_8_4_a_tenant_that_appends_at_full_speed_keeps_no_other_waiting(subject: Subject) {
    let (store, over) = (subject.store(), Arc::new(AtomicBool::new(false)));
    let (acme, globex) = (store.for_tenant(tenant("acme")), store.for_tenant(tenant("globex")));
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let (acme, over) = (acme.clone(), Arc::clone(&over));
            tokio::spawn(async move {
                while !over.load(Ordering::SeqCst) {
                    let stream = ledger(&format!("of acme {writer}"));
                    acme.append(&stream, notes(1..=20)).no_versioning().await.unwrap();
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let handled = Handled::default();
    let run = Running::noting(letters(&globex), &handled);
    let mut subscription = globex.subscribe::<Noted>().stream();
    for round in 0..10 {
        globex.append(&ledger("1"), noted(round)).expected_version(round).await.unwrap();
        let event = loop {
            if let event_sourcery::Next::Event(event) = subscription.next_in_time().await {
                break event;
            }
        };
        assert_eq!(event.wrapped_event.event.number, round);
        handled.reach(usize::try_from(round).unwrap() + 1).await;
    }
    over.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
    run.stop().await;
}

/// Calls that have begun and are not polled on hold nothing that others need: more of them than there are connections.
pub(super) async fn clause_4_5_calls_that_are_polled_once_keep_nobody_waiting(subject: Subject) {
    let (store, long) = (subject.store(), ledger("long"));
    store.append(&long, notes(0..3_000)).await.unwrap();
    let streams: Vec<_> = (0..24).map(|number: u32| ledger(&number.to_string())).collect();
    let mut loads: Vec<_> = streams.iter().map(|_| store.load_stream::<Noted>(&long).into_future()).collect();
    let mut appends: Vec<_> = streams.iter().map(|one| store.append(one, noted(1)).into_future()).collect();
    let mut deletions: Vec<_> = streams.iter().map(|one| store.delete_stream(one).into_future()).collect();
    loads.iter_mut().for_each(|load| drop(load.now_or_never()));
    appends.iter_mut().for_each(|append| drop(append.now_or_never()));
    deletions.iter_mut().for_each(|deletion| drop(deletion.now_or_never()));

    assert_eq!(store.load_stream::<Noted>(&long).await.unwrap().len(), 3_000);
    store.append(&ledger("other"), noted(1)).await.unwrap();
    store.delete_stream(&ledger("other")).await.unwrap();
}

/// A reader that is not polled any more may have begun to read: what it reads with is others' soon.
pub(super) async fn clause_8_4_subscribers_that_are_polled_once_keep_nobody_waiting(subject: Subject) {
    let store = subject.store();
    store.append(&ledger("1"), notes(1..=20)).await.unwrap();
    let mut begun = Vec::new();
    for _ in 0..64 {
        let mut subscription = store.subscribe::<Noted>().stream();
        // Who is quick has the first event already.
        let has_first = subscription.try_next().now_or_never().is_some();
        begun.push((subscription, if has_first { 2 } else { 1 }));
    }
    assert_eq!(store.load_stream::<Noted>(&ledger("1")).await.unwrap().len(), 20);
    for (mut subscription, number) in begun {
        assert_eq!(subscription.next_event().await.wrapped_event.event.number, number);
    }
}
