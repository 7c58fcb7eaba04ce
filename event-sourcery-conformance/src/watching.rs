//! Clause 4.2 under load: readers that follow the store while many write to it.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use event_sourcery::backend::{Backend, Expectation};
use event_sourcery::{EventStore, Position};
use futures_util::future::join_all;
use uuid::Uuid;

use super::ledger::{Ledgers as _, append_request, ledger, noted, notes, scan_request};
use super::steps::{Ending, Step};
use super::subject::Subject;

const WRITERS: u64 = 8;
const ROUNDS: u64 = 15;

/// Long enough for a reader to wake up that should not.
const A_MOMENT: Duration = Duration::from_millis(20);

/// No reader that should wake up waits longer.
const SOON: Duration = Duration::from_secs(60);

/// What a reader was handed, in the order in which it was.
#[derive(Default)]
struct Seen {
    positions: Vec<Position>,
    ids: Vec<Uuid>,
}

/// Follows the store page by page until the writers are done and there is nothing left.
async fn follow(backend: Arc<dyn Backend>, page: usize, done: Arc<AtomicBool>) -> Seen {
    let mut seen = Seen::default();
    let mut after = Position::START;
    loop {
        // Read before the scan: what was written before it is to be found by it.
        let last_look = done.load(Ordering::SeqCst);
        let page = backend.scan(scan_request(after, page)).await.unwrap();
        assert!(page.next >= after, "a reader went back from {after:?} to {:?}", page.next);
        for record in &page.records {
            assert!(
                record.event.position > after,
                "{:?} was handed over after {after:?}",
                record.event.position
            );
            after = record.event.position;
            seen.positions.push(after);
            seen.ids.push(record.event.id);
        }
        after = page.next;
        if last_look && !page.has_more && settled(&*backend, after).await {
            return seen;
        }
        tokio::task::yield_now().await;
    }
}

/// Whether a reader at this position has seen all that is settled, and all that was written is settled.
async fn settled(backend: &dyn Backend, after: Position) -> bool {
    backend.position().await.unwrap() <= after
        && backend.scan(scan_request(after, 1)).await.unwrap().records.is_empty()
}

/// Notes the settled position again and again: it never goes back, and what it covers never changes.
async fn watch_position(store: EventStore, done: Arc<AtomicBool>) {
    let mut settled = Position::START;
    let mut covered = 0;
    while !done.load(Ordering::SeqCst) {
        let position = store.position().await.unwrap();
        assert!(position >= settled, "the settled position went back from {settled:?} to {position:?}");
        let records = store.records_after(Position::START).await;
        let below = |limit: Position| records.iter().filter(|record| record.position <= limit).count();
        assert_eq!(below(settled), covered, "an event appeared at or below {settled:?}, which was settled");
        (settled, covered) = (position, below(position));
        tokio::task::yield_now().await;
    }
}

/// Appends to a stream of its own, to one that it shares, and to both; gives the ids that were acknowledged.
async fn write(store: EventStore, writer: u64) -> Vec<Uuid> {
    let (own, shared) = (ledger(&format!("own {writer}")), ledger("shared"));
    let mut version = 0;
    for round in 0..ROUNDS {
        match round % 3 {
            0 => {
                let length = 1 + round % 4;
                store.append(&own, notes(0..length)).expected_version(version).await.unwrap();
                version += length;
            }
            1 => drop(store.append(&shared, noted(round)).no_versioning().await.unwrap()),
            _ => assert!(store.append(&own, noted(0)).expected_version(version + 7).await.is_err()),
        }
    }
    store.ids(&own).await
}

/// Lets writers write while readers follow, and compares what each reader was handed with what is there.
async fn assert_readers_miss_nothing(subject: Subject, disturb: impl AsyncFnOnce(&Subject)) {
    let done = Arc::new(AtomicBool::new(false));
    let another = subject.another_store().await;
    let followers: Vec<_> = [(subject.store(), 3), (another.clone(), 100)]
        .into_iter()
        .map(|(store, page)| tokio::spawn(follow(store.backend().clone(), page, Arc::clone(&done))))
        .collect();
    let watcher = tokio::spawn(watch_position(another.clone(), Arc::clone(&done)));
    let handles = [subject.store(), another];
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write(handles[writer as usize % 2].clone(), writer)))
        .collect();
    disturb(&subject).await;
    let mut written: HashSet<Uuid> = HashSet::new();
    for ids in join_all(writers).await {
        written.extend(ids.unwrap());
    }
    let last = subject.store().append(&ledger("shared"), noted(0)).no_versioning().await.unwrap();
    written.extend(subject.store().ids(&ledger("shared")).await);
    subject.store().settled(last.position).await;
    done.store(true, Ordering::SeqCst);
    watcher.await.unwrap();
    for seen in join_all(followers).await {
        let Seen { positions, ids } = seen.unwrap();
        assert!(positions.windows(2).all(|pair| pair[0] < pair[1]), "{positions:?}");
        assert_eq!(ids.iter().copied().collect::<HashSet<_>>(), written);
        assert_eq!(ids.len(), written.len(), "an event was handed over twice");
    }
}

pub(super) async fn clause_4_2_a_reader_is_handed_every_event_once_while_many_write(subject: Subject) {
    assert_readers_miss_nothing(subject, async |_| {}).await;
}

pub(super) async fn clause_4_2_transactions_that_are_rolled_back_in_between_hide_nothing(subject: Subject) {
    let disturb = async |subject: &Subject| {
        for round in 0..20 {
            let stream = ledger(&format!("rolled back {round}"));
            let step = Step::Append(append_request(&stream, Expectation::Version(0), &[1, 2, 3]));
            let ending = if round % 2 == 0 { Ending::Fail } else { Ending::Panic };
            subject.transaction(vec![step], ending).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    assert_readers_miss_nothing(subject, disturb).await;
}

/// Starts waiting for something above what is settled now; the answer comes when it does.
async fn waiting(store: &EventStore) -> tokio::task::JoinHandle<Position> {
    let (backend, settled) = (store.backend().clone(), store.position().await.unwrap());
    let waiting = tokio::spawn(async move { backend.wait_beyond(settled).await.unwrap() });
    tokio::time::sleep(A_MOMENT).await;
    assert!(!waiting.is_finished(), "a reader was woken with nothing above {settled:?}");
    waiting
}

async fn woken(waiting: tokio::task::JoinHandle<Position>, store: &EventStore) {
    let settled = tokio::time::timeout(SOON, waiting).await.expect("a waiting reader is woken").unwrap();
    assert_eq!(settled, store.position().await.unwrap());
}

pub(super) async fn clause_8_5_a_reader_that_waits_is_woken_by_an_append(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let settled = store.append(&stream, noted(1)).no_versioning().await.unwrap();
    store.settled(settled.position).await;
    for number in 2..5 {
        let waiting = waiting(&store).await;
        store.append(&stream, noted(number)).no_versioning().await.unwrap();
        woken(waiting, &store).await;
    }
    // What is there already is told at once.
    assert!(store.backend().wait_beyond(Position::START).await.unwrap() > Position::START);
}

pub(super) async fn clause_8_5_a_reader_that_waits_finds_what_another_handle_appends(subject: Subject) {
    let (store, another) = (subject.store(), subject.another_store().await);
    let waiting = waiting(&store).await;
    another.append(&ledger("1"), noted(1)).await.unwrap();
    woken(waiting, &store).await;
}

pub(super) async fn clause_8_5_a_reader_that_waits_is_woken_by_a_transaction(subject: Subject) {
    let store = subject.store();
    let waiting = waiting(&store).await;
    let append = |name| Step::Append(append_request(&ledger(name), Expectation::Version(0), &[1]));
    subject.transaction(vec![append("1")], Ending::Commit).await.unwrap();
    woken(waiting, &store).await;
}
