//! What a handler writes in the subscription's transaction, so that a repeat, a loss and a change of order would show.

use event_sourcery::{HandlerTransaction, RawEvent, Recorded, StreamId};
use event_sourcery_postgres::PostgresBackend;
use event_sourcery_postgres::sqlx;
use killed::told_to_stop;

use super::subscription;
use crate::scene::{Scene, Store};

/// How many events of a stream were handled, the last one's version, and the sum of the versions; and each event that did
/// not follow the one before.
const TABLES: &str = "
    CREATE TABLE counts (stream uuid PRIMARY KEY, events bigint, last_version bigint, sum bigint);
    CREATE TABLE violations (stream uuid, version bigint, last_version bigint)";
const CHECK: &str = "
    INSERT INTO violations
    SELECT $1, $2, last FROM (SELECT coalesce(max(last_version), 0) AS last FROM counts WHERE stream = $1) AS known
    WHERE last <> $2 - 1";
const COUNT: &str = "
    INSERT INTO counts VALUES ($1, 1, $2, $2)
    ON CONFLICT (stream) DO UPDATE
    SET events = counts.events + 1, last_version = $2, sum = counts.sum + $2";

pub(super) async fn create(scene: &Scene) {
    scene.run(TABLES).await;
}

/// What a worker does; `and_then` it does in each transaction last.
pub(super) async fn count(store: &Store, and_then: impl Fn()) {
    let counting = subscription(store).until(told_to_stop()).run_within(async |event, tx| {
        effect(&event, tx).await?;
        and_then();
        Ok(())
    });
    counting.await.expect("it bears whatever befalls the others and the server");
}

async fn effect(
    event: &Recorded<RawEvent>,
    tx: &mut HandlerTransaction<PostgresBackend>,
) -> Result<(), event_sourcery::Source> {
    let (stream, version) = (event.stream_id.uuid(), event.wrapped_event.version.map(u64::cast_signed));
    for statement in [CHECK, COUNT] {
        sqlx::query(statement).bind(stream).bind(version).execute(tx.connection()).await?;
    }
    let reactions = reactions(&event.stream_id);
    let before = tx.store().version(&reactions).await?;
    tx.store().append(&reactions, RawEvent::new("Reacted", "{}")?).expected_version(before).await?;
    Ok(())
}

/// Where the reactions to the events of a stream go.
fn reactions(stream: &StreamId) -> StreamId {
    StreamId::from_name(format!("reactions/{}", stream.uuid())).unwrap()
}

pub(super) async fn effects(scene: &Scene) -> i64 {
    scene.number("SELECT coalesce(sum(events), 0)::bigint FROM counts").await
}

/// Each event has taken effect once, in the order of its stream.
pub(super) async fn check(scene: &Scene, streams: &[StreamId]) {
    let violations = scene.database.psql("SELECT * FROM violations ORDER BY stream, version");
    assert_eq!(violations, "", "no event was handled out of order");
    for stream in streams {
        let events = scene.store.load_stream::<RawEvent>(stream).await.unwrap();
        let counted = sqlx::query_as("SELECT events, last_version, sum FROM counts WHERE stream = $1");
        let counted: (i64, i64, i64) = counted.bind(stream.uuid()).fetch_one(&scene.pool).await.unwrap();
        let length = events.len() as i64;
        assert_eq!(counted, (length, length, length * (length + 1) / 2), "{stream}");
        let reactions = scene.store.load_stream::<RawEvent>(&reactions(stream)).await.unwrap();
        let causes: Vec<_> =
            reactions.iter().filter_map(|reaction| reaction.context.causation_id()).collect();
        assert_eq!(causes, events.iter().map(|event| event.uuid).collect::<Vec<_>>(), "{stream}");
    }
}
