//! Streams that others have published into: whatever a message holds, reading it is an answer or an error, within a bounded time.

use std::time::Duration;

use event_sourcery::EventStore;
use event_sourcery_conformance::fuzz::{Random, fill, rounds, use_all};
use event_sourcery_nats::async_nats::jetstream::Context;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::scene::{Servers, connect, open, options};

/// Whatever a call does, it does not take longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// The messages of a stream, with their subjects.
async fn messages(context: &Context, stream: &str) -> Vec<(String, Vec<u8>)> {
    let stream = context.get_stream(stream).await.unwrap();
    let last = stream.cached_info().state.last_sequence;
    let mut messages = Vec::new();
    for sequence in 1..=last {
        if let Ok(message) = stream.get_raw_message(sequence).await {
            messages.push((message.subject.to_string(), message.payload.to_vec()));
        }
    }
    messages
}

/// A message as it may come from elsewhere: one of ours with something else in it, or any text.
fn damaged(random: &mut Random, message: &[u8]) -> Vec<u8> {
    if random.once_in(3) {
        return random.text().into_bytes();
    }
    let mut message = random.damaged(&String::from_utf8_lossy(message)).into_bytes();
    if random.once_in(3) && !message.is_empty() {
        let place = random.below(message.len());
        message[place] = random.bits() as u8;
    }
    message
}

#[test]
fn streams_that_others_have_published_into() {
    let runtime = Runtime::new().unwrap();
    let servers = Servers::start(1);
    let mut number = 0;
    rounds(|random| {
        number += 1;
        let name = format!("F{number}");
        runtime.block_on(async {
            let context = connect(&servers.urls()).await;
            let backend = || async { open(options(&servers.urls(), &name).await).await };
            let store = EventStore::new(backend().await).erased();
            fill(&store).await;
            let side = format!("{name}-side");
            for _ in 0..=random.below(3) {
                let of = if random.once_in(3) { &side } else { &name };
                let all = messages(&context, of).await;
                let Some((subject, message)) = all.get(random.below(all.len().max(1))) else { continue };
                let message = damaged(random, message);
                context.publish(subject.clone(), message.into()).await.unwrap().await.unwrap();
            }
            timeout(PATIENCE, use_all(&store)).await.expect("each call ends");
            let anew = EventStore::new(backend().await).erased();
            timeout(PATIENCE, use_all(&anew)).await.expect("each call ends");
            for stream in [&name, &side] {
                context.delete_stream(stream).await.unwrap();
            }
        });
    });
}
