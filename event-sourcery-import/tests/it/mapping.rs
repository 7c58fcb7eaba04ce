//! What the mapping decides, whatever the source: one that is in memory.

use async_trait::async_trait;
use event_sourcery::jiff::Timestamp;
use event_sourcery::{RawEvent, StreamId};
use event_sourcery_import::{
    ForeignEvent, ForeignStream, ForeignTime, Holes, Import, ImportError, Mapping, Order, Source,
    StreamCount, StreamRule,
};

use crate::scene::{equal, in_a_file, memory, names, stream, versions};

/// Events in the order of their positions.
#[derive(Clone)]
struct Listed(Vec<ForeignEvent>);

fn event(position: i64, name: &str, version: i64) -> ForeignEvent {
    ForeignEvent {
        stream: ForeignStream { category: Some("cart".to_owned()), id: name.to_owned(), partition: None },
        version,
        position: Some(position),
        id: None,
        event_type: Some(format!("Added{version}")),
        payload: Some(b"{}".to_vec()),
        metadata: None,
        form: None,
        time: ForeignTime::At(Timestamp::UNIX_EPOCH),
    }
}

#[async_trait]
impl Source for Listed {
    fn name(&self) -> &str {
        "a list"
    }

    fn order(&self) -> Order {
        Order::Positions
    }

    async fn horizon(&mut self) -> Result<i64, ImportError> {
        Ok(self.0.last().and_then(|last| last.position).unwrap_or(0))
    }

    async fn page(&mut self, after: i64, up_to: i64, limit: usize) -> Result<Vec<ForeignEvent>, ImportError> {
        let is_in = |event: &&ForeignEvent| event.position.is_some_and(|at| at > after && at <= up_to);
        Ok(self.0.iter().filter(is_in).take(limit).cloned().collect())
    }

    async fn streams(&mut self) -> Result<Vec<StreamCount>, ImportError> {
        let mut counts = std::collections::HashMap::<_, u64>::new();
        self.0.iter().for_each(|event| *counts.entry(event.stream.clone()).or_default() += 1);
        Ok(counts.into_iter().map(|(stream, events)| StreamCount { stream, events }).collect())
    }

    async fn events_of(
        &mut self,
        stream: &ForeignStream,
        after: i64,
        limit: usize,
    ) -> Result<Vec<ForeignEvent>, ImportError> {
        let is_in = |event: &&ForeignEvent| event.stream == *stream && event.version > after;
        let mut events: Vec<_> = self.0.iter().filter(is_in).cloned().collect();
        events.sort_by_key(|event| event.version);
        events.truncate(limit);
        Ok(events)
    }
}

#[tokio::test]
async fn a_stream_that_was_written_against_its_order_is_written_in_it() {
    let (first, third) = (event(1, "cart-1", 1), event(2, "cart-1", 3));
    let source = Listed(vec![first, third, event(3, "cart-2", 1), event(4, "cart-1", 2)]);
    let (store, mapping) = (memory(), Mapping::new("shop"));
    let run = Import::new(source.clone(), &store, mapping.clone()).run().await.unwrap();
    // The one that was written before its turn is found again at its position.
    assert_eq!((run.written, run.present, run.is_clean()), (4, 1, true), "{run:?}");
    assert_eq!(names(&store, &stream("cart", "cart-1")).await, ["Added1", "Added2", "Added3"]);
    assert!(equal(source, &store, &mapping).await.unwrap());
}

/// A file that is written anew once its first page was asked for.
struct Rewritten {
    before: Option<Listed>,
    after: Listed,
}

#[async_trait]
impl Source for Rewritten {
    fn name(&self) -> &str {
        "a list that is rewritten"
    }

    fn order(&self) -> Order {
        Order::Positions
    }

    async fn horizon(&mut self) -> Result<i64, ImportError> {
        self.after.horizon().await
    }

    async fn page(&mut self, after: i64, up_to: i64, limit: usize) -> Result<Vec<ForeignEvent>, ImportError> {
        let mut before = self.before.take();
        before.as_mut().unwrap_or(&mut self.after).page(after, up_to, limit).await
    }

    async fn streams(&mut self) -> Result<Vec<StreamCount>, ImportError> {
        self.after.streams().await
    }

    async fn events_of(
        &mut self,
        stream: &ForeignStream,
        after: i64,
        limit: usize,
    ) -> Result<Vec<ForeignEvent>, ImportError> {
        self.after.events_of(stream, after, limit).await
    }
}

/// A run has seen that its mark holds. Then the newest event is erased, another one gets its number, and a third one the next number.
#[tokio::test]
async fn a_number_that_is_given_again_while_a_run_looks_is_not_passed() {
    let (store, mapping) = (memory(), Mapping::new("shop"));
    let before = Listed(vec![event(1, "cart-1", 1)]);
    let run = Import::new(before.clone(), &store, mapping.clone()).run().await.unwrap();
    let after = Listed(vec![event(1, "cart-2", 1), event(2, "cart-3", 1)]);
    let source = Rewritten { before: Some(before), after };
    let following = Import::new(source, &store, mapping).after(run.mark).run_until(std::future::ready(()));
    let run = following.await.unwrap();
    assert_eq!((run.written, run.began_anew), (2, true), "{run:?}");
}

#[tokio::test]
async fn streams_that_would_become_one_are_found_before_anything_is_written() {
    let mut other = event(2, "1", 1);
    other.stream.category = Some("cart".to_owned());
    let source = Listed(vec![event(1, "cart-1", 1), other]);
    let mapping = Mapping::new("shop").stream(StreamRule::WithoutCategory);
    let planned = Import::new(source, &memory(), mapping).dry_run().await.unwrap();
    assert_eq!((planned.collisions.count, planned.left_out.count), (1, 0), "{planned:?}");
}

#[tokio::test]
async fn what_others_have_appended_to_its_stream_is_never_written_over() {
    let (store, mapping) = (memory(), Mapping::new("shop"));
    let source = Listed(vec![event(1, "cart-1", 1), event(2, "cart-1", 2), event(3, "cart-2", 1)]);
    let taken = stream("cart", "cart-1");
    store.append(&taken, RawEvent::new("Ours", "{}").unwrap()).await.unwrap();
    let run = Import::new(source.clone(), &store, mapping.clone()).run().await.unwrap();
    assert_eq!((run.written, run.left_out.count), (1, 2), "{run:?}");
    assert!(run.left_out.first[0].problem.contains("others have appended"), "{run:?}");
    let compared = Import::new(source, &store, mapping).compare().await.unwrap();
    assert_eq!((compared.missing.count, compared.extra, compared.equal), (2, 1, 1), "{compared:?}");
}

#[tokio::test]
async fn streams_that_begin_at_zero_are_counted_from_one_and_an_id_that_is_a_uuid_is_one() {
    let name = "01890a5d-ac96-774b-bcce-b302099a8057";
    let source = Listed(vec![event(1, name, 0), event(2, name, 1)]);
    let (store, mapping) = (memory(), Mapping::new("shop").first_version(0).without_category());
    let run = Import::new(source.clone(), &store, mapping.clone()).run().await.unwrap();
    assert_eq!((run.written, run.is_clean()), (2, true), "{run:?}");
    let stream = StreamId::from_uuid(name.parse().unwrap());
    assert_eq!(names(&store, &stream).await, ["Added0", "Added1"]);
    assert!(equal(source, &store, &mapping).await.unwrap());
}

#[tokio::test]
async fn holes_are_kept_where_the_destination_can_have_any() {
    let first = [event(1, "cart-1", 3), event(2, "cart-2", 1), event(3, "cart-1", 4), event(4, "cart-1", 9)];
    let (source, mapping) = (Listed(first.to_vec()), Mapping::new("shop").holes(Holes::Keep));
    let refused = Import::new(source.clone(), &memory(), mapping.clone()).dry_run().await.unwrap_err();
    assert!(matches!(refused, ImportError::NoHoles { .. }), "{refused:?}");

    let folder = tempfile::tempdir().unwrap();
    let store = in_a_file(folder.path()).await;
    let run = Import::new(source.clone(), &store, mapping.clone()).run().await.unwrap();
    assert_eq!((run.written, run.moved_up, run.is_clean()), (4, 0, true), "{run:?}");
    assert_eq!(versions(&store, &stream("cart", "cart-1")).await, [3, 4, 9]);
    let again = Import::new(source.clone(), &store, mapping.clone()).run().await.unwrap();
    assert_eq!((again.written, again.present), (0, 4), "{again:?}");
    assert!(equal(source, &store, &mapping).await.unwrap());
}

#[tokio::test]
async fn a_stream_that_has_moved_up_is_not_taken_for_one_whose_holes_were_kept() {
    let (first, third, fourth) = (event(1, "cart-1", 1), event(2, "cart-1", 3), event(3, "cart-1", 4));
    let folder = tempfile::tempdir().unwrap();
    let (store, mapping) = (in_a_file(folder.path()).await, Mapping::new("shop"));
    let renumbering = mapping.clone().holes(Holes::Renumber);
    let source = Listed(vec![first.clone(), third.clone()]);
    let run = Import::new(source, &store, renumbering).run().await.unwrap();
    assert_eq!((run.written, run.moved_up), (2, 1), "{run:?}");

    let (source, mapping) = (Listed(vec![first, third, fourth]), mapping.holes(Holes::Keep));
    let run = Import::new(source.clone(), &store, mapping.clone()).run().await.unwrap();
    assert_eq!((run.present, run.different.count, run.left_out.count), (1, 1, 1), "{run:?}");
    assert!(run.left_out.first[0].problem.contains("has moved up"), "{run:?}");
    let compared = Import::new(source, &store, mapping).compare().await.unwrap();
    assert_eq!((compared.equal, compared.different.count, compared.missing.count), (1, 1, 1), "{compared:?}");
}

#[test]
fn a_mapping_with_a_word_that_is_none_is_refused() {
    assert_eq!(Mapping::from_json(r#"{"from": "a", "holes": "keep"}"#).unwrap().holes, Holes::Keep);
    let refused = Mapping::from_json(r#"{"from": "shop", "hole": "renumber"}"#).unwrap_err();
    assert!(refused.to_string().contains("hole"), "{refused}");
    assert!(Mapping::from_json("{}").unwrap_err().to_string().contains("from"));
}
