//! Power loss at every sync of a run, on a modelled disk.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use event_sourcery::{EventStore, Result};
use event_sourcery_conformance::history::Acknowledged;
use event_sourcery_sqlite::{SqliteBackend, SqliteOptions, Synchronous};
use faulty_vfs::{FaultyVfs, Survivors};
use futures_util::future::join_all;
use tempfile::TempDir;

use crate::appender::{Appender, Kind, checkpoint_every, make_own_table};
use crate::survived::examine;

/// The size of a file that the log of an undisturbed run was copied into.
const CHECKPOINTED: u64 = 1_000_000;

const PATIENCE: Duration = Duration::from_secs(20);

const TORN: [Survivors; 3] =
    [Survivors::Torn { seed: 1 }, Survivors::Torn { seed: 2 }, Survivors::Torn { seed: 3 }];

/// One run: how the store is opened, and what is appended to it.
#[derive(Clone, Copy)]
struct Run {
    vfs: FaultyVfs,
    /// `None`: as the backend has it.
    synchronous: Option<Synchronous>,
    /// After how many pages there is a checkpoint; `None`: as the backend has it.
    checkpoint: Option<u32>,
    rounds: usize,
    padding: usize,
}

impl Run {
    /// A short run with a checkpoint every few appends, at the default durability.
    fn new(name: &str) -> Self {
        Self {
            vfs: FaultyVfs::register(name),
            synchronous: None,
            checkpoint: Some(24),
            rounds: 4,
            padding: 400,
        }
    }

    /// Opens, appends, calls `end` and closes; gives what was acknowledged before the power failed.
    async fn go(&self, path: &Path, end: impl FnOnce()) -> Vec<Acknowledged> {
        let mut acknowledged = Vec::new();
        if let Ok(store) = self.open(path).await {
            self.append(&store, &mut acknowledged).await;
            end();
        }
        acknowledged
    }

    async fn open(&self, path: &Path) -> Result<EventStore<SqliteBackend>> {
        let mut options = SqliteOptions::new(path).vfs(self.vfs.name());
        if let Some(synchronous) = self.synchronous {
            options = options.synchronous(synchronous);
        }
        let store = EventStore::new(options.open().await?);
        if let Some(pages) = self.checkpoint {
            checkpoint_every(&store, pages).await?;
        }
        make_own_table(&store).await?;
        Ok(store)
    }

    async fn append(&self, store: &EventStore<SqliteBackend>, acknowledged: &mut Vec<Acknowledged>) {
        let mut alone = Appender::new(store).padded(self.padding);
        for _ in 0..self.rounds {
            for kind in Kind::ALL {
                acknowledged.extend(alone.append(kind).await.ok());
            }
            let at_once = (0..6).map(async |_| {
                let mut appender = Appender::new(store).padded(self.padding);
                [appender.append(Kind::TwoStreams).await, appender.append(Kind::Several).await]
            });
            acknowledged.extend(join_all(at_once).await.into_iter().flatten().flatten());
        }
    }

    /// Cuts the power at every sync in turn, and once behind the last append; each time looks at what survived.
    async fn cut_everywhere(&self, survivors: &[Survivors]) -> Figures {
        let mut figures = Figures::default();
        self.vfs.reset();
        let folder = TempDir::new().unwrap();
        self.go(&folder.path().join("events.db"), || ()).await;
        // A few more: the syncs of the checkpointer come when they come.
        for sync in 1..=self.vfs.syncs() + 5 {
            self.vfs.reset();
            self.vfs.cut_power_at_sync(sync);
            let folder = TempDir::new().unwrap();
            let acknowledged = self.go(&folder.path().join("events.db"), || ()).await;
            if !self.vfs.power_is_cut() {
                continue;
            }
            self.look(&format!("sync {sync}"), survivors, &acknowledged, &mut figures).await;
        }
        self.vfs.reset();
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("events.db");
        let acknowledged = self
            .go(&path, || {
                self.wait_for_the_checkpointer(&path);
                self.vfs.cut_power();
            })
            .await;
        figures.database = fs::metadata(path).unwrap().len();
        self.look("at the end", survivors, &acknowledged, &mut figures).await;
        figures.appends = acknowledged.len();
        println!("{}: {figures:?}", self.vfs.name());
        figures
    }

    /// The backend's own checkpoints are made beside the writer, and may be under way.
    fn wait_for_the_checkpointer(&self, path: &Path) {
        let began = Instant::now();
        while self.checkpoint.is_none() && began.elapsed() < PATIENCE {
            if fs::metadata(path).is_ok_and(|file| file.len() > CHECKPOINTED) {
                return;
            }
            std::thread::yield_now();
        }
    }

    async fn look(
        &self,
        cut: &str,
        survivors: &[Survivors],
        acknowledged: &[Acknowledged],
        figures: &mut Figures,
    ) {
        figures.cuts += 1;
        for survivors in survivors {
            let folder = TempDir::new().unwrap();
            self.vfs.write_survivors(folder.path(), *survivors).unwrap();
            figures.examined += 1;
            match examine(folder.path().join("events.db"), acknowledged).await {
                Ok(survived) => figures.survived_unanswered += survived.order.len() - acknowledged.len(),
                Err(problem) => figures.problems.push(format!("{cut}, {survivors:?}: {problem}")),
            }
        }
    }
}

/// What came of cutting the power everywhere.
#[derive(Debug, Default)]
struct Figures {
    cuts: usize,
    examined: usize,
    /// How many appends an undisturbed run has.
    appends: usize,
    survived_unanswered: usize,
    /// The size of the file after an undisturbed run, before it is closed: without its log, so checkpoints made it.
    database: u64,
    problems: Vec<String>,
}

#[tokio::test]
async fn a_power_cut_at_any_sync_takes_back_nothing_acknowledged_and_leaves_nothing_half() {
    let figures = Run::new("power-cut").cut_everywhere(&[Survivors::OnlySynced]).await;
    assert_eq!(figures.problems, Vec::<String>::new());
    assert!(figures.cuts > 50, "opening, appends and checkpoints were cut: {figures:?}");
}

#[tokio::test]
async fn a_power_cut_that_tears_writes_takes_back_nothing_acknowledged_and_leaves_nothing_half() {
    let figures = Run::new("power-cut-torn").cut_everywhere(&TORN).await;
    assert_eq!(figures.problems, Vec::<String>::new());
}

#[tokio::test]
async fn a_power_cut_around_the_checkpoint_that_the_backend_makes_by_itself_takes_nothing_back() {
    let run = Run { checkpoint: None, rounds: 1, padding: 130_000, ..Run::new("power-cut-checkpoint") };
    let figures = run.cut_everywhere(&[Survivors::OnlySynced, TORN[0]]).await;
    assert_eq!(figures.problems, Vec::<String>::new());
    assert!(figures.database > CHECKPOINTED, "there was a checkpoint: {figures:?}");
}

#[tokio::test]
async fn without_syncs_a_power_cut_takes_acknowledged_appends_back() {
    let run = Run { synchronous: Some(Synchronous::Off), ..Run::new("power-cut-off") };
    let figures = run.cut_everywhere(&[Survivors::OnlySynced]).await;
    assert!(!figures.problems.is_empty(), "the test can see a loss: {figures:?}");
}

#[tokio::test]
async fn with_syncs_at_checkpoints_only_a_power_cut_takes_appends_back_but_none_by_half() {
    let run = Run { synchronous: Some(Synchronous::Normal), ..Run::new("power-cut-normal") };
    let figures = run.cut_everywhere(&[Survivors::OnlySynced, TORN[0]]).await;
    assert!(!figures.problems.is_empty(), "the test can see a loss: {figures:?}");
    let only_lost = |problem: &String| problem.ends_with("acknowledged appends are missing");
    assert!(figures.problems.iter().all(only_lost), "{figures:?}");
}
