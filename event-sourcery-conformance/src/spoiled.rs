//! What has to come of an event that nobody can read, whatever the backend holds of its row.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use event_sourcery::backend::BlockedStream;
use event_sourcery::{Error, EventStore, Position, RawEvent, Recorded, StreamId};

use super::running::SOON;

fn stream() -> StreamId {
    StreamId::from_name("bad").unwrap()
}

fn at(position: i64) -> Position {
    Position::from_i64(position)
}

/// Runs a subscription until so many events are handled and so many streams parked. Their names, and what is parked.
pub async fn run(
    store: &EventStore,
    name: &str,
    handled: usize,
    parked: usize,
) -> (Vec<String>, Vec<BlockedStream>) {
    let durable = || store.subscribe::<RawEvent>().durable(name.to_owned()).segments(4);
    let names = Arc::new(Mutex::new(Vec::new()));
    let (seen, noted, listing) = (Arc::clone(&names), Arc::clone(&names), durable());
    let until = async move {
        while seen.lock().unwrap().len() < handled
            || listing.parked().await.map_or(0, |list| list.len()) != parked
        {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let run = durable().until(until).run(async move |recorded: Recorded<RawEvent>, _| {
        noted.lock().unwrap().push(recorded.wrapped_event.event.name().to_owned());
        Ok(())
    });
    tokio::time::timeout(SOON, run).await.expect("others go on").expect("nobody is stopped");
    let names = names.lock().unwrap().clone();
    (names, durable().parked().await.unwrap())
}

/// The names of the events behind a position, and the error that ends them.
pub async fn names_until_error(store: &EventStore, after: Position) -> (Vec<String>, Option<Error>) {
    let mut all = store.read_all::<RawEvent>().after(after).stream();
    let mut names = Vec::new();
    loop {
        match all.try_next().await {
            Ok(Some(recorded)) => names.push(recorded.wrapped_event.event.name().to_owned()),
            Ok(None) => return (names, None),
            Err(error) => return (names, Some(error)),
        }
    }
}

/// Of six events, A1 and A2, B1 to B3 in the stream `bad`, and C1, the fourth cannot be read: it stops its stream, and nobody else.
/// `how` is the name of a subscription that has not run yet.
pub async fn assert_stops_its_stream_alone(store: &EventStore, how: &str) {
    let found = store.verify::<RawEvent>().await.unwrap();
    assert_eq!((found.read(), found.failed()), (6, 1), "{how}");
    assert_eq!((found.failures[0].position, &found.failures[0].stream_id), (at(4), &stream()), "{how}");
    let (names, error) = names_until_error(store, Position::START).await;
    assert_eq!(names, ["A1", "A2", "B1"], "{how}");
    assert!(
        matches!(error, Some(Error::InvalidEvent { position, .. }) if position == at(4)),
        "{how}: {error:?}"
    );
    assert_eq!(names_until_error(store, at(4)).await.0, ["B3", "C1"], "{how}");
    let whole = store.load_stream::<RawEvent>(&stream()).await.map(drop);
    let mut pages = store.load_stream::<RawEvent>(&stream()).stream();
    let in_pages = loop {
        match pages.try_next().await {
            Ok(Some(_)) => {}
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    for loaded in [whole, in_pages] {
        assert!(
            matches!(&loaded, Err(Error::InvalidEvent { stream: of, position, .. })
                if *of == stream() && *position == at(4)),
            "{how}: {loaded:?}"
        );
    }
    let (handled, parked) = run(store, how, 4, 1).await;
    assert_eq!(handled, ["A1", "A2", "B1", "C1"], "{how}");
    let [parked] = &parked[..] else { panic!("{how}: {parked:?}") };
    assert_eq!((&parked.stream, parked.position), (&stream(), at(4)), "{how}");
    assert!(parked.error.len() < 400, "{how}: {}", parked.error);
    // Tried again, it is parked again; once it is left out, the one behind it follows, wherever it stands in the order of versions.
    let durable = store.subscribe::<RawEvent>().durable(how.to_owned());
    durable.replay(parked).await.unwrap();
    let (handled, parked) = run(store, how, 0, 1).await;
    assert_eq!(handled, [""; 0], "{how}");
    durable.skip(&parked[0]).await.unwrap();
    assert_eq!(run(store, how, 1, 0).await.0, ["B3"], "{how}");
}
