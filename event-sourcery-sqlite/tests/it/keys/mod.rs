//! The keys of data subjects: given once, checked by the appends that are sealed with them, shredded for good.

mod left;

use std::sync::Arc;

use event_sourcery::backend::{
    AppendOutcome, AppendRequest, Backend as _, BackendTransaction as _, Expectation, KeyRequirement,
    KeysRequest, NewKeysRequest, NewRecord, OldKeysRequest, Requirement, RewrapRequest, StreamAppend,
    SubjectKey, TransactionalBackend as _, WrappedKey,
};
use event_sourcery::{Error, Result, StreamId, TenantId};
use event_sourcery_sqlite::{SqliteBackend, SqliteOptions, SqliteTransaction};
use jiff::Timestamp;
use uuid::Uuid;

use crate::failures::Folder;
use crate::held_writer::together;

/// Bytes that stand nowhere else.
fn bytes(length: usize) -> Arc<[u8]> {
    (0..length).map(|_| fastrand::u8(..)).collect()
}

/// A key of this length that nobody else makes.
fn key_of(subject: &str, length: usize) -> SubjectKey {
    SubjectKey::new(subject.into(), Uuid::now_v7(), WrappedKey::new("first".into(), bytes(length)))
}

fn key(subject: &str) -> SubjectKey {
    key_of(subject, 32)
}

fn new(keys: Vec<SubjectKey>) -> NewKeysRequest {
    NewKeysRequest::new(TenantId::DEFAULT, keys)
}

fn asked(subject: &str) -> KeysRequest {
    KeysRequest::new(TenantId::DEFAULT, vec![subject.into()])
}

/// Gives these subjects keys.
async fn create(backend: &SqliteBackend, subjects: &[&str]) -> Vec<SubjectKey> {
    backend.create_keys(new(subjects.iter().map(|subject| key(subject)).collect())).await.unwrap()
}

async fn found(backend: &SqliteBackend, subject: &str) -> Option<SubjectKey> {
    backend.keys(asked(subject)).await.unwrap().pop()
}

fn append() -> AppendRequest {
    let event = NewRecord::new(Uuid::now_v7(), "Happened", "{}".to_owned(), Timestamp::now());
    let part = StreamAppend::new(StreamId::random(), Expectation::NoVersioning, vec![event]);
    AppendRequest::new(TenantId::DEFAULT, vec![part])
}

/// An append of one event, sealed with these keys.
fn sealed(keys: &[SubjectKey]) -> AppendRequest {
    let required = |key: &SubjectKey| Requirement::Key(KeyRequirement::new(Arc::clone(&key.subject), key.id));
    append().with_requirements(keys.iter().map(required).collect())
}

/// An append of one event, which shreds the keys of these.
fn shredding<S: AsRef<str>>(subjects: &[S]) -> AppendRequest {
    append().with_shreds(subjects.iter().map(|subject| subject.as_ref().into()).collect())
}

fn is_shredded<T>(refused: &Result<T>) -> bool {
    matches!(refused, Err(Error::SubjectShredded { .. }))
}

fn events(folder: &Folder) -> i64 {
    let count = "SELECT count(*) FROM event_sourcery_events";
    folder.foreign_connection().query_row(count, [], |row| row.get(0)).unwrap()
}

/// In one group, each is decided by what those in front of it have left.
#[tokio::test]
async fn appends_and_shreddings_that_share_a_commit_are_decided_in_their_order() {
    let folder = Folder::new();
    let store = folder.store().await;
    let backend = store.backend();
    let keys = create(backend, &["alice", "bob"]).await;
    let requests =
        [sealed(&keys), shredding(&["alice"]), sealed(&keys), sealed(&keys[1..]), shredding(&["alice"])];
    let answers = together(&store, requests.map(|request| backend.append(Arc::new(request)))).await;
    for (number, answer) in answers.iter().enumerate() {
        match number {
            2 => assert!(is_shredded(answer), "{answer:?}"),
            _ => assert!(matches!(answer, Ok(AppendOutcome::Written(_))), "{number}: {answer:?}"),
        }
    }
    assert_eq!(events(&folder), 4);
    assert_eq!(found(backend, "alice").await, Some(SubjectKey::shredded("alice".into(), keys[0].id)));
    assert_eq!(found(backend, "bob").await.as_ref(), Some(&keys[1]));
}

#[tokio::test]
async fn whoever_gives_a_key_in_another_process_everybody_is_told_the_first() {
    let folder = Folder::new();
    let (one, other) = (folder.store().await, folder.store().await);
    for round in 0..20 {
        let subject = format!("subject {round}");
        let create = |backend: &SqliteBackend| {
            let (backend, key) = (backend.clone(), key(&subject));
            tokio::spawn(async move { backend.create_keys(new(vec![key])).await.unwrap() })
        };
        let (left, right) = (create(one.backend()), create(other.backend()));
        let (left, right) = (left.await.unwrap(), right.await.unwrap());
        assert_eq!(left, right);
        assert_eq!(found(one.backend(), &subject).await.as_ref(), left.first());
    }
}

#[tokio::test]
async fn a_key_that_was_shredded_is_given_to_nobody_again() {
    let folder = Folder::new();
    let store = folder.store().await;
    let backend = store.backend();
    let alice = create(backend, &["alice"]).await.remove(0);
    backend.append(Arc::new(shredding(&["alice", "bob"]))).await.unwrap();
    let shredded = SubjectKey::shredded("alice".into(), alice.id);
    assert_eq!(create(backend, &["alice"]).await, [shredded]);
    assert_eq!(create(backend, &["bob"]).await[0].wrapped, None, "he never had one");
}

/// A repeat is one, whatever has become of its key; and a refusal leaves nothing.
#[tokio::test]
async fn a_repeat_is_recognised_although_its_key_was_shredded() {
    let folder = Folder::new();
    let store = folder.store().await;
    let backend = store.backend();
    let keys = create(backend, &["alice", "bob"]).await;
    let request = Arc::new(sealed(&keys));
    backend.append(Arc::clone(&request)).await.unwrap();
    backend.append(Arc::new(shredding(&["alice"]))).await.unwrap();
    let again = backend.append(request).await.unwrap();
    assert!(matches!(again, AppendOutcome::Present(_)), "{again:?}");

    let mut refused = sealed(&keys);
    refused.shreds = vec!["bob".into()];
    let refused = backend.append(Arc::new(refused)).await;
    assert!(is_shredded(&refused), "{refused:?}");
    assert_eq!(found(backend, "bob").await.as_ref(), Some(&keys[1]));
    assert_eq!(events(&folder), 2);
}

#[tokio::test]
async fn keys_are_given_and_shredded_with_the_closure() {
    let folder = Folder::new();
    let store = folder.store().await;
    let backend = store.backend();
    let (kept, tenant) = (create(backend, &["kept"]).await, TenantId::DEFAULT);
    for commits in [false, true] {
        let given = key("alice");
        let (request, first) = (new(vec![given.clone()]), given.clone());
        let work = move |tx: &mut SqliteTransaction<'_>| -> Result<()> {
            assert_eq!(tx.create_keys(&request)?, [first.clone()]);
            assert_eq!(tx.keys(&asked("alice"))?, [first.clone()]);
            tx.append(&sealed(std::slice::from_ref(&first)))?;
            tx.append(&shredding(&["alice", "kept"]))?;
            assert!(is_shredded(&tx.append(&sealed(&[first]))));
            if commits { Ok(()) } else { Err(Error::Closed) }
        };
        assert_eq!(backend.transaction(&tenant, work).await.is_ok(), commits);
        let shredded = SubjectKey::shredded("alice".into(), given.id);
        assert_eq!(found(backend, "alice").await, commits.then_some(shredded));
        let is_kept = found(backend, "kept").await.as_ref() == kept.first();
        assert_eq!(is_kept, !commits);
        assert_eq!(events(&folder), if commits { 2 } else { 0 });
    }
}

/// As long, longer, or shorter than before.
#[tokio::test]
async fn a_key_is_wrapped_anew_only_where_it_is_still_the_one_that_was_read() {
    let folder = Folder::new();
    let store = folder.store().await;
    let backend = store.backend();
    let mut before = create(backend, &["alice"]).await.remove(0);
    for length in [32, 4_096, 16] {
        let again = WrappedKey::new(format!("of {length}").into(), bytes(length));
        let rewrap = || RewrapRequest::new(TenantId::DEFAULT, before.clone(), again.clone());
        assert!(backend.rewrap_key(rewrap()).await.unwrap());
        assert!(!backend.rewrap_key(rewrap()).await.unwrap(), "it is wrapped so already");
        let after = SubjectKey::new("alice".into(), before.id, again.clone());
        assert_eq!(found(backend, "alice").await.as_ref(), Some(&after));
        before = after;
    }
    backend.append(Arc::new(sealed(std::slice::from_ref(&before)))).await.unwrap();
    backend.append(Arc::new(shredding(&["alice"]))).await.unwrap();
    let late = RewrapRequest::new(TenantId::DEFAULT, before, WrappedKey::new("late".into(), bytes(16)));
    assert!(!backend.rewrap_key(late).await.unwrap());
    assert_eq!(found(backend, "alice").await.unwrap().wrapped, None);
}

/// By their bytes, as every backend has it: upper case before lower case, and both before what has accents.
#[tokio::test]
async fn old_keys_are_listed_in_pages_in_the_order_of_tenants_and_subjects() {
    let folder = Folder::new();
    let store = folder.store().await;
    let backend = store.backend();
    let tenants = [TenantId::DEFAULT, TenantId::new("Zeta").unwrap(), TenantId::new("alpha").unwrap()];
    let subjects = ["B", "a", "b", "ä"];
    for tenant in tenants.iter().rev() {
        let keys = subjects.iter().rev().map(|subject| key(subject)).collect();
        backend.create_keys(NewKeysRequest::new(tenant.clone(), keys)).await.unwrap();
    }
    backend.append(Arc::new(shredding(&["b"]))).await.unwrap();
    let (mut listed, mut request) = (Vec::new(), OldKeysRequest::new("second".into(), 3));
    loop {
        let page = backend.old_keys(request.clone()).await.unwrap();
        let Some((tenant, last)) = page.last().cloned() else { break };
        request = request.with_after(tenant, last.subject);
        listed.extend(page.into_iter().map(|(tenant, key)| (tenant, key.subject.to_string())));
    }
    let all = tenants.iter().flat_map(|tenant| subjects.map(|subject| (tenant.clone(), subject.to_owned())));
    let shredded = (TenantId::DEFAULT, "b".to_owned());
    assert_eq!(listed, all.filter(|key| *key != shredded).collect::<Vec<_>>());
    assert!(backend.old_keys(OldKeysRequest::new("first".into(), 3)).await.unwrap().is_empty());
}

/// A key without its bytes is damaged. It is not taken for one that was shredded, which is for ever.
#[tokio::test]
async fn a_key_whose_bytes_are_lost_is_an_error() {
    let folder = Folder::new();
    let store = folder.store().await;
    let keys = create(store.backend(), &["alice"]).await;
    folder.foreign_connection().execute_batch("DELETE FROM event_sourcery_subject_key_bytes").unwrap();
    let read = store.backend().keys(asked("alice")).await.unwrap_err();
    assert!(matches!(read, Error::Backend { .. }), "{read:?}");
    let refused = store.backend().append(Arc::new(sealed(&keys))).await.unwrap_err();
    assert!(matches!(refused, Error::Backend { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_file_of_the_layout_before_gets_the_tables_of_keys() {
    let folder = Folder::new();
    drop(folder.store().await);
    let before = "DROP TABLE event_sourcery_subject_keys; DROP TABLE event_sourcery_subject_key_bytes;
                  UPDATE event_sourcery_layout SET version = 5";
    folder.foreign_connection().execute_batch(before).unwrap();
    let Err(Error::MigrationNeeded { problem }) = SqliteOptions::new(folder.path()).migrate(false).open().await
    else {
        panic!("a migration is needed")
    };
    assert!(problem.contains("CREATE TABLE event_sourcery_subject_keys"), "{problem}");
    let store = folder.store().await;
    assert_eq!(SqliteOptions::new(folder.path()).migration().unwrap(), "");
    let keys = create(store.backend(), &["alice"]).await;
    store.backend().append(Arc::new(sealed(&keys))).await.unwrap();
}
