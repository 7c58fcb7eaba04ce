//! Every page of the browser, over a store of ten million events: how long until it is there.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use event_sourcery::look::{EventsRequest, Mark};
use event_sourcery::{EventStore, RawEvent};
use event_sourcery_browser::{Access, Browser};
use event_sourcery_postgres::PostgresBackend;

use crate::Result;
use crate::bench::{Bench, open};
use crate::figure::{Figure, Pair, Target};
use crate::invoice::{InvoiceEvent, streams};
use crate::large_store::LargeStore;
use crate::postgres::{self, Server};

/// How long a page may take, in milliseconds.
const LONGEST: f64 = 100.0;

/// The store on PostgreSQL: so many streams, of so many events, written by so many tasks.
const STREAMS: usize = 10_000;
const EVENTS_A_STREAM: u64 = 1_000;
const WRITERS: usize = 8;

/// For how long a subscription runs that is far behind afterwards.
const A_LITTLE: Duration = Duration::from_millis(200);

pub async fn sqlite(bench: &mut Bench) -> Result<()> {
    for (kind, streams) in [("10-streams", 10), ("5M-streams", 5_000_000)] {
        let kind = format!("pages/{kind}");
        if bench.wants(&kind) {
            let large = LargeStore::find_or_build(bench, streams).await?;
            of_store(bench, &kind, &open(large.path()).await?.erased()).await?;
        }
    }
    Ok(())
}

pub async fn postgres(bench: &mut Bench, server: &Server) -> Result<()> {
    if bench.wants("postgres/pages") {
        // It lives as long as it is measured.
        let database = server.database();
        let store = EventStore::new(postgres::open(&database).await?);
        fill(&store, bench.count(STREAMS)).await?;
        // As autovacuum would after a minute: not while it is measured.
        database.psql("VACUUM ANALYZE");
        of_store(bench, "postgres/pages", &store.erased()).await?;
    }
    Ok(())
}

async fn fill(store: &EventStore<PostgresBackend>, count: usize) -> Result<()> {
    let mut writers = Vec::new();
    for share in streams("invoices", count)?.chunks(count.div_ceil(WRITERS)) {
        let (store, share) = (store.clone(), share.to_vec());
        writers.push(tokio::spawn(async move {
            for stream in &share {
                store.append(stream, InvoiceEvent::several(EVENTS_A_STREAM)).await?;
            }
            Ok::<_, event_sourcery::Error>(())
        }));
    }
    for writer in writers {
        writer.await??;
    }
    Ok(())
}

async fn of_store(bench: &mut Bench, kind: &str, store: &EventStore) -> Result<()> {
    let behind = store.subscribe::<RawEvent>().durable("pages").until(tokio::time::sleep(A_LITTLE));
    behind.run(async |_, _| Ok(())).await?;
    let router = Browser::new(store.clone()).allow(|_| Access::look().and_act()).router();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serving = tokio::spawn(async move { axum::serve(listener, router).await });
    for (name, page) in pages(store).await? {
        // One that does not count, as everywhere: it fills caches.
        milliseconds(address, &page)?;
        let mut times = Vec::new();
        for _ in 0..bench.pairs {
            times.push(Pair { ours: milliseconds(address, &page)?, baseline: LONGEST });
        }
        let name = format!("{kind}/{name}");
        bench.report(Figure::of(&name, "ms", &times, "asked for", Target::AtMost(1.0)))?;
    }
    serving.abort();
    Ok(())
}

/// The pages by name, about an event in the middle of the store, its stream and its time.
async fn pages(store: &EventStore) -> Result<Vec<(&'static str, String)>> {
    let look = store.look();
    let newest = look.events(EventsRequest::newest(1)).await?.items;
    let middle = newest.first().ok_or("the store is empty")?.position().to_i64() / 2;
    let request = EventsRequest::first(1).with_from(Some(Mark::at(middle)));
    let found = look.events(request).await?.items;
    let seen = found.first().ok_or("there is no event in the middle of the store")?;
    let (event, stream, time) = (seen.uuid(), seen.stream_id().uuid(), seen.created_at());
    let lane = format!("%5B%22{stream}%22,%22%22,%22%22,%22%22,%22%22%5D");
    Ok(vec![
        ("store", "store".to_owned()),
        ("streams", "streams".to_owned()),
        ("streams-by-name", "streams?named=invoices%2F7".to_owned()),
        ("stream", format!("stream?id={stream}")),
        ("beside", format!("beside?stream={lane}")),
        ("event", format!("event?id={event}")),
        ("causes", format!("causes?id={event}")),
        ("correlation", format!("correlation?id={event}")),
        ("search", "search".to_owned()),
        ("search-by-type", "search?type=InvoiceIssued".to_owned()),
        ("search-for-none", "search?type=Nothing".to_owned()),
        ("search-by-time", format!("search?until={time}")),
        ("search-by-id", format!("search?id={event}")),
        ("subscriptions", "subscriptions".to_owned()),
        ("subscription", "subscription?name=pages".to_owned()),
        ("waiting", "waiting".to_owned()),
        ("outbox", "outbox".to_owned()),
        ("holders", "holders".to_owned()),
    ])
}

/// How long it takes until all of a page is there.
fn milliseconds(address: SocketAddr, page: &str) -> Result<f64> {
    let began = Instant::now();
    let mut connection = TcpStream::connect(address)?;
    let request = format!("GET /{page} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    connection.write_all(request.as_bytes())?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    if !answer.starts_with("HTTP/1.1 200") {
        return Err(format!("{page}: {}", answer.lines().next().unwrap_or_default()).into());
    }
    Ok(began.elapsed().as_secs_f64() * 1e3)
}
