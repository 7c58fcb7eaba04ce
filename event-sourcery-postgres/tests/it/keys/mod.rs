//! The keys of data subjects: given once, held by the appends that are sealed with them, shredded for good.

mod held;
mod left;
mod made;
mod snapshots;

use std::sync::Arc;

use event_sourcery::backend::{
    AppendOutcome, AppendRequest, Backend as _, Expectation, JoinableBackend as _, KeyRequirement,
    KeysRequest, NewKeysRequest, NewRecord, Requirement, StreamAppend, SubjectKey, WrappedKey,
};
use event_sourcery::{Error, Result, StreamId, TenantId};
use event_sourcery_postgres::PostgresBackend;
use jiff::Timestamp;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::scene::{Scene, Tx};

/// A key that nobody else makes.
pub(crate) fn key(subject: &str) -> SubjectKey {
    let bytes: [u8; 32] = std::array::from_fn(|_| fastrand::u8(..));
    SubjectKey::new(subject.into(), Uuid::now_v7(), WrappedKey::new("first".into(), bytes.as_slice().into()))
}

pub(crate) fn new_keys(subjects: &[&str]) -> NewKeysRequest {
    NewKeysRequest::new(TenantId::DEFAULT, subjects.iter().map(|subject| key(subject)).collect())
}

pub(crate) fn asked(subjects: &[&str]) -> KeysRequest {
    KeysRequest::new(TenantId::DEFAULT, subjects.iter().map(|subject| (*subject).into()).collect())
}

/// What is there once keys were to be created, in the order of the subjects.
pub(crate) async fn create(backend: &PostgresBackend, subjects: &[&str]) -> Vec<SubjectKey> {
    sorted(backend.create_keys(new_keys(subjects)).await.unwrap())
}

fn sorted(mut keys: Vec<SubjectKey>) -> Vec<SubjectKey> {
    keys.sort_by(|one, other| one.subject.cmp(&other.subject));
    keys
}

/// The key of one subject.
async fn found(backend: &PostgresBackend, subject: &str) -> Option<SubjectKey> {
    backend.keys(asked(&[subject])).await.unwrap().pop()
}

fn append(streams: &[StreamId]) -> AppendRequest {
    let part = |stream: &StreamId| {
        let event = NewRecord::new(Uuid::now_v7(), "Happened", "{}".to_owned(), Timestamp::now());
        StreamAppend::new(stream.clone(), Expectation::NoVersioning, vec![event])
    };
    AppendRequest::new(TenantId::DEFAULT, streams.iter().map(part).collect())
}

/// An append to new streams, so many, sealed with these keys.
pub(crate) fn sealed(streams: usize, keys: &[SubjectKey]) -> Arc<AppendRequest> {
    let streams: Vec<_> = (0..streams).map(|_| StreamId::random()).collect();
    sealed_to(&streams, keys)
}

fn sealed_to(streams: &[StreamId], keys: &[SubjectKey]) -> Arc<AppendRequest> {
    let required = |key: &SubjectKey| Requirement::Key(KeyRequirement::new(Arc::clone(&key.subject), key.id));
    Arc::new(append(streams).with_requirements(keys.iter().map(required).collect()))
}

/// An append of one event, which shreds the keys of these.
pub(crate) fn shredding(subjects: &[&str]) -> Arc<AppendRequest> {
    let shreds = subjects.iter().map(|subject| (*subject).into()).collect();
    Arc::new(append(&[StreamId::random()]).with_shreds(shreds))
}

async fn within(scene: &Scene, tx: &mut Tx, request: &AppendRequest) -> Result<AppendOutcome> {
    scene.store.backend().join(tx).append(request).await
}

/// Begins the append in a task of its own.
fn start(scene: &Scene, request: Arc<AppendRequest>) -> JoinHandle<Result<AppendOutcome>> {
    let backend = scene.store.backend().clone();
    tokio::spawn(async move { backend.append(request).await })
}

fn is_shredded(refused: &Result<AppendOutcome>) -> bool {
    matches!(refused, Err(Error::SubjectShredded { .. }))
}
