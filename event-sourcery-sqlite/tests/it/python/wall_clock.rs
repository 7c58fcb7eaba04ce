//! Times with an offset.

use event_sourcery::StreamId;
use jiff::Timestamp;
use reference::invoicing::{Paid, paid};
use reference::{SharedDatabase as _, event, with};

use super::shared_file::SharedFile;

/// SQLAlchemy drops the offset, and Python reads its own wall clock back: so does Rust.
#[tokio::test]
async fn a_time_with_an_offset_is_read_as_the_wall_clock_that_python_stored() {
    let file = SharedFile::create().await;
    let (mut python, rust) = file.both().await;
    let stream = StreamId::random();
    python.create(&stream, &[with(event(&paid("1")), "created_at", "2025-03-16T12:00:00.500000+02:00")]);

    assert_eq!(python.load(&stream)[0].created_at, "2025-03-16 12:00:00.500000");
    let read = rust.load_stream::<Paid>(&stream).await.unwrap();
    assert_eq!(read[0].created_at, "2025-03-16T12:00:00.5Z".parse::<Timestamp>().unwrap());
}
