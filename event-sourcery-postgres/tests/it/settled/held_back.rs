//! A lower position that comes late, however late: no time-out passes over it.

use std::time::{Duration, Instant};

use super::{Reader, append, draw, settled};
use crate::scene::{Scene, from_environment};

/// How long to hold it back: `EVENT_SOURCERY_HOLD_SECONDS`, or 2 s.
const HOLD: &str = "EVENT_SOURCERY_HOLD_SECONDS";

#[tokio::test]
async fn a_lower_position_that_is_held_back_for_long_is_not_passed_over() {
    let hold = Duration::from_secs(from_environment(HOLD, 2));
    let scene = Scene::new().await;
    let mut reader = Reader::of(&scene.store);
    let mut late = scene.begin().await;
    assert_eq!(draw(&scene.store, &mut late, 1).await, [1]);
    let mut expected = vec![1];
    let (began, mut looks) = (Instant::now(), tokio::time::interval(Duration::from_millis(50)));
    while began.elapsed() < hold {
        expected.push(append(&scene.store).await);
        reader.sees_only(&[]).await;
        assert_eq!(settled(&scene.another_store().await).await, 0, "for one that starts just now");
        looks.tick().await;
    }
    late.commit().await.unwrap();
    reader.comes_to_see(&expected).await;
    println!("held back for {:?}, {} events above it: none passed over", began.elapsed(), expected.len() - 1);
}
