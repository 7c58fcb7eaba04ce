//! The directory is built by those who search: what of it, by whom, and what becomes of a search where it cannot be.

use super::*;

#[tokio::test]
async fn a_few_missing_blocks_are_not_listed_and_more_are() {
    let file = File::create().await;
    file.store().append(&StreamId::random(), RawEvent::new("First", "{}").unwrap()).await.unwrap();
    file.scatter(16 * BLOCK);
    file.backend.backlog(BacklogRequest::new(Position::START, named(&["Rare"]))).await.unwrap();
    assert_eq!(file.mark(), 0);
    file.scatter(BLOCK);
    file.backend.backlog(BacklogRequest::new(Position::START, named(&[]))).await.unwrap();
    assert_eq!(file.mark(), 0);
    file.backend.backlog(BacklogRequest::new(Position::START, named(&["Rare"]))).await.unwrap();
    assert_eq!(file.mark(), file.number("SELECT (seq + 1) / 1024 FROM sqlite_sequence"));
    file.assert_complete_below_the_mark();
}

#[tokio::test]
async fn blocks_with_very_many_names_are_listed_in_smaller_parts() {
    let file = File::filled().await;
    file.sql.execute("UPDATE event_sourcery_events SET name = 'No' || id WHERE name <> 'Rare'", []).unwrap();
    file.sql.execute("UPDATE event_sourcery_events SET name = x'ff00' WHERE id % 7 = 0", []).unwrap();
    file.scatter(200 * BLOCK);
    file.sql.execute("UPDATE event_sourcery_events SET name = 'No' || id WHERE id % 2 = 0", []).unwrap();
    // One whose name is no text may be any.
    let rare = "SELECT count(*) FROM event_sourcery_events WHERE name = 'Rare' OR typeof(name) = 'blob'";
    let rare = file.number(rare);
    for _ in 0..2 {
        let backlog =
            file.backend.backlog(BacklogRequest::new(Position::START, named(&["Rare"]))).await.unwrap();
        assert_eq!(backlog.events, rare.unsigned_abs());
    }
    // A few blocks at the end may be missing: then they are looked through.
    let missing = file.number("SELECT (seq + 1) / 1024 FROM sqlite_sequence") - file.mark();
    assert!((0..=16).contains(&missing), "{missing} blocks are not listed");
}

/// Before the directory is built, and after that.
#[tokio::test]
async fn an_event_whose_name_is_no_text_is_found_by_the_directory_whatever_is_asked_for() {
    let file = File::filled().await;
    let first = |name: &str| {
        format!("(SELECT id FROM event_sourcery_events WHERE name = '{name}' ORDER BY id LIMIT 1)")
    };
    let found = async |names: &[&str]| {
        let search = Search::for_page(Position::START, None, named(names), 10_000);
        let search = Search { near: 0, patience: None, few: 0, ..search };
        file.backend.search(search).await.unwrap().page().records.len()
    };
    let spoil = |name: &str| {
        let spoil = format!("UPDATE event_sourcery_events SET name = x'ff00' WHERE id = {}", first(name));
        file.sql.execute(&spoil, []).unwrap()
    };
    let many: Vec<_> = (0..30).map(|number| format!("No{number}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert_eq!(spoil("Mid"), 1);
    for names in [&["None"][..], &["None", "Neither"], &many] {
        assert_eq!(found(names).await, 1, "{names:?}");
    }
    assert!(file.mark() > 0, "it is built by now");
    assert_eq!(spoil("Rare"), 1);
    let rare = file.number("SELECT count(*) FROM event_sourcery_events WHERE name = 'Rare'");
    assert_eq!(found(&["Rare"]).await, usize::try_from(rare).unwrap() + 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_directory_built_by_two_handles_while_both_append_lacks_nothing() {
    let file = File::create().await;
    let handles = [file.backend.clone(), file.options().open().await.unwrap()];
    let appending = handles.iter().map(|backend| {
        let store = EventStore::new(backend.clone());
        tokio::spawn(async move {
            for _ in 0..60 {
                let mut names = vec!["Dense"; 500];
                names[fastrand::usize(..500)] = "Rare";
                let events = names.into_iter().map(|name| RawEvent::new(name, "{}").unwrap());
                store.append(&StreamId::random(), events.collect::<Vec<_>>()).await.unwrap();
            }
        })
    });
    let appending: Vec<_> = appending.collect();
    let searching = handles.iter().chain(&handles).map(|backend| {
        let backend = backend.clone();
        tokio::spawn(async move {
            let mut found = Vec::new();
            let mut after = Position::START;
            while found.len() < 120 {
                let search = Search::for_page(after, None, named(&["Rare"]), 7);
                let page = backend.search(search).await.unwrap().page();
                found.extend(positions(&page.records));
                after = page.next;
                let all = Search::for_page(Position::START, Some(after), named(&["Rare"]), usize::MAX / 16);
                let again = backend.search(Search { near: 0, patience: None, ..all }).await.unwrap().page();
                assert_eq!(positions(&again.records), found);
            }
            found
        })
    });
    let searching: Vec<_> = searching.collect();
    for appending in appending {
        appending.await.unwrap();
    }
    for searching in searching {
        let found = tokio::time::timeout(Duration::from_secs(60), searching).await.unwrap().unwrap();
        assert!(found.len() == 120 && found.is_sorted());
    }
    file.backend.backlog(BacklogRequest::new(Position::START, named(&["Rare"]))).await.unwrap();
    assert!(file.mark() > 40);
    file.assert_complete_below_the_mark();
}

#[tokio::test]
async fn a_store_that_cannot_be_written_is_searched_all_the_same() {
    let file = File::filled().await;
    let all = file.all().await;
    let rare: Vec<_> = all.iter().filter(|record| &*record.event.name == "Rare").collect();
    let expected = positions(rare);
    let read_only = file.options().read_only(true).open().await.unwrap();
    let busy = file.options().busy_timeout(Duration::from_millis(10)).open().await.unwrap();
    file.sql.execute_batch("BEGIN IMMEDIATE").unwrap();
    for block in [0, 20] {
        for backend in [&read_only, &busy] {
            let search = Search::for_page(Position::START, None, named(&["Rare"]), expected.len());
            let page = backend.search(Search { near: 0, patience: None, ..search }).await.unwrap().page();
            assert_eq!(positions(&page.records), expected);
            let backlog =
                backend.backlog(BacklogRequest::new(Position::START, named(&["Rare"]))).await.unwrap();
            assert_eq!(backlog.events, expected.len() as u64);
            assert_eq!(file.mark(), block);
        }
        file.sql.execute_batch("ROLLBACK").unwrap();
        file.backend.backlog(BacklogRequest::new(Position::START, named(&["Rare"]))).await.unwrap();
        file.cut_back_to(20);
        file.sql.execute_batch("BEGIN IMMEDIATE").unwrap();
    }
}

#[tokio::test]
async fn a_full_disk_is_no_error_of_a_search() {
    let (vfs, folder) = (faulty_vfs::FaultyVfs::register("directory"), TempDir::new().unwrap());
    let options = SqliteOptions::new(folder.path().join("events.db")).vfs(vfs.name());
    let backend = options.open().await.unwrap();
    let store = EventStore::new(backend.clone());
    for name in ["Rare", "Dense"].into_iter().cycle().take(20) {
        let events: Vec<_> = (0..1_000).map(|_| RawEvent::new(name, "{}").unwrap()).collect();
        store.append(&StreamId::random(), events).await.unwrap();
    }
    vfs.fail_writes_from(1, faulty_vfs::Fault::DiskFull);
    let backlog = backend.backlog(BacklogRequest::new(Position::START, named(&["Rare"]))).await.unwrap();
    assert_eq!(backlog.events, 10_000);
    vfs.heal();
    store.append(&StreamId::random(), RawEvent::new("Rare", "{}").unwrap()).await.unwrap();
    assert_eq!(
        backend.backlog(BacklogRequest::new(Position::START, named(&["Rare"]))).await.unwrap().events,
        10_001
    );
}

#[tokio::test]
async fn events_that_were_made_anew_are_listed_anew() {
    let file = File::filled().await;
    file.backend.backlog(BacklogRequest::new(Position::START, named(&["Rare"]))).await.unwrap();
    assert!(file.mark() >= 40);
    let File { folder, backend, sql } = file;
    drop(backend);
    sql.execute_batch("DROP TABLE event_sourcery_events").unwrap();
    drop(sql);
    let backend = SqliteBackend::open(folder.path().join("events.db")).await.unwrap();
    let event = RawEvent::new("Early", "{}").unwrap();
    EventStore::new(backend.clone()).append(&StreamId::random(), event).await.unwrap();
    assert_eq!(
        backend.backlog(BacklogRequest::new(Position::START, named(&["Early"]))).await.unwrap().events,
        1
    );
}

/// Somebody has numbered the events as he liked.
#[tokio::test]
async fn a_hole_of_any_length_takes_no_longer_than_none() {
    let file = File::filled().await;
    for _ in 0..2 {
        file.sql.execute("UPDATE sqlite_sequence SET seq = seq + 1000000000000", []).unwrap();
        file.scatter(40 * BLOCK);
    }
    let all = file.all().await;
    for names in [&["Rare"][..], &["None"], &["Mid", "Rare"]] {
        let expected = positions(all.iter().filter(|record| names.contains(&&*record.event.name)));
        for _ in 0..2 {
            let backlog =
                file.backend.backlog(BacklogRequest::new(Position::START, named(names))).await.unwrap();
            assert_eq!(backlog.events, expected.len() as u64, "{names:?}");
            let pages = file.pages(named(names), Duration::MAX).await;
            assert_eq!(positions(pages.iter().flat_map(|page| &page.records)), expected, "{names:?}");
        }
    }
    let complete = file.number("SELECT (seq + 1) / 1024 FROM sqlite_sequence");
    assert!((complete - 16..=complete).contains(&file.mark()));
    file.assert_complete_below_the_mark();
}

/// Somebody has set the mark as he liked: what it says of the events is then wrong, and nothing worse.
#[tokio::test]
async fn a_mark_of_any_number_panics_nowhere() {
    let file = File::filled().await;
    file.backend.backlog(BacklogRequest::new(Position::START, named(&["Rare"]))).await.unwrap();
    for mark in [i64::MAX, i64::MIN] {
        file.sql.execute("UPDATE event_sourcery_event_blocks_mark SET block = ?1", [mark]).unwrap();
        file.backend.backlog(BacklogRequest::new(Position::START, named(&["Rare"]))).await.unwrap();
        file.pages(named(&["None"]), Duration::MAX).await;
    }
}
