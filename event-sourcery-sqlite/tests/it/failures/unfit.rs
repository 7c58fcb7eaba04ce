//! Tables that somebody else made, or changed, in which one row would be taken for another, or passed by.

use event_sourcery::backend::{BacklogRequest, Filter, SubscriptionBackend as _};
use event_sourcery::{Error, Position, StreamId};
use event_sourcery_sqlite::{SqliteBackend, SqliteOptions};

use super::{Folder, event};

fn problem(refused: Error) -> String {
    let Error::ForeignLayout { problem, .. } = refused else { panic!("{refused:?}") };
    problem
}

#[tokio::test]
async fn tables_made_by_hand_that_take_different_texts_for_the_same_are_refused_by_name() {
    for (ours, theirs, says) in [
        (
            "name VARCHAR(255),\n    category",
            "name VARCHAR(255) COLLATE NOCASE,\n    category",
            "event_sourcery_streams.name has the collation NOCASE",
        ),
        ("UNIQUE (name, category, tenant_id)", "UNIQUE (name, category)", "(category, name, tenant_id)"),
        ("UNIQUE (uuid, category, tenant_id),", "", "(category, tenant_id, uuid)"),
        ("ON event_sourcery_events (uuid)", "ON event_sourcery_events (uuid COLLATE NOCASE)", "on (uuid)"),
        (
            "ON event_sourcery_events (db_stream_id, version)",
            "ON event_sourcery_events (db_stream_id, version) WHERE version > 1",
            "(db_stream_id, version)",
        ),
        (
            "PRIMARY KEY (tenant_id, name, segment)",
            "PRIMARY KEY (tenant_id, name, segment, token)",
            "(name, segment, tenant_id)",
        ),
    ] {
        let folder = Folder::new();
        let script = SqliteOptions::new(folder.path()).migration().unwrap();
        assert!(script.contains(ours), "{ours}: {script}");
        folder.foreign_connection().execute_batch(&script.replacen(ours, theirs, 1)).unwrap();
        let problem = problem(SqliteBackend::open(folder.path()).await.unwrap_err());
        assert!(problem.contains(says), "{theirs}: {problem}");
    }
}

/// The remedy is in the message.
#[tokio::test]
async fn an_index_that_was_lost_is_made_again_by_what_the_error_says() {
    let folder = Folder::new();
    drop(folder.store().await);
    folder.foreign_connection().execute_batch("DROP INDEX ix_event_sourcery_events_uuid").unwrap();
    let problem = problem(SqliteBackend::open(folder.path()).await.unwrap_err());
    let remedy = problem.find("CREATE UNIQUE INDEX").map(|at| &problem[at..]).unwrap();
    folder.foreign_connection().execute_batch(remedy).unwrap();
    folder.store().await.append(&StreamId::random(), event()).await.unwrap();
}

/// As where events were renamed, or filled in from elsewhere, beside a directory that was there.
#[tokio::test]
async fn a_directory_that_lacks_names_of_events_is_refused_when_the_file_is_opened_and_can_be_repaired() {
    let folder = Folder::new();
    let many: Vec<_> = (0..2_100).map(|_| event()).collect();
    folder.store().await.append(&StreamId::random(), many).await.unwrap();
    // In the first block, and in the last that is listed.
    for position in [7, 1_500] {
        let run = |sql: &str| folder.foreign_connection().execute_batch(sql).unwrap();
        run("INSERT OR IGNORE INTO event_sourcery_event_blocks (name, block)
                 SELECT DISTINCT name, id / 1024 FROM event_sourcery_events;
             DELETE FROM event_sourcery_event_blocks_mark;
             INSERT INTO event_sourcery_event_blocks_mark VALUES (2)");
        drop(folder.store().await);
        run(&format!("UPDATE event_sourcery_events SET name = 'Rare' WHERE id = {position}"));
        let problem = problem(SqliteBackend::open(folder.path()).await.unwrap_err());
        run(problem.find("DELETE").map(|at| &problem[at..]).unwrap());
        drop(folder.store().await);
    }
    let backend = SqliteBackend::open(folder.path()).await.unwrap();
    let mut filter = Filter::default();
    filter.names = Some(["Rare".into()].into());
    assert_eq!(backend.backlog(BacklogRequest::new(Position::START, filter)).await.unwrap().events, 2);
}

/// A column of the user's own may be collated in any way.
#[tokio::test]
async fn what_others_hang_on_the_tables_is_taken() {
    let folder = Folder::new();
    drop(folder.store().await);
    let own = "ALTER TABLE event_sourcery_events ADD COLUMN invoice TEXT COLLATE NOCASE;
               CREATE INDEX by_invoice ON event_sourcery_events (invoice, name COLLATE NOCASE)";
    folder.foreign_connection().execute_batch(own).unwrap();
    folder.store().await.append(&StreamId::random(), event()).await.unwrap();
}
