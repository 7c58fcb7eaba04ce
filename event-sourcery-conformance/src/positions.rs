//! Clause 4: positions in the whole store.

use std::sync::Arc;

use event_sourcery::backend::{Backend as _, Filter, ScanRequest, Segments, StoredRecord};
use event_sourcery::{AppendPosition, Error, EventStore, Position, RawEvent};
use futures_util::future::join_all;

use super::ledger::{Ledgers as _, category, ledger, noted, notes, number, scan_request, tenant};
use super::subject::Subject;

pub(super) async fn clause_4_1_positions_only_grow(subject: Subject) {
    let store = subject.store();
    let mut last = AppendPosition::from_i64(Position::START.to_i64());
    for number in 0..20 {
        let stream = ledger(&(number % 3).to_string());
        let length = store.versions(&stream).await.len() as u64;
        let appended = store.append(&stream, notes([number, number])).expected_version(length).await.unwrap();
        assert!(appended.position > last);
        last = appended.position;
        // A refused append in between must not turn anything back.
        assert_refused!(store.append(&stream, noted(0)).await, Error::Conflict { .. });
    }
    let positions: Vec<_> = store.records(last).await.iter().map(|record| record.position).collect();
    assert!(positions.windows(2).all(|pair| pair[0] < pair[1]), "{positions:?}");
    assert_eq!(positions.len(), 40);
}

pub(super) async fn clause_4_1_the_positions_of_a_deleted_newest_stream_are_not_reused(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    for _ in 0..3 {
        let deleted = store.with_ledger(&stream, 3).await;
        store.settled(deleted.position).await;
        let before = store.position().await.unwrap();
        store.delete_stream(&stream).await.unwrap();
        assert!(store.position().await.unwrap() >= before);
        let anew = store.append(&stream, noted(1)).await.unwrap();
        assert!(anew.position > deleted.position, "{anew:?} after {deleted:?}");
        store.settled(anew.position).await;
        assert_eq!(store.records_after(before).await.len(), 1);
        store.delete_stream(&stream).await.unwrap();
    }
}

pub(super) async fn clause_4_3_within_a_stream_position_order_is_version_order(subject: Subject) {
    let (store, another) = (subject.store(), subject.another_store().await);
    let streams = [ledger("1"), ledger("2")];
    let writers = (0..8).map(|writer| {
        let (store, stream) = ([&store, &another][writer % 2].clone(), streams[writer / 4].clone());
        tokio::spawn(async move {
            for _ in 0..4 {
                append_at_the_end(&store, &stream).await;
            }
        })
    });
    for writer in join_all(writers).await {
        writer.unwrap();
    }
    let last = store.append(&ledger("last"), noted(0)).await.unwrap();
    let records = store.records(last.position).await;
    for stream in &streams {
        let versions: Vec<_> = records
            .iter()
            .filter(|record| record.stream_id == *stream)
            .map(|record| record.wrapped_event.version.unwrap())
            .collect();
        assert_eq!(versions, (1..=32).collect::<Vec<_>>());
    }
}

/// Appends two events behind whatever others append, trying again for each that was faster.
async fn append_at_the_end(store: &EventStore, stream: &event_sourcery::StreamId) {
    loop {
        let version = store.versions(stream).await.len() as u64;
        match store.append(stream, notes([1, 2])).expected_version(version).await {
            Ok(_) => return,
            Err(Error::Conflict { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

pub(super) async fn clause_4_5_the_position_of_an_empty_store_is_zero(subject: Subject) {
    let store = subject.store();
    assert_eq!(store.position().await.unwrap(), Position::START);
    assert_eq!(Position::START.to_i64(), 0);
    assert!(store.records_after(Position::START).await.is_empty());
}

pub(super) async fn clause_4_5_the_position_is_that_of_the_newest_settled_event(subject: Subject) {
    let (store, another) = (subject.store(), subject.another_store().await);
    for number in 1..=5 {
        let appended = store.append(&ledger(&number.to_string()), notes([1, 2])).await.unwrap();
        for handle in [&store, &another] {
            handle.settled(appended.position).await;
            let position = handle.position().await.unwrap();
            assert_eq!(handle.records_after(position).await.len(), 0);
            let records = handle.records_after(Position::START).await;
            assert_eq!(records.len() as u64, number * 2);
            assert!(records.iter().all(|record| record.position <= position));
        }
    }
}

pub(super) async fn clause_4_1_a_position_handed_out_stays_the_events_position(subject: Subject) {
    let (store, kept, gone) = (subject.store(), ledger("kept"), ledger("gone"));
    store.with_ledger(&gone, 2).await;
    let first = store.with_ledger(&kept, 2).await;
    let before: Vec<_> = store.records(first.position).await.split_off(2);
    store.delete_stream(&gone).await.unwrap();
    let last = store.with_ledger(&gone, 2).await;
    assert_eq!(store.records(last.position).await[..2], before);
}

pub(super) async fn clause_4_2_a_scan_reads_on_from_any_position_in_pages_of_any_size(subject: Subject) {
    let store = subject.store();
    let last = store.with_ledger(&ledger("1"), 9).await;
    let all = store.records(last.position).await;
    for limit in [1, 2, 4, 9, 100] {
        for (seen, start) in
            std::iter::once(Position::START).chain(all.iter().map(|record| record.position)).enumerate()
        {
            let mut after = start;
            let mut ids = Vec::new();
            loop {
                let page = subject.backend().scan(scan_request(after, limit)).await.unwrap();
                assert!(page.records.len() <= limit);
                assert!(page.next >= page.records.last().map_or(after, |last| last.event.position));
                assert!(!page.has_more || page.next > after, "a page that has more gets ahead");
                ids.extend(page.records.iter().map(|record| record.event.id));
                after = page.next;
                if !page.has_more {
                    break;
                }
            }
            let expected: Vec<_> = all[seen..].iter().map(|record| record.wrapped_event.uuid).collect();
            assert_eq!(ids, expected, "from {start:?} by {limit}");
        }
    }
}

pub(super) async fn clause_4_7_a_position_beyond_the_end_is_refused_with_the_numbers(subject: Subject) {
    let store = subject.store();
    let last = store.with_ledger(&ledger("1"), 2).await;
    store.settled(last.position).await;
    let settled = store.position().await.unwrap();
    let beyond = Position::from_i64(settled.to_i64() + 1_000_000);
    let named = |refused: Result<Option<_>, Error>| match refused {
        Err(Error::BeyondEnd { position, end }) => assert_eq!((position, end), (beyond, settled)),
        other => panic!("{:?}", other.map(|found| found.is_some())),
    };
    named(store.read_all::<RawEvent>().after(beyond).stream().try_next().await.map(|found| found.map(drop)));
    for category in [None, Some(category("red"))] {
        let subscription = store.subscribe::<RawEvent>().after(beyond);
        let subscription = match category {
            Some(category) => subscription.category(category),
            None => subscription,
        };
        named(subscription.stream().try_next().await.map(|found| found.map(drop)));
    }
    let mut at_the_end = store.read_all::<RawEvent>().after(settled).stream();
    assert!(at_the_end.try_next().await.unwrap().is_none(), "the end itself is a place to read on from");
}

pub(super) async fn clause_4_2_pages_of_a_filter_that_nothing_passes_move_on_to_the_end(subject: Subject) {
    let store = subject.store();
    let last = store.with_ledger(&ledger("1"), 300).await;
    store.settled(last.position).await;
    let nothing = [
        Filter::new().with_category(category("grey")),
        Filter::new().with_tenant(tenant("nobody")),
        Filter::new().with_names([Arc::<str>::from("unheard of")]),
        Filter::new().with_names(Vec::<Arc<str>>::new()),
        Filter::new().with_segments(Segments::new(4, [])),
    ];
    for filter in nothing {
        let mut after = Position::START;
        loop {
            let request = ScanRequest::new(after, 1).with_filter(filter.clone());
            let page = subject.backend().scan(request).await.unwrap();
            assert!(page.records.is_empty());
            assert!(page.next > after || !page.has_more && page.next == after, "a page moves on: {page:?}");
            after = page.next;
            if !page.has_more {
                break;
            }
        }
        assert!(last.position.is_covered_by(after), "it comes to the end: {filter:?}");
    }
}

pub(super) async fn clause_4_2_a_page_up_to_a_position_that_was_never_given_has_what_is_there(
    subject: Subject,
) {
    let store = subject.store();
    let last = store.with_ledger(&ledger("1"), 3).await;
    store.settled(last.position).await;
    let at = |distance: i64| Position::from_i64(last.position.to_i64() + distance);
    for (after, up_to, found) in [(-1, 1, 1), (-1, 1_000, 1), (0, 1, 0), (1, 2, 0), (1_000, 1_001, 0)] {
        let (after, up_to) = (at(after), at(up_to));
        let page = subject.backend().scan(ScanRequest::new(after, 10).with_up_to(up_to)).await.unwrap();
        assert_eq!(page.records.len(), found, "above {after}, up to {up_to}");
    }
}

pub(super) async fn clause_4_2_a_filtered_scan_moves_past_what_it_leaves_out(subject: Subject) {
    let (store, red) = (subject.store(), ledger("1").in_category("red").unwrap());
    store.append(&red, notes([1, 2])).await.unwrap();
    store.for_tenant(tenant("acme")).append(&red, notes([3])).await.unwrap();
    store.append(&ledger("1"), (notes([4, 5]), RawEvent::new("erased", "{}").unwrap())).await.unwrap();
    let last = store.append(&ledger("2"), noted(6)).await.unwrap();
    store.settled(last.position).await;

    let scan = async |filter: Filter| {
        let request = ScanRequest::new(Position::START, 100).with_filter(filter);
        let page = subject.backend().scan(request).await.unwrap();
        assert!(last.position.is_covered_by(page.next), "the next scan starts at the end");
        let version = |record: StoredRecord| (record.event.name.to_string(), record.event.data.to_string());
        page.records.into_iter().map(version).map(|(name, data)| format!("{name} {data}")).collect::<Vec<_>>()
    };
    let only = Filter::new;
    assert_eq!(scan(only()).await.len(), 7);
    assert_eq!(scan(only().with_category(category("red"))).await.len(), 3);
    assert_eq!(scan(only().with_category(category("blue"))).await.len(), 0);
    assert_eq!(scan(only().with_tenant(tenant("acme"))).await.len(), 1);
    assert_eq!(scan(only().with_tenant(event_sourcery::TenantId::DEFAULT)).await.len(), 6);
    let named = |names: &[&str]| {
        only().with_names(names.iter().map(|name| Arc::from(*name)).collect::<Vec<Arc<str>>>())
    };
    assert_eq!(scan(named(&["erased"])).await.len(), 1);
    assert_eq!(scan(named(&["noted", "erased"])).await.len(), 7);
    assert_eq!(scan(named(&[])).await.len(), 0);
    let all_three = named(&["noted"]).with_tenant(tenant("acme")).with_category(category("red"));
    assert_eq!(scan(all_three).await.len(), 1);
}

pub(super) async fn clause_4_2_read_all_sees_what_its_type_decodes(subject: Subject) {
    let store = subject.store();
    let last = store
        .append(&ledger("1"), (noted(1), RawEvent::new("erased", "{}").unwrap(), noted(2)))
        .await
        .unwrap();
    store.settled(last.position).await;
    let mut events = store.read_all::<super::ledger::Noted>().stream();
    let mut read = Vec::new();
    while let Some(record) = events.try_next().await.unwrap() {
        read.push(record.wrapped_event.event.number);
    }
    assert_eq!(read, [1, 2]);

    let red = ledger("1").in_category("red").unwrap();
    let last = store.append(&red, noted(3)).await.unwrap();
    store.settled(last.position).await;
    let mut events = store.read_all::<RawEvent>().category(category("red")).stream();
    assert_eq!(number(&events.try_next().await.unwrap().unwrap()), 3);
    assert!(events.try_next().await.unwrap().is_none());
}

pub(super) async fn clause_4_2_read_all_reads_more_than_a_page(subject: Subject) {
    let store = subject.store();
    store.with_ledger(&ledger("1"), 700).await;
    let last = store.with_ledger(&ledger("2"), 700).await;
    let records = store.records(last.position).await;
    assert_eq!(records.len(), 1_400);
    let middle = records[699].position;
    assert_eq!(store.records_after(middle).await, records[700..]);
}
