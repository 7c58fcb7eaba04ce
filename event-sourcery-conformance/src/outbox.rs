//! Clauses 10.1, 10.5, 7.2 and 5.1: what is put into the outbox, what is published of it, and what becomes of it with its stream.

use std::collections::HashSet;
use std::time::Duration;

use event_sourcery::backend::{AppendRequest, Expectation};
use event_sourcery::outbox::Published;
use event_sourcery::{Context, Event as _, EventStore, RawEvent, StreamId};
use uuid::Uuid;

use super::ear::Ear;
use super::ledger::{Ledgers as _, append_request, ledger, noted, notes, tenant};
use super::listening::passes_on;
use super::post::{Numbered as _, Post};
use super::running::{Running, eventually, letters};
use super::steps::{Ending, Step};
use super::subject::Subject;

impl Subject {
    /// The store with an outbox that takes everything.
    pub(super) fn with_outbox(&self) -> EventStore {
        self.store().with_outbox(|_| true).unwrap()
    }
}

/// Publishes what is there now.
pub(super) async fn publish(store: &EventStore, post: &Post) -> Published {
    store.outbox().limit(10_000).pauses(Duration::ZERO, Duration::ZERO).run(post).await.unwrap()
}

pub(super) async fn clause_10_1_what_passes_the_filter_is_published_once_and_nothing_else(subject: Subject) {
    let store = subject.store().with_outbox(|event| event.event_name == "noted").unwrap();
    let (stream, post) = (ledger("1"), Post::default());
    let others = RawEvent::new("ignored", "{}").unwrap();
    let appended = store.append(&stream, (noted(1), others, noted(2), noted(3))).await.unwrap();
    store.settled(appended.position).await;
    assert_eq!(publish(&store, &post).await.entries, 3);
    assert_eq!(post.numbers(), [1, 2, 3]);
    assert_eq!(publish(&store, &post).await, Published::default());
    let appended = store.append(&stream, noted(4)).expected_version(4).await.unwrap();
    store.settled(appended.position).await;
    publish(&store, &post).await;
    assert_eq!(post.numbers(), [1, 2, 3, 4]);
}

pub(super) async fn clause_10_1_without_an_outbox_a_run_publishes_nothing(subject: Subject) {
    let (store, post) = (subject.store(), Post::default());
    let appended = store.append(&ledger("1"), notes(1..=3)).await.unwrap();
    store.settled(appended.position).await;
    assert_eq!(publish(&store, &post).await, Published::default());
    assert!(post.entries().is_empty());
}

pub(super) async fn clause_10_1_an_empty_outbox_calls_nobody(subject: Subject) {
    let (store, post) = (subject.with_outbox(), Post::default());
    for _ in 0..2 {
        assert_eq!(publish(&store, &post).await, Published::default());
    }
    assert!(post.entries().is_empty());
}

pub(super) async fn clause_10_1_the_filter_sees_the_undecoded_record(subject: Subject) {
    let id = Uuid::now_v7();
    let store = subject.store().with_outbox(move |event| {
        assert_eq!((event.event_name, event.payload()), ("noted", r#"{"number":7}"#));
        assert_eq!((event.stream_id, event.tenant_id), (&ledger("1"), &tenant("acme")));
        assert!(event.context.correlation_id().is_some());
        event.event_id() == id
    });
    let acme = store.unwrap().for_tenant(tenant("acme"));
    let context = Context::new().with_correlation_id(Uuid::now_v7());
    let post = Post::default();
    let twice = [noted(7).with_id(id).with_context(context.clone()), noted(7).with_context(context)];
    let appended = acme.append(&ledger("1"), twice).await.unwrap();
    acme.settled(appended.position).await;
    publish(&acme, &post).await;
    assert_eq!(post.ids(), [id]);
}

pub(super) async fn clause_10_1_an_append_that_is_refused_or_repeated_puts_nothing_in(subject: Subject) {
    let (store, stream, post) = (subject.with_outbox(), ledger("1"), Post::default());
    let first = noted(1).with_id(Uuid::now_v7());
    store.append(&stream, first.clone()).await.unwrap();
    store.append(&stream, noted(2)).await.unwrap_err();
    assert!(store.append(&stream, first).await.unwrap().repeated);
    let appended = store.append(&stream, noted(3)).expected_version(1).await.unwrap();
    store.settled(appended.position).await;
    publish(&store, &post).await;
    assert_eq!(post.numbers(), [1, 3]);
}

/// An append of which everything goes into the outbox.
fn entering(stream: &StreamId, expectation: Expectation, numbers: &[u64]) -> AppendRequest {
    let request = append_request(stream, expectation, numbers);
    let ids: HashSet<Uuid> = request.event_ids().collect();
    request.with_outbox(ids)
}

pub(super) async fn clause_10_1_entries_share_the_fate_of_their_transaction(subject: Subject) {
    let (store, post) = (subject.store(), Post::default());
    for (ending, name) in [(Ending::Commit, "1"), (Ending::Fail, "2"), (Ending::Panic, "3")] {
        let steps = vec![
            Step::Append(entering(&ledger(name), Expectation::Version(0), &[1, 2])),
            // Refused, and taken back alone.
            Step::Append(entering(&ledger(name), Expectation::Version(0), &[9])),
            Step::Append(entering(&ledger(name), Expectation::Version(2), &[3])),
        ];
        drop(subject.transaction(steps, ending).await);
    }
    let last = store.append(&ledger("4"), noted(0)).await.unwrap();
    store.settled(last.position).await;
    publish(&store, &post).await;
    assert_eq!(post.numbers(), [1, 2, 3]);
    assert!(post.entries().iter().all(|entry| entry.recorded().stream_id == ledger("1")));
}

pub(super) async fn clause_10_1_each_stream_of_an_append_has_its_entries(subject: Subject) {
    let (store, post) = (subject.with_outbox(), Post::default());
    store.append(&ledger("1"), noted(1)).await.unwrap();
    let both = store.append(&ledger("1"), notes([2, 3])).expected_version(1);
    let appended =
        both.and(&ledger("2"), noted(4)).and(&ledger("3"), noted(5)).no_versioning().await.unwrap();
    store.settled(appended.iter().map(|appended| appended.position).max().unwrap()).await;
    assert_eq!(publish(&store, &post).await.entries, 5);
    let of = |name| post.numbers_of(&ledger(name));
    assert_eq!((of("1"), of("2"), of("3")), (vec![1, 2, 3], vec![4], vec![5]));
    let unversioned = post.entries().into_iter().find(|entry| entry.recorded().stream_id == ledger("3"));
    assert_eq!(unversioned.unwrap().recorded().wrapped_event.version, None);
}

pub(super) async fn clause_10_1_what_a_handler_appends_has_its_entries(subject: Subject) {
    let (store, post) = (subject.with_outbox(), Post::default());
    let run = Running::start(letters(&store), |_, store| async move {
        let report = RawEvent::new("reported", r#"{"number":9}"#)?;
        store.append(&ledger("reported"), report).no_versioning().await?;
        Ok(())
    });
    store.append(&ledger("1"), noted(1)).await.unwrap();
    eventually("both are published", async || {
        publish(&store, &post).await;
        post.numbers() == [1, 9]
    })
    .await;
    run.stop().await;
}

pub(super) async fn clause_10_1_what_a_listener_appends_has_its_entries(subject: Subject) {
    let (store, post) = (subject.with_outbox(), Post::default());
    let (listen, to) = (store.listen::<RawEvent>().event_names(["noted"]), ledger("posted"));
    let listening = subject.listen(Ear::new(listen, move |heard| passes_on(heard, "posted", &to)));
    let appended = store.append(&ledger("1"), noted(1)).await.unwrap();
    listening.remove();
    let after = store.append(&ledger("2"), noted(2)).await.unwrap();
    store.settled(appended.position).await;
    store.settled(after.position).await;
    publish(&store, &post).await;
    assert_eq!((post.numbers(), post.numbers_of(&ledger("posted"))), (vec![1, 1, 2], vec![1]));
}

pub(super) async fn clause_10_5_what_is_published_carries_the_whole_record(subject: Subject) {
    let store = subject.with_outbox();
    let stream = ledger("1").in_category("books").unwrap();
    let acme = store.for_tenant(tenant("acme"));
    let context = Context::new().with_correlation_id(Uuid::now_v7()).with_causation_id(Uuid::now_v7());
    let whole =
        RawEvent::new("measured", r#"{"number":1,"text":"\u00e4 \"quoted\"","list":[1,2.5,null]}"#).unwrap();
    let at = "2001-02-03T04:05:06.000700Z".parse().unwrap();
    acme.append(&stream, whole.with_context(context).with_created_at(at)).await.unwrap();
    let last = acme.append(&stream, noted(2)).expected_version(1).await.unwrap();
    let post = Post::default();
    let expected = acme.records(last.position).await;
    publish(&store, &post).await;
    let published: Vec<_> = post.entries().iter().map(|entry| entry.recorded().clone()).collect();
    assert_eq!(published, expected);
    for (published, expected) in published.iter().zip(&expected) {
        assert_eq!(published.stream_id.name(), expected.stream_id.name());
        assert_eq!(published.stream_id.category(), expected.stream_id.category());
        assert_eq!(published.event().schema_version(), expected.event().schema_version());
    }
    assert!(post.entries().iter().all(|entry| entry.attempt() == 1));
}

pub(super) async fn clause_7_2_the_outbox_of_the_default_handle_sees_every_tenant_and_a_tenants_its_own(
    subject: Subject,
) {
    let (store, post) = (subject.with_outbox(), Post::default());
    let (acme, globex) = (store.for_tenant(tenant("acme")), store.for_tenant(tenant("globex")));
    store.append(&ledger("1"), noted(1)).await.unwrap();
    acme.append(&ledger("1"), noted(2)).await.unwrap();
    let last = globex.append(&ledger("1"), noted(3)).await.unwrap();
    store.settled(last.position).await;
    assert_eq!(publish(&acme, &post).await.entries, 1);
    assert_eq!(post.numbers(), [2]);
    publish(&store, &post).await;
    assert_eq!(post.numbers(), [2, 1, 3]);
    let tenants: Vec<_> = post.entries().iter().map(|entry| entry.recorded().tenant_id.clone()).collect();
    assert_eq!(tenants, [tenant("acme"), store.tenant_id().clone(), tenant("globex")]);
}

pub(super) async fn clause_7_2_entries_of_all_tenants_are_published_in_the_order_of_their_appends(
    subject: Subject,
) {
    let (store, post) = (subject.with_outbox(), Post::default());
    let tenants = [store.tenant_id().clone(), tenant("acme"), tenant("globex")];
    let mut last = None;
    for number in 0..9_u64 {
        let of = store.for_tenant(tenants[number as usize % 3].clone());
        let append = of.append(&ledger("1"), noted(number)).expected_version(number / 3);
        last = Some(append.await.unwrap().position);
    }
    store.settled(last.unwrap()).await;
    publish(&store, &post).await;
    assert_eq!(post.numbers(), (0..9).collect::<Vec<_>>());
    for (entry, tenant) in post.entries().iter().zip(tenants.iter().cycle()) {
        assert_eq!(&entry.recorded().tenant_id, tenant);
    }
}

pub(super) async fn clause_5_1_what_is_in_the_outbox_is_published_though_its_stream_was_deleted(
    subject: Subject,
) {
    let (store, post) = (subject.with_outbox(), Post::default());
    let stream = ledger("1").in_category("books").unwrap();
    store.append(&stream, notes(1..=3)).await.unwrap();
    store.delete_stream(&stream).await.unwrap();
    let last = store.append(&stream, notes([4, 5])).await.unwrap();
    store.settled(last.position).await;
    publish(&store, &post).await;
    assert_eq!(post.numbers(), [1, 2, 3, 4, 5]);
    assert!(post.entries().iter().all(|entry| entry.recorded().stream_id == stream));
    assert_eq!(publish(&store, &post).await.entries, 0);
}

pub(super) async fn clause_5_1_what_waits_in_the_outbox_is_published_though_its_stream_was_deleted(
    subject: Subject,
) {
    let (store, stream) = (subject.with_outbox(), ledger("1"));
    let post = Post::that(
        |entry, before| if entry.number() == 1 && before < 3 { Post::REFUSED } else { Post::TAKEN },
    );
    let last = store.append(&stream, notes(1..=3)).await.unwrap();
    store.settled(last.position).await;
    eventually("the first is parked", async || {
        publish(&store, &post).await;
        !store.outbox().parked().await.unwrap().is_empty()
    })
    .await;
    store.delete_stream(&stream).await.unwrap();
    let last = store.append(&stream, noted(4)).await.unwrap();
    store.settled(last.position).await;
    publish(&store, &post).await;
    assert_eq!(post.taken(), [0; 0]);
    let parked = store.outbox().parked().await.unwrap();
    store.outbox().replay(&parked[0]).await.unwrap();
    eventually("all are published", async || {
        publish(&store, &post).await;
        post.taken() == [1, 2, 3, 4]
    })
    .await;
    assert!(store.outbox().blocked().await.unwrap().is_empty());
}

pub(super) async fn clause_5_1_what_was_dropped_from_the_outbox_is_not_published_and_holds_up_nothing(
    subject: Subject,
) {
    let (store, stream) = (subject.with_outbox(), ledger("1"));
    let post = Post::that(|entry, _| if entry.number() == 1 { Post::REFUSED } else { Post::TAKEN });
    let last = store.append(&stream, notes(1..=3)).await.unwrap();
    store.settled(last.position).await;
    eventually("the first is parked", async || {
        publish(&store, &post).await;
        !store.outbox().parked().await.unwrap().is_empty()
    })
    .await;
    store.delete_stream(&stream).drop_outbox().await.unwrap();
    let last = store.append(&stream, notes([4, 5])).await.unwrap();
    store.settled(last.position).await;
    eventually("what came after is published", async || {
        publish(&store, &post).await;
        post.taken() == [4, 5]
    })
    .await;
    assert!(store.outbox().blocked().await.unwrap().is_empty());
}
