//! What a reader meets that looks while others write.

use event_sourcery::backend::{
    AppendRequest, Backend as _, Expectation, LoadRequest, NewRecord, ScanRequest, Span, StreamAppend,
};
use event_sourcery::jiff::Timestamp;
use event_sourcery::uuid::Uuid;
use event_sourcery::{Error, Position, StreamId, TenantId};

use crate::scene::{Paid, Servers, connect, store};

/// A message of the first or the second half of an append, as it lies there.
fn half(stream: &StreamId, first: u64, follow: u64) -> String {
    let (uuid, id) = (stream.uuid(), Uuid::from_u128(u128::from(first)));
    format!(
        "{{\"form\":1,\"kind\":\"events\",\"stream\":\"{uuid}\",\"first\":{first},\"versioned\":true,\"follow\":{follow}}}\n\
         {{\"id\":\"{id}\",\"name\":\"paid\",\"at\":0,\"schema\":1,\"data\":12,\"context\":2}}\n\
         {{\"number\":{first}}}{{}}"
    )
}

/// A leader may show one message of a batch before the next.
#[tokio::test]
async fn half_of_an_append_is_never_taken_for_the_whole() {
    let servers = Servers::start(1);
    let (store, context) = (store(&servers).await, connect(&servers.urls()).await);
    let stream = StreamId::from_name("1").unwrap();
    let subject = format!("SHOP.e.-.-.{}", stream.uuid().simple());
    let publish = async |message: String| {
        context.publish(subject.clone(), message.into()).await.unwrap().await.unwrap();
    };
    publish(half(&stream, 1, 1)).await;
    let loaded = store.load_stream::<Paid>(&stream).await;
    assert!(matches!(loaded, Err(Error::Unavailable { .. })), "{loaded:?}");
    publish(half(&stream, 2, 0)).await;
    let events = store.load_stream::<Paid>(&stream).await.unwrap();
    assert_eq!(events.iter().map(|event| event.event.number).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(events.iter().map(|event| event.version).collect::<Vec<_>>(), [Some(1), Some(2)]);
}

/// Of more events than a message holds, each has its position, and a page ends anywhere between them.
#[tokio::test]
async fn an_append_of_several_messages_is_read_from_any_position() {
    const EVENTS: usize = 2_500;
    let servers = Servers::start(1);
    let (store, stream) = (store(&servers).await, StreamId::from_name("1").unwrap());
    let event = |_| NewRecord::new(Uuid::now_v7(), "paid", "{}".to_owned(), Timestamp::UNIX_EPOCH);
    let events: Vec<_> = (0..EVENTS).map(event).collect();
    let ids: Vec<_> = events.iter().map(|event| event.id).collect();
    let part = StreamAppend::new(stream.clone(), Expectation::Version(0), events);
    let request = AppendRequest::new(TenantId::DEFAULT, vec![part]);
    store.backend().append(request.into()).await.unwrap();
    let information = connect(&servers.urls()).await.get_stream("SHOP").await.unwrap();
    assert_eq!(information.cached_info().state.messages, 3);

    let (mut after, mut read) = (Position::START, Vec::new());
    loop {
        let page = store.backend().scan(ScanRequest::new(after, 700)).await.unwrap();
        read.extend(page.records.iter().map(|record| record.event.id));
        after = page.next;
        if !page.has_more {
            break;
        }
    }
    assert_eq!(read, ids);

    let (mut span, mut read) = (Span::Full, Vec::new());
    loop {
        let request = LoadRequest::new(TenantId::DEFAULT, stream.clone(), span).with_limit(700);
        let page = store.backend().load(request).await.unwrap();
        read.extend(page.events.iter().map(|event| event.id));
        let Some(last) = page.events.last().filter(|_| page.has_more) else { break };
        span = Span::After(last.position);
    }
    assert_eq!(read, ids);
}
