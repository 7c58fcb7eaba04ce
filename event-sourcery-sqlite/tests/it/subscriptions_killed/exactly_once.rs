//! Handlers that write through the subscription's transaction: every event takes effect once, in the order of its stream.

use event_sourcery::{RawEvent, Recorded, StreamId};
use event_sourcery_sqlite::rusqlite::{Connection, Result, params};
use killed::{Load, kill_again_and_again, kills, told_to_stop};

use super::{Scene, Store, open, subscription};
use crate::process::store_path;

/// What the handler writes: how many events of a stream it has seen, the last one's version, and the sum of the versions;
/// and each event that did not follow the one before.
const READ_MODEL: &str = "
    CREATE TABLE counts (stream TEXT PRIMARY KEY, events INTEGER, last_version INTEGER, sum INTEGER);
    CREATE TABLE violations (stream TEXT, version INTEGER, last_version INTEGER)";
const CHECK: &str = "
    INSERT INTO violations
    SELECT ?1, ?2, last FROM (SELECT coalesce(max(last_version), 0) AS last FROM counts WHERE stream = ?1)
    WHERE last <> ?2 - 1";
const COUNT: &str = "
    INSERT INTO counts VALUES (?1, 1, ?2, ?2)
    ON CONFLICT (stream) DO UPDATE SET events = events + 1, last_version = ?2, sum = sum + ?2";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_each_event_takes_effect_once_and_in_order() {
    if let Some(path) = store_path() {
        return count(&open(&path).await).await;
    }
    let test = concat!(module_path!(), "::whoever_is_killed_each_event_takes_effect_once_and_in_order");
    let scene = Scene::new().await;
    let read_model = Connection::open(&scene.path).unwrap();
    read_model.execute_batch(READ_MODEL).unwrap();
    let load = Load::on(&scene.store);
    kill_again_and_again(kills(), || scene.worker(test), async || effects(&read_model)).await;
    let streams = load.end().await;
    let at_the_last_kill = effects(&read_model);
    let last = [scene.worker(test), scene.worker(test)];
    scene.until_all_is_handled().await;
    last.into_iter().for_each(killed::Worker::stop);

    println!(
        "{} kills, {} effects, {} of them after the last kill",
        kills(),
        effects(&read_model),
        effects(&read_model) - at_the_last_kill
    );
    assert!(at_the_last_kill > 0, "they worked between the kills");
    check(&scene.store, &read_model, &streams).await;
}

/// What a worker does.
async fn count(store: &Store) {
    let counting = subscription(store).until(told_to_stop()).run_in_transaction(|event, tx| {
        effect(tx.connection(), &event)?;
        let reactions = reactions(&event.stream_id);
        let version = tx.version(&reactions)?;
        tx.append(&reactions, RawEvent::new("Reacted", "{}")?).expected_version(version).run()?;
        Ok(())
    });
    counting.await.expect("it bears whatever befalls the others");
}

fn effect(connection: &Connection, event: &Recorded<RawEvent>) -> Result<()> {
    let row = params![event.stream_id.uuid().to_string(), event.wrapped_event.version];
    connection.execute(CHECK, row)?;
    connection.execute(COUNT, row)?;
    Ok(())
}

/// Where the reactions to the events of a stream go.
fn reactions(stream: &StreamId) -> StreamId {
    StreamId::from_name(format!("reactions/{}", stream.uuid())).unwrap()
}

fn effects(read_model: &Connection) -> u64 {
    read_model.query_row("SELECT coalesce(sum(events), 0) FROM counts", [], |row| row.get(0)).unwrap()
}

async fn check(store: &Store, read_model: &Connection, streams: &[StreamId]) {
    let violations: u64 =
        read_model.query_row("SELECT count(*) FROM violations", [], |row| row.get(0)).unwrap();
    assert_eq!(violations, 0, "no event was handled out of order");
    for stream in streams {
        let events = store.load_stream::<RawEvent>(stream).await.unwrap();
        let length = events.len() as u64;
        let counted = read_model.query_row(
            "SELECT events, last_version, sum FROM counts WHERE stream = ?1",
            [stream.uuid().to_string()],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        );
        assert_eq!(counted.unwrap(), (length, length, length * (length + 1) / 2), "{stream}");
        let reactions = store.load_stream::<RawEvent>(&reactions(stream)).await.unwrap();
        let causes: Vec<_> =
            reactions.iter().filter_map(|reaction| reaction.context.causation_id()).collect();
        assert_eq!(causes, events.iter().map(|event| event.uuid).collect::<Vec<_>>(), "{stream}");
    }
}
