//! Requests and answers can be made outside of the library: by those who write a backend, a tool on one, or a test of either.

use std::sync::Arc;
use std::time::Duration;

use event_sourcery::backend::{
    AppendOutcome, AppendRequest, Backend as _, Backlog, BacklogRequest, BlockedAt, BlockedRequest,
    BlockedStream, Capabilities, Cursor, CursorId, DeleteRequest, EventAt, EventTags, Expectation, Filter,
    ForgetRequest, HeldCursor, Kept, Lease, LoadRequest, LoadSink as _, LoadedStream, Member, NewRecord,
    PresenceRecord, Present, PresentEvent, ProgressRequest, RenewRequest, Requirement, ScanPage, ScanRequest,
    Scope, SegmentRecord, Segments, SnapshotRequest, Span, StateRequest, StoredEvent, StoredRecord,
    StreamAppend, StreamProgress, StreamRequirement, StreamState, SubscriptionBackend as _,
    SubscriptionChange, SubscriptionId, SubscriptionRecord, TagRequest, Written,
};
use event_sourcery::jiff::Timestamp;
use event_sourcery::uuid::Uuid;
use event_sourcery::{
    AppendPosition, Category, Error, Event as _, EventStore, MemoryBackend, Position, RawEvent, StreamId,
    TenantId,
};

fn record(id: Uuid) -> NewRecord {
    NewRecord::new(id, "Paid", r#"{"cents":1}"#.to_owned(), Timestamp::UNIX_EPOCH).with_schema_version(1)
}

fn acme() -> TenantId {
    TenantId::new("acme").unwrap()
}

/// An import, as a tool would write it: the events of another store, with their ids and times.
#[tokio::test]
async fn what_is_appended_on_the_backend_is_read_through_the_store() {
    let (backend, stream, other) = (MemoryBackend::new(), StreamId::random(), StreamId::random());
    let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
    let context = r#"{"correlation_id":"00000000-0000-0000-0000-000000000001"}"#.to_owned();
    let records = vec![record(first), record(second).with_context(context)];
    let part = StreamAppend::new(stream.clone(), Expectation::Version(0), records);
    let unchanged = Requirement::Stream(StreamRequirement::new(other, 0));
    let request = AppendRequest::new(acme(), vec![part]).with_requirements(vec![unchanged]);
    let AppendOutcome::Written(written) = backend.append(Arc::new(request)).await.unwrap() else {
        panic!("nothing was there before");
    };
    assert_eq!(written[0].first_version, Some(1));

    let store = EventStore::new(backend.clone()).for_tenant(acme());
    let events = store.load_stream::<RawEvent>(&stream).await.unwrap();
    assert_eq!(events.iter().map(|event| event.uuid).collect::<Vec<_>>(), [first, second]);
    assert_eq!(events[1].context.correlation_id(), Some(Uuid::from_u128(1)));

    let last = LoadRequest::new(acme(), stream.clone(), Span::Full).with_limit(1);
    assert!(backend.load(last).await.unwrap().has_more);
    let (whole, mut in_parts) =
        (LoadRequest::new(acme(), stream.clone(), Span::Full), LoadedStream::default());
    backend.load_in_parts(whole, &mut in_parts).await.unwrap();
    assert_eq!(in_parts.events.iter().map(|event| event.id).collect::<Vec<_>>(), [first, second]);
    let filter = Filter::new().with_tenant(acme()).with_names([Arc::<str>::from("Paid")]);
    let scan = ScanRequest::new(Position::START, 9).with_filter(filter.clone());
    let page = backend.scan(scan.with_up_to(written_up_to(&written))).await.unwrap();
    assert_eq!(page.records.len(), 2);
    let elsewhere = filter.with_category(Category::new("other").unwrap());
    let none = ScanRequest::new(Position::START, 9).with_filter(elsewhere);
    assert!(backend.scan(none).await.unwrap().records.is_empty());

    let snapshot = SnapshotRequest::new(acme(), stream.clone(), 2, record(Uuid::now_v7()));
    backend.save_snapshot(snapshot).await.unwrap();
    let state = StateRequest::new(
        acme(),
        stream.clone(),
        ("invoice", 1),
        EventAt::new(2, second),
        "{}".to_owned(),
        Timestamp::UNIX_EPOCH,
    );
    backend.save_state(state.with_made_of(Some(EventAt::new(1, first)))).await.unwrap();
    backend.forget_projector(ForgetRequest::new("totals".into()).with_tenant(acme())).await.unwrap();
    let tags = EventTags::new(written_up_to(&written), second, Vec::new());
    assert_eq!(backend.tag(TagRequest::new(acme(), vec![tags])).await.unwrap(), 0);
    backend.delete(DeleteRequest::new(acme(), stream.clone()).with_drop_outbox(true)).await.unwrap();
    assert!(store.load_stream::<RawEvent>(&stream).await.unwrap().is_empty());
}

fn written_up_to(written: &[Written]) -> Position {
    Position::from_i64(written[0].last_position.to_i64())
}

/// A subscription that is driven by hand.
#[tokio::test]
async fn a_subscription_is_kept_as_it_is_asked_for() {
    let (backend, member, stream) = (MemoryBackend::new(), Uuid::now_v7(), StreamId::random());
    let id = SubscriptionId::new(TenantId::DEFAULT, "letters");
    let store = EventStore::new(backend.clone());
    let event_id = Uuid::now_v7();
    let paid = RawEvent::new("Paid", "{}").unwrap().with_id(event_id);
    let appended = store.append(&stream, paid).await.unwrap();
    let kept = Kept::new(Scope::of(&Filter::new()), Position::START, Vec::new());
    let renew = RenewRequest::new(member, (1, Position::START), kept, Duration::from_secs(60))
        .with_reached(Vec::new())
        .with_members(Vec::new(), Vec::new());
    let change = SubscriptionChange::Renew(renew.clone());
    let record = backend.change_subscription(id.clone(), change).await.unwrap().unwrap();
    let (lease, _) = record.leases_of(member).next().unwrap();
    assert_eq!(Lease::new(lease.segment, lease.token), lease);

    let position = Position::from_i64(appended.position.to_i64());
    let at = BlockedAt::new(Position::START, position);
    let blocked = BlockedStream::new(TenantId::DEFAULT, stream.clone(), 0, at, Timestamp::UNIX_EPOCH)
        .with_attempts(3)
        .with_error("no such customer")
        .with_retry_at(Some(Timestamp::UNIX_EPOCH));
    let progress = ProgressRequest::new(id.clone())
        .with_leases(vec![lease])
        .with_position(position)
        .with_streams(vec![StreamProgress::Block(blocked.clone())]);
    backend.progress(progress).await.unwrap();

    let listed = BlockedRequest::new(id.clone())
        .with_segments(Segments::new(1, [0]))
        .with_stream(TenantId::DEFAULT, stream)
        .that_are_due()
        .with_page(Position::START, 1);
    let told = blocked.clone().with_event(Some(event_id), Some("Paid".into()));
    assert_eq!(backend.blocked_streams(listed.clone()).await.unwrap(), [told]);
    let without_errors = backend.blocked_streams(listed.without_errors()).await.unwrap();
    assert_eq!(without_errors, [blocked.with_error("")]);
    let backlog = backend.backlog(BacklogRequest::new(Position::START, Filter::new())).await.unwrap();
    assert_eq!(backlog, Backlog::new(1, backlog.oldest).with_cut_off(None));

    // It only keeps what it has.
    let without = backend.change_subscription(id, SubscriptionChange::Renew(renew.without_share())).await;
    assert_eq!(without.unwrap().unwrap().leases_of(member).count(), 1);
}

/// What a backend answers with, and what it keeps.
#[test]
fn a_backend_can_make_every_answer() {
    let (stream, id) = (StreamId::random(), Uuid::now_v7());
    let event =
        StoredEvent::new(Position::START, Some(1), id, "Paid".into(), "{}".into(), Timestamp::UNIX_EPOCH);
    assert_eq!((&*event.context, event.schema_version, &event.unreadable), ("{}", 1, &None));
    let event = event.with_context(r#"{"a":1}"#).with_schema_version(2).with_unreadable("half of it");
    let record = StoredRecord::new(stream.clone(), acme(), event.clone());
    let present = PresentEvent::new(record.clone(), Some(id));
    assert_eq!((present.record.event.schema_version, present.previous), (2, Some(id)));
    let page = ScanPage::new(vec![record], Position::from_i64(7), true);
    assert!(page.has_more && page.next == Position::from_i64(7));
    let mut loaded = LoadedStream::new(vec![event.clone()]).with_snapshot(Some(event.clone()));
    assert!(loaded.snapshot.is_some() && !loaded.has_more && loaded.last_version() == Some(1));
    loaded.take(LoadedStream::new(vec![event])).unwrap();
    assert_eq!(loaded.events.len(), 2);
    assert!(loaded.with_page(true, Some(Position::START)).has_more);
    assert_eq!(Written::new(None, AppendPosition::from_i64(3)).first_version, None);

    let (cursor, at) = (Cursor::new(3, Position::from_i64(9)), Some(Position::from_i64(9)));
    let held = HeldCursor::new(Some(cursor), at, None);
    assert_eq!((held.cursor, held.at_cursor, held.version), (Some(cursor), at, None));
    assert_eq!(CursorId::new("totals".into(), acme(), stream.clone()).stream, stream);
    assert_eq!(Present::new(Position::START, Vec::new()).above, []);

    let until = Timestamp::from_second(60).unwrap();
    let segment = SegmentRecord::new(Position::START, 4).with_member(Some(id), until);
    let member = Member::new(id, until, Duration::from_secs(1));
    assert_eq!(member.with_presence(Some(7)).renewed_at(until).until, Timestamp::from_second(61).unwrap());
    let presence = PresenceRecord::new(until, vec![id]).with_others(vec![(8, until)]);
    assert_eq!((presence.renewed, presence.members, presence.others), (until, vec![id], vec![(8, until)]));
    let record = SubscriptionRecord::new(vec![segment], vec![member], None);
    assert_eq!(record.leases_of(id).collect::<Vec<_>>(), [(Lease::new(0, 4), Position::START)]);
    assert_eq!(record.as_of(until).members, []);
}

/// What a later version adds is off until a backend claims it.
#[test]
fn a_backend_has_the_capabilities_that_it_claims_and_no_other() {
    let none = Capabilities::none();
    assert!(!(none.several_streams || none.transactions || none.durable || none.shared));
    let one = none.durable();
    assert!(one.durable && !(one.several_streams || one.transactions || one.shared));
    let all = none.several_streams().transactions().durable().shared().presences();
    assert!(all.several_streams && all.transactions && all.durable && all.shared);
    assert!(all.presences && !one.presences);
}

/// A hole in versions is where an append says so, and the memory backend has none.
#[tokio::test]
async fn an_append_leaves_versions_out_where_it_is_told_to() {
    let events = || vec![record(Uuid::now_v7())];
    let part = || StreamAppend::new(StreamId::random(), Expectation::Version(3), events());
    assert_eq!((part().first(), part().with_first_version(7).first()), (Some(4), Some(7)));
    assert_eq!(part().with_first_version(7).check(StreamState::Versioned(3)).unwrap(), Some(7));
    let last = part().with_first_version(StreamAppend::HIGHEST_VERSION);
    assert!(last.has_room() && !part().with_first_version(StreamAppend::HIGHEST_VERSION + 1).has_room());
    let request = AppendRequest::new(acme(), vec![part().with_first_version(7)]);
    let refused = MemoryBackend::new().append(request.into()).await;
    assert!(matches!(refused, Err(Error::Unsupported { .. })), "{refused:?}");
}
