//! Where the keys of data subjects are asked for: on the store, or in a transaction.

use crate::backend::{
    Backend, BackendTransaction, JoinedTransaction, KeysRequest, NewKeysRequest, SubjectKey,
};
use crate::error::Result;

/// Where keys are read from and put.
pub(super) trait Ring {
    /// Whether what it answers is there for good: of a transaction nobody knows.
    const IS_COMMITTED: bool;
    /// Whether a call can wait there.
    const WAITS: bool;

    async fn keys(&mut self, request: KeysRequest) -> Result<Vec<SubjectKey>>;
    async fn create_keys(&mut self, request: NewKeysRequest) -> Result<Vec<SubjectKey>>;
}

pub(super) struct OfStore<'a>(pub(super) &'a dyn Backend);

pub(super) struct OfJoined<'a>(pub(super) &'a mut dyn JoinedTransaction);

/// A transaction on the backend's writer, where nothing waits.
pub(super) struct OfWriter<'a>(pub(super) &'a mut dyn BackendTransaction);

impl Ring for OfStore<'_> {
    const IS_COMMITTED: bool = true;
    const WAITS: bool = true;

    async fn keys(&mut self, request: KeysRequest) -> Result<Vec<SubjectKey>> {
        self.0.keys(request).await
    }

    async fn create_keys(&mut self, request: NewKeysRequest) -> Result<Vec<SubjectKey>> {
        self.0.create_keys(request).await
    }
}

impl Ring for OfJoined<'_> {
    const IS_COMMITTED: bool = false;
    const WAITS: bool = true;

    async fn keys(&mut self, request: KeysRequest) -> Result<Vec<SubjectKey>> {
        self.0.keys(&request).await
    }

    async fn create_keys(&mut self, request: NewKeysRequest) -> Result<Vec<SubjectKey>> {
        self.0.create_keys(&request).await
    }
}

impl Ring for OfWriter<'_> {
    const IS_COMMITTED: bool = false;
    const WAITS: bool = false;

    async fn keys(&mut self, request: KeysRequest) -> Result<Vec<SubjectKey>> {
        self.0.keys(&request)
    }

    async fn create_keys(&mut self, request: NewKeysRequest) -> Result<Vec<SubjectKey>> {
        self.0.create_keys(&request)
    }
}
