//! Keys in the memory of the process that uses them: there as long as they are used, and no longer.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use event_sourcery::privacy::{DataKey, Encryption, KeyWrapping, MasterKey, SubjectOf};
use event_sourcery::{Event, EventStore, MemoryBackend, Result, StreamId};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

const KEY: usize = 32;

/// What the bytes of a key are noted with, so that what is looked for is not there for the search alone.
const VEIL: u8 = 0xA5;

/// How much is looked through at once.
const CHUNK: usize = 1 << 16;

#[derive(Event, Serialize, Deserialize)]
#[event(stream_is_subject)]
struct Registered {
    #[event(encrypted)]
    email: String,
}

/// A master key that notes each key that it wraps.
#[derive(Debug, Clone)]
struct Noting {
    master: Arc<MasterKey>,
    veiled: Arc<Mutex<Vec<[u8; KEY]>>>,
}

#[async_trait]
impl KeyWrapping for Noting {
    fn name(&self) -> &str {
        self.master.name()
    }

    async fn wrap(&self, keys: &[(SubjectOf, DataKey)]) -> Result<Vec<Vec<u8>>> {
        self.note(keys);
        self.master.wrap(keys).await
    }

    async fn unwrap(&self, keys: &[(SubjectOf, Vec<u8>)]) -> Result<Vec<DataKey>> {
        self.master.unwrap(keys).await
    }
}

impl Noting {
    fn note(&self, keys: &[(SubjectOf, DataKey)]) {
        let veiled = keys.iter().map(|(_, key)| key.as_bytes().map(|byte| byte ^ VEIL));
        self.veiled.lock().unwrap().extend(veiled);
    }
}

/// How often a key stands in what this process has allocated. Stacks are left out: what was on them stays until the room is needed.
fn found(veiled: &[u8; KEY]) -> usize {
    let here = std::ptr::from_ref(&veiled).addr() as u64;
    let memory = File::open("/proc/self/mem").unwrap();
    let mut chunk = Zeroizing::new(vec![0_u8; CHUNK]);
    let mut count = 0;
    for line in fs::read_to_string("/proc/self/maps").unwrap().lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next().unwrap(), words.next().unwrap());
        let (from, to) = range.split_once('-').unwrap();
        let [mut from, to] = [from, to].map(|end| u64::from_str_radix(end, 16).unwrap());
        if !rights.starts_with("rw") || line.ends_with("[stack]") || (from..to).contains(&here) {
            continue;
        }
        while from < to {
            let wanted = CHUNK.min((to - from) as usize);
            // What is mapped is not always there to be read.
            let Ok(read) = memory.read_at(&mut chunk[..wanted], from) else { break };
            let is_key =
                |window: &&[u8]| window.iter().zip(veiled).all(|(byte, veiled)| byte ^ VEIL == *veiled);
            count += chunk[..read].windows(KEY).filter(is_key).count();
            // The next one begins where a key could have been cut.
            from = if read < KEY || from + read as u64 == to { to } else { from + (read - KEY + 1) as u64 };
        }
    }
    count
}

fn over(backend: &MemoryBackend, noting: &Noting, lives: Duration) -> EventStore<MemoryBackend> {
    let encryption = Encryption::new(noting.clone()).cache_for(lives);
    EventStore::new(backend.clone()).with_encryption(encryption).unwrap()
}

async fn read(store: &EventStore<MemoryBackend>, stream: &StreamId) {
    assert_eq!(store.load_stream::<Registered>(stream).await.unwrap()[0].event.email, "ann@example.com");
}

#[tokio::test]
async fn no_key_is_left_in_memory_that_is_not_used_any_more() {
    let backend = MemoryBackend::new();
    let noting = Noting { master: Arc::new(MasterKey::from_bytes([1; KEY])), veiled: Arc::default() };
    let streams = ["people/1", "people/2"].map(|name| StreamId::from_name(name).unwrap());
    let store = over(&backend, &noting, Duration::from_secs(600));
    for stream in &streams {
        store.append(stream, Registered { email: "ann@example.com".to_owned() }).await.unwrap();
        read(&store, stream).await;
    }
    let keys = noting.veiled.lock().unwrap().clone();
    assert!(found(&keys[0]) > 0 && found(&keys[1]) > 0, "they are in use");
    store.shred("people/1").await.unwrap();
    assert_eq!(found(&keys[0]), 0, "it was shredded");
    assert!(found(&keys[1]) > 0, "it is in use");
    drop(store);
    assert_eq!(found(&keys[1]), 0, "nobody has it any more");

    // One that keeps none, and has to unwrap it.
    let store = over(&backend, &noting, Duration::ZERO);
    read(&store, &streams[1]).await;
    assert_eq!(found(&keys[1]), 0, "it is used for a page");
    let store = over(&backend, &noting, Duration::from_millis(500));
    read(&store, &streams[1]).await;
    let until_gone = async {
        while found(&keys[1]) > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), until_gone).await.expect("it goes when its time is over");
}
