//! The write-ahead log, cut off or damaged anywhere.

use std::fs;
use std::path::Path;

use event_sourcery_sqlite::SqliteBackend;
use tempfile::TempDir;
use uuid::Uuid;

use crate::appender::{Appender, Kind, make_own_table};
use crate::survived::{Survived, reopen};

const WAL_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// A store as it is found on disk while its process is at work and no checkpoint has run.
struct Found {
    database: Vec<u8>,
    wal: Vec<u8>,
    /// What was acknowledged, in that order.
    acknowledged: Vec<Uuid>,
}

impl Found {
    async fn after_appends() -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("events.db");
        let store = event_sourcery::EventStore::new(SqliteBackend::open(&path).await.unwrap());
        make_own_table(&store).await.unwrap();
        let (mut appender, mut acknowledged) = (Appender::new(&store), Vec::new());
        for kind in Kind::ALL.into_iter().cycle().take(15) {
            acknowledged.push(appender.append(kind).await.unwrap().append);
        }
        let read = |name| fs::read(folder.path().join(name)).unwrap();
        Self { database: read("events.db"), wal: read("events.db-wal"), acknowledged }
    }

    /// How many appends are left when the log is this. They are the first ones, whole.
    async fn left_with(&self, wal: &[u8], folder: &Path) -> usize {
        for (name, content) in [("events.db", self.database.as_slice()), ("events.db-wal", wal)] {
            fs::write(folder.join(name), content).unwrap();
        }
        let store = reopen(folder.join("events.db")).await.unwrap();
        let survived = Survived::read(&store).await.unwrap();
        assert!(self.acknowledged.starts_with(&survived.order), "{} bytes of log", wal.len());
        survived.order.len()
    }

    /// The lengths at which a frame ends, as far as the log was written.
    fn frame_ends(&self) -> Vec<usize> {
        let page_size = u32::from_be_bytes(self.wal[8..12].try_into().unwrap()) as usize;
        (WAL_HEADER..=self.wal.len()).step_by(FRAME_HEADER + page_size).collect()
    }
}

#[tokio::test]
async fn a_log_cut_off_anywhere_keeps_the_first_appends_whole() {
    let found = Found::after_appends().await;
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut dice = fastrand::Rng::with_seed(seed);
    let ends = found.frame_ends();
    assert!(ends.len() > 50, "no checkpoint has run: {} frames", ends.len());
    let around_ends = ends.into_iter().flat_map(|end| end - 1..=end + 1);
    let anywhere = (0..50).map(|_| dice.usize(0..found.wal.len()));
    let mut lengths: Vec<_> = around_ends.chain(anywhere).chain([0, found.wal.len()]).collect();
    lengths.retain(|length| *length <= found.wal.len());
    lengths.sort_unstable();
    lengths.dedup();
    println!("{} lengths of a log of {} bytes", lengths.len(), found.wal.len());
    let mut left = Vec::new();
    for length in lengths {
        let folder = TempDir::new().unwrap();
        left.push(found.left_with(&found.wal[..length], folder.path()).await);
    }
    assert!(left.is_sorted(), "the more of the log, the more appends: {left:?}");
    assert_eq!(left.first(), Some(&0));
    assert_eq!(left.last(), Some(&found.acknowledged.len()), "the whole log has them all");
}

#[tokio::test]
async fn a_damaged_log_keeps_the_appends_before_the_damage_whole() {
    let found = Found::after_appends().await;
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut dice = fastrand::Rng::with_seed(seed);
    for _ in 0..50 {
        let mut wal = found.wal.clone();
        let at = dice.usize(0..wal.len());
        wal[at] ^= 1 << dice.u32(0..8);
        let folder = TempDir::new().unwrap();
        let left = found.left_with(&wal, folder.path()).await;
        assert!(left < found.acknowledged.len(), "damage at byte {at} is noticed");
    }
}
