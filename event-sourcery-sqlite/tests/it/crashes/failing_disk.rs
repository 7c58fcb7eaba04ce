//! A disk that is full, or fails, at every write and every sync of a run, while the process goes on.

use event_sourcery::{Error, EventStore};
use event_sourcery_conformance::history::{Acknowledged, Flaw};
use event_sourcery_sqlite::{SqliteBackend, SqliteOptions};
use faulty_vfs::{Fault, FaultyVfs, Survivors};
use tempfile::TempDir;
use uuid::Uuid;

use crate::appender::{Appender, Kind, Refused, checkpoint_every, make_own_table, own_error};
use crate::held_writer::together;
use crate::survived::{Survived, examine};

type Answer = Result<Acknowledged, Refused>;

/// What came of failing everywhere.
#[derive(Debug, Default)]
struct Figures {
    faults: u64,
    acknowledged: usize,
    refused: usize,
    groups_refused: usize,
}

async fn open(vfs: FaultyVfs, folder: &TempDir) -> EventStore<SqliteBackend> {
    let options = SqliteOptions::new(folder.path().join("events.db")).vfs(vfs.name());
    let store = EventStore::new(options.open().await.unwrap());
    checkpoint_every(&store, 16).await.unwrap();
    make_own_table(&store).await.unwrap();
    store
}

/// Appends alone in every way, then in a group, then alone again.
async fn append(store: &EventStore<SqliteBackend>, figures: &mut Figures) -> Vec<Answer> {
    let (mut alone, mut answers) = (Appender::new(store), Vec::new());
    for kind in Kind::ALL {
        answers.push(alone.append(kind).await);
    }
    let mut members: Vec<_> = (0..8).map(|_| Appender::new(store).padded(2_000)).collect();
    let calls = members.iter_mut().zip(Kind::GROUPED.into_iter().cycle());
    let group = together(store, calls.map(|(member, kind)| member.append(kind))).await;
    let refused = group.iter().filter(|answer| answer.is_err()).count();
    assert!(refused == 0 || refused == group.len(), "members of one transaction fail together: {group:?}");
    figures.groups_refused += usize::from(refused > 0);
    answers.extend(group);
    for kind in [Kind::WithOwnRow, Kind::Several] {
        answers.push(alone.append(kind).await);
    }
    answers
}

/// Lets the run's n-th call fail, for every n, and checks each time that what was acknowledged is there, what was
/// refused is not, and that the store works on without being opened anew.
async fn fail_everywhere(
    vfs: FaultyVfs,
    arm: impl Fn(u64),
    calls: impl Fn() -> u64,
    is_expected: impl Fn(&Error) -> bool,
) -> Figures {
    let mut figures = Figures::default();
    for n in 1.. {
        vfs.reset();
        let folder = TempDir::new().unwrap();
        let store = open(vfs, &folder).await;
        arm(n);
        let before = calls();
        let answers = append(&store, &mut figures).await;
        let reached = calls() - before >= n;
        vfs.heal();
        let (mut acknowledged, refused) = sort(answers, &is_expected);
        for kind in [Kind::WithOwnRow, Kind::Several] {
            acknowledged.push(Appender::new(&store).append(kind).await.expect("it works after it healed"));
        }
        let survived = Survived::read(&store).await.unwrap_or_else(|problem| panic!("call {n}: {problem}"));
        assert_eq!(survived.missing(&acknowledged), Vec::<Flaw>::new(), "call {n}");
        let kept: Vec<_> = refused.iter().filter(|append| survived.holds(**append)).collect();
        assert_eq!(kept, Vec::<&Uuid>::new(), "answered with an error at call {n}, and there all the same");
        check_on_disk(vfs, &acknowledged).await;
        (figures.acknowledged, figures.refused) =
            (figures.acknowledged + acknowledged.len(), figures.refused + refused.len());
        if !reached {
            break;
        }
        figures.faults += 1;
    }
    println!("{}: {figures:?}", vfs.name());
    figures
}

fn sort(answers: Vec<Answer>, is_expected: impl Fn(&Error) -> bool) -> (Vec<Acknowledged>, Vec<Uuid>) {
    let (mut acknowledged, mut refused) = (Vec::new(), Vec::new());
    for answer in answers {
        match answer {
            Ok(append) => acknowledged.push(append),
            Err(Refused { append, error }) => {
                assert!(is_expected(&error), "{error:?}");
                refused.push(append);
            }
        }
    }
    (acknowledged, refused)
}

async fn check_on_disk(vfs: FaultyVfs, acknowledged: &[Acknowledged]) {
    let folder = TempDir::new().unwrap();
    vfs.write_survivors(folder.path(), Survivors::OnlySynced).unwrap();
    examine(folder.path().join("events.db"), acknowledged)
        .await
        .expect("a power loss now takes nothing back");
}

fn is_full(error: &Error) -> bool {
    matches!(error, Error::StorageFull { .. }) && error.is_retryable()
}

fn is_backend(error: &Error) -> bool {
    matches!(error, Error::Backend { backend: "sqlite", .. })
}

#[tokio::test]
async fn a_disk_full_from_any_write_on_refuses_whole_appends_until_there_is_room() {
    let vfs = FaultyVfs::register("full-from");
    let arm = |n| vfs.fail_writes_from(n, Fault::DiskFull);
    let figures = fail_everywhere(vfs, arm, || vfs.writes(), is_full).await;
    assert!(figures.groups_refused > 0, "{figures:?}");
}

#[tokio::test]
async fn a_disk_full_at_any_one_write_refuses_whole_appends_only() {
    let vfs = FaultyVfs::register("full-once");
    let arm = |n| vfs.fail_write_once(n, Fault::DiskFull);
    let figures = fail_everywhere(vfs, arm, || vfs.writes(), is_full).await;
    assert!(figures.refused > 0, "{figures:?}");
    assert_eq!(figures.groups_refused, 0, "what fails together is tried again in parts: {figures:?}");
}

#[tokio::test]
async fn a_device_that_fails_at_any_one_write_refuses_whole_appends_only() {
    let vfs = FaultyVfs::register("failing-once");
    let arm = |n| vfs.fail_write_once(n, Fault::IoError);
    let figures = fail_everywhere(vfs, arm, || vfs.writes(), is_backend).await;
    assert!(figures.groups_refused > 0, "{figures:?}");
}

#[tokio::test]
async fn while_syncs_fail_nothing_is_acknowledged() {
    let vfs = FaultyVfs::register("sync-from");
    let figures = fail_everywhere(vfs, |n| vfs.fail_syncs_from(n), || vfs.syncs(), is_backend).await;
    assert!(figures.groups_refused > 0, "{figures:?}");
}

#[tokio::test]
async fn a_sync_that_fails_once_refuses_whole_appends_only() {
    let vfs = FaultyVfs::register("sync-once");
    let figures = fail_everywhere(vfs, |n| vfs.fail_sync_once(n), || vfs.syncs(), is_backend).await;
    assert!(figures.groups_refused > 0, "{figures:?}");
}

/// SQLite then ends the transaction in the middle of a statement, not at the commit.
#[tokio::test]
async fn a_file_at_its_largest_size_refuses_all_members_of_a_group_until_it_may_grow() {
    let folder = TempDir::new().unwrap();
    let store = EventStore::new(SqliteBackend::open(folder.path().join("events.db")).await.unwrap());
    make_own_table(&store).await.unwrap();
    let limit_to = async |pages: u32| {
        let limit =
            move |tx: &mut event_sourcery::Within<'_, event_sourcery_sqlite::SqliteTransaction<'_>>| {
                tx.connection()
                    .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
                    .map_err(own_error)
            };
        store.transaction(limit).await.unwrap();
    };
    limit_to(1).await;
    let mut members: Vec<_> = (0..8).map(|_| Appender::new(&store).padded(10_000)).collect();
    let answers = together(&store, members.iter_mut().map(|member| member.append(Kind::Several))).await;
    let (acknowledged, refused) = sort(answers, is_full);
    assert_eq!((acknowledged.len(), refused.len()), (0, 8));

    limit_to(1_000_000).await;
    let mut acknowledged = Vec::new();
    for member in &mut members {
        acknowledged.push(member.append(Kind::Several).await.expect("it works when it may grow"));
    }
    let survived = Survived::read(&store).await.unwrap();
    assert_eq!(survived.missing(&acknowledged), Vec::<Flaw>::new());
    assert!(refused.iter().all(|append| !survived.holds(*append)));
}

/// SQLite then writes to the log before the commit, and meets the full disk in the middle of a statement.
#[tokio::test]
async fn an_append_larger_than_the_cache_is_refused_with_its_group_when_the_disk_is_full() {
    let vfs = FaultyVfs::register("full-spill");
    let folder = TempDir::new().unwrap();
    let store = open(vfs, &folder).await;
    vfs.fail_writes_from(1, Fault::DiskFull);
    let mut members = [100, 3_000_000, 100].map(|padding| Appender::new(&store).padded(padding));
    let answers = together(&store, members.iter_mut().map(|member| member.append(Kind::One))).await;
    let (acknowledged, refused) = sort(answers, is_full);
    assert_eq!((acknowledged.len(), refused.len()), (0, 3));
    vfs.heal();
    let survived = examine_running(&store).await;
    assert!(refused.iter().all(|append| !survived.holds(*append)));
}

async fn examine_running(store: &EventStore<SqliteBackend>) -> Survived {
    Appender::new(store).append(Kind::Several).await.expect("it works after it healed");
    Survived::read(store).await.unwrap()
}

/// Until the next commit, which takes its place, the log holds it: who recovers the log cannot know that it was refused.
#[tokio::test]
async fn an_append_whose_sync_failed_is_whole_or_absent_if_the_process_dies_before_the_next_commit() {
    let vfs = FaultyVfs::register("sync-then-die");
    let folder = TempDir::new().unwrap();
    let store = open(vfs, &folder).await;
    let mut acknowledged = vec![Appender::new(&store).append(Kind::Several).await.unwrap()];
    vfs.fail_sync_once(1);
    let refused = Appender::new(&store).append(Kind::Several).await.unwrap_err();
    assert!(is_backend(&refused.error));
    let survived = die_now(&folder, &acknowledged).await;
    println!("it is {}", if survived.holds(refused.append) { "there" } else { "absent" });

    acknowledged.push(Appender::new(&store).append(Kind::One).await.unwrap());
    let survived = die_now(&folder, &acknowledged).await;
    assert!(!survived.holds(refused.append), "the next commit takes its place");
}

/// What a process finds that opens the store after this one has died, with the power on.
async fn die_now(folder: &TempDir, acknowledged: &[Acknowledged]) -> Survived {
    let left = TempDir::new().unwrap();
    for name in ["events.db", "events.db-wal"] {
        std::fs::copy(folder.path().join(name), left.path().join(name)).unwrap();
    }
    examine(left.path().join("events.db"), acknowledged).await.unwrap()
}
