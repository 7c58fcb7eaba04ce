//! The answers: read from the store, typed, and never from git.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::time::{Duration, Instant};

use event_sourcery::{EventStore, StreamId};
use indicatif::HumanCount;

use crate::Result;
use crate::events::{Commit, FileEvent, FilePath};
use crate::story;

/// How many lines a list has.
const LINES: usize = 10;

/// Writes the lists, and the life of this file, or of the one that changed most.
pub(crate) async fn write(store: &EventStore, file: Option<&FilePath>, out: &mut impl Write) -> Result<()> {
    let began = Instant::now();
    let counts = Counts::read(store).await?;
    let took = began.elapsed();
    writeln!(
        out,
        "The store holds {} events of {} commits and {} paths, read back {}.",
        HumanCount(counts.events),
        HumanCount(counts.commits.len() as u64),
        HumanCount(counts.files.len() as u64),
        speed(counts.events, took)
    )?;

    let files = busiest(counts.files.into_values());
    write_list(out, "Most changed files (events)", &files)?;
    write_list(out, "Busiest authors (commits)", &busiest(counts.authors))?;
    write_list(out, "Busiest months (commits)", &busiest(counts.months))?;

    match file.or(files.first().map(|(path, _)| path)) {
        Some(path) => story::write(store, path, out).await,
        None => Ok(()),
    }
}

/// How long it took, and how many events that is in a second.
pub(crate) fn speed(events: u64, took: Duration) -> String {
    let a_second = events as f64 / took.as_secs_f64();
    format!("in {:.2} s ({} events a second)", took.as_secs_f64(), HumanCount(a_second as u64))
}

#[derive(Default)]
struct Counts {
    events: u64,
    files: HashMap<StreamId, (FilePath, u64)>,
    commits: HashSet<uuid::Uuid>,
    authors: HashMap<String, u64>,
    months: HashMap<String, u64>,
}

impl Counts {
    /// Reads all events of all files once, one by one.
    async fn read(store: &EventStore) -> Result<Self> {
        let mut counts = Self::default();
        let mut events = store.read_all::<FileEvent>().category(FilePath::category()?).stream();
        while let Some(recorded) = events.try_next().await? {
            let event = recorded.wrapped_event;
            counts.events += 1;
            counts.files.entry(recorded.stream_id).or_insert_with(|| (event.event.path().clone(), 0)).1 += 1;

            let is_new_commit = event.context.correlation_id().is_some_and(|id| counts.commits.insert(id));
            if is_new_commit && let Some(commit) = event.context.component::<Commit>()? {
                *counts.authors.entry(commit.author.name).or_default() += 1;
                *counts.months.entry(event.created_at.strftime("%Y-%m").to_string()).or_default() += 1;
            }
        }
        Ok(counts)
    }
}

/// The first of them, by count.
fn busiest<T: AsRef<str>>(counts: impl IntoIterator<Item = (T, u64)>) -> Vec<(T, u64)> {
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts
        .sort_by(|(name, count), (other, others)| others.cmp(count).then(name.as_ref().cmp(other.as_ref())));
    counts.truncate(LINES);
    counts
}

fn write_list<T: AsRef<str>>(out: &mut impl Write, title: &str, lines: &[(T, u64)]) -> Result<()> {
    writeln!(out, "\n{title}")?;
    for (name, count) in lines {
        writeln!(out, "{:>9}  {}", HumanCount(*count).to_string(), name.as_ref())?;
    }
    Ok(())
}
