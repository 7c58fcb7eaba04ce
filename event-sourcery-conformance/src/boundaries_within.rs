//! Clause 17.5: boundaries together with what else an append depends on, and in transactions.

use event_sourcery::backend::{
    AppendOutcome, AppendRequest, Boundary, Expectation, NewRecord, ReadRecords, ReadRequest, Requirement,
    StreamAppend,
};
use event_sourcery::{Error, Query, QueryItem, Result, StreamId, TenantId};

use super::ledger::{Ledgers as _, Noted, delete_request, ledger, noted, record, tenant};
use super::steps::{Answer, Ending, Step};
use super::subject::Subject;
use super::tagging::{note, read, tag, tagged, with};

pub(super) async fn clause_17_5_boundaries_go_together_with_expected_versions_and_several_streams(
    subject: Subject,
) {
    let (store, [one, two, three]) = (subject.store(), [ledger("1"), ledger("2"), ledger("3")]);
    store.with_ledger(&two, 2).await;
    let (course, student) = (with(&["course:c1"]).into(), with(&["student:s1"]).into());
    let ((_, of_course), (_, of_student)) = (read(&store, &course).await, read(&store, &student).await);
    let append = |version: u64, required: u64| {
        let append = store.append(&one, tagged(1, &["course:c1"])).no_versioning();
        let append = append.and(&two, tagged(3, &["student:s1"])).expected_version(version);
        append.requires(&three, required).unless_moved(&of_course).unless_moved(&of_student)
    };
    assert_refused!(append(1, 0).await, Error::Conflict { stream, .. } if stream == two);
    assert_refused!(append(2, 1).await, Error::RequirementFailed { stream, .. } if stream == three);
    subject.holds(2).await;
    append(2, 0).await.unwrap();
    assert_eq!((read(&store, &course).await.0, read(&store, &student).await.0), (vec![1], vec![3]));

    // Everything else holds, and one of two boundaries has moved.
    let ((_, of_course), (_, of_student)) = (read(&store, &course).await, read(&store, &student).await);
    note(&store, 4, &["student:s1"]).await;
    let append = store.append(&one, noted(5)).no_versioning().unless_moved(&of_course);
    assert_refused!(
        append.unless_moved(&of_student).await,
        Error::BoundaryMoved { query, .. } if query == student
    );
    store.append(&one, noted(5)).no_versioning().unless_moved(&of_course).await.unwrap();
}

/// An append of a note with this tag to a stream of its own, unless the boundary has moved.
fn append(number: u64, text: &str, boundary: &Boundary) -> Step {
    let event = record(number).with_tags(vec![tag(text)]);
    let part = StreamAppend::new(StreamId::random(), Expectation::Version(0), vec![event]);
    let requirements = vec![Requirement::Boundary(boundary.clone())];
    Step::Append(AppendRequest::new(TenantId::DEFAULT, vec![part]).with_requirements(requirements))
}

fn read_step(query: &Query) -> Step {
    Step::Read(ReadRequest::new(TenantId::DEFAULT, query.clone()))
}

fn assert_written(answer: &Result<Answer>) {
    assert!(matches!(answer, Ok(Answer::Appended(AppendOutcome::Written(_)))), "{answer:?}");
}

fn assert_moved(answer: &Result<Answer>) {
    assert!(matches!(answer, Err(Error::BoundaryMoved { .. })), "{answer:?}");
}

#[track_caller]
fn records(answer: Result<Answer>) -> ReadRecords {
    match answer {
        Ok(Answer::Read(records)) => records,
        other => panic!("expected what was read, got {other:?}"),
    }
}

pub(super) async fn clause_17_5_a_transaction_reads_and_appends_by_boundaries(subject: Subject) {
    let (store, query) = (subject.store(), Query::from(with(&["course:c1"])));
    let (_, before) = read(&store, &query).await;
    let steps = vec![
        append(1, "course:c2", &before),
        read_step(&query),
        append(2, "course:c1", &before),
        // Its own event has moved it, and a refusal leaves the transaction usable.
        append(3, "course:c1", &before),
        read_step(&query),
    ];
    let mut answers = subject.transaction(steps, Ending::Commit).await.unwrap();
    assert_written(&answers[0]);
    assert_written(&answers[2]);
    assert_moved(&answers[3]);
    let last = records(answers.pop().unwrap());
    assert_eq!(last.records.len(), 1, "it sees what it has written");
    assert!(records(answers.swap_remove(1)).records.is_empty());
    assert_eq!(read(&store, &query).await.0, [2]);
    subject.holds(2).await;
    // What was read within is a boundary outside.
    store.append(&ledger("1"), tagged(4, &["course:c1"])).unless_moved(&last.boundary).await.unwrap();
    let answers = subject.transaction(vec![append(5, "course:c2", &last.boundary)], Ending::Commit).await;
    assert_moved(&answers.unwrap()[0]);
}

pub(super) async fn clause_17_5_nothing_of_a_failed_transaction_moves_a_boundary(subject: Subject) {
    let (store, query) = (subject.store(), Query::from(with(&["course:c1"])));
    let stream = note(&store, 1, &["course:c1"]).await;
    let (_, before) = read(&store, &query).await;
    for ending in [Ending::Fail, Ending::Panic] {
        let delete = Step::Delete(delete_request(&stream));
        let steps = vec![append(2, "course:c1", &before), delete, read_step(&query)];
        let mut answers = subject.transaction(steps, ending).await.unwrap();
        assert_written(&answers[0]);
        let within = records(answers.pop().unwrap());
        assert_eq!(within.records.len(), 1, "its own");
        assert_eq!(read(&store, &query).await.0, [1]);
    }
    store.append(&ledger("1"), tagged(3, &["course:c1"])).unless_moved(&before).await.unwrap();
    let of_another = ReadRequest::new(tenant("acme"), query.clone());
    let answers = subject.transaction(vec![Step::Read(of_another)], Ending::Commit).await.unwrap();
    for answer in answers {
        assert!(records(answer).records.is_empty());
    }
}

/// The stream is there again, below others. Once one of those is deleted, as many are gone as the transaction saw.
pub(super) async fn clause_17_5_what_was_read_behind_a_deletion_that_is_rolled_back_decides_nothing(
    subject: Subject,
) {
    let store = subject.store();
    let queries: [Query; 2] = [with(&["course:c1"]).into(), QueryItem::new().of::<Noted>().into()];
    for query in &queries {
        let stream = note(&store, 1, &["course:c1"]).await;
        let another = note(&store, 2, &["course:c1"]).await;
        note(&store, 3, &["course:c1"]).await;
        let steps = vec![Step::Delete(delete_request(&stream)), read_step(query)];
        let mut answers = subject.transaction(steps, Ending::Fail).await.unwrap();
        let within = records(answers.pop().unwrap());
        assert_eq!(within.records.len() + 1, read(&store, query).await.0.len(), "{query}");
        for others in 0..2 {
            if others == 1 {
                store.delete_stream(&another).await.unwrap();
            }
            let append = store.append(&ledger("1"), tagged(4, &["course:c1"])).no_versioning();
            let answer = append.unless_moved(&within.boundary).await;
            assert!(matches!(answer, Err(Error::BoundaryMoved { .. })), "{query}, {others}: {answer:?}");
        }
    }
}

/// An append of an event with these tags to a stream of its own.
fn write(event: &NewRecord, tags: &[&str]) -> Step {
    let event = event.clone().with_tags(tags.iter().map(|text| tag(text)).collect());
    let part = StreamAppend::new(StreamId::random(), Expectation::Version(0), vec![event]);
    Step::Append(AppendRequest::new(TenantId::DEFAULT, vec![part]))
}

/// What a transaction reads behind events of its own, before it fails.
async fn read_and_taken_back(
    subject: &Subject,
    writes: impl IntoIterator<Item = Step>,
    query: &Query,
) -> ReadRecords {
    let steps = writes.into_iter().chain([read_step(query)]).collect();
    let mut answers = subject.transaction(steps, Ending::Fail).await.unwrap();
    records(answers.pop().unwrap())
}

/// A store may give the positions again, and whoever makes a transaction again may have derived the ids from what they are about.
pub(super) async fn clause_17_5_what_was_read_of_ones_own_that_is_rolled_back_decides_nothing(
    subject: Subject,
) {
    let store = subject.store();
    let queries: [Query; 2] = [with(&["course:c1"]).into(), QueryItem::new().of::<Noted>().into()];
    let others: [&[&str]; 3] = [&[], &["course:c1"], &["course:c2"]];
    for (query, tags) in queries.iter().flat_map(|query| others.map(|tags| (query, tags))) {
        let (one, two) = (record(1), record(2));
        let writes = [&one, &two].map(|event| write(event, &["course:c1"]));
        let within = read_and_taken_back(&subject, writes, query).await;
        assert_eq!(within.records.len(), read(&store, query).await.0.len() + 2, "its own");
        if !tags.is_empty() {
            let again = [tagged(3, tags).with_id(one.id), tagged(4, tags).with_id(two.id)];
            store.append(&StreamId::random(), again).await.unwrap();
        }
        let answer = store.append(&StreamId::random(), noted(5)).unless_moved(&within.boundary).await;
        assert!(matches!(answer, Err(Error::BoundaryMoved { .. })), "{query}, {tags:?}: {answer:?}");
    }
}

pub(super) async fn clause_17_5_what_is_rolled_back_and_does_not_match_moves_no_boundary(subject: Subject) {
    let (store, query) = (subject.store(), with(&["course:c1", "student:s1"]).into());
    note(&store, 1, &["course:c1", "student:s1"]).await;
    let own: [&[&str]; 3] = [&["course:c1"], &["student:s1"], &["course:c2"]];
    for tags in own {
        let event = record(2);
        let within = read_and_taken_back(&subject, [write(&event, tags)], &query).await;
        assert_eq!(within.records.len(), 1);
        store.append(&StreamId::random(), tagged(3, &[]).with_id(event.id)).await.unwrap();
        store.append(&StreamId::random(), noted(4)).unless_moved(&within.boundary).await.unwrap();
        let append = store.append(&StreamId::random(), tagged(5, &["course:c1"]));
        append.unless_moved(&within.boundary).await.unwrap();
    }
    let within = read_and_taken_back(&subject, [write(&record(2), &["course:c1"])], &query).await;
    note(&store, 6, &["course:c1", "student:s1"]).await;
    let answer = store.append(&StreamId::random(), noted(7)).unless_moved(&within.boundary).await;
    assert!(matches!(answer, Err(Error::BoundaryMoved { .. })), "{answer:?}");
}
