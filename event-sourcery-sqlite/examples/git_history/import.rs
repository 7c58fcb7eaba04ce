//! The import: one append for each commit, many of them under way at once.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use event_sourcery::{EventStore, NewEvent, StreamId, Version};
use indicatif::ProgressBar;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::Result;
use crate::events::{FileEvent, HistoryImported};
use crate::git::{Repository, Span};
use crate::history::CommitRead;

/// How many appends are under way at most: they share transactions and syncs of the disk.
const AT_ONCE: usize = 64;

/// What an import did.
#[derive(Debug, Default)]
pub(crate) struct Imported {
    pub(crate) commits: u64,
    pub(crate) events: u64,
    /// Events that were there already, left by an import that was interrupted.
    pub(crate) repeated: u64,
    pub(crate) took: Duration,
}

/// Imports the commits that are new since the last import.
pub(crate) async fn import(
    repository: &Repository,
    store: &EventStore,
    progress: &ProgressBar,
) -> Result<Imported> {
    let began = Instant::now();
    let imports = HistoryImported::stream()?;
    let earlier = store.load_stream::<HistoryImported>(&imports).await?;
    let last = earlier.last();

    let tips = repository.tips()?;
    let known = match last {
        Some(last) => known_here(repository, &last.event.tips)?,
        None => Vec::new(),
    };
    let span = Span::new(&tips, &known);
    let commits = repository.count(&span)?;
    progress.set_length(commits);
    if commits == 0 {
        return Ok(Imported { took: began.elapsed(), ..Imported::default() });
    }

    let mut import = Import::new(store);
    let mut history = read_on_a_thread(repository, &span)?;
    while let Some(commit) = history.recv().await {
        import.add(commit?).await?;
        progress.inc(1);
    }
    let imported = import.finish().await?;

    // An import that is interrupted before this line is repeated from where the last one ended; its events are recognised
    // by their ids.
    let version = last.and_then(|last| last.version);
    store.append(&imports, HistoryImported { tips, commits }).expected_version(version).await?;
    Ok(Imported { took: began.elapsed(), ..imported })
}

/// The commits that the last import ended with, as far as the repository has them.
fn known_here(repository: &Repository, tips: &[String]) -> Result<Vec<String>> {
    let known = repository.present(tips)?;
    if known.is_empty() {
        return Err(
            "the store holds the history of another repository: choose another one with `--store`".into()
        );
    }
    Ok(known)
}

/// Reading git blocks, so it has a thread of its own, a few commits ahead of the appends.
fn read_on_a_thread(repository: &Repository, span: &Span) -> Result<mpsc::Receiver<Result<CommitRead>>> {
    let (commits, history) = mpsc::channel(2 * AT_ONCE);
    let reading = repository.history(span)?;
    tokio::task::spawn_blocking(move || {
        for commit in reading {
            // Whoever does not receive any more has failed, and says so.
            if commits.blocking_send(commit).is_err() {
                break;
            }
        }
    });
    Ok(history)
}

/// Appends under way, and where each stream's version comes from: the append that was last to touch it.
///
/// An append waits for the versions that those before it leave behind, and for nothing else. So every stream keeps the
/// order of the history, and commits that touch different files do not wait for each other.
struct Import<'a> {
    store: &'a EventStore,
    under_way: JoinSet<Result<Appended>>,
    versions: HashMap<StreamId, oneshot::Receiver<Version>>,
    imported: Imported,
}

/// A commit's events of one stream.
struct Part {
    stream: StreamId,
    events: Vec<NewEvent<FileEvent>>,
}

/// The version of a stream, from the append before; none where this import has not touched the stream yet.
type Before = Option<oneshot::Receiver<Version>>;

#[derive(Default)]
struct Appended {
    events: u64,
    repeated: bool,
}

impl<'a> Import<'a> {
    fn new(store: &'a EventStore) -> Self {
        Self { store, under_way: JoinSet::new(), versions: HashMap::new(), imported: Imported::default() }
    }

    /// Begins to append a commit: all its files or none.
    async fn add(&mut self, commit: CommitRead) -> Result<()> {
        self.imported.commits += 1;
        let parts = parts(commit)?;
        while self.under_way.len() >= AT_ONCE {
            self.settle_one().await?;
        }
        let (before, after): (Vec<_>, Vec<_>) = parts.iter().map(|part| self.take_turn(&part.stream)).unzip();
        self.under_way.spawn(append(self.store.clone(), parts, before, after));
        Ok(())
    }

    /// Where the stream's version will come from, and where to leave the next one.
    fn take_turn(&mut self, stream: &StreamId) -> (Before, oneshot::Sender<Version>) {
        let (after, next) = oneshot::channel();
        (self.versions.insert(stream.clone(), next), after)
    }

    async fn finish(mut self) -> Result<Imported> {
        while !self.under_way.is_empty() {
            self.settle_one().await?;
        }
        Ok(self.imported)
    }

    async fn settle_one(&mut self) -> Result<()> {
        let Some(appended) = self.under_way.join_next().await else { return Ok(()) };
        let Appended { events, repeated } = appended??;
        *if repeated { &mut self.imported.repeated } else { &mut self.imported.events } += events;
        Ok(())
    }
}

/// A commit's events by stream, in the order of the commit. A commit that changes no file has none.
fn parts(read: CommitRead) -> Result<Vec<Part>> {
    let CommitRead { commit, authored_at, changes } = read;
    let mut parts: Vec<Part> = Vec::with_capacity(changes.len());
    let mut places = HashMap::new();
    for event in changes.into_iter().flat_map(|change| change.into_events()) {
        let stream = event.path().stream()?;
        let event = event.of(&commit, authored_at)?;
        let place = *places.entry(stream.clone()).or_insert(parts.len());
        match parts.get_mut(place) {
            Some(part) => part.events.push(event),
            None => parts.push(Part { stream, events: vec![event] }),
        }
    }
    Ok(parts)
}

async fn append(
    store: EventStore,
    parts: Vec<Part>,
    before: Vec<Before>,
    after: Vec<oneshot::Sender<Version>>,
) -> Result<Appended> {
    let mut versions = Vec::with_capacity(parts.len());
    for (part, before) in parts.iter().zip(before) {
        versions.push(match before {
            None => store.version(&part.stream).await?.unwrap_or(0),
            Some(before) => match before.await {
                Ok(version) => version,
                // The append before has failed, and tells why.
                Err(_) => return Ok(Appended::default()),
            },
        });
    }
    let events = parts.iter().map(|part| part.events.len() as u64).sum();
    if parts.is_empty() {
        return Ok(Appended::default());
    }
    let append = parts.into_iter().zip(&versions).fold(store.append_all(), |append, (part, version)| {
        append.and(&part.stream, part.events).expected_version(*version)
    });
    let appended = append.await?;
    let repeated = appended.iter().any(|appended| appended.repeated);
    for ((after, before), appended) in after.into_iter().zip(versions).zip(appended) {
        // A repeat answers with the version that it has, and the stream is ahead of it. Nobody may be waiting.
        let _ = after.send(appended.last_version.map_or(before, |last| last.max(before)));
    }
    Ok(Appended { events, repeated })
}
