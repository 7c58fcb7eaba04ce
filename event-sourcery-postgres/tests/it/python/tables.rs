//! The tables that Rust makes, and those that Python makes.

use reference::SharedDatabase as _;

use super::postgres::Postgres;

/// Two indexes are covered by others; names of snapshots may be as long as those of events; and the outbox is read by others.
#[tokio::test(flavor = "multi_thread")]
async fn rust_makes_the_tables_that_python_makes_but_for_two_indexes_and_a_length() {
    let (theirs, ours) = (Postgres::create().await, Postgres::create().await);
    theirs.made_by_python();
    ours.rust().await;

    let (theirs, ours) = (theirs.layout(), ours.layout());

    let only_theirs: Vec<_> = theirs.iter().filter(|line| !ours.contains(line)).collect();
    assert_eq!(
        only_theirs,
        [
            "CREATE INDEX ix_event_sourcery_events_created_at ON public.event_sourcery_events USING btree (created_at)",
            "CREATE INDEX ix_event_sourcery_events_db_stream_id ON public.event_sourcery_events USING btree (db_stream_id)",
            "event_sourcery_snapshots.name character varying(50) NOT NULL",
        ]
    );
    let of_outbox = |line: &&String| line.contains("event_sourcery_outbox_entries") && !theirs.contains(line);
    // A column, and two indexes.
    assert_eq!(ours.iter().filter(of_outbox).count(), 3, "{ours:?}");
    let only_ours = ours.iter().filter(|line| !theirs.contains(line) && !line.contains("schema_version"));
    let shared_tables = ["events", "streams", "snapshots", "projector_cursors"];
    let only_ours: Vec<_> = only_ours
        .filter(|line| shared_tables.iter().any(|table| line.contains(&format!("event_sourcery_{table}"))))
        .collect();
    assert_eq!(
        only_ours,
        [
            "CREATE INDEX ix_event_sourcery_events_unversioned ON public.event_sourcery_events \
             USING btree (db_stream_id, id) WHERE (version IS NULL)",
            "CREATE INDEX ix_event_sourcery_streams_by_name ON public.event_sourcery_streams \
             USING btree (tenant_id, category, name COLLATE \"C\")",
            "CREATE INDEX ix_event_sourcery_streams_of_category ON public.event_sourcery_streams \
             USING btree (category, tenant_id)",
            "event_sourcery_snapshots.name character varying(200) NOT NULL",
        ]
    );
}
