//! Of a key that was shredded nothing is left, in no byte of any file.

use std::collections::HashSet;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event_sourcery::TenantId;
use event_sourcery::backend::{Backend as _, RewrapRequest, SubjectKey, WrappedKey};
use event_sourcery_sqlite::SqliteBackend;

use super::{bytes, key_of, new, shredding};
use crate::failures::Folder;

/// So much of a key is enough to tell that some of it is there.
const PIECE: usize = 16;

const PATIENCE: Duration = Duration::from_secs(60);

/// The pieces of the bytes of these keys, one behind the other.
fn pieces<'k>(keys: impl IntoIterator<Item = &'k SubjectKey>) -> HashSet<&'k [u8]> {
    let wrapped = keys.into_iter().map(|key| &*key.wrapped.as_ref().expect("the key as it was").bytes);
    wrapped.flat_map(|bytes| bytes.chunks_exact(PIECE)).collect()
}

/// How many of these pieces stand in the file, its log, and whatever else is beside it.
fn in_files(folder: &Folder, pieces: &HashSet<&[u8]>) -> usize {
    let files = fs::read_dir(folder.path().parent().unwrap()).unwrap();
    let all = files.map(|file| fs::read(file.unwrap().path()).unwrap_or_default()).collect::<Vec<_>>();
    let found: HashSet<_> =
        all.iter().flat_map(|file| file.windows(PIECE)).filter(|window| pieces.contains(window)).collect();
    found.len()
}

/// Waits until the log was emptied behind all that was shredded.
async fn until_cleared(folder: &Folder) {
    let left = "SELECT count(*) FROM event_sourcery_subject_keys WHERE shredded_at IS NOT NULL AND bytes IS NOT NULL";
    let (file, give_up) = (folder.foreign_connection(), Instant::now() + PATIENCE);
    while file.query_row(left, [], |row| row.get::<_, i64>(0)).unwrap() > 0 {
        assert!(Instant::now() < give_up, "there are traces still");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn shred(backend: &SqliteBackend, keys: &[&SubjectKey]) {
    let subjects: Vec<_> = keys.iter().map(|key| Arc::clone(&key.subject)).collect();
    backend.append(Arc::new(shredding(&subjects))).await.unwrap();
}

/// Keys come in no order, of any length, and some are wrapped anew, as long as they were, or longer: with rows that move, copies
/// would stay where they were.
#[tokio::test]
async fn no_byte_of_a_shredded_key_is_left_in_any_file_and_every_other_key_is() {
    let folder = Folder::new();
    let store = folder.store().await;
    let backend = store.backend();
    let mut keys = Vec::new();
    for call in 0..60 {
        let of_this_call = (0..10).map(|number| {
            let length = [32, 32, 48, 112, 1_024, 4_096][(call + number) % 6];
            key_of(&format!("{:x}", fastrand::u128(..)), length)
        });
        keys.extend(backend.create_keys(new(of_this_call.collect())).await.unwrap());
    }
    let as_they_were = keys.clone();
    for key in keys.iter_mut().step_by(5) {
        let length = key.wrapped.as_ref().unwrap().bytes.len();
        let anew = WrappedKey::new("second".into(), bytes(if length == 112 { 256 } else { length }));
        let rewrap = RewrapRequest::new(TenantId::DEFAULT, key.clone(), anew.clone());
        assert!(backend.rewrap_key(rewrap).await.unwrap());
        key.wrapped = Some(anew);
    }
    let is_to_go = |(number, _): &(usize, &SubjectKey)| number % 3 == 0;
    let to_go: Vec<_> = keys.iter().enumerate().filter(is_to_go).map(|(_, key)| key).collect();
    let kept = keys.iter().enumerate().filter(|key| !is_to_go(key)).map(|(_, key)| key);
    // In each form that they had.
    let gone = pieces(to_go.iter().copied().chain(as_they_were.iter().step_by(3)));
    let kept = pieces(kept);
    assert!(in_files(&folder, &gone) > gone.len() / 2, "the search finds what is there");
    for some in to_go.chunks(40) {
        shred(backend, some).await;
    }
    until_cleared(&folder).await;
    assert_eq!(in_files(&folder, &gone), 0);
    // What is split between two pages is not found.
    assert!(in_files(&folder, &kept) > kept.len() * 9 / 10);
    drop(store);
    assert_eq!(in_files(&folder, &gone), 0, "closed, too");
    assert!(in_files(&folder, &kept) > kept.len() * 9 / 10);
}

/// Whoever reads what was before keeps it in the log: that is emptied as soon as he has ended, though nobody calls.
#[tokio::test]
async fn while_somebody_reads_in_the_log_it_is_tried_again() {
    let folder = Folder::new();
    let store = folder.store().await;
    let backend = store.backend();
    let keys = backend.create_keys(new(vec![key_of("alice", 32)])).await.unwrap();
    let reader = folder.foreign_connection();
    reader.execute_batch("BEGIN; SELECT count(*) FROM event_sourcery_events").unwrap();
    shred(backend, &[&keys[0]]).await;
    // It goes on beside that.
    for _ in 0..100 {
        backend.append(Arc::new(super::append())).await.unwrap();
    }
    assert!(in_files(&folder, &pieces(&keys)) > 0, "the reader needs it");
    reader.execute_batch("COMMIT").unwrap();
    until_cleared(&folder).await;
    assert_eq!(in_files(&folder, &pieces(&keys)), 0);
}

/// What one process has left to do, the next one to open the file does.
#[tokio::test]
async fn what_was_not_cleared_is_cleared_when_the_file_is_opened_again() {
    let folder = Folder::new();
    let store = folder.store().await;
    let keys = store.backend().create_keys(new(vec![key_of("alice", 32)])).await.unwrap();
    // While it is open, nobody who closes the file removes the log.
    let reader = folder.foreign_connection();
    reader.execute_batch("BEGIN; SELECT count(*) FROM event_sourcery_events").unwrap();
    shred(store.backend(), &[&keys[0]]).await;
    drop(store);
    reader.execute_batch("COMMIT").unwrap();
    assert!(in_files(&folder, &pieces(&keys)) > 0, "nobody has cleared it");
    let _store = folder.store().await;
    until_cleared(&folder).await;
    assert_eq!(in_files(&folder, &pieces(&keys)), 0);
}
