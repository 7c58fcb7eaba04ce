//! Item 4.8 for roles that see little: nothing depends on what a connection may know of itself.

use std::time::{Duration, Instant};

use event_sourcery::Error;

use super::{Reader, append, draw, settled};
use crate::scene::{Scene, Store, open, until};

/// A login whose current role is another one.
struct Borrowed<'s> {
    scene: &'s Scene,
    owner: String,
    login: String,
}

impl<'s> Borrowed<'s> {
    async fn of(scene: &'s Scene) -> Self {
        let name = scene.database.name();
        let (owner, login) = (format!("owner_{name}"), format!("login_{name}"));
        scene
            .run(&format!(
                "CREATE ROLE {owner} NOLOGIN; CREATE ROLE {login} LOGIN IN ROLE {owner};
                 ALTER ROLE {login} SET ROLE TO '{owner}';
                 GRANT ALL ON ALL TABLES IN SCHEMA public TO {owner}; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {owner}"
            ))
            .await;
        Self { scene, owner, login }
    }

    async fn store(&self) -> Store {
        open(&self.scene.database.url().replace("//postgres@", &format!("//{}@", self.login))).await
    }

    async fn drop(self) {
        let Self { scene, owner, login } = self;
        scene.run(&format!("DROP ROLE {login}; DROP OWNED BY {owner}; DROP ROLE {owner}")).await;
    }
}

#[tokio::test]
async fn a_login_under_another_role_passes_holes_and_waits_for_holders() {
    let scene = Scene::new().await;
    let borrowed = Borrowed::of(&scene).await;
    let store = borrowed.store().await;
    let mut reader = Reader::of(&store);
    assert_eq!(append(&store).await, 1);
    let mut rolled_back = scene.begin().await;
    draw(&scene.store, &mut rolled_back, 1).await;
    let mut late = scene.begin().await;
    draw(&scene.store, &mut late, 1).await;
    assert_eq!(append(&store).await, 4);
    reader.sees_only(&[1]).await;
    rolled_back.rollback().await.unwrap();
    reader.sees_only(&[1]).await;
    late.commit().await.unwrap();
    reader.comes_to_see(&[1, 3, 4]).await;
    drop((reader, store));
    borrowed.drop().await;
}

/// A reader that may leave no evidence, and for whom nobody has: it says so, instead of standing still.
#[tokio::test]
async fn a_reader_that_cannot_advance_says_why_within_seconds() {
    let scene = Scene::new().await;
    let url = format!("{}?options=-c%20default_transaction_read_only%3Don", scene.database.url());
    let store = open(&url).await;
    scene.run("DELETE FROM event_sourcery_evidence").await;
    append(&scene.store).await;
    let mut rolled_back = scene.begin().await;
    draw(&scene.store, &mut rolled_back, 1).await;
    let mut late = scene.begin().await;
    draw(&scene.store, &mut late, 1).await;
    append(&scene.store).await;
    rolled_back.rollback().await.unwrap();
    let began = Instant::now();
    let mut told = None;
    until(async || {
        told = store.position().await.err();
        told.is_some()
    })
    .await;
    let Some(Error::ReadOnly { problem, .. }) = &told else { panic!("{told:?}") };
    assert!(problem.contains("event_sourcery_evidence"), "{problem}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    // Once somebody else looks, it goes on.
    assert_eq!(settled(&scene.store).await, 1);
    assert_eq!(settled(&store).await, 1);
    late.commit().await.unwrap();
    until(async || settled(&store).await == 4).await;
}
