//! Clause 17.7: events that are stored already are tagged, and boundaries that were read before refuse rather than hold wrongly.

use event_sourcery::backend::{EventTags, TagRequest};
use event_sourcery::testing::Fault;
use event_sourcery::{
    Boundary, Error, Event as _, EventStore, Position, Query, QueryItem, Recorded, Result, StreamId, Tag,
    TenantId,
};
use uuid::Uuid;

use super::copying::given_up;
use super::ledger::{Ledgers as _, Noted, ledger, noted, notes, tenant};
use super::subject::Subject;
use super::tagging::{read, tag, tagged, with};

/// Appends a note with these tags to a stream of its own, and waits until it is settled.
async fn note(store: &EventStore, number: u64, tags: &[&str]) {
    let appended = store.append(&StreamId::random(), tagged(number, tags)).await.unwrap();
    store.settled(appended.position).await;
}

/// Whether its number is odd, as a tag.
fn by_number(recorded: &Recorded<Noted>) -> Result<Vec<Tag>> {
    Ok(vec![Tag::new("odd", recorded.event().number % 2)?])
}

/// How many notes have the tag that they are to have, and how many there are.
async fn counted(store: &EventStore) -> (usize, usize) {
    let (even, _) = read(store, &with(&["odd:0"]).into()).await;
    let (odd, _) = read(store, &with(&["odd:1"]).into()).await;
    assert!(even.iter().all(|number| number % 2 == 0) && odd.iter().all(|number| number % 2 == 1));
    (even.len() + odd.len(), read(store, &QueryItem::new().of::<Noted>().into()).await.0.len())
}

async fn holds(store: &EventStore, boundary: &Boundary) -> bool {
    match store.append(&StreamId::random(), noted(0)).unless_moved(boundary).await {
        Ok(_) => true,
        refused => {
            assert_refused!(refused, Error::BoundaryMoved { .. });
            false
        }
    }
}

pub(super) async fn clause_17_7_what_is_stored_is_tagged_and_boundaries_before_that_refuse(subject: Subject) {
    let store = subject.store();
    // So the tag that the event has is the rarer one of the two that are asked for.
    for number in 0..3 {
        note(&store, number, &["course:c1"]).await;
    }
    note(&store, 7, &["student:s1"]).await;
    note(&store, 8, &[]).await;
    let both = Query::from(with(&["course:c1", "student:s1"]));
    let (unheard, of_student) = (Query::from(with(&["course:c2"])), Query::from(with(&["student:s1"])));
    let mut before = Vec::new();
    for query in [&both, &unheard] {
        let (numbers, boundary) = read(&store, query).await;
        assert!(numbers.is_empty());
        before.push(boundary);
    }
    let (_, of_student_before) = read(&store, &of_student).await;
    let run = || {
        store.tag_stored::<Noted>().by(|recorded| {
            Ok(match recorded.event().number {
                7 => vec![tag("course:c1")],
                8 => vec![tag("course:c2"), tag("student:s2")],
                _ => vec![],
            })
        })
    };
    assert_eq!(run().await.unwrap().events, 2);
    for (query, number) in [(&both, 7), (&unheard, 8)] {
        let found = store.read::<Noted>(query).await.unwrap().events;
        assert_eq!((found.len(), found[0].event().number, found[0].wrapped_event.tags.len()), (1, number, 2));
    }
    for boundary in &before {
        assert!(!holds(&store, boundary).await, "{}: it stands below what was seen", boundary.query());
    }
    // It was there before, and may be refused all the same.
    holds(&store, &of_student_before).await;

    // What was read since is exact, and another run changes nothing.
    let ((_, after), (_, of_student)) = (read(&store, &both).await, read(&store, &of_student).await);
    assert_eq!(run().await.unwrap().events, 0);
    assert!(holds(&store, &after).await && holds(&store, &of_student).await);
    note(&store, 9, &["student:s1", "course:c1"]).await;
    assert!(!holds(&store, &after).await && !holds(&store, &of_student).await);
}

pub(super) async fn clause_17_7_tagging_that_is_killed_at_any_call_goes_on_where_it_was(subject: Subject) {
    let (store, faulty) = (subject.store(), subject.faulty());
    store.append(&ledger("1"), notes(0..600)).await.unwrap();
    let last = store.for_tenant(tenant("acme")).append(&ledger("1"), notes(0..3)).await.unwrap();
    store.settled(last.position).await;
    // Each one comes a call further than the one before it, at least.
    for nth in 1.. {
        faulty.backend().fail(nth, if nth % 2 == 0 { Fault::Before } else { Fault::After });
        match faulty.tag_stored::<Noted>().by(by_number).await {
            Ok(_) => break,
            Err(Error::Backend { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(counted(&store).await, (600, 600));
    assert_eq!(counted(&store.for_tenant(tenant("acme"))).await, (3, 3));

    let last = store.append(&ledger("2"), notes(0..600)).await.unwrap();
    store.settled(last.position).await;
    let mut reached = Position::START;
    let first = store.tag_stored::<Noted>().by(by_number).on_progress(|tagged| reached = tagged.up_to);
    drop(given_up(first.into_future(), 3).await);
    let mut times = 1;
    loop {
        let rest = store.tag_stored::<Noted>().by(by_number).after(reached);
        if given_up(rest.into_future(), times).await.is_some() {
            break;
        }
        times += times;
    }
    assert_eq!(counted(&store).await, (1_200, 1_200));
    assert_eq!(store.tag_stored::<Noted>().by(by_number).await.unwrap().events, 0);
}

pub(super) async fn clause_17_7_others_append_and_delete_while_it_is_tagged(subject: Subject) {
    let (store, other) = (subject.store(), subject.another_store().await);
    let streams: Vec<_> = (0..20).map(|number| ledger(&number.to_string())).collect();
    for stream in &streams {
        store.append(stream, notes(0..10)).await.unwrap();
    }
    let writing = tokio::spawn(async move {
        for (number, stream) in (0..).zip(&streams) {
            other.append(&StreamId::random(), tagged(2 * number, &["odd:0"])).await.unwrap();
            while let Err(error) = other.delete_stream(stream).await {
                assert!(error.is_retryable(), "{error}");
            }
            if number % 2 == 0 {
                other.append(stream, notes(0..4)).await.unwrap();
            }
        }
        other.append(&StreamId::random(), noted(1)).await.unwrap()
    });
    while !writing.is_finished() {
        store.tag_stored::<Noted>().by(by_number).await.unwrap();
        tokio::task::yield_now().await;
    }
    store.settled(writing.await.unwrap().position).await;
    store.tag_stored::<Noted>().by(by_number).await.unwrap();
    assert_eq!(counted(&store).await, (61, 61));
    let (_, boundary) = read(&store, &with(&["odd:1"]).into()).await;
    assert!(holds(&store, &boundary).await);
}

pub(super) async fn clause_17_7_what_is_gone_or_anothers_is_not_tagged(subject: Subject) {
    let (store, stream, id) = (subject.store(), ledger("1"), Uuid::now_v7());
    let gone = store.append(&stream, noted(1).with_id(id)).await.unwrap();
    let gone = store.records(gone.position).await.remove(0).position;
    store.delete_stream(&stream).await.unwrap();
    // Made anew, with the same id.
    let there = store.append(&stream, noted(2).with_id(id)).await.unwrap();
    let there = store.records(there.position).await.remove(0).position;
    let course = Query::from(with(&["course:c1"]));
    let asked = async |of: TenantId, position, id| {
        let events = vec![EventTags::new(position, id, vec![tag("course:c1")])];
        subject.backend().tag(TagRequest::new(of, events)).await.unwrap()
    };
    assert_eq!(asked(TenantId::DEFAULT, gone, id).await, 0);
    assert_eq!(asked(TenantId::DEFAULT, there, Uuid::now_v7()).await, 0);
    assert_eq!(asked(tenant("acme"), there, id).await, 0);
    assert!(read(&store, &course).await.0.is_empty());
    assert_eq!(asked(TenantId::DEFAULT, there, id).await, 1);
    assert_eq!(read(&store, &course).await.0, [2]);
}
