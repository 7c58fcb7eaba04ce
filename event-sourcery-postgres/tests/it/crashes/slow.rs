//! Ways to the server that carry little: what is large takes its time to arrive, and is written.

use std::time::{Duration, Instant};

use event_sourcery::{EventStore, RawEvent, StreamId};
use event_sourcery_postgres::PostgresBackend;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};

use super::cut::server_port;
use crate::scene::Scene;

const SIZE: usize = 3_000_000;

/// So that it takes longer than a server that is not at work on anything is waited for, and than a transaction may idle.
const BYTES_A_SECOND: usize = 220_000;

/// The port of a way to the server by which so much gets there.
async fn slow_way() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", server_port())).await.unwrap();
            let (mut said, mut to_client) = client.into_split();
            let (mut answered, mut to_server) = server.into_split();
            tokio::spawn(async move { copy(&mut answered, &mut to_client).await });
            tokio::spawn(async move {
                let mut some = vec![0; BYTES_A_SECOND / 10];
                while let Ok(length @ 1..) = said.read(&mut some).await {
                    to_server.write_all(&some[..length]).await?;
                    tokio::time::sleep(Duration::from_secs(1) * length as u32 / BYTES_A_SECOND as u32).await;
                }
                Ok::<_, std::io::Error>(())
            });
        }
    });
    port
}

fn large(size: usize) -> RawEvent {
    RawEvent::new("Large", format!(r#"{{"text": "{}"}}"#, "x".repeat(size))).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_append_over_a_slow_way_is_waited_for() {
    let scene = Scene::new().await;
    let url = format!("postgres://postgres@127.0.0.1:{}/{}", slow_way().await, scene.database.name());
    let open = async |in_transactions| {
        let options = PostgresBackend::options(&url).transaction_pooler(in_transactions);
        EventStore::new(options.open().await.unwrap())
    };
    let (store, in_transactions, kept) = (open(false).await, open(true).await, StreamId::random());
    scene.store.append(&kept, large(1)).await.unwrap();
    let (one, other) = (StreamId::random(), StreamId::random());

    let begun = Instant::now();
    let at_once = store.append(&StreamId::random(), large(SIZE));
    let under_locks = store.append(&one, large(SIZE / 2)).and(&other, large(SIZE / 2));
    let bracketed = in_transactions.append(&StreamId::random(), large(SIZE));
    let snapshot = store.save_snapshot(&kept, 1, large(SIZE));
    let (at_once, under_locks, bracketed, snapshot) = tokio::join!(
        at_once.into_future(),
        under_locks.into_future(),
        bracketed.into_future(),
        snapshot.into_future()
    );

    at_once.unwrap();
    under_locks.unwrap();
    bracketed.unwrap();
    snapshot.unwrap();
    assert!(begun.elapsed() > Duration::from_secs(11), "it was not slow: {:?}", begun.elapsed());
    assert_eq!(scene.events().await, 5);
}
