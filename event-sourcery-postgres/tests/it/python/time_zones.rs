//! Times with an offset, and connections with a time zone.

use event_sourcery::{Event as _, StreamId};
use jiff::Timestamp;
use reference::invoicing::{Paid, paid};
use reference::{SharedDatabase as _, event, with};

use super::postgres::Postgres;

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// PostgreSQL turns it to the wall clock of the connection's zone, and Python reads that back: so does Rust.
#[tokio::test(flavor = "multi_thread")]
async fn a_time_with_an_offset_is_read_as_the_wall_clock_that_was_stored() {
    let database = Postgres::create().await;
    let (_python, rust) = database.both().await;
    for (zone, stored) in [
        ("UTC", "2025-03-16 10:00:00.5"),
        ("Europe/Berlin", "2025-03-16 11:00:00.5"),
        ("Asia/Kolkata", "2025-03-16 15:30:00.5"),
    ] {
        let (mut python, stream) = (database.python_with(&[("TimeZone", zone)]), StreamId::random());
        let aware = with(event(&paid("1")), "created_at", "2025-03-16T12:00:00.500000+02:00");
        python.create(&stream, &[aware]);

        assert_eq!(python.load(&stream)[0].created_at, format!("{stored}00000"));
        let read = rust.load_stream::<Paid>(&stream).await.unwrap();
        assert_eq!(read[0].created_at, time(&format!("{stored}Z")), "{zone}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn times_do_not_depend_on_the_time_zone_of_the_database() {
    let database = Postgres::create().await;
    database.run("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET TimeZone = ''Asia/Kathmandu''', current_database()); END $$");
    let (mut python, rust) = database.both().await;
    let (theirs, ours) = (StreamId::random(), StreamId::random());

    python.create(&theirs, &[with(event(&paid("1")), "created_at", "2025-03-16 10:03:02.138667")]);
    rust.append(&ours, paid("1").with_created_at(time("2025-03-16T10:03:02.138667Z"))).await.unwrap();

    for stream in [theirs, ours] {
        assert_eq!(python.load(&stream)[0].created_at, "2025-03-16 10:03:02.138667");
        let read = rust.load_stream::<Paid>(&stream).await.unwrap();
        assert_eq!(read[0].created_at, time("2025-03-16T10:03:02.138667Z"));
    }
}
