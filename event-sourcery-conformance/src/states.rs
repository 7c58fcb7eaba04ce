//! Clause 11.4: snapshots by rule, and what they never change.

use event_sourcery::backend::{Backend as _, EventAt, LoadRequest, LoadedStream, Span, StateRequest};
use event_sourcery::{
    Aggregate, CommandError, Emitting, Error, EventStore, Repository, SnapshotState, StreamId, TenantId,
    Version,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ledger::{Fragile, Ledgers as _, Noted, Summed, noted, notes, tenant};
use super::running::eventually;
use super::subject::Subject;
use super::tally::{Tally, stream_of, tallies, tally};

/// The same events, the same name, another format.
#[derive(Default, Debug, PartialEq, Serialize, Deserialize)]
struct Count {
    notes: u64,
}

impl Aggregate for Count {
    type Event = Noted;
    const CATEGORY: &'static str = Tally::CATEGORY;

    fn apply(&mut self, _: &Noted) {
        self.notes += 1;
    }
}

impl SnapshotState for Count {
    const FORMAT: u16 = Tally::FORMAT + 1;
}

/// The same with code that panics on odd numbers.
#[derive(Default, Debug, PartialEq, Serialize, Deserialize)]
struct Even {
    #[serde(deserialize_with = "Fragile::even")]
    notes: u64,
}

impl Aggregate for Even {
    type Event = Noted;
    const CATEGORY: &'static str = Tally::CATEGORY;

    fn apply(&mut self, _: &Noted) {
        self.notes += 1;
    }
}

impl SnapshotState for Even {
    const FORMAT: u16 = Tally::FORMAT + 2;
}

const EVERY: Version = 10;

fn snapshotting(store: &EventStore) -> Repository<Tally> {
    tallies(store).snapshot_every(EVERY)
}

/// What a backend loads for an aggregate of this format.
async fn loaded(subject: &Subject, tenant: TenantId, id: &StreamId, format: u16) -> LoadedStream {
    let span = Span::FromState { name: Tally::CATEGORY, format };
    subject.backend().load(LoadRequest::new(tenant, stream_of(id), span)).await.unwrap()
}

/// Waits until the state behind this version, or a later one, is kept.
async fn kept(subject: &Subject, id: &StreamId, version: Version) -> LoadedStream {
    let kept = async {
        loop {
            let loaded = loaded(subject, TenantId::DEFAULT, id, Tally::FORMAT).await;
            if loaded.snapshot.as_ref().and_then(|snapshot| snapshot.version) >= Some(version) {
                return loaded;
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    let patience = std::time::Duration::from_secs(60);
    tokio::time::timeout(patience, kept).await.expect("the state is kept soon after the save")
}

/// A state behind an event, that says what no history does.
fn state(id: &StreamId, version: Version, event: Uuid, sum: u64) -> StateRequest {
    let data = format!(
        r#"{{"created_at":"2026-01-02T03:04:05Z","updated_at":"2026-01-03T00:00:00Z","state":{{"sum":{sum},"notes":1}}}}"#
    );
    let (kind, behind) = ((Tally::CATEGORY, Tally::FORMAT), EventAt::new(version, event));
    StateRequest::new(TenantId::DEFAULT, stream_of(id), kind, behind, data, Timestamp::now())
}

/// A tally with these numbers, and the ids of their events.
async fn with_numbers(store: &EventStore, id: &StreamId, numbers: &[u64]) -> Vec<Uuid> {
    store.append(&stream_of(id), notes(numbers.iter().copied())).await.unwrap();
    store.ids(&stream_of(id)).await
}

pub(super) async fn clause_11_4_the_state_is_kept_every_n_events(subject: Subject) {
    let (store, id) = (subject.store(), tally("1"));
    let tallies = snapshotting(&store);
    for number in 1..EVERY {
        tallies.aggregate(&id, Tally::note(number)).await.unwrap();
    }
    assert!(loaded(&subject, TenantId::DEFAULT, &id, Tally::FORMAT).await.snapshot.is_none());
    tallies.aggregate(&id, Tally::note(EVERY)).await.unwrap();
    assert!(kept(&subject, &id, EVERY).await.events.is_empty());
    for number in 1..=EVERY + 3 {
        tallies.aggregate(&id, Tally::note(number)).await.unwrap();
    }
    let loaded = kept(&subject, &id, 2 * EVERY).await;
    assert!(loaded.events.len() <= 3, "{loaded:?}");
    let (with, without) =
        (tallies.load(&id).await.unwrap(), super::tally::tallies(&store).load(&id).await.unwrap());
    assert_eq!(with.state(), without.state());
    assert_eq!(with.version(), without.version());
    assert_eq!((with.created_at(), with.updated_at()), (without.created_at(), without.updated_at()));
}

pub(super) async fn clause_11_4_a_load_starts_at_the_kept_state_and_history_is_not_asked(subject: Subject) {
    let (store, id) = (subject.store(), tally("1"));
    let ids = with_numbers(&store, &id, &[1, 2]).await;
    // Not what the events say, so that it shows.
    subject.backend().save_state(state(&id, 2, ids[1], 40)).await.unwrap();
    store.append(&stream_of(&id), noted(2)).expected_version(2).await.unwrap();
    let tally = snapshotting(&store).load(&id).await.unwrap();
    assert_eq!((tally.sum, tally.notes, tally.stored_version()), (42, 2, 3));
    assert_eq!(tally.created_at(), Some("2026-01-02T03:04:05Z".parse().unwrap()));
    // Of the past, history tells.
    assert_eq!(snapshotting(&store).load(&id).at_version(3).await.unwrap().sum, 5);
    assert_eq!(snapshotting(&store).load(&id).at_time(Timestamp::now()).await.unwrap().sum, 5);
}

pub(super) async fn clause_11_4_only_the_aggregate_sees_it(subject: Subject) {
    let (store, id) = (subject.store(), tally("1"));
    let stream = stream_of(&id);
    let appended = store.append(&stream, [noted(1), noted(2)]).await.unwrap();
    let ids = store.ids(&stream).await;
    subject.backend().save_state(state(&id, 2, ids[1], 40)).await.unwrap();
    assert_eq!(store.numbers(&stream).await, [1, 2]);
    assert_eq!(store.load_stream::<Noted>(&stream).await.unwrap().len(), 2);
    assert_eq!(store.load_stream::<super::ledger::Ledger>(&stream).await.unwrap().len(), 2);
    assert_eq!(store.records(appended.position).await.len(), 2);
    assert_eq!(tallies(&store).load(&id).await.unwrap().sum, 3);
    // And a snapshot of the stream is not taken for it.
    store.save_snapshot(&stream, 2, Summed { sum: 666 }).await.unwrap();
    assert_eq!(snapshotting(&store).load(&id).await.unwrap().sum, 40);
}

pub(super) async fn clause_11_4_a_state_of_another_format_is_ignored(subject: Subject) {
    let (store, id) = (subject.store(), tally("1"));
    let ids = with_numbers(&store, &id, &[1, 2]).await;
    subject.backend().save_state(state(&id, 2, ids[1], 40)).await.unwrap();
    let counts = Repository::<Count>::new(&store).snapshot_every(EVERY);
    assert_eq!(counts.load(&id).await.unwrap().notes, 2);
    // Both are kept, beside each other.
    let mut other = state(&id, 2, ids[1], 0);
    other.format = Count::FORMAT;
    subject.backend().save_state(other).await.unwrap();
    assert_eq!(counts.load(&id).await.unwrap().notes, 1);
    assert_eq!(snapshotting(&store).load(&id).await.unwrap().sum, 40);
}

pub(super) async fn clause_11_4_a_state_that_does_not_decode_gives_way_to_history(subject: Subject) {
    let store = subject.store();
    for (name, data) in [("1", r#"{"state":{"sum":"forty"}}"#), ("2", r#"{"state":[]}"#), ("3", "{}")] {
        let id = tally(name);
        let ids = with_numbers(&store, &id, &[1, 2]).await;
        let mut broken = state(&id, 2, ids[1], 0);
        broken.data = data.to_owned();
        subject.backend().save_state(broken).await.unwrap();
        assert_eq!(snapshotting(&store).load(&id).await.unwrap().sum, 3);
    }
    // Its own code panics on it.
    let id = tally("4");
    let ids = with_numbers(&store, &id, &[1, 2, 3]).await;
    let mut odd = state(&id, 3, ids[2], 0);
    odd.format = Even::FORMAT;
    subject.backend().save_state(odd).await.unwrap();
    let evens = Repository::<Even>::new(&store).snapshot_every(EVERY);
    assert_eq!(evens.load(&id).await.unwrap().notes, 3);
}

pub(super) async fn clause_11_4_a_repeated_command_decides_on_the_kept_state_too_but_on_none_of_later(
    subject: Subject,
) {
    let (store, id) = (subject.store(), tally("1"));
    let ids = with_numbers(&store, &id, &[1, 2]).await;
    subject.backend().save_state(state(&id, 2, ids[1], 40)).await.unwrap();
    let tallies = snapshotting(&store);
    let keyed = async || {
        let command = |tally: &mut Emitting<Tally>| Tally::note(tally.sum)(tally);
        tallies.aggregate(&id, command).idempotency_key("request").await
    };
    assert_eq!(keyed().await.unwrap().value, 80);
    store.append(&stream_of(&id), notes([5, 6])).expected_version(3).await.unwrap();
    let again = keyed().await.unwrap();
    assert!(again.value == 80 && again.appended.unwrap().repeated, "{again:?}");
    // Of a later moment: history says otherwise, and that is what the command decides on.
    let ids = store.ids(&stream_of(&id)).await;
    subject.backend().save_state(state(&id, 4, ids[3], 90)).await.unwrap();
    let reused = keyed().await;
    assert!(matches!(reused, Err(CommandError::Store(Error::KeyReused { .. }))), "{reused:?}");
}

pub(super) async fn clause_11_4_a_later_state_stays(subject: Subject) {
    let (store, id) = (subject.store(), tally("1"));
    let ids = with_numbers(&store, &id, &[1, 2]).await;
    subject.backend().save_state(state(&id, 2, ids[1], 40)).await.unwrap();
    subject.backend().save_state(state(&id, 1, ids[0], 50)).await.unwrap();
    assert_eq!(snapshotting(&store).load(&id).await.unwrap().sum, 40);
}

pub(super) async fn clause_11_4_what_is_left_of_a_deleted_stream_does_not_count(subject: Subject) {
    let (store, id) = (subject.store(), tally("1"));
    let stream = stream_of(&id);
    let before = with_numbers(&store, &id, &[1, 2]).await;
    subject.backend().save_state(state(&id, 2, before[1], 40)).await.unwrap();
    store.delete_stream(&stream).await.unwrap();
    assert!(snapshotting(&store).load(&id).await.unwrap().is_new());
    // Somebody was late: the events that the state stands for are gone.
    subject.backend().save_state(state(&id, 2, before[1], 40)).await.unwrap();
    let anew = with_numbers(&store, &id, &[5, 6, 7]).await;
    subject.backend().save_state(state(&id, 2, before[1], 40)).await.unwrap();
    // An event of the stream, and not at that version.
    subject.backend().save_state(state(&id, 2, anew[2], 40)).await.unwrap();
    // Made of an event that is gone, of one at another version, of one of another stream.
    let other = with_numbers(&store, &tally("2"), &[1, 2]).await;
    for (version, event) in [(2, before[1]), (1, anew[1]), (2, other[1])] {
        let request = state(&id, 3, anew[2], 40).with_made_of(Some(EventAt::new(version, event)));
        subject.backend().save_state(request).await.unwrap();
    }
    assert_eq!(snapshotting(&store).load(&id).await.unwrap().sum, 18);
    let request = state(&id, 3, anew[2], 40).with_made_of(Some(EventAt::new(2, anew[1])));
    subject.backend().save_state(request).await.unwrap();
    assert_eq!(snapshotting(&store).load(&id).await.unwrap().sum, 40);
}

/// Loaded at version 2; deleted and made anew up to version 2; saved. The save succeeds, by its version. The state that
/// would be kept is that of no stream.
pub(super) async fn clause_11_4_the_state_of_a_stream_that_was_exchanged_is_not_kept(subject: Subject) {
    let (store, id) = (subject.store(), tally("1"));
    let tallies = tallies(&store).snapshot_every(3);
    with_numbers(&store, &id, &[100, 200]).await;
    let mut exchanged = tallies.load(&id).await.unwrap();
    exchanged.execute(Tally::note(3)).unwrap();
    store.delete_stream(&stream_of(&id)).await.unwrap();
    with_numbers(&store, &id, &[1, 2]).await;
    tallies.save(&mut exchanged).await.unwrap();
    // A load finds that it is time, and keeps what history says.
    assert_eq!(tallies.load(&id).await.unwrap().sum, 6);
    kept(&subject, &id, 3).await;
    assert_eq!(tallies.load(&id).await.unwrap().sum, 6);
}

pub(super) async fn clause_11_4_tenants_have_states_of_their_own(subject: Subject) {
    let (store, id) = (subject.store(), tally("1"));
    let acme = store.for_tenant(tenant("acme"));
    let (ours, theirs) = (with_numbers(&store, &id, &[1]).await, with_numbers(&acme, &id, &[2]).await);
    subject.backend().save_state(state(&id, 1, ours[0], 40)).await.unwrap();
    assert_eq!(snapshotting(&acme).load(&id).await.unwrap().sum, 2);
    let mut request = state(&id, 1, theirs[0], 50);
    request.tenant = tenant("acme");
    subject.backend().save_state(request).await.unwrap();
    assert_eq!(snapshotting(&acme).load(&id).await.unwrap().sum, 50);
    acme.delete_stream(&stream_of(&id)).await.unwrap();
    assert_eq!(snapshotting(&store).load(&id).await.unwrap().sum, 40);
}

pub(super) async fn clause_11_4_a_held_aggregate_is_kept_every_n_events_and_no_more_often(subject: Subject) {
    let (store, id) = (subject.faulty(), tally("1"));
    let tallies = Repository::<Tally>::new(&store).snapshot_every(EVERY);
    let mut held = tallies.load(&id).await.unwrap();
    let before = store.backend().calls();
    for number in 1..=2 * EVERY + 5 {
        held.execute(Tally::note(number)).unwrap();
        tallies.save(&mut held).await.unwrap();
    }
    kept(&subject, &id, 2 * EVERY).await;
    // Each is kept in a task of its own: the first one may come after the second.
    let calls = || store.backend().calls() - before;
    eventually("both are kept", async || calls() >= 2 * EVERY + 5 + 2).await;
    assert_eq!(calls(), 2 * EVERY + 5 + 2);
}

pub(super) async fn clause_11_4_a_load_that_has_read_so_many_events_keeps_the_state_too(subject: Subject) {
    let (store, id) = (subject.store(), tally("1"));
    let numbers: Vec<_> = (1..=EVERY).collect();
    with_numbers(&store, &id, &numbers).await;
    snapshotting(&store).load(&id).at_version(EVERY).await.unwrap();
    assert!(loaded(&subject, TenantId::DEFAULT, &id, Tally::FORMAT).await.snapshot.is_none());
    snapshotting(&store).load(&id).await.unwrap();
    assert!(kept(&subject, &id, EVERY).await.events.is_empty());
}

pub(super) async fn clause_11_4_a_state_that_cannot_be_written_fails_no_command(subject: Subject) {
    let (store, id) = (subject.faulty(), tally("1"));
    let tallies = Repository::<Tally>::new(&store).snapshot_every(1);
    store.backend().fail(3, super::Fault::Before);
    tallies.aggregate(&id, Tally::note(1)).await.unwrap();
    while store.backend().calls() < 3 {
        tokio::task::yield_now().await;
    }
    assert!(loaded(&subject, TenantId::DEFAULT, &id, Tally::FORMAT).await.snapshot.is_none());
    // The next one is.
    tallies.aggregate(&id, Tally::note(2)).await.unwrap();
    kept(&subject, &id, 2).await;
}

pub(super) async fn clause_11_4_a_state_survives_reopening(subject: Subject) {
    let id = tally("1");
    let ids = with_numbers(&subject.store(), &id, &[1, 2]).await;
    subject.backend().save_state(state(&id, 2, ids[1], 40)).await.unwrap();
    let subject = subject.reopened().await;
    assert_eq!(snapshotting(&subject.store()).load(&id).await.unwrap().sum, 40);
}

pub(super) async fn clause_11_2_a_backend_reads_one_event_by_its_id(subject: Subject) {
    let (store, id, other) = (subject.store(), tally("1"), tally("2"));
    store.append(&stream_of(&id), [noted(1), noted(2), noted(3)]).await.unwrap();
    store.append(&stream_of(&other), noted(4)).await.unwrap();
    let [ids, others] = [store.ids(&stream_of(&id)).await, store.ids(&stream_of(&other)).await];
    let find = async |stream: &StreamId, tenant: TenantId, event| {
        let request = LoadRequest::new(tenant, stream_of(stream), Span::Event(event));
        subject.backend().load(request).await.unwrap().events
    };
    let found = find(&id, TenantId::DEFAULT, ids[1]).await;
    assert_eq!((found.len(), found[0].id, found[0].version), (1, ids[1], Some(2)));
    assert!(find(&id, TenantId::DEFAULT, others[0]).await.is_empty());
    assert!(find(&id, TenantId::DEFAULT, uuid::Uuid::from_u128(7)).await.is_empty());
    assert!(find(&id, tenant("acme"), ids[1]).await.is_empty());
}
