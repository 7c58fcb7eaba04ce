//! A run: which figures are wanted, how often each is measured, and where its files are.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use event_sourcery::EventStore;
use event_sourcery_sqlite::SqliteBackend;

use crate::Result;
use crate::by_hand::ByHand;
use crate::figure::{Figure, Pair};

pub struct Bench {
    /// Beginnings of names; none: every figure.
    pub wanted: Vec<String>,
    /// How often a pair is measured.
    pub pairs: usize,
    /// By how much every round is shortened, for a try.
    pub shortened: usize,
    /// Where the files are: on the disk that is measured.
    pub folder: PathBuf,
    pub figures: Vec<Figure>,
}

impl Bench {
    pub fn wants(&self, name: &str) -> bool {
        let is_meant = |wanted: &String| name.starts_with(wanted.as_str()) || wanted.starts_with(name);
        self.wanted.is_empty() || self.wanted.iter().any(is_meant)
    }

    /// So many, or fewer where this is only a try.
    pub fn count(&self, usual: usize) -> usize {
        (usual / self.shortened).max(1)
    }

    pub fn report(&mut self, figure: Figure) -> Result<()> {
        println!("{}", serde_json::to_string(&figure)?);
        self.figures.push(figure);
        Ok(())
    }

    /// A file of this name that does not exist.
    pub fn fresh(&self, name: &str) -> Result<PathBuf> {
        let path = self.folder.join(format!("{name}.db"));
        for suffix in ["", "-wal", "-shm"] {
            let file = self.folder.join(format!("{name}.db{suffix}"));
            if file.exists() {
                fs::remove_file(file)?;
            }
        }
        Ok(path)
    }

    /// Two new files of one layout: a store of ours, and one to be written by hand.
    pub async fn both(&self) -> Result<(EventStore<SqliteBackend>, ByHand)> {
        let by_hand = self.fresh("by-hand")?;
        drop(open(&by_hand).await?);
        Ok((open(&self.fresh("ours")?).await?, ByHand::open(&by_hand)?))
    }

    /// Measures in turns, after a round that does not count.
    pub async fn alternate(
        &self,
        ours: impl AsyncFnMut() -> Result<f64>,
        baseline: impl AsyncFnMut() -> Result<f64>,
    ) -> Result<Vec<Pair>> {
        let rounds = self.take_turns(ours, baseline).await?;
        Ok(rounds.into_iter().map(|(ours, baseline)| Pair { ours, baseline }).collect())
    }

    /// Takes turns, after a round that does not count.
    pub async fn take_turns<T>(
        &self,
        mut ours: impl AsyncFnMut() -> Result<T>,
        mut baseline: impl AsyncFnMut() -> Result<T>,
    ) -> Result<Vec<(T, T)>> {
        ours().await?;
        baseline().await?;
        let mut rounds = Vec::new();
        for _ in 0..self.pairs {
            rounds.push((ours().await?, baseline().await?));
        }
        Ok(rounds)
    }
}

/// Drives it in a task, as a server drives what it does for a request: who calls from the main thread wakes another one for whatever
/// is driven in a task.
pub async fn in_a_task<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    tokio::spawn(work).await?
}

pub async fn open(path: &Path) -> Result<EventStore<SqliteBackend>> {
    Ok(EventStore::new(SqliteBackend::open(path).await?))
}

/// So many of something a second.
pub fn rate(count: usize, since: Instant) -> f64 {
    count as f64 / since.elapsed().as_secs_f64()
}

pub fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
