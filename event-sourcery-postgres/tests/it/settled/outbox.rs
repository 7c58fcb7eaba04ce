//! The outbox goes over to a process that knows less to be settled than the one before it.

use event_sourcery::StreamId;
use event_sourcery::outbox::{BoxFuture, OutboxEntry, PublishError, Publisher};
use event_sourcery_postgres::sqlx;

use super::{draw, settled};
use crate::scene::{Scene, event, until};

/// Refuses everything, or takes it.
struct Post {
    refuses: bool,
}

impl Publisher for Post {
    fn publish<'a>(&'a self, entries: &'a [OutboxEntry]) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        Box::pin(async move {
            let answer = |_| if self.refuses { Err(PublishError::refused("too heavy")) } else { Ok(()) };
            entries.iter().map(answer).collect()
        })
    }
}

/// Entries that wait behind a refused one are below the checkpoint, and nobody else looks at them.
#[tokio::test]
async fn what_waits_behind_a_refused_entry_is_published_by_one_who_knows_less_to_be_settled() {
    let (scene, stream) = (Scene::new().await, StreamId::random());
    let first = scene.store.clone().with_outbox(|_| true).unwrap();
    first.append(&stream, event()).await.unwrap();
    let mut rolled_back = scene.begin().await;
    assert_eq!(draw(&scene.store, &mut rolled_back, 1).await, [2]);
    rolled_back.rollback().await.unwrap();
    first.append(&stream, event()).expected_version(1).await.unwrap();
    until(async || settled(&first).await == 3).await;
    let published = first.outbox().attempts(1).run(Post { refuses: true }).await.unwrap();
    assert_eq!((published.entries, published.refused), (0, 1));

    // Somebody may write who was not there then, and what the first one has found is not on record.
    let mut late = scene.begin().await;
    let lock = "LOCK TABLE event_sourcery_events IN ROW EXCLUSIVE MODE";
    sqlx::query(lock).execute(&mut *late).await.unwrap();
    scene.run("UPDATE event_sourcery_settled SET position = 0").await;
    scene.run("UPDATE event_sourcery_evidence SET ceiling = 0, holders = '{}'").await;
    let second = scene.another_store().await;
    assert_eq!(settled(&second).await, 1);

    let parked = second.outbox().parked().await.unwrap();
    second.outbox().replay(&parked[0]).await.unwrap();
    let published = second.outbox().run(Post { refuses: false }).await.unwrap();
    assert_eq!(published.entries, 2);
    assert_eq!(scene.number("SELECT count(*) FROM event_sourcery_outbox_entries").await, 0);
    late.rollback().await.unwrap();
}
