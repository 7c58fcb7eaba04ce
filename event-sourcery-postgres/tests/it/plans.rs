//! Statements that hand arrays to the server, and run all the time, keep one plan: to make it anew takes longer than to run them.

use std::time::Duration;

use event_sourcery::backend::{
    Backend as _, BlockedAt, BlockedStream, Kept, ProgressRequest, RenewRequest, Scope, StreamProgress,
    SubscriptionBackend as _, SubscriptionChange, SubscriptionId,
};
use event_sourcery::{EventStore, Position, RawEvent, StreamId, TenantId};
use event_sourcery_postgres::PostgresBackend;
use jiff::Timestamp;
use uuid::Uuid;

use crate::keys::{asked, new_keys};
use crate::scene::{Scene, Store};

/// Whoever appends puts down how often each statement of its connection was planned anew, and how often not.
const NOTE: &str = "
    CREATE TABLE prepared (statement text, generic bigint, custom bigint);
    CREATE FUNCTION note_prepared() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        DELETE FROM prepared;
        INSERT INTO prepared SELECT statement, generic_plans, custom_plans FROM pg_prepared_statements;
        RETURN NULL;
    END $$;
    CREATE TRIGGER note AFTER INSERT ON event_sourcery_events FOR EACH STATEMENT EXECUTE FUNCTION note_prepared()";

/// The server plans a statement anew five times, and then compares.
const TIMES: u64 = 12;

/// What runs all the time, by what stands in its statement.
const HOT: [(&str, &str); 11] = [
    ("an append with an outbox", "%s SET version = $5%INSERT INTO%outbox_entries%"),
    ("what several streams are", "%AS k (uuid, category, name, number)%"),
    ("locks on several streams", "%AS k (uuid, category)%FOR NO KEY UPDATE OF s%"),
    ("an append to several streams", "%AS m (id, version, name)%"),
    ("a checkpoint", "%SET position = $5%"),
    ("a stream that goes on waiting", "%UPDATE%blocked_streams%was_after%"),
    ("a lock on a subscription", "%pg_advisory_xact_lock%"),
    ("a lease", "%AS g (tenant_id, name, member)%"),
    ("a presence", "%subscription_presences AS p%"),
    ("a new key", "%AS n (subject, key_id, wrapped_by, wrapped)%"),
    ("a key", "%FROM%subject_keys k WHERE%"),
];

fn event(name: &'static str) -> RawEvent {
    RawEvent::new(name, "{}").unwrap()
}

/// On one connection, so that all statements are prepared there.
async fn open(scene: &Scene) -> Store {
    let options = PostgresBackend::options(scene.database.url()).max_connections(1);
    EventStore::new(options.open().await.unwrap()).with_outbox(|event| event.event_name == "Paid").unwrap()
}

async fn append(store: &Store) {
    let [paid, several, one, other] = std::array::from_fn(|_| StreamId::random());
    for number in 0..=TIMES {
        store.append(&paid, event("Paid")).expected_version(number).await.unwrap();
        let two = [event("Viewed"), event("Viewed")];
        store.append(&several, two).expected_version(2 * number).await.unwrap();
        let both = store.append(&one, event("Viewed")).no_versioning();
        both.and(&other, event("Viewed")).no_versioning().await.unwrap();
    }
}

async fn make_progress(store: &Store) {
    let (backend, stream) = (store.backend(), StreamId::random());
    store.append(&stream, event("Viewed")).await.unwrap();
    let position = backend.position().await.unwrap();
    let at = BlockedAt::new(Position::START, position);
    let blocked =
        BlockedStream::new(TenantId::DEFAULT, stream, 0, at, Timestamp::UNIX_EPOCH).with_error("too heavy");
    let (id, member) = (SubscriptionId::new(TenantId::DEFAULT, "letters"), Uuid::now_v7());
    let kept = Kept::new(Scope::default(), Position::START, Vec::new());
    let renew = RenewRequest::new(member, (3, Position::START), kept, Duration::from_secs(60));
    let mut progress = StreamProgress::Block(blocked.clone());
    for _ in 0..=TIMES {
        // By turns, so that the member is another one each time.
        backend.change_subscription(id.clone(), SubscriptionChange::Renew(renew.clone())).await.unwrap();
        let vouched_for = SubscriptionChange::Renew(renew.clone().with_presence(7));
        let record = backend.change_subscription(id.clone(), vouched_for).await.unwrap().unwrap();
        let leases = record.leases_of(member).map(|(lease, _)| lease).collect();
        let request = ProgressRequest::new(id.clone()).with_leases(leases).with_position(position);
        backend.progress(request.with_streams(vec![progress])).await.unwrap();
        progress = StreamProgress::Change(at, blocked.clone());
    }
}

async fn use_keys(store: &Store) {
    for number in 0..=TIMES {
        let subject = number.to_string();
        store.backend().create_keys(new_keys(&[&subject])).await.unwrap();
        store.backend().keys(asked(&[&subject])).await.unwrap();
    }
}

#[tokio::test]
async fn what_hands_arrays_to_the_server_again_and_again_is_planned_a_few_times_only() {
    let scene = Scene::new().await;
    scene.run(NOTE).await;
    let store = open(&scene).await;
    make_progress(&store).await;
    use_keys(&store).await;
    append(&store).await;
    for (what, text) in HOT {
        let ran = format!(
            "SELECT count(*) FROM prepared WHERE statement LIKE '{text}' AND custom + generic >= {TIMES}"
        );
        assert!(scene.number(&ran).await > 0, "{what} is not among the statements");
    }
    let anew = format!(
        "SELECT custom, generic, statement FROM prepared
         WHERE statement LIKE '%[]%' AND custom + generic >= {TIMES} AND (generic = 0 OR custom > 5)"
    );
    assert_eq!(scene.database.psql(&anew), "", "are planned anew each time");
}
