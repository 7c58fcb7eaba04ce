//! What is kept for durable subscriptions, and how it holds up where several work on it at once. What it means is tested by
//! the conformance kit.

mod blocked;
mod changes;
mod clocks;
mod handling;
mod presences;
mod progress;
mod starting;
mod stopping;

use std::time::Duration;

use event_sourcery::backend::{
    BlockedAt, BlockedRequest, BlockedStream, Kept, Lease, ProgressRequest, RenewRequest, Scope,
    StreamProgress, SubscriptionBackend as _, SubscriptionChange, SubscriptionId, SubscriptionRecord,
};
use event_sourcery::{Error, Position, Result, StreamId, TenantId};
use event_sourcery_postgres::PostgresBackend;
use event_sourcery_postgres::sqlx::types::Uuid;

use crate::scene::{Scene, event};

/// A subscription on a store.
struct Subscription {
    scene: Scene,
    backend: PostgresBackend,
    id: SubscriptionId,
}

impl Subscription {
    async fn new() -> Self {
        Self::on(Scene::new().await)
    }

    fn on(scene: Scene) -> Self {
        let backend = scene.store.backend().clone();
        let id = SubscriptionId::new(TenantId::DEFAULT, "invoices");
        Self { scene, backend, id }
    }

    /// It exists, and all its segments are a member's.
    async fn of_member(segments: u16) -> (Self, Vec<Lease>) {
        let subscription = Self::new().await;
        let member = Uuid::new_v4();
        let record = subscription.change(renew(member, segments)).await.unwrap();
        let leases: Vec<_> = record.leases_of(member).map(|(lease, _)| lease).collect();
        assert_eq!(leases.len(), usize::from(segments));
        (subscription, leases)
    }

    /// Makes a stream with an event, at the next position: no stream is blocked by what is not there.
    async fn make(&self, stream: &StreamId) {
        self.scene.store.append(stream, event()).await.unwrap();
    }

    async fn new_stream(&self) -> StreamId {
        let stream = StreamId::random();
        self.make(&stream).await;
        stream
    }

    async fn change(&self, change: SubscriptionChange) -> Option<SubscriptionRecord> {
        let changed = self.backend.change_subscription(self.id.clone(), change).await.unwrap();
        assert_eq!(self.read().await, changed, "what is told is what is there");
        changed
    }

    async fn read(&self) -> Option<SubscriptionRecord> {
        self.backend.subscription(self.id.clone()).await.unwrap()
    }

    async fn positions(&self) -> Vec<i64> {
        let record = self.read().await.unwrap();
        record.segments.iter().map(|segment| segment.position.to_i64()).collect()
    }

    fn request(
        &self,
        leases: &[Lease],
        position: Option<i64>,
        streams: Vec<StreamProgress>,
    ) -> ProgressRequest {
        let mut request =
            ProgressRequest::new(self.id.clone()).with_leases(leases.to_vec()).with_streams(streams);
        request.position = position.map(Position::from_i64);
        request
    }

    async fn reach(&self, leases: &[Lease], position: i64) -> Result<()> {
        self.backend.progress(self.request(leases, Some(position), Vec::new())).await
    }

    async fn streams(&self, leases: &[Lease], streams: Vec<StreamProgress>) -> Result<()> {
        self.backend.progress(self.request(leases, None, streams)).await
    }

    async fn blocked(&self) -> Vec<BlockedStream> {
        let told = self.backend.blocked_streams(BlockedRequest::new(self.id.clone())).await.unwrap();
        // Which event failed is told beside what is kept.
        told.into_iter().map(|blocked| blocked.with_event(None, None)).collect()
    }
}

fn renew(member: Uuid, segments: u16) -> SubscriptionChange {
    let kept = Kept::new(Scope::default(), Position::START, Vec::new());
    let request = RenewRequest::new(member, (segments, Position::START), kept, Duration::from_secs(10));
    SubscriptionChange::Renew(request)
}

fn blocked(stream: &StreamId, position: i64) -> BlockedStream {
    let at = BlockedAt::new(Position::from_i64(position - 1), Position::from_i64(position));
    let since = "2024-05-01T12:00:00.000001Z".parse().unwrap();
    BlockedStream::new(TenantId::DEFAULT, stream.clone(), 0, at, since).with_error("no such customer")
}

fn is_lost(result: &Result<()>) -> bool {
    matches!(result, Err(Error::LeaseLost { subscription, .. }) if subscription == "invoices")
}
